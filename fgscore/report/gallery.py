"""The gallery's content, packed for the page: thumbnails, boxes, masks at thumbnail size, scores, targets, predictions.

Everything is read from the cache as it is; nothing is decoded but masks. Numbers travel as base64 of little-endian
arrays.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgscore import ragged
from fgscore.errors import StoreError
from fgscore.evaluate import strategies
from fgscore.evaluate.results import Result, read_predictions
from fgscore.evaluate.zeroshot import nearest
from fgscore.labels import UNLABELLED
from fgscore.report import study
from fgscore.report.views import Source
from fgscore.store import manifest, records
from fgscore.store.cache import Store
from fgscore.tables import text
from fgscore.types import ImageIndex, MaskRLE, RegionBatch, ScoreShard, ThumbnailShard

LEFT, RIGHT = "soft_margin", "entropy"  # what the two sides show at first, where it is there


def thumbnails(store: Store, index_artefact: manifest.Artefact) -> manifest.Artefact | None:
    """The largest complete thumbnails of an index; None where there are none."""
    digest = index_artefact.recipe.digest
    own = [a for a in store.artefacts("thumbnails", index_artefact.dataset) if a.recipe.parents["images"] == digest]
    return max((a for a in own if a.manifest()), key=lambda a: int(a.recipe.params["size"]), default=None)


def sample(index: ImageIndex, present: set[str], n: int, seed: int) -> list[int]:
    """Rows of ``n`` test images among ``present``, of any where there is no test split, in the order of the index:
    chosen at random, as even over classes as can be."""
    chosen = index.split == "test" if has_test(index) else np.ones(len(index), bool)
    rows = [r for r in np.flatnonzero(chosen).tolist() if index.image_ids[r] in present]
    rng = np.random.default_rng(seed)
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    turn: dict[int, int] = {}
    keyed: list[tuple[int, int, int]] = []
    for row in shuffled:  # the first of every class, then the second of every class, ...
        label = int(index.labels[row])
        turn[label] = turn.get(label, -1) + 1
        keyed.append((turn[label], len(keyed), row))
    return sorted(row for _, _, row in sorted(keyed)[:n])


def has_test(index: ImageIndex) -> bool:
    """Whether an index has test images."""
    return bool((index.split == "test").any())


def pack(sources: Sequence[Source], small: manifest.Artefact, results: Sequence[Result], n: int, seed: int) -> dict:
    """One data set's gallery of at most ``n`` images; ``small`` are its thumbnails."""
    bundle = sources[0].bundle
    index, store = bundle.index, bundle.store
    present = _ids(store, small)
    for source in sources:
        present &= _ids(store, source.views[0].artefact)
    rows = np.array(sample(index, present, n, seed), np.int64)
    copies = _read(store, small, index, rows)
    shown = [_image(index, row, copies, i) for i, row in enumerate(rows.tolist())]
    of_text = [one for one in shown if one["label"] == UNLABELLED] if bundle.text else []
    for one, name in zip(of_text, nearest(bundle, np.array([one["id"] for one in of_text], np.str_)), strict=True):
        one["nearest"] = name
    sizes = [tuple(one["size"]) for one in shown]
    ids = [str(one["id"]) for one in shown]
    predicted = [_result(result, ids) for result in sorted(results, key=_best_first)]
    kept = [one for one in predicted if one]
    return {
        "name": bundle.dataset,
        "of": "test images" if has_test(index) else "images",
        "classes": list(index.class_names),
        "images": shown,
        "sources": [_source(source, index, rows, sizes) for source in sources],
        "results": kept,
        "chosen": next((i for i, one in enumerate(kept) if one["label"].startswith(strategies.SCORERS[LEFT])), 0),
    }


def _best_first(result: Result) -> tuple:
    return result.is_oracle, -result.accuracy


def _ids(store: Store, artefact: manifest.Artefact) -> set[str]:
    return {i for number in artefact.shard_sizes for i in store.read(artefact, number).image_ids.tolist()}


def _read(store: Store, artefact: manifest.Artefact, index: ImageIndex, rows: np.ndarray) -> Any:
    """The record of the images in ``rows`` (N,) of the index, in their order; one shard in memory at a time."""
    shard = index.shard[rows]
    numbers = np.unique(shard).tolist() or list(artefact.shard_sizes)[:1]  # any, to have a record without images
    ids = index.image_ids[rows]
    return records.concat([records.take(store.read(artefact, n), ids[shard == n]) for n in numbers])


def _image(index: ImageIndex, row: int, record: ThumbnailShard, i: int) -> dict[str, Any]:
    return {
        "id": str(index.image_ids[row]),
        "label": int(index.labels[row]),
        "size": record.sizes_wh[i].tolist(),
        "original": record.original_wh[i].tolist(),
        "jpeg": base64.b64encode(record.file(i)).decode(),
    }


def _result(result: Result, ids: Sequence[str]) -> dict[str, Any] | None:
    """A result's predictions for the images shown, -1 where it has none; None where it has none at all."""
    found = read_predictions(result.place) if result.place else None
    if found is None:
        return None
    label = f"{study.describe(result.to_json())} ({text(result.accuracy, 'accuracy')})"
    at = records.places(found.image_ids, np.array(ids, np.str_))
    return {"label": label, "predictions": _base64(np.where(at < 0, -1, found.predictions[at]), "<i2")}


def _source(source: Source, index: ImageIndex, rows: np.ndarray, sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Regions of one generator and all its views, image by image."""
    store = source.bundle.store
    batch: RegionBatch = _read(store, source.bundle.regions, index, rows)
    runs = [
        _small_mask(one, region, size_wh)
        for one, size_wh in zip(records.each(batch), sizes, strict=True)
        for region in range(len(one.area))
    ]
    packed: dict[str, Any] = {
        "label": source.label,
        "offsets": batch.offsets.tolist(),
        "boxes": _base64(batch.boxes_xyxy, "<i4"),
        "masks": None,
        "targets": {},
        "views": [],
        "chosen": [_first(source, LEFT), _first(source, RIGHT)],
    }
    if any(runs):
        lengths = np.array([len(one) for one in runs], np.int64)
        joined = base64.b64encode(b"".join(runs)).decode()
        packed["masks"] = {"runs": joined, "offsets": ragged.from_lengths(lengths).tolist()}
    for view in source.views:
        scored: ScoreShard = _read(store, view.artefact, index, rows)
        if not np.array_equal(scored.offsets, batch.offsets):
            raise StoreError(f"{view.artefact.label}: scores of other regions than the cache holds; score again")
        packed["views"].append(
            {
                "scorer": view.scorer,
                "name": strategies.scored(view.scorer, None),
                "target": view.target,
                "pseudo": strategies.target_name(view.target) if view.target else "none",
                "scores": _base64(scored.scores, "<f4"),
            }
        )
        if view.target and view.target not in packed["targets"]:  # the same for every scorer
            packed["targets"][view.target] = _base64(scored.target, "<i2")
    return packed


def _first(source: Source, name: str) -> str:
    return next((v.scorer for v in source.views if v.scorer.partition("(")[0] == name), source.views[-1].scorer)


def _base64(values: Any, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def _small_mask(one: RegionBatch, region: int, size_wh: tuple[int, int]) -> bytes:
    """The mask of a region of one image at thumbnail size as column-major runs, background first, each a little-endian
    base-128 number; empty for regions without masks."""
    if one.masks is None:
        return b""
    return runs_of(shrunk(one.masks, region, size_wh))


def shrunk(masks: MaskRLE, region: int, size_wh: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: the mask of ``region`` of one image at another size, each pixel that of the mask under its
    centre."""
    mask = masks.decode(region, 0)
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) * old / n).astype(np.int64), old - 1)
        for n, old in zip(size_wh[::-1], mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]


def runs_of(mask: np.ndarray) -> bytes:
    """A mask (h, w) as bytes: run lengths down the columns, by turns background and mask, seven bits a byte, low ones
    first, the eighth set where more follow."""
    flat = mask.T.ravel()
    ends = np.append(np.flatnonzero(np.diff(flat)) + 1, flat.size)
    runs = np.diff(ends, prepend=0)
    runs = np.concatenate([[0], runs]) if flat.size and flat[0] else runs
    content = bytearray()
    for run in runs.tolist():
        while run > 127:
            content.append(run & 127 | 128)
            run >>= 7
        content.append(run)
    return bytes(content)

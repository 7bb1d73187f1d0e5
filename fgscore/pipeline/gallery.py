"""The gallery's content, packed for the page: thumbnails, boxes, masks at thumbnail size, scores, targets, predictions.

Everything is read from the cache as it is; nothing is decoded but masks. Numbers travel as base64 of little-endian
arrays.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fgscore import ragged
from fgscore.errors import StoreError
from fgscore.pipeline.probed import Result
from fgscore.pipeline.views import Source
from fgscore.report import study
from fgscore.report.tables import accuracy
from fgscore.store import manifest
from fgscore.store.match import Store
from fgscore.types import ImageIndex, MaskRLE, RegionBatch, ThumbnailShard

LEFT, RIGHT = "soft_margin", "entropy"  # what the two sides show at first, where it is there
Images = dict[int, list[int]]  # shard number to rows of the index


def thumbnails(store: Store, index_artefact: manifest.Artefact) -> manifest.Artefact | None:
    """The largest complete thumbnails of an index; None where there are none."""
    digest = index_artefact.recipe.digest
    own = [a for a in store.artefacts("thumbnails", index_artefact.dataset) if a.recipe.parents["images"] == digest]
    return max((a for a in own if a.manifest()), key=lambda a: int(a.recipe.params["size"]), default=None)


def sample(index: ImageIndex, present: set[str], n: int, seed: int) -> list[int]:
    """Rows of ``n`` test images among ``present``, in the order of the index: chosen at random, as even over classes
    as can be."""
    rows = [r for r in np.flatnonzero(index.split == "test").tolist() if index.image_ids[r] in present]
    rng = np.random.default_rng(seed)
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    turn: dict[int, int] = {}
    keyed: list[tuple[int, int, int]] = []
    for row in shuffled:  # the first of every class, then the second of every class, ...
        label = int(index.labels[row])
        turn[label] = turn.get(label, -1) + 1
        keyed.append((turn[label], len(keyed), row))
    return sorted(row for _, _, row in sorted(keyed)[:n])


def pack(sources: Sequence[Source], small: manifest.Artefact, results: Sequence[Result], n: int, seed: int) -> dict:
    """One data set's gallery of at most ``n`` images; ``small`` are its thumbnails."""
    bundle = sources[0].bundle
    index, store = bundle.index, bundle.store
    present = _ids(store, small)
    for source in sources:
        present &= _ids(store, source.views[0].artefact)
    images = _by_shard(index, sample(index, present, n, seed))
    shown = [_image(index, row, record, i) for row, record, i in _records(store, small, index, images)]
    sizes = [tuple(one["size"]) for one in shown]
    ids = [str(one["id"]) for one in shown]
    predicted = [_result(result, ids) for result in sorted(results, key=_best_first)]
    kept = [one for one in predicted if one]
    return {
        "name": bundle.dataset,
        "classes": list(index.class_names),
        "images": shown,
        "sources": [_source(source, index, images, sizes) for source in sources],
        "results": kept,
        "chosen": next((i for i, one in enumerate(kept) if one["label"].startswith("Soft negative margin")), 0),
    }


def _best_first(result: Result) -> tuple:
    return result.row["target"] == "oracle", -float(result.row["accuracy"])


def _by_shard(index: ImageIndex, rows: Sequence[int]) -> Images:
    images: Images = {}
    for row in rows:
        images.setdefault(int(index.shard[row]), []).append(row)
    return images


def _ids(store: Store, artefact: manifest.Artefact) -> set[str]:
    return {i for number in artefact.shard_sizes for i in store.read(artefact, number).image_ids.tolist()}


def _records(
    store: Store, artefact: manifest.Artefact, index: ImageIndex, images: Images
) -> Iterator[tuple[int, Any, int]]:
    """(row of the index, its shard's record, its place in it) for every image; one shard in memory at a time."""
    for number, rows in images.items():
        record = store.read(artefact, number)
        place = {image_id: i for i, image_id in enumerate(record.image_ids.tolist())}
        yield from ((row, record, place[str(index.image_ids[row])]) for row in rows)


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
    predictions = result.predictions()
    if predictions is None:
        return None
    label = f"{study.describe(result.row)} ({accuracy(result.row['accuracy'])})"
    return {"label": label, "predictions": _base64([predictions.get(i, -1) for i in ids], "<i2")}


def _source(source: Source, index: ImageIndex, images: Images, sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Regions of one generator and all its views, image by image."""
    store = source.bundle.store
    boxes, runs, lengths = [], [], []
    for (_, batch, i), size_wh in zip(_records(store, source.bundle.regions, index, images), sizes, strict=True):
        regions = range(int(batch.offsets[i]), int(batch.offsets[i + 1]))
        lengths.append(len(regions))
        boxes.append(batch.boxes_xyxy[regions.start : regions.stop])
        runs += [_small_mask(batch, region, i, size_wh) for region in regions]
    packed: dict[str, Any] = {
        "label": source.label,
        "offsets": _offsets(lengths),
        "boxes": _base64(np.concatenate([np.zeros((0, 4), np.int32), *boxes]), "<i4"),
        "masks": None,
        "targets": {},
        "views": [],
        "chosen": [_first(source, LEFT), _first(source, RIGHT)],
    }
    if any(runs):
        packed["masks"] = {"runs": base64.b64encode(b"".join(runs)).decode(), "offsets": _offsets(map(len, runs))}
    for view in source.views:
        scores, targets = [], []
        for expected, (_, record, i) in zip(lengths, _records(store, view.artefact, index, images), strict=True):
            own = slice(*record.offsets[i : i + 2])
            if own.stop - own.start != expected:
                raise StoreError(f"{view.artefact.label}: scores of other regions than the cache holds; score again")
            scores.append(record.scores[own])
            targets.append(record.target[own])
        packed["views"].append(
            {"scorer": view.scorer, "target": view.target, "scores": _base64(np.concatenate([[], *scores]), "<f4")}
        )
        if view.target and view.target not in packed["targets"]:  # the same for every scorer
            packed["targets"][view.target] = _base64(np.concatenate([[], *targets]), "<i2")
    return packed


def _first(source: Source, name: str) -> str:
    return next((v.scorer for v in source.views if v.scorer.partition("(")[0] == name), source.views[-1].scorer)


def _offsets(lengths: Any) -> list[int]:
    return ragged.from_lengths(np.array(list(lengths), np.int64)).tolist()


def _base64(values: Any, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def _small_mask(batch: RegionBatch, region: int, image: int, size_wh: tuple[int, int]) -> bytes:
    """The mask at thumbnail size as column-major runs, background first, each a little-endian base-128 number; empty
    for regions without masks."""
    if batch.masks is None:
        return b""
    return runs_of(shrunk(batch.masks, region, image, size_wh))


def shrunk(masks: MaskRLE, region: int, image: int, size_wh: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: the mask of ``region`` at another size, each pixel that of the mask under its centre."""
    mask = masks.decode(region, image)
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

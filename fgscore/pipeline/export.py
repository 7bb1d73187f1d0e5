"""Artefacts as files that others read: Parquet, ``.npz`` or safetensors, and masks as COCO JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import specs
from fgscore.errors import NothingCached, UsageError
from fgscore.pipeline.progress import Progress, silent
from fgscore.store import arrays as array_files
from fgscore.store import files, manifest, schema
from fgscore.store.arrays import FORMATS, Arrays
from fgscore.store.match import Store, dataset_key, matches
from fgscore.types import ImageIndex, MaskRLE, RegionBatch

ARTEFACTS = tuple(kind for kind in schema.KINDS if kind != "thumbnails")  # pictures, not arrays
KINDS = (*ARTEFACTS, "predictions", "masks")
INDEX_COLUMNS = ("image_ids", "paths", "labels", "split", "sha256", "sizes_wh", "orientation", "shard", "boxes_xyxy")
ROWS = {"globals": "N", "features": "N", "text": "C", "regions": "R", "region_embeddings": "R", "scores": "R"}


@dataclass(frozen=True)
class Chosen:
    """What to export; None is everything. ``regions``, ``encoder`` and ``scorer`` are components as written."""

    dataset: str | None = None
    kinds: tuple[str, ...] = ARTEFACTS
    regions: str | None = None
    encoder: str | None = None
    scorer: str | None = None


def export(
    store: Store, chosen: Chosen, folder: Path, suffix: str, progress: Progress = silent
) -> list[dict[str, Any]]:
    """Write every artefact that ``chosen`` names into ``folder``, one file each. Returns one row a file.

    ``suffix`` is a key of FORMATS; masks are COCO JSON always. Raises :class:`UsageError` for an unknown kind or
    format, :class:`NothingCached` where nothing matches.
    """
    if suffix not in FORMATS:
        raise UsageError(f"expected a format of {', '.join(FORMATS)}, found {suffix!r}; choose one")
    if wrong := [kind for kind in chosen.kinds if kind not in KINDS]:
        raise UsageError(f"expected kinds of {', '.join(KINDS)}, found {wrong[0]!r}; choose some of these")
    jobs = list(_jobs(store, chosen, folder, FORMATS[suffix]))
    if not jobs:
        raise NothingCached(f"nothing in {store.layout.cache} matches {chosen}; `fgscore status` lists what is cached")
    rows = []
    for done, (kind, path, write) in enumerate(jobs):
        progress("export", done, len(jobs))
        rows.append({"kind": kind, "rows": write(path), "file": str(path), "bytes": path.stat().st_size})
    progress("export", len(jobs), len(jobs))
    return rows


Job = tuple[str, Path, Callable[[Path], int]]


def _jobs(store: Store, chosen: Chosen, folder: Path, suffix: str) -> Iterator[Job]:
    for kind in dict.fromkeys(chosen.kinds):
        if kind == "predictions":
            yield from _predictions(store, chosen, folder, suffix)
            continue
        for artefact in store.artefacts("regions" if kind == "masks" else kind, dataset_key(chosen.dataset)):
            if not _is_chosen(store, artefact, chosen):
                continue
            name = f"{artefact.dataset}-{kind}-{artefact.path.name}"
            if kind != "masks":
                yield kind, folder / f"{name}{suffix}", _writer(store, artefact)
            elif "mask_counts" in collect(store, artefact):
                yield kind, folder / f"{name}.json", _coco_writer(store, artefact)


def _writer(store: Store, artefact: manifest.Artefact) -> Callable[[Path], int]:
    def write(path: Path) -> int:
        arrays = collect(store, artefact)
        columns = columns_of(artefact.recipe.kind, arrays)
        array_files.write(path, arrays, columns)
        return len(arrays[columns[0]])

    return write


def _coco_writer(store: Store, artefact: manifest.Artefact) -> Callable[[Path], int]:
    def write(path: Path) -> int:
        content = coco(_regions(collect(store, artefact)), store.index(store.parent(artefact, "images")))
        files.publish(path, json.dumps(content).encode())
        return len(content["annotations"])

    return write


def _predictions(store: Store, chosen: Chosen, folder: Path, suffix: str) -> Iterator[Job]:
    for path in sorted(store.layout.results.glob(f"{dataset_key(chosen.dataset) or '*'}/predictions/*.parquet")):
        arrays = array_files.read(path)
        arrays["image_ids"] = arrays.pop("image_id")

        def write(to: Path, arrays: Arrays = arrays) -> int:
            array_files.write(to, arrays, tuple(arrays))
            return len(arrays["image_ids"])

        yield "predictions", folder / f"{path.parent.parent.name}-predictions-{path.stem}{suffix}", write


def _is_chosen(store: Store, artefact: manifest.Artefact, chosen: Chosen) -> bool:
    """Whether the artefact, or what it was made from, agrees with every component that was written."""
    recipes = {a.recipe.kind: a.recipe for a in _with_ancestors(store, artefact)}
    index = recipes.get("index", artefact.recipe)
    asked = specs.parse(chosen.dataset).params if chosen.dataset else {}
    if any(index.params.get(k) != v for k, v in asked.items() if k not in ("name", "file")):
        return False
    for written, kinds in (
        (chosen.regions, ("regions",)),
        (chosen.scorer, ("scores",)),
        (chosen.encoder, ("region_embeddings", "globals", "text")),
    ):
        concerned = [recipes[kind] for kind in kinds if kind in recipes]
        if written and concerned and not matches(concerned[0], specs.parse(written)):
            return False
    return True


def _with_ancestors(store: Store, artefact: manifest.Artefact) -> Iterator[manifest.Artefact]:
    yield artefact
    for role in artefact.recipe.parents:
        yield from _with_ancestors(store, store.parent(artefact, role))


def columns_of(kind: str, arrays: Arrays) -> tuple[str, ...]:
    """Those of ``arrays`` that have one entry for each row of a table: an image, a region or a class."""
    if kind == "index":
        return INDEX_COLUMNS
    columns = schema.COLUMNS[kind]
    rows = [name for name in arrays if columns[name].dims[:1] == (ROWS[kind],)]
    return (*rows, *(["mask_counts"] if "mask_counts" in arrays else []))


def collect(store: Store, artefact: manifest.Artefact) -> Arrays:
    """All shards of an artefact as one set of arrays, by the names of the README's format section."""
    if artefact.recipe.kind == "index":
        return _index_arrays(store.index(artefact))
    parts = [schema.fields(store.read(artefact, number)) for number in artefact.shard_sizes]
    if artefact.recipe.kind == "text":
        return parts[0]
    merged = {}
    for name, column in schema.COLUMNS[artefact.recipe.kind].items():
        found = [part[name] for part in parts if name in part]
        if found:
            merged[name] = _joined(found) if column.dims[0].endswith("+1") else np.concatenate(found)
    return merged


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Offsets of several flat arrays as those of one."""
    lengths = np.concatenate([np.diff(part) for part in parts])
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _index_arrays(index: ImageIndex) -> Arrays:
    arrays = {name: getattr(index, name) for name in INDEX_COLUMNS}
    names = np.array(index.class_names, np.str_)
    return {
        **arrays,
        "class_names": names,
        "banner": np.array(index.banner),
        "notes": np.array(json.dumps(index.notes)),
    }


def _regions(arrays: Arrays) -> RegionBatch:
    batch = schema.unpack("regions", arrays)
    assert isinstance(batch, RegionBatch)
    return batch


def coco(batch: RegionBatch, index: ImageIndex) -> dict[str, Any]:
    """Masks as a COCO data set: ``images``, ``annotations`` with compressed RLE, one category.

    Masks, boxes and areas are in pixels of the masks' own size, which is that of the image entry; ``original_width``
    and ``original_height`` are the photo's, ``original_box_xyxy`` the region's box there.
    """
    masks = batch.masks
    if masks is None:
        raise ValueError("regions without masks have no COCO form; export them as boxes")
    rows = {image_id: row for row, image_id in enumerate(index.image_ids.tolist())}
    images, annotations = [], []
    for i, image_id in enumerate(batch.image_ids.tolist()):
        height, width = (int(v) for v in masks.size_hw[i])
        original = index.sizes_wh[rows[image_id]].tolist()
        images.append(
            {
                "id": i + 1,
                "file_name": str(index.paths[rows[image_id]]),
                "image_id": image_id,
                "width": width,
                "height": height,
                "original_width": original[0],
                "original_height": original[1],
            }
        )
        annotations += [_annotation(batch, masks, r, i) for r in range(batch.offsets[i], batch.offsets[i + 1])]
    category = {"id": 1, "name": "region"}
    return {"images": images, "annotations": annotations, "categories": [category]}


def _annotation(batch: RegionBatch, masks: MaskRLE, region: int, image: int) -> dict[str, Any]:
    height, width = (int(v) for v in masks.size_hw[image])
    runs = masks.counts[masks.offsets[region] : masks.offsets[region + 1]].astype(np.int64)
    score = float(batch.predicted_iou[region])
    return {
        "id": region + 1,
        "image_id": image + 1,
        "category_id": 1,
        "iscrowd": 0,
        "segmentation": {"size": [height, width], "counts": rle_string(runs)},
        "area": int(runs[1::2].sum()),
        "bbox": _bounds(runs, height),
        "original_box_xyxy": batch.boxes_xyxy[region].tolist(),
        "score": None if np.isnan(score) else score,
    }


def _bounds(runs: np.ndarray, height: int) -> list[int]:
    """x, y, width and height of a mask of column-major ``runs``; zeros for an empty one."""
    ends = np.cumsum(runs)
    first, last = ends[:-1:2], ends[1::2] - 1  # of each run of foreground
    first, last = first[runs[1::2] > 0], last[runs[1::2] > 0]
    if not len(first):
        return [0, 0, 0, 0]
    whole = first // height < last // height  # a run over a column's end touches top and bottom
    top = 0 if whole.any() else int((first % height).min())
    bottom = height - 1 if whole.any() else int((last % height).max())
    left, right = int(first.min()) // height, int(last.max()) // height
    return [left, top, right - left + 1, bottom - top + 1]


def rle_string(runs: np.ndarray) -> str:
    """Run lengths (K,) as COCO's compressed string: from the fourth on the difference to the last but one, in groups
    of five bits, low ones first, a sixth bit where more follow, plus 48."""
    x = np.asarray(runs, np.int64).copy()
    x[3:] -= np.asarray(runs, np.int64)[1:-2]
    groups, alive = [], np.ones(len(x), bool)
    while alive.any():
        bits = x & 0x1F
        x >>= 5
        more = alive & np.where(bits & 0x10, x != -1, x != 0)
        groups.append(np.where(alive, np.where(more, bits | 0x20, bits) + 48, 0))
        alive = more
    codes = np.stack(groups, axis=1).ravel() if groups else np.zeros(0, np.int64)
    return codes[codes > 0].astype(np.uint8).tobytes().decode("ascii")

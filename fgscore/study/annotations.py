"""How much of each region lies on what is annotated: object boxes of the index, part maps of the drawn set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fgscore import datasets
from fgscore.datasets import DataSet
from fgscore.machine.packages import check_package
from fgscore.machine.progress import Progress, silent
from fgscore.store import index as index_store
from fgscore.store import records
from fgscore.store.bundle import RegionBundle
from fgscore.types import RegionBatch

OBJECT = "object"
DRAWN = "demo"


@dataclass(frozen=True, eq=False)
class Shares:
    """``names`` of what is annotated (A,); ``on`` (R, A): the share of each region's area that lies on it; ``covers``
    (R, A): the share of it that lies in the region. NaN where an image has none of it."""

    names: tuple[str, ...]
    on: np.ndarray
    covers: np.ndarray


Counter = Callable[[RegionBatch, int], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""(regions of one image, its row in the index) to pixels of each region (M,), of each annotation (A,), and of both at
once (M, A)."""


def shares(
    bundle: RegionBundle, root: Path | None, image_ids: np.ndarray, progress: Progress = silent
) -> Shares | None:
    """Shares of the regions of ``image_ids``, in their order; None for a data set without annotations.

    Part maps of the drawn set are read from ``root``, the folder of its pictures, and drawn there where that is left
    out and they are not where they lie by default. Raises :class:`DataError` where one is missing.
    """
    names, counter = _source(bundle, root, progress)
    if counter is None:
        return None
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for number in bundle.regions.shard_sizes:
        batch = bundle.store.read(bundle.regions, number)
        rows = records.rows(bundle.index, number, batch.image_ids)
        for image_id, row, one in zip(batch.image_ids.tolist(), rows.tolist(), records.each(batch), strict=True):
            region, annotation, both = counter(one, row)
            with np.errstate(invalid="ignore", divide="ignore"):
                on, covers = both / region[:, None], both / annotation
            on[:, annotation == 0] = np.nan
            covers[:, annotation == 0] = np.nan
            found[image_id] = on, covers
            progress(f"{bundle.dataset}: annotations", len(found), len(bundle.index))
    empty = np.zeros((0, len(names)))
    parts = [found.get(image_id, (empty, empty)) for image_id in image_ids.tolist()]
    return Shares(
        names, np.concatenate([empty, *(p[0] for p in parts)]), np.concatenate([empty, *(p[1] for p in parts)])
    )


def _source(bundle: RegionBundle, root: Path | None, progress: Progress) -> tuple[tuple[str, ...], Counter | None]:
    if bundle.index_artefact.recipe.name == DRAWN:
        folder = bundle.store.layout.raw(bundle.index_artefact.dataset)
        if root is None and not folder.exists():  # the cache alone was copied: the same drawings are made again
            check_package("PIL", "drawing part maps")
            drawn = DataSet.built_in(index_store.written(bundle.index_artefact))
            drawn.make_photos(folder, lambda done, total: progress(f"{bundle.dataset}: draw", done, total))
        return _parts(bundle, root or folder)
    if np.isnan(bundle.index.boxes_xyxy).all():
        return (), None
    return (_boxed(bundle),), _boxes(bundle)


def _boxed(bundle: RegionBundle) -> str:
    """What the boxes of a data set are of: it says so where that is not the whole object."""
    ours = datasets.ours(bundle.index_artefact.recipe.name)
    return ours.boxes if ours else str(bundle.index.notes.get("boxes", OBJECT))


def _boxes(bundle: RegionBundle) -> Counter:
    boxes = bundle.index.boxes_xyxy

    def count(one: RegionBatch, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        box = boxes[row].astype(np.float64)
        size = np.nan_to_num(np.clip(box[2:] - box[:2], 0, None).prod())
        if one.masks is None:
            regions = one.boxes_xyxy.astype(np.float64)
            sides = np.minimum(regions[:, 2:], box[2:]) - np.maximum(regions[:, :2], box[:2])
            both = np.nan_to_num(np.clip(sides, 0, None).prod(axis=1))
            return (regions[:, 2:] - regions[:, :2]).prod(axis=1), np.array([size]), both[:, None]
        x0, y0, x1, y1 = np.rint(np.nan_to_num(box)).astype(int).clip(0)
        masks = [one.masks.decode(r, 0) for r in range(len(one.area))]
        region = np.array([mask.sum() for mask in masks], np.float64)
        both = np.array([mask[y0:y1, x0:x1].sum() for mask in masks], np.float64)
        return region, np.array([size]), both[:, None]

    return count


def _parts(bundle: RegionBundle, root: Path) -> tuple[tuple[str, ...], Counter]:
    """Counts by the label maps beside the drawings, for whole parts and the bird as the object."""
    check_package("PIL", "reading part maps")
    from fgscore.demo.parts import PART_NAMES, WHOLE_PARTS, read_map

    names = (OBJECT, *(name for name in WHOLE_PARTS if name != "bird"))
    sets = [WHOLE_PARTS["bird" if name == OBJECT else name] for name in names]
    member = np.array([[label in labels for labels in sets] for label in PART_NAMES], np.float64)  # (labels, A)
    paths = bundle.index.paths

    def count(one: RegionBatch, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = read_map(root, str(paths[row]))
        cut = [_cut(one, labels, r) for r in range(len(one.area))]
        counts = np.array([np.bincount(c, minlength=len(PART_NAMES)) for c in cut]).reshape(-1, len(PART_NAMES))
        whole = np.bincount(labels.ravel(), minlength=len(PART_NAMES))
        return counts.sum(axis=1).astype(np.float64), whole @ member, counts @ member

    return names, count


def _cut(one: RegionBatch, labels: np.ndarray, region: int) -> np.ndarray:
    """The labels of the pixels of a region of one image, flat."""
    if one.masks is not None:
        return labels[one.masks.decode(region, 0)]
    x0, y0, x1, y1 = one.boxes_xyxy[region]
    return labels[y0:y1, x0:x1].ravel()

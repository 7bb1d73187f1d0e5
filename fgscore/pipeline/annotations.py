"""How much of each region lies on what is annotated: object boxes of the index, part maps of the drawn set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fgscore import plugins, regular
from fgscore.errors import DataError
from fgscore.pipeline.progress import Progress, silent
from fgscore.store.match import RegionBundle
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
"""(batch, image) to pixels of each region (M,), of each annotation (A,), and of both at once (M, A)."""


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
        for i, image_id in enumerate(batch.image_ids.tolist()):
            region, annotation, both = counter(batch, i)
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
        folder = bundle.store.layout.raw(DRAWN)
        if root is None and not folder.exists():  # the cache alone was copied: the same drawings are made again
            plugins.check_package("PIL", "drawing part maps")
            plugins.module("data set", DRAWN).prepare(folder, lambda done, total: progress("demo: draw", done, total))
        return _parts(bundle, root or folder)
    if np.isnan(bundle.index.boxes_xyxy).all():
        return (), None
    return (_boxed(bundle.index_artefact.recipe.name),), _boxes(bundle)


def _boxed(dataset: str) -> str:
    """What the boxes of a data set are of: its file says where it is not the whole object."""
    known = dataset in plugins.available("data set")
    return str(getattr(plugins.module("data set", dataset), "BOXES", OBJECT)) if known else OBJECT


def _rows(bundle: RegionBundle) -> Mapping[str, int]:
    return {image_id: row for row, image_id in enumerate(bundle.index.image_ids.tolist())}


def _boxes(bundle: RegionBundle) -> Counter:
    row_of, boxes = _rows(bundle), bundle.index.boxes_xyxy

    def count(batch: RegionBatch, image: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        box = boxes[row_of[str(batch.image_ids[image])]].astype(np.float64)
        own = slice(*batch.offsets[image : image + 2])
        size = np.nan_to_num(np.clip(box[2:] - box[:2], 0, None).prod())
        if batch.masks is None:
            regions = batch.boxes_xyxy[own].astype(np.float64)
            sides = np.minimum(regions[:, 2:], box[2:]) - np.maximum(regions[:, :2], box[:2])
            both = np.nan_to_num(np.clip(sides, 0, None).prod(axis=1))
            return (regions[:, 2:] - regions[:, :2]).prod(axis=1), np.array([size]), both[:, None]
        x0, y0, x1, y1 = np.rint(np.nan_to_num(box)).astype(int).clip(0)
        masks = [batch.masks.decode(r, image) for r in range(own.start, own.stop)]
        region = np.array([mask.sum() for mask in masks], np.float64)
        both = np.array([mask[y0:y1, x0:x1].sum() for mask in masks], np.float64)
        return region, np.array([size]), both[:, None]

    return count


def _parts(bundle: RegionBundle, root: Path) -> tuple[tuple[str, ...], Counter]:
    """Counts by the label maps beside the drawings, for whole parts and the bird as the object."""
    plugins.check_package("PIL", "reading part maps")
    from fgscore.demo.parts import PART_NAMES, WHOLE_PARTS

    names = (OBJECT, *(name for name in WHOLE_PARTS if name != "bird"))
    sets = [WHOLE_PARTS["bird" if name == OBJECT else name] for name in names]
    member = np.array([[label in labels for labels in sets] for label in PART_NAMES], np.float64)  # (labels, A)
    row_of, paths = _rows(bundle), bundle.index.paths

    def count(batch: RegionBatch, image: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = _read_map(root / "parts" / Path(paths[row_of[str(batch.image_ids[image])]]).with_suffix(".png"))
        own = range(*batch.offsets[image : image + 2])
        cut = [_cut(batch, labels, r, image) for r in own]
        counts = np.array([np.bincount(c, minlength=len(PART_NAMES)) for c in cut]).reshape(-1, len(PART_NAMES))
        whole = np.bincount(labels.ravel(), minlength=len(PART_NAMES))
        return counts.sum(axis=1).astype(np.float64), whole @ member, counts @ member

    return names, count


def _cut(batch: RegionBatch, labels: np.ndarray, region: int, image: int) -> np.ndarray:
    """The labels of the pixels of a region, flat."""
    if batch.masks is not None:
        return labels[batch.masks.decode(region, image)]
    x0, y0, x1, y1 = batch.boxes_xyxy[region]
    return labels[y0:y1, x0:x1].ravel()


def _read_map(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        regular.check(path)
        with Image.open(path) as picture:
            return np.asarray(picture)
    except OSError as error:
        raise DataError(
            f"expected a part map at {path}, found none ({error.__class__.__name__}); name the folder of the photos "
            "with --root DIR"
        ) from error

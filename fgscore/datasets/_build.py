"""From a listing to the index: every photo hashed, its header read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import regular
from fgscore.datasets._listing import Listing
from fgscore.errors import BadImage
from fgscore.regular import file_sha256
from fgscore.types import ImageIndex

PHOTO_BYTES = 1 << 31  # a larger file is no photo


def build_index(
    dataset: str,
    listing: Listing,
    notes: Mapping[str, Any],
    shard_order: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    progress: Callable[[int, int], None] | None = None,
) -> ImageIndex:
    """Hash every photo and read its header. ``shard_order`` maps ids (N,) to their order and shard numbers."""
    order, shard = shard_order(np.array([p.image_id for p in listing.photos], np.str_))
    photos = [listing.photos[i] for i in order]
    facts: list[tuple[tuple[int, int], int, str]] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for fact in pool.map(lambda p: _facts(listing.root / p.path, listing.banner), photos):
            facts.append(fact)
            if progress:
                progress(len(facts), len(photos))
    sizes = np.array([f[0] for f in facts], np.int32).reshape(-1, 2)
    return ImageIndex(
        dataset=dataset,
        image_ids=np.array([p.image_id for p in photos], np.str_),
        paths=np.array([p.path for p in photos], np.str_),
        labels=np.array([p.label for p in photos], np.int64),
        split=np.array([p.split for p in photos], np.str_),
        class_names=listing.class_names,
        sizes_wh=sizes,
        sha256=np.array([f[2] for f in facts], np.str_),
        orientation=np.array([f[1] for f in facts], np.int8),
        shard=shard,
        boxes_xyxy=_inside(np.array([p.box_xyxy or (np.nan,) * 4 for p in photos], np.float32).reshape(-1, 4), sizes),
        banner=listing.banner,
        notes=notes,
    )


def _inside(boxes: np.ndarray, sizes_wh: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) cut to the photos as they are used: without the banner. NaN stays, unreadable photos have none."""
    return np.clip(boxes, 0, np.tile(np.where(sizes_wh > 0, sizes_wh, np.nan), 2))


def _facts(path: Path, banner: int) -> tuple[tuple[int, int], int, str]:
    """Size without the banner, orientation and hash of one file; size 0 x 0 where it is no image, and no hash where it
    is not even a file, or may not be read."""
    try:
        regular.check(path, PHOTO_BYTES)
        sha256 = file_sha256(path)
    except (regular.Irregular, PermissionError):
        return (0, 0), 1, ""
    from fgscore.datasets import _images

    try:
        width, height, orientation = _images.read_header(path)
    except BadImage:
        return (0, 0), 1, sha256
    return (width, max(0, height - banner)), orientation, sha256


def unreadable(index: ImageIndex, root: Path) -> list[tuple[str, str]]:
    """(image id, reason) of the photos of ``index`` below ``root`` that cannot be used, by their headers."""
    rows = np.flatnonzero((index.sizes_wh == 0).any(axis=1)).tolist()
    return [(str(index.image_ids[row]), _reason(root / str(index.paths[row]))) for row in rows]


def _reason(path: Path) -> str:
    from fgscore.datasets import _images

    try:
        regular.check(path, PHOTO_BYTES)
        _images.read_header(path)
    except regular.Irregular as error:
        return f"is {error}"
    except BadImage as error:
        return str(error)
    return "is no higher than the banner below it"

"""Regions that share with those of another generator how large or how many they are, and nothing else: whether it
matters *where* a generator looks.

Region j of an image is made of region j of the parent and of (seed, image id, j), and of nothing else.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from fgscore import specs
from fgscore.errors import BadParameter
from fgscore.regions import Generator, Known, Proposals
from fgscore.regions.random_crop import crop, random_crop, uniforms
from fgscore.types import RegionBatch

Same = Literal["area", "count", "area,count", "shape"]
NUMBER = 32  # of regions, where the parent's does not count
CROP = tuple(specs.tunables(random_crop)[key] for key in ("area_min", "area_max", "aspect_min", "aspect_max"))
STRETCH = 1.5  # how far sides may go to meet an area


def stored_parent(written: str) -> str:
    """What the store keeps of ``to``: no path gets there."""
    spec = specs.parse(written)
    named = {key: Path(value).name if isinstance(value, str) else value for key, value in spec.params.items()}
    return specs.text(specs.stored_name(spec.name), named)


def matched(
    *,
    to: Annotated[str, specs.StoredAs(stored_parent)],
    same: Same = "area,count",
    n: int | None = None,
    seed: Annotated[int, Ge(0)] = 0,
) -> Matched:
    """Regions elsewhere, but as large or as many as those of another generator, whose regions must be cached.

    ``to`` names that generator, as ``--regions`` does. ``area,count``: for each of its regions a rectangle of its area
    and of its box's aspect; ``area``: 32 of them, or ``n``, the parent's areas in turn; ``count``: as many crops as
    it has regions, otherwise as of ``random_crop``; ``shape``: each of its masks, or boxes, moved. Each lies elsewhere
    than the parent's region where the image leaves room. At most ``n`` are made.
    """
    specs.parse(to)
    if n is not None and n < 1:
        raise BadParameter(f"expected n of at least 1, found n={n}")
    return Matched(to, same, n, seed)


class Matched(Generator):
    """See :func:`matched`."""

    def __init__(self, to: str, same: Same, n: int | None, seed: int) -> None:
        self.parent, self._same, self._most, self._seed = to, same, n, seed

    def meet(self, known: Known) -> None:
        """Take the parent's regions; masks are moved as masks."""
        assert known.regions is not None, "its parent's"
        self._of_parent, self.masks = known.regions, self._same == "shape" and known.masked

    def propose(self, image: np.ndarray, image_id: str) -> Proposals:
        """Regions of ``image``, matched to those of the parent."""
        theirs = self._of_parent(image_id)
        count = len(theirs.area)
        wanted = (self._most or NUMBER) if self._same == "area" and count else min(count, self._most or count)
        u = [uniforms(f"{self._seed}\0{image_id}\0{j}\0matched") for j in range(wanted)]
        if self.masks:
            return _moved(theirs, u, image.shape[:2])
        height, width = image.shape[:2]
        boxes = []
        for j in range(wanted):
            if self._same == "count":
                boxes.append(crop(width, height, image_id, j, self._seed, *CROP))
                continue
            own = theirs.boxes_xyxy[j % count]
            pixels = None if theirs.masks is None or self._same == "shape" else float(theirs.area[j % count])
            w, h = _sides(own, pixels, width, height)
            x, y = elsewhere(u[j][0], (width - w + 1, height - h + 1), (int(own[0]), int(own[1])))
            boxes.append((x, y, x + w, y + h))
        return Proposals.of_boxes(np.array(boxes, np.int32).reshape(-1, 4), image.shape)


def elsewhere(u: float, places: tuple[int, int], but: tuple[int, int]) -> tuple[int, int]:
    """One of ``places`` (columns, rows) that a region may lie at, uniform by ``u`` in [0, 1), and not ``but`` where
    there is another."""
    columns, rows = places
    count, own = columns * rows, but[0] + columns * but[1]
    is_there = but[0] < columns and but[1] < rows and count > 1
    at = int(u * (count - is_there))
    at += is_there and at >= own
    return at % columns, at // columns


def _sides(box: np.ndarray, area: float | None, width: int, height: int) -> tuple[int, int]:
    """Sides of a rectangle within the image: the box's own, or those that come nearest to ``area``, a fraction of the
    image, with about the box's aspect."""
    w, h = int(box[2] - box[0]), int(box[3] - box[1])
    if area is None:
        return w, h
    pixels = max(1, round(area * width * height))
    wish = math.sqrt(pixels * w / h)
    low = max(1, math.floor(wish / STRETCH), math.ceil(pixels / height))
    tried = np.arange(low, max(low, min(width, math.ceil(wish * STRETCH))) + 1)
    tried = tried[tried <= width]
    heights = np.clip(np.rint(pixels / tried), 1, height).astype(np.int64)
    miss = np.abs(tried * heights - pixels)
    best = np.lexsort([np.abs(np.log(tried / wish)), miss])[0]
    return int(tried[best]), int(heights[best])


def _moved(theirs: RegionBatch, u: list[tuple[float, float, float, float]], size_hw: tuple[int, ...]) -> Proposals:
    """The parent's masks, each at another place of the same grid."""
    assert theirs.masks is not None, "they have masks"
    made = []
    for j, (first, *_) in enumerate(u):
        mask = theirs.masks.decode(j, 0)
        rows, columns = (np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1))
        y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        h, w = mask.shape
        x, y = elsewhere(first, (int(w - (x1 - x0) + 1), int(h - (y1 - y0) + 1)), (int(x0), int(y0)))
        moved = np.zeros_like(mask)
        moved[y : y + y1 - y0, x : x + x1 - x0] = mask[y0:y1, x0:x1]
        made.append(moved)
    grid = tuple(theirs.masks.size_hw[0].tolist())
    return Proposals.of_masks(np.array(made, bool).reshape(-1, *grid), size_hw)

"""Random rectangles of the image (section 3.2.2).

Crop j of an image depends on (seed, image id, j) alone: neither shards, resume nor workers change it, and the first 32
of 160 crops are the 32 of a smaller run.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

from fgscore.errors import BadParameter
from fgscore.regions import Generator, in_area

ATTEMPTS = 10

Box = tuple[int, int, int, int]


def random_crop(
    *,
    n: int = 32,
    area_min: float = 0.02,
    area_max: float = 0.5,
    aspect_min: float = 0.5,
    aspect_max: float = 2.0,
    seed: int = 0,
) -> RandomCrops:
    """Random rectangles of the image (section 3.2.2).

    ``n`` crops: area uniform in its range (fraction of the image), aspect (width over height) log-uniform in its own,
    position uniform. Raises :class:`BadParameter` for an empty range.
    """
    if not 0 < aspect_min <= aspect_max:
        raise BadParameter(f"expected 0 < aspect_min <= aspect_max, found {aspect_min} and {aspect_max}")
    return RandomCrops(n, area_min, area_max, aspect_min, aspect_max, seed)


class RandomCrops(Generator):
    """See :func:`random_crop`."""

    def __init__(
        self, n: int, area_min: float, area_max: float, aspect_min: float, aspect_max: float, seed: int
    ) -> None:
        self.n, self.area_min, self.area_max = n, area_min, area_max
        self._count, self._ranges, self._seed = n, (area_min, area_max, aspect_min, aspect_max), seed

    def propose(self, image: np.ndarray, image_id: str) -> np.ndarray:
        """Boxes (n, 4) int32."""
        height, width = image.shape[:2]
        boxes = [crop(width, height, image_id, j, self._seed, *self._ranges) for j in range(self._count)]
        return np.array(boxes, np.int32)


def crop(
    width: int,
    height: int,
    image_id: str,
    j: int,
    seed: int,
    area_min: float,
    area_max: float,
    aspect_min: float,
    aspect_max: float,
) -> Box:
    """Box (x0, y0, x1, y1) of crop ``j``. After ten attempts that do not fit the image, the last one is cut to it."""
    for attempt in range(ATTEMPTS):
        u = uniforms(f"{seed}\0{image_id}\0{j}\0{attempt}")
        pixels = (area_min + u[0] * (area_max - area_min)) * width * height
        aspect = math.exp(math.log(aspect_min) + u[1] * math.log(aspect_max / aspect_min))
        w, h = max(1, round(math.sqrt(pixels * aspect))), max(1, round(math.sqrt(pixels / aspect)))
        if w <= width and h <= height and in_area(w * h / (width * height), area_min, area_max):
            break
    w, h = min(w, width), min(h, height)
    x, y = int(u[2] * (width - w + 1)), int(u[3] * (height - h + 1))
    return x, y, x + w, y + h


def uniforms(key: str) -> tuple[float, float, float, float]:
    """Four numbers in [0, 1) from SHA-256 of ``key``: the same on every platform and numpy."""
    digest = hashlib.sha256(key.encode()).digest()
    a, b, c, d = (int.from_bytes(digest[i : i + 8], "big") >> 11 for i in range(0, 32, 8))
    return a / 2**53, b / 2**53, c / 2**53, d / 2**53

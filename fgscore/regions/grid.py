"""Boxes in rows and columns that cover the image, the same for every image of a size."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from fgscore.regions import Generator


def grid(
    *,
    rows: Annotated[int, Ge(1)] = 3,
    cols: Annotated[int, Ge(1)] = 3,
    overlap: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> Grid:
    """Boxes of one size in rows and columns that cover the image, row by row.

    ``overlap`` is the share of its side that each box has in common with its neighbour. Of an image with fewer pixels
    than rows or columns, boxes that would be equal are there once.
    """
    return Grid(rows, cols, overlap)


class Grid(Generator):
    """See :func:`grid`."""

    def __init__(self, rows: int, cols: int, overlap: float) -> None:
        self._rows, self._cols, self._overlap = rows, cols, overlap

    def propose(self, image: np.ndarray, image_id: str) -> np.ndarray:
        """Boxes (rows * cols, 4), or fewer of a small image."""
        height, width = image.shape[:2]
        down, across = spans(height, self._rows, self._overlap), spans(width, self._cols, self._overlap)
        return np.array([(x0, y0, x1, y1) for y0, y1 in down for x0, x1 in across], np.int32)


def spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """(start, stop) of ``count`` parts of ``length`` pixels, from 0 to its end, none twice: each ``overlap`` of a
    part's length begins before the end of the one before it."""
    part = length / (count - (count - 1) * overlap)
    step = part * (1 - overlap)
    edges = [(round(i * step), round(i * step + part)) for i in range(count)]
    whole = [(min(start, length - 1), min(max(stop, start + 1), length)) for start, stop in edges]
    return list(dict.fromkeys(whole))

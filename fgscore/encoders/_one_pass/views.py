"""Which patches of a picture belong to which of its regions, in what a model sees of the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fgscore.encoders._looks import Box
from fgscore.encoders._one_pass import Member, Together
from fgscore.encoders._regions import ImageRegions


@dataclass(frozen=True, eq=False)
class View:
    """One ``picture`` (h, w, 3) uint8 that is to be seen, and those of an image's regions that are looked for in it:
    ``rows`` (m,) are their numbers, ``belongs`` (m, P) float32 how much of each patch is theirs, ``unseen`` how many of
    them none of it is."""

    picture: np.ndarray
    rows: np.ndarray
    belongs: np.ndarray
    unseen: int


@dataclass(frozen=True)
class Grid:
    """How a model's patches lie in a picture: ``rows`` times ``columns`` of them over ``span`` (height, width) of what
    it has ``seen`` of a picture, given its height and width; from the upper left on."""

    rows: int
    columns: int
    span: tuple[float, float]
    seen: Callable[[int, int], Box]

    def over(self, height: int, width: int) -> Box:
        """Where the patches lie in a picture, in its pixels."""
        x0, y0, x1, y1 = self.seen(height, width)
        return x0, y0, x0 + (x1 - x0) * self.span[1], y0 + (y1 - y0) * self.span[0]


def views(one: ImageRegions, grid: Grid, how: Together) -> list[View]:
    """Where the regions of ``one`` are looked for, each of them once.

    With tiles, a region whose box lies within a tile, and of which the model sees some there, is looked for in that
    tile by itself, all others in the whole picture. Mirrored regions are looked for in the mirrored picture.
    """
    return [view for part, rows in one.unmirrored() for view in _of_picture(part, rows, grid, how)]


def _of_picture(one: ImageRegions, rows: np.ndarray, grid: Grid, how: Together) -> Iterator[View]:
    height, width = one.image.shape[:2]
    left, boxes = np.arange(len(one)), one.boxes_xyxy
    for tile in _tiles(height, width, how.tiles) if how.tiles > 1 else ():
        x0, y0, x1, y1 = tile
        within = np.all((boxes[:, :2] >= (x0, y0)) & (boxes[:, 2:] <= (x1, y1)), axis=1)
        some = np.intersect1d(left, np.flatnonzero(within))
        if len(some) and len((view := _view(one.some(some), rows[some], grid, how.member, tile, outside=False)).rows):
            left = np.setdiff1d(left, some[np.isin(rows[some], view.rows)])
            yield view
    if len(left):
        yield _view(one.some(left), rows[left], grid, how.member, (0, 0, width, height))


def _tiles(height: int, width: int, n: int) -> list[tuple[int, int, int, int]]:
    """n x n boxes that cover a picture."""
    ys, xs = (np.arange(n + 1) * length // n for length in (height, width))
    return [(int(x0), int(y0), int(x1), int(y1)) for y0, y1 in pairwise(ys) for x0, x1 in pairwise(xs)]


def _view(
    one: ImageRegions,
    rows: np.ndarray,
    grid: Grid,
    member: Member,
    tile: tuple[int, int, int, int],
    outside: bool = True,
) -> View:
    """All of the regions of ``one``, whose numbers are ``rows``, in the picture that is its ``tile``; without those
    ``outside`` of what is seen of it, or with them. A region to which no patch belongs has the one of which it covers
    most, and one outside the nearest."""
    x0, y0, x1, y1 = tile
    left, top, right, bottom = grid.over(y1 - y0, x1 - x0)
    place = (x0 + left, y0 + top, x0 + right, y0 + bottom)
    share = one.cover(grid.rows, grid.columns, place).reshape(len(one), -1)
    unseen = share.max(axis=1, initial=0) <= 0
    if not outside:
        one, rows, share, unseen = one.some(~unseen), rows[~unseen], share[~unseen], unseen[~unseen]
    belongs = np.clip(share, 0, 1) if member == "soft" else (share >= member).astype(np.float32)
    few = np.flatnonzero(~belongs.any(axis=1))
    most = np.where(unseen[few], _nearest(one.boxes_xyxy[few], place, grid), share[few].argmax(axis=1))
    belongs[few, most] = 1
    return View(one.image[y0:y1, x0:x1], rows, belongs, int(unseen.sum()))


def _nearest(boxes: np.ndarray, place: Box, grid: Grid) -> np.ndarray:
    """(m,): the patches that are nearest to the middles of ``boxes`` (m, 4)."""
    x0, y0, x1, y1 = place
    across = ((boxes[:, 0] + boxes[:, 2]) / 2 - x0) / (x1 - x0) * grid.columns
    down = ((boxes[:, 1] + boxes[:, 3]) / 2 - y0) / (y1 - y0) * grid.rows
    column, row = (np.clip(np.floor(at), 0, n - 1).astype(int) for at, n in ((across, grid.columns), (down, grid.rows)))
    return row * grid.columns + column

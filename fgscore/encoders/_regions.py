"""What an encoder is given of one image: its pixels and all its regions, at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fgscore.errors import UsageError
from fgscore.types import Runs


@dataclass(frozen=True, eq=False)
class ImageRegions:
    """``image`` (H, W, 3) uint8 RGB with M regions: ``boxes_xyxy`` (M, 4) int32 pixels, right and bottom exclusive;
    where the generator makes masks, ``runs``, one mask of the whole image a region, perhaps at a lower resolution;
    where some are to be seen in a mirror, ``mirrored`` (M,) bool."""

    image: np.ndarray
    boxes_xyxy: np.ndarray
    runs: Sequence[Runs] | None = None
    mirrored: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def masks(self) -> list[np.ndarray | None]:
        """M masks (h, w) bool, or None for each region that is all of its box."""
        return [None] * len(self) if self.runs is None else [runs.decode() for runs in self.runs]

    def and_whole(self) -> ImageRegions:
        """The same regions, and last one that is all of the image."""
        height, width = self.image.shape[:2]
        boxes = np.concatenate([self.boxes_xyxy, np.array([[0, 0, width, height]], self.boxes_xyxy.dtype)])
        runs = None if self.runs is None else [*self.runs, Runs.of(np.ones((height, width), bool))]
        mirrored = None if self.mirrored is None else np.append(self.mirrored, False)
        return replace(self, boxes_xyxy=boxes, runs=runs, mirrored=mirrored)

    def some(self, which: np.ndarray) -> ImageRegions:
        """Those of the regions that ``which``, their numbers or a bool for each, names."""
        numbers = np.arange(len(self))[which]
        runs = None if self.runs is None else [self.runs[n] for n in numbers]
        return replace(self, boxes_xyxy=self.boxes_xyxy[numbers], runs=runs,
                       mirrored=None if self.mirrored is None else self.mirrored[numbers])  # fmt: skip

    def unmirrored(self) -> list[tuple[ImageRegions, np.ndarray]]:
        """The same regions where nothing is mirrored: of the image, and, where there are such, of the mirrored image;
        with their numbers (m,)."""
        if self.mirrored is None or not self.mirrored.any():
            return [(replace(self, mirrored=None), np.arange(len(self)))]
        as_is, turned = np.flatnonzero(~self.mirrored), np.flatnonzero(self.mirrored)
        other, width = self.some(turned), self.image.shape[1]
        x0, y0, x1, y1 = other.boxes_xyxy.T
        boxes = np.stack([width - x1, y0, width - x0, y1], axis=1).astype(other.boxes_xyxy.dtype)
        runs = None if other.runs is None else [Runs.of(runs.decode()[:, ::-1]) for runs in other.runs]
        flipped = ImageRegions(np.ascontiguousarray(self.image[:, ::-1]), boxes, runs)
        return [(replace(self.some(as_is), mirrored=None), as_is), (flipped, turned)]

    def cuts(self) -> Iterator[tuple[np.ndarray, np.ndarray, Runs | None]]:
        """Each region by itself: (image, box (4,), run lengths of its mask or None). A mirrored one is a region of the
        mirrored image."""
        parts = self.unmirrored()  # once: who is given cuts of one image together knows it by its being the same
        of = {number: (part, i) for part, numbers in parts for i, number in enumerate(numbers.tolist())}
        for region in range(len(self)):
            part, i = of[region]
            yield part.image, part.boxes_xyxy[i], part.runs[i] if part.runs else None

    def cover(self, rows: int, columns: int, view: tuple[float, float, float, float] | None = None) -> np.ndarray:
        """(M, rows, columns) float32: how much of each cell of a grid over the whole image each region covers, 0 to 1;
        of one over ``view``, x0, y0, x1, y1 in the image's pixels, where that is given.

        These are weights for patch tokens: ``w = one.cover(16, 16).reshape(len(one), -1)`` makes of ``tokens`` (256, d)
        the regions' means ``w @ tokens / w.sum(axis=1, keepdims=True)``. No region covers nothing of the whole image.
        Raises :class:`UsageError` for regions that are mirrored, which are none of the image as it stands.
        """
        if self.mirrored is not None and self.mirrored.any():
            raise UsageError("it embeds regions of the image as it stands, and some of these are to be mirrored; take "
                             "other regions")  # fmt: skip
        height, width = self.image.shape[:2]
        x0, y0, x1, y1 = view or (0, 0, width, height)
        if self.runs is None:
            left, top, right, bottom = np.asarray(self.boxes_xyxy, np.float64).T
            return _shares(top, bottom, y0, y1, rows)[:, :, None] * _shares(left, right, x0, x1, columns)[:, None]
        found = np.zeros((len(self), rows, columns), np.float32)
        for region, runs in enumerate(self.runs):
            (h, w), mask = runs.size_hw, runs.decode().astype(np.float32)
            down, across = (np.arange(n, dtype=np.float64) for n in (h, w))
            of_rows = _shares(down, down + 1, y0 * h / height, y1 * h / height, rows)
            of_columns = _shares(across, across + 1, x0 * w / width, x1 * w / width, columns)
            found[region] = of_rows.T @ mask @ of_columns
        return found


def _shares(start: np.ndarray, stop: np.ndarray, first: float, last: float, cells: int) -> np.ndarray:
    """(M, cells) float32: how much of each of ``cells`` equal parts of ``first`` to ``last`` lies from ``start`` to
    ``stop``."""
    edges = np.linspace(first, last, cells + 1)
    overlap = np.minimum(stop[:, None], edges[1:]) - np.maximum(start[:, None], edges[:-1])
    return (np.clip(overlap, 0, None) * cells / (last - first)).astype(np.float32)

"""What an encoder is given of one image: its pixels and all its regions, at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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

    def cuts(self) -> Iterator[tuple[np.ndarray, np.ndarray, Runs | None]]:
        """Each region by itself: (image, box (4,), run lengths of its mask or None). A mirrored one is a region of the
        mirrored image."""
        flipped = None
        for region, box in enumerate(self.boxes_xyxy):
            runs = self.runs[region] if self.runs else None
            if self.mirrored is None or not self.mirrored[region]:
                yield self.image, box, runs
                continue
            if flipped is None:  # once: who is given cuts of one image together knows it by its being the same
                flipped = np.ascontiguousarray(self.image[:, ::-1])
            x0, y0, x1, y1 = box
            width = self.image.shape[1]
            turned = np.array([width - x1, y0, width - x0, y1], box.dtype)
            yield flipped, turned, runs and Runs.of(runs.decode()[:, ::-1])

    def cover(self, rows: int, columns: int) -> np.ndarray:
        """(M, rows, columns) float32: how much of each cell of a grid over the whole image each region covers, 0 to 1.

        These are weights for patch tokens: ``w = one.cover(16, 16).reshape(len(one), -1)`` makes of ``tokens`` (256, d)
        the regions' means ``w @ tokens / w.sum(axis=1, keepdims=True)``. No region covers nothing. Raises
        :class:`UsageError` for regions that are mirrored, which are none of the image as it stands.
        """
        if self.mirrored is not None and self.mirrored.any():
            raise UsageError("it embeds regions of the image as it stands, and some of these are to be mirrored; take "
                             "other regions")  # fmt: skip
        height, width = self.image.shape[:2]
        if self.runs is None:
            x0, y0, x1, y1 = np.asarray(self.boxes_xyxy, np.float64).T
            return _shares(y0, y1, height, rows)[:, :, None] * _shares(x0, x1, width, columns)[:, None]
        found = np.zeros((len(self), rows, columns), np.float32)
        for region, runs in enumerate(self.runs):
            (h, w), mask = runs.size_hw, runs.decode().astype(np.float32)
            down, across = (np.arange(n, dtype=np.float64) for n in (h, w))
            found[region] = _shares(down, down + 1, h, rows).T @ mask @ _shares(across, across + 1, w, columns)
        return found


def _shares(start: np.ndarray, stop: np.ndarray, length: int, cells: int) -> np.ndarray:
    """(M, cells) float32: how much of each of ``cells`` equal parts of ``length`` lies from ``start`` to ``stop``."""
    edges = np.linspace(0, length, cells + 1)
    overlap = np.minimum(stop[:, None], edges[1:]) - np.maximum(start[:, None], edges[:-1])
    return (np.clip(overlap, 0, None) * cells / length).astype(np.float32)

"""Region generators: what all of them share.

A generator is one file with ``load(runtime, /, *, parameters...)`` that returns a callable ``(image, image_id) ->
Proposals``, where ``image`` is (H, W, 3) uint8 RGB, and, where it has weights, ``weights(runtime, params) -> str``, the
SHA-256 that enters the recipe. Every generator has the parameters ``n``, ``area_min`` and ``area_max``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fgscore import ragged
from fgscore.errors import BadParameter
from fgscore.types import MaskRLE, RegionBatch


@dataclass(frozen=True, eq=False)
class Proposals:
    """Regions of one image. ``boxes_xyxy`` (M, 4) int32 pixels, ``area`` (M,) fraction of the image,
    ``predicted_iou`` and ``stability`` (M,), NaN for crops; ``runs`` one (K,) array of run lengths a mask, None for
    crops, of masks of size ``mask_hw``."""

    boxes_xyxy: np.ndarray
    area: np.ndarray
    predicted_iou: np.ndarray
    stability: np.ndarray
    runs: Sequence[np.ndarray] | None = None
    mask_hw: tuple[int, int] = (0, 0)

    def keep(self, rows: np.ndarray) -> Proposals:
        """The regions at ``rows``, in that order."""
        runs = None if self.runs is None else [self.runs[i] for i in rows]
        boxes, area, iou = self.boxes_xyxy[rows], self.area[rows], self.predicted_iou[rows]
        return Proposals(boxes, area, iou, self.stability[rows], runs, self.mask_hw)


Generator = Callable[[np.ndarray, str], Proposals]


def check_area(area_min: float, area_max: float, n: int) -> None:
    """Raises :class:`BadParameter` unless 0 <= area_min < area_max <= 1 and n > 0."""
    if not (0 <= area_min < area_max <= 1):
        raise BadParameter(f"expected 0 <= area_min < area_max <= 1, found area_min={area_min}, area_max={area_max}")
    if n < 1:
        raise BadParameter(f"expected n of at least 1, found n={n}")


def in_area(area: np.ndarray | float, area_min: float, area_max: float) -> np.ndarray:
    """Whether a fraction of the image is within the range, ends included (section 3.2)."""
    return (np.asarray(area) >= area_min) & (np.asarray(area) <= area_max)


def select(proposals: Proposals, n: int, area_min: float, area_max: float) -> Proposals:
    """Drop what is out of the area range, then keep the first ``n``: by falling predicted IoU for masks (ties by
    position), by position for crops."""
    rows = np.flatnonzero(in_area(proposals.area, area_min, area_max))
    if proposals.runs is not None:
        rows = rows[np.argsort(-proposals.predicted_iou[rows], kind="stable")]
    return proposals.keep(rows[:n])


def batch(image_ids: Sequence[str], proposals: Sequence[Proposals], masks: bool) -> RegionBatch:
    """One record of the regions of several images."""

    def column(name: str, *width: int) -> np.ndarray:
        return np.concatenate([np.zeros((0, *width)), *(getattr(p, name) for p in proposals)])

    return RegionBatch(
        image_ids=np.array(image_ids, np.str_),
        offsets=ragged.from_lengths(np.array([len(p.area) for p in proposals], np.int64)),
        boxes_xyxy=column("boxes_xyxy", 4),
        area=column("area"),
        predicted_iou=column("predicted_iou"),
        stability=column("stability"),
        masks=_rle(proposals) if masks else None,
    )


def _rle(proposals: Sequence[Proposals]) -> MaskRLE:
    runs = [run for p in proposals for run in p.runs or ()]
    return MaskRLE(
        counts=np.concatenate([np.zeros(0, np.uint32), *runs]),
        offsets=ragged.from_lengths(np.array([len(r) for r in runs], np.int64)),
        size_hw=np.array([p.mask_hw for p in proposals], np.int32).reshape(-1, 2),
    )

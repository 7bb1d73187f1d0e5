"""Regions of one image on their way from a generator to the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fgscore import ragged
from fgscore.types import MaskRLE, RegionBatch, Runs


@dataclass(frozen=True, eq=False)
class Proposals:
    """Regions of one image. ``boxes_xyxy`` (M, 4) int32 pixels, ``area`` (M,) fraction of the image,
    ``predicted_iou`` and ``stability`` (M,), NaN for crops; ``runs`` one (K,) array of run lengths a mask, None for
    crops, of masks of size ``mask_hw``; ``mirrored`` (M,) bool, None where no region is seen in a mirror."""

    boxes_xyxy: np.ndarray
    area: np.ndarray
    predicted_iou: np.ndarray
    stability: np.ndarray
    runs: Sequence[np.ndarray] | None = None
    mask_hw: tuple[int, int] = (0, 0)
    mirrored: np.ndarray | None = None

    @classmethod
    def of_boxes(cls, boxes_xyxy: np.ndarray, size_hw: tuple[int, ...]) -> Proposals:
        """Boxes (M, 4) in pixels of an image of ``size_hw``, without masks."""
        sides = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).astype(np.int64)
        unknown = np.full(len(boxes_xyxy), np.nan)
        return cls(boxes_xyxy, sides.prod(axis=1) / (size_hw[0] * size_hw[1]), unknown, unknown)

    @classmethod
    def of_masks(
        cls, masks: np.ndarray, size_hw: tuple[int, ...], predicted_iou: np.ndarray | None = None
    ) -> Proposals:
        """``masks`` (M, h, w) bool of an image of ``size_hw``, which may be larger, with their boxes and areas.
        ``predicted_iou`` (M,) orders them where ``n`` cuts. Raises ValueError for a mask that covers nothing."""
        masks = np.asarray(masks, bool)
        area = masks.mean(axis=(1, 2))
        if not area.all():
            raise ValueError(f"mask {int(area.argmin())} covers nothing")
        boxes = np.zeros((len(masks), 4), np.int32)
        for axis, (cells, length) in enumerate(zip(masks.shape[:0:-1], size_hw[::-1], strict=True)):
            covered = np.asarray(masks.any(axis=1 + axis))  # (M, cells): columns, then rows
            last = cells - covered[:, ::-1].argmax(axis=1)
            boxes[:, axis] = np.floor(covered.argmax(axis=1) * (length / cells) + 1e-9)
            boxes[:, 2 + axis] = np.ceil(last * (length / cells) - 1e-9)
        unknown = np.full(len(masks), np.nan)
        iou = unknown if predicted_iou is None else np.asarray(predicted_iou, np.float64)
        return cls(boxes, area, iou, unknown, [Runs.of(mask).counts for mask in masks], masks.shape[1:])

    @classmethod
    def joined(cls, parts: Sequence[Proposals]) -> Proposals:
        """The regions of ``parts``, at least one and all of one size of masks, one after another."""
        columns = zip(*((p.boxes_xyxy, p.area, p.predicted_iou, p.stability) for p in parts), strict=True)
        boxes, area, iou, stability = (np.concatenate(column) for column in columns)
        runs = None if parts[0].runs is None else [run for p in parts for run in p.runs or ()]
        return cls(boxes, area, iou, stability, runs, parts[0].mask_hw)

    def with_scores(self, predicted_iou: np.ndarray, stability: np.ndarray) -> Proposals:
        """The same with these (M,) in place of its own."""
        return replace(self, predicted_iou=predicted_iou, stability=stability)

    def keep(self, rows: np.ndarray) -> Proposals:
        """The regions at ``rows``, in that order."""
        runs = None if self.runs is None else [self.runs[i] for i in rows]
        boxes, area, iou = self.boxes_xyxy[rows], self.area[rows], self.predicted_iou[rows]
        mirrored = None if self.mirrored is None else self.mirrored[rows]
        return Proposals(boxes, area, iou, self.stability[rows], runs, self.mask_hw, mirrored)


def batch(image_ids: Sequence[str], proposals: Sequence[Proposals], masks: bool, mirrors: bool = False) -> RegionBatch:
    """One record of the regions of several images; ``masks`` and ``mirrors`` are what their generator declares."""

    def column(name: str, *width: int) -> np.ndarray:
        return np.concatenate([np.zeros((0, *width)), *(vars(p)[name] for p in proposals)])

    return RegionBatch(
        image_ids=np.array(image_ids, np.str_),
        offsets=ragged.from_lengths(np.array([len(p.area) for p in proposals], np.int64)),
        boxes_xyxy=column("boxes_xyxy", 4),
        area=column("area"),
        predicted_iou=column("predicted_iou"),
        stability=column("stability"),
        masks=_rle(proposals) if masks else None,
        mirrored=column("mirrored").astype(bool) if mirrors else None,
    )


def _rle(proposals: Sequence[Proposals]) -> MaskRLE:
    runs = [run for p in proposals for run in p.runs or ()]
    return MaskRLE(
        counts=np.concatenate([np.zeros(0, np.uint32), *runs]),
        offsets=ragged.from_lengths(np.array([len(r) for r in runs], np.int64)),
        size_hw=np.array([p.mask_hw for p in proposals], np.int32).reshape(-1, 2),
    )

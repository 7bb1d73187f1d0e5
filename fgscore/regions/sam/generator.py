"""Region generators that segment everything in an image: what SAM, SAM 2 and SAM 3 have in common.

The image is reduced to ``max_side`` first (they work at about 1,024 pixels inside; full-size masks would only cost
memory), never enlarged. Masks are kept at that size, boxes in the frame of the original image.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fgscore.errors import BadParameter
from fgscore.machine import timing
from fgscore.regions import Generator, Proposals

if TYPE_CHECKING:
    from fgscore.regions.sam.masks import Masks


@dataclass(frozen=True)
class Settings:
    """Settings of automatic mask generation, by segment_anything's names and with SAM 2's defaults. Raises
    :class:`BadParameter` where the smallest crops would have no points."""

    points_per_side: int = 32
    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1

    def __post_init__(self) -> None:
        if self.points_per_side < self.crop_n_points_downscale_factor**self.crop_n_layers:
            raise BadParameter(
                f"expected points_per_side of at least {self.crop_n_points_downscale_factor**self.crop_n_layers} for "
                f"crops of {self.crop_n_layers} layers, found {self.points_per_side}"
            )

    @cached_property
    def point_grids(self) -> list[np.ndarray]:
        """Points (P, 2) of a crop in each layer, x and y as shares of its sides."""
        from segment_anything.utils.amg import build_all_layer_point_grids

        return build_all_layer_point_grids(
            self.points_per_side, self.crop_n_layers, self.crop_n_points_downscale_factor
        )


class SegmentEverything(Generator):
    """Masks of the whole image, reduced to ``max_side``. Raises :class:`BadParameter` for one below 1."""

    masks = True

    def __init__(self, max_side: int | None) -> None:
        if max_side is not None and max_side < 1:
            raise BadParameter(f"expected max_side of at least 1 or None, found {max_side}")
        self._max_side = max_side

    @abstractmethod
    def _macs_of_crop(self) -> tuple[int, int]:
        """Multiply-accumulates of embedding one crop, and of the masks at one of its points."""

    @abstractmethod
    def _grids(self) -> Sequence[np.ndarray]:
        """Points (P, 2) of a crop in each layer."""

    def macs(self) -> int:
        """Multiply-accumulates of the masks of an image: of each crop in each layer once, and of all its points."""
        crop, point = self._macs_of_crop()
        return sum(4**layer * (crop + len(points) * point) for layer, points in enumerate(self._grids()))

    @abstractmethod
    def _generate(self, image: np.ndarray) -> Masks:
        """Masks of a reduced ``image`` (H, W, 3) uint8."""

    def propose(self, image: np.ndarray, image_id: str) -> Proposals:
        """Masks of ``image`` (H, W, 3) uint8, before the area filter and the cap."""
        with timing.spent("resize"):
            reduced = reduce(image, self._max_side)
        with timing.spent("masks"):
            masks = self._generate(reduced)
        return proposals(masks, reduced.shape[:2], image.shape[:2])


def reduce(image: np.ndarray, max_side: int | None) -> np.ndarray:
    """``image`` (H, W, 3) uint8 with its longest side at most ``max_side`` pixels, bilinear with antialias."""
    from PIL import Image

    height, width = image.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return image
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def proposals(masks: Masks, mask_hw: tuple[int, ...], image_hw: tuple[int, ...]) -> Proposals:
    """Masks of a reduced image as proposals for the original one.

    Boxes of masks include the last column and row; those of regions end after them.
    """
    (mask_h, mask_w), (image_h, image_w) = mask_hw, image_hw
    low = masks.boxes_xyxy[:, :2] * (image_w / mask_w, image_h / mask_h)
    high = (masks.boxes_xyxy[:, 2:] + 1) * (image_w / mask_w, image_h / mask_h)
    high = np.minimum(np.ceil(high - 1e-9), (image_w, image_h))
    return Proposals(
        boxes_xyxy=np.concatenate([np.floor(low + 1e-9), high], axis=1).astype(np.int32),
        area=masks.area / (mask_h * mask_w),
        predicted_iou=masks.predicted_iou.astype(np.float64),
        stability=masks.stability.astype(np.float64),
        runs=masks.runs,
        mask_hw=(mask_h, mask_w),
    )

"""Automatic mask generation, whatever model draws the masks: a grid of points, thresholds, suppression of duplicates.

The prompts, filters and suppression are segment_anything's, in another order of work. That brings all three masks of
every prompt to the size of the image and encodes all that pass the filters. Here low-resolution logits are all that is
kept of a mask: those below the IoU threshold need not be computed, the others are measured a few at a time, and run
lengths are made of the masks that somebody asks for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fgscore.machine.float32 import full_float32
from fgscore.regions.sam.frame import Frame, LazyRunLengths, measure
from fgscore.regions.sam.kernels.native import native, together


@dataclass(frozen=True)
class Masks:
    """Masks of one image: ``boxes_xyxy`` (M, 4) int64 with the last column and row included, ``area`` (M,) pixels,
    ``predicted_iou`` and ``stability`` (M,) float32; ``runs`` their run lengths."""

    boxes_xyxy: np.ndarray
    area: np.ndarray
    predicted_iou: np.ndarray
    stability: np.ndarray
    runs: Sequence[np.ndarray]


@dataclass
class Candidates:
    """Candidates that passed the filters: M low-resolution ``logits`` (h, w), and columns of (M, ...)."""

    logits: list[Tensor]
    boxes: Tensor
    area: Tensor
    iou: Tensor
    stability: Tensor

    def keep(self, rows: Tensor) -> Candidates:
        """Those at ``rows``, in that order."""
        logits = [self.logits[i] for i in rows.tolist()]
        return Candidates(logits, self.boxes[rows], self.area[rows], self.iou[rows], self.stability[rows])

    @staticmethod
    def join(parts: Sequence[Candidates]) -> Candidates:
        """All of ``parts``, one after the other; their logits stay where they are."""
        columns = zip(*((p.boxes, p.area, p.iou, p.stability) for p in parts), strict=True)
        return Candidates([one for p in parts for one in p.logits], *(torch.cat(column) for column in columns))


class MaskDecoder(Protocol):
    """What draws masks at points: predicted IoU first, logits of the masks that pass."""

    def image(self, embedding: Any) -> Any:
        """What all points of an image share."""

    def batches(self, points: Tensor) -> Sequence[Tensor]:
        """``points`` (B, 2) in batches of a size that suits the device."""

    def prompts(self, image: Any, points: Tensor) -> tuple[Any, Tensor]:
        """A batch of ``points`` (b, 2) in the model's input, whose ``take`` chooses of it, and the predicted IoU (b, M)
        of M masks at each."""

    def logits(self, image: Any, batch: Any, keep: Tensor) -> Tensor:
        """Low-resolution logits (k, h, w) of the k masks that ``keep`` (b, M) chooses of a batch."""


class MaskGenerator(ABC):
    """``generate(image) -> Masks`` with ``settings``, :class:`generator.Settings` or segment_anything's generator.

    What is a model's own is how an image is embedded, where its logits come to lie, and the decoder of points.
    """

    _float32 = staticmethod(full_float32)  # what it means while masks are generated
    _decoder: MaskDecoder

    def __init__(self, settings: Any, device: torch.device, mask_threshold: float) -> None:
        self._settings, self._device, self._threshold = settings, device, float(mask_threshold)
        self._least_stability = float(settings.stability_score_thresh)
        self._native = native(device)

    @abstractmethod
    def _embed(self, image: np.ndarray) -> tuple[Any, tuple[int, int]]:
        """Embedding of ``image`` (H, W, 3) uint8, and the height and width that it has in the model's input."""

    @abstractmethod
    def _frame(self, input_hw: tuple[int, int], crop: tuple[int, int, int, int], image_hw: tuple[int, int]) -> Frame:
        """Where the logits of a crop come to lie."""

    def generate(self, image: np.ndarray) -> Masks:
        """Masks of ``image`` (H, W, 3) uint8, in segment_anything's order."""
        with torch.inference_mode(), self._float32():
            return self._generate(image)

    def _generate(self, image: np.ndarray) -> Masks:
        from segment_anything.utils.amg import generate_crop_boxes
        from torchvision.ops import batched_nms

        settings, size = self._settings, (int(image.shape[0]), int(image.shape[1]))
        crops, layers = generate_crop_boxes(size, settings.crop_n_layers, settings.crop_overlap_ratio)
        parts, frames = [], []
        for crop, layer in zip(crops, layers, strict=True):
            if crop[0] == crop[2] or crop[1] == crop[3]:  # of an image of few pixels
                continue
            frame, candidates = self._crop(image, tuple(crop), settings.point_grids[layer])
            parts.append(candidates)
            frames += [frame] * len(candidates.logits)
        found = Candidates.join(parts)
        if len(crops) > 1:  # masks of smaller crops win
            areas = torch.tensor([frame.crop_hw[0] * frame.crop_hw[1] for frame in frames], device=found.boxes.device)
            rows = batched_nms(
                found.boxes.float(), 1 / areas, torch.zeros(len(areas)), iou_threshold=settings.crop_nms_thresh
            )
            found, frames = found.keep(rows), [frames[i] for i in rows.tolist()]
        boxes, area, iou, stability = (
            column.cpu().numpy() for column in (found.boxes, found.area, found.iou, found.stability)
        )
        return Masks(boxes, area, iou, stability, LazyRunLengths(found.logits, frames, self._threshold))

    def _crop(self, image: np.ndarray, crop: tuple[int, int, int, int], grid: np.ndarray) -> tuple[Frame, Candidates]:
        """What is found in one crop, duplicates removed, boxes in the image's frame."""
        from torchvision.ops import batched_nms

        x0, y0, x1, y1 = crop
        part = image[y0:y1, x0:x1]
        embedding, input_hw = self._embed(part)
        frame = self._frame(input_hw, crop, (image.shape[0], image.shape[1]))
        shared = self._decoder.image(embedding)
        crop_wh, input_wh = np.array(frame.crop_hw[::-1]), np.array(input_hw[::-1])
        prompts = torch.as_tensor(grid * crop_wh * (input_wh / crop_wh), device=self._device)
        batches = self._decoder.batches(prompts)
        found = Candidates.join(together(lambda block: self._batch(shared, block, frame), batches, prompts.device))
        rows = batched_nms(
            found.boxes.float(), found.iou, torch.zeros(len(found.iou)), iou_threshold=self._settings.box_nms_thresh
        )
        found = self._settled(found.keep(rows), frame)
        found.logits = [one.clone() for one in found.logits]  # and the memory of those beside them is free
        found.boxes += torch.tensor([x0, y0, x0, y0], device=found.boxes.device)
        return frame, found

    def _settled(self, found: Candidates, frame: Frame) -> Candidates:
        """What is left of ``found`` once its duplicates are gone."""
        return found

    def _measure(self, logits: Tensor, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        by = self._native.measure if self._native else measure
        return by(logits, frame, self._threshold, self._settings.stability_score_offset)

    def _batch(self, shared: Any, points: Tensor, frame: Frame) -> Candidates:
        """Candidates of a batch of ``points`` (b, 2) that pass the filters, boxes in the crop's frame."""
        from segment_anything.utils.amg import is_box_near_crop_edge

        settings = self._settings
        batch, iou = self._decoder.prompts(shared, points)
        good = iou > (settings.pred_iou_thresh if settings.pred_iou_thresh > 0 else -torch.inf)  # 0 keeps all
        some = good.any(1)
        if not some.any():
            none = iou.new_zeros(0)
            return Candidates([], none.view(0, 4).long(), none.int(), none, none)
        logits = self._decoder.logits(shared, batch.take(some.nonzero()[:, 0]), good[some])
        area, stability, boxes = self._measure(logits, frame)
        found = Candidates(list(logits), boxes, area, iou[good], stability)
        if settings.stability_score_thresh > 0:
            found = found.keep((stability >= self._least_stability).nonzero()[:, 0])
        height, width = frame.image_hw
        at_edge = is_box_near_crop_edge(found.boxes, list(frame.crop_xyxy), [0, 0, width, height])
        return found.keep((~at_edge).nonzero()[:, 0])

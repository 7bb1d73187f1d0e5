"""Automatic mask generation with upstream's masks: the same prompts, filters and suppression, other order of work.

Upstream brings all three masks of every prompt to the size of the image and encodes all that pass the filters. Here
low-resolution logits are all that is kept of a mask: those below the IoU threshold are never computed, the others are
measured (area, box, stability) a few at a time, and run lengths are made of the masks that somebody asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fgscore.regions import _sam_encoder
from fgscore.regions._matmul import quick_float32
from fgscore.regions._sam_decoder import Decoder

PIXELS = {"cpu": 1 << 20, "cuda": 1 << 27}  # of all masks that are at full size at one time
PROMPTS = {"cpu": 4, "cuda": 64}  # in one pass of the decoder
ELSEWHERE = "cuda"


@dataclass(frozen=True)
class Frame:
    """Where the logits of one crop come to lie: the model's square of ``side``, of which ``input_hw`` is the image, is
    resized to ``crop_xyxy`` of the image of ``image_hw``."""

    side: int
    input_hw: tuple[int, int]
    crop_xyxy: tuple[int, int, int, int]
    image_hw: tuple[int, int]

    @property
    def crop_hw(self) -> tuple[int, int]:
        """Height and width of the crop."""
        x0, y0, x1, y1 = self.crop_xyxy
        return y1 - y0, x1 - x0

    def resize(self, logits: Tensor, low: float) -> tuple[Tensor, int, int]:
        """Low-resolution ``logits`` (m, h, w) at the size of the crop, in upstream's two bilinear steps; the part of it
        outside which all are below ``low``, and the row and column of the crop where that part begins.

        A value between four others is none below ``low`` if they all are: the first step is for the cells with others
        in their midst. Values above ``low`` are upstream's to the bit: the steps of the kernel are powers of two.
        """
        factor = self.side // logits.shape[-1]
        rows, columns = self._busy(logits, low) if factor in (2, 4, 8) else (slice(None), slice(None))
        cells = logits[:, None, rows, columns]
        part = interpolate(cells, (factor * cells.shape[-2], factor * cells.shape[-1]), mode="bilinear")
        top, left = factor * (rows.start or 0), factor * (columns.start or 0)
        part = part[..., : self.input_hw[0] - top, : self.input_hw[1] - left]
        if self.input_hw == self.crop_hw:  # the second step would leave every value as it is
            return part[:, 0], top, left
        whole = part
        if part.shape[-2:] != self.input_hw:
            whole = part.new_full((len(part), 1, *self.input_hw), low - 1)
            whole[..., top : top + part.shape[-2], left : left + part.shape[-1]] = part
        return interpolate(whole, self.crop_hw, mode="bilinear")[:, 0], 0, 0

    def _busy(self, logits: Tensor, low: float) -> tuple[slice, slice]:
        """Rows and columns of cells of the image that are not surely below ``low``, and two more on each side: what is
        mixed from the outermost is then below as well, whatever is put beyond it."""
        height, width = (-(-n * logits.shape[-1] // self.side) + 1 for n in self.input_hw)
        logits = logits[:, :height, :width]
        busy = (logits + 1e-5 * logits.abs() > low - 1e-3).any(0)
        spans = []
        for some in (busy.any(1), busy.any(0)):
            cells = some.nonzero()[:, 0].tolist() or [0]
            spans.append(slice(max(0, cells[0] - 2), min(len(some), cells[-1] + 3)))
        return spans[0], spans[1]


@dataclass(frozen=True)
class Masks:
    """Masks of one image, boxes and columns upstream's: ``boxes_xyxy`` (M, 4) int64 with the last column and row
    included, ``area`` (M,) pixels, ``predicted_iou`` and ``stability`` (M,) float32; ``runs`` their run lengths."""

    boxes_xyxy: np.ndarray
    area: np.ndarray
    predicted_iou: np.ndarray
    stability: np.ndarray
    runs: Sequence[np.ndarray]


class Runs(Sequence[np.ndarray]):
    """Run lengths of masks, (K,) uint32 each, column-major and background first; made from the logits when asked."""

    def __init__(self, logits: Sequence[Tensor], frames: Sequence[Frame], threshold: float) -> None:
        self._logits, self._frames, self._threshold = logits, frames, threshold

    def __len__(self) -> int:
        return len(self._logits)

    @overload
    def __getitem__(self, which: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, which: slice) -> list[np.ndarray]: ...
    def __getitem__(self, which: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(which, slice):
            return [self[i] for i in range(*which.indices(len(self)))]
        frame = self._frames[which]
        part, top, left = frame.resize(self._logits[which][None], self._threshold)
        mask = (part[0] > self._threshold).cpu().numpy()
        x, y = frame.crop_xyxy[0] + left, frame.crop_xyxy[1] + top
        whole = np.zeros(frame.image_hw, bool)
        whole[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
        return run_lengths(whole)


def run_lengths(mask: np.ndarray) -> np.ndarray:
    """Run lengths of ``mask`` (H, W) bool, as in COCO: column-major, background first; (K,) uint32."""
    flat = np.ascontiguousarray(mask.T).ravel()
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], ends, [flat.size]]))
    return np.concatenate([[0], runs] if flat[0] else [runs]).astype(np.uint32)


def measure(logits: Tensor, frame: Frame, threshold: float, offset: float) -> tuple[Tensor, Tensor, Tensor]:
    """Area (m,) int64 in pixels, stability (m,) float32 and box (m, 4) int64 (last column and row included, zero for an
    empty mask) of masks with low-resolution ``logits`` (m, h, w), thresholded at ``threshold``."""
    found = []
    share = max(1, _limit(PIXELS, logits) // max(frame.side**2, frame.crop_hw[0] * frame.crop_hw[1]))
    for part in logits.split(share):
        full, top, left = frame.resize(part, threshold - abs(offset))
        inside, around = (
            _in_rows(full > t).sum(-1, dtype=torch.int32) for t in (threshold + offset, threshold - offset)
        )
        mask = full > threshold
        rows = _in_rows(mask)
        boxes = _boxes(rows > 0, mask.view(torch.uint8).amax(-2) > 0, top, left)
        found.append((rows.sum(-1, dtype=torch.int32), inside / around, boxes))
    area, stability, boxes = (torch.cat(column) for column in zip(*found, strict=True))
    return area, stability, boxes


def _in_rows(mask: Tensor) -> Tensor:
    """(m, H) int16: pixels of each row of ``mask`` (m, H, W)."""
    return mask.sum(-1, dtype=torch.int16)


def _boxes(rows: Tensor, columns: Tensor, top: int, left: int) -> Tensor:
    """(m, 4) int64, of masks that have pixels in ``rows`` (m, H) and ``columns`` (m, W), counted from (top, left)."""
    edges = []
    for some, start in ((columns, left), (rows, top)):
        marks = some.to(torch.uint8)
        edges.append((start + marks.argmax(-1), start + some.shape[-1] - 1 - marks.flip(-1).argmax(-1)))
    (x0, x1), (y0, y1) = edges
    return torch.stack([x0, y0, x1, y1], dim=-1) * rows.any(-1, keepdim=True)


def _limit(table: dict[str, int], where: Tensor) -> int:
    return table.get(where.device.type, table[ELSEWHERE])


@dataclass
class _Found:
    """Candidates of one crop that passed the filters, columns of (M, ...)."""

    logits: Tensor
    boxes: Tensor
    area: Tensor
    iou: Tensor
    stability: Tensor

    def keep(self, rows: Tensor) -> _Found:
        return _Found(*(column[rows] for column in vars(self).values()))


class ExactGenerator:
    """``generate(image) -> Masks`` with the settings of an upstream ``SamAutomaticMaskGenerator``."""

    def __init__(self, upstream: Any) -> None:
        self._settings, self._predictor, self._sam = upstream, upstream.predictor, upstream.predictor.model
        self._threshold = float(self._sam.mask_threshold)
        self._own_encoder = _sam_encoder.supports(self._sam.image_encoder)
        with torch.no_grad():
            self._decoder = Decoder(self._sam)

    def generate(self, image: np.ndarray) -> Masks:
        """Masks of ``image`` (H, W, 3) uint8, in upstream's order."""
        with torch.inference_mode(), quick_float32():
            return self._generate(image)

    def _generate(self, image: np.ndarray) -> Masks:
        from segment_anything.utils.amg import generate_crop_boxes
        from torchvision.ops import batched_nms

        settings, size = self._settings, (int(image.shape[0]), int(image.shape[1]))
        crops, layers = generate_crop_boxes(size, settings.crop_n_layers, settings.crop_overlap_ratio)
        found, frames = [], []
        for crop, layer in zip(crops, layers, strict=True):
            frame, candidates = self._crop(image, tuple(crop), settings.point_grids[layer])
            found.append(candidates)
            frames += [frame] * len(candidates.iou)
        columns = [torch.cat(column) for column in zip(*(list(vars(f).values())[1:] for f in found), strict=True)]
        logits = [one for f in found for one in f.logits]
        if len(crops) > 1:  # masks of smaller crops win
            areas = torch.tensor([(f.crop_hw[0] * f.crop_hw[1]) for f in frames], device=columns[0].device)
            rows = batched_nms(
                columns[0].float(), 1 / areas, torch.zeros(len(areas)), iou_threshold=settings.crop_nms_thresh
            )
            columns = [column[rows] for column in columns]
            logits, frames = [logits[i] for i in rows], [frames[i] for i in rows]
        boxes, area, iou, stability = (column.cpu().numpy() for column in columns)
        return Masks(boxes, area, iou, stability, Runs(logits, frames, self._threshold))

    def _crop(self, image: np.ndarray, crop: tuple[int, int, int, int], grid: np.ndarray) -> tuple[Frame, _Found]:
        """What is found in one crop, duplicates removed, boxes in the image's frame."""
        from torchvision.ops import batched_nms

        x0, y0, x1, y1 = crop
        part = image[y0:y1, x0:x1]
        embedding, input_hw = self._embed(part)
        frame = Frame(self._sam.image_encoder.img_size, input_hw, crop, image.shape[:2])
        shared = self._decoder.image(embedding)
        points = self._predictor.transform.apply_coords(grid * np.array(frame.crop_hw)[None, ::-1], frame.crop_hw)
        prompts = torch.as_tensor(points, device=self._predictor.device)
        batches = [self._batch(shared, block, frame) for block in prompts.split(_limit(PROMPTS, prompts))]
        found = _Found(*(torch.cat(column) for column in zip(*(vars(b).values() for b in batches), strict=True)))
        rows = batched_nms(
            found.boxes.float(), found.iou, torch.zeros(len(found.iou)), iou_threshold=self._settings.box_nms_thresh
        )
        found = found.keep(rows)
        found.boxes += torch.tensor([x0, y0, x0, y0], device=found.boxes.device)
        return frame, found

    def _measure(self, logits: Tensor, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        return measure(logits, frame, self._threshold, self._settings.stability_score_offset)

    def _embed(self, image: np.ndarray) -> tuple[Tensor, tuple[int, int]]:
        """Embedding (1, c, h, w) of ``image`` (H, W, 3) uint8, and its size in the model's square."""
        pixels = torch.as_tensor(self._predictor.transform.apply_image(image), device=self._predictor.device)
        square = self._sam.preprocess(pixels.permute(2, 0, 1)[None])
        encoder = self._sam.image_encoder
        embedding = _sam_encoder.encode(encoder, square) if self._own_encoder else encoder(square)
        return embedding, (int(pixels.shape[0]), int(pixels.shape[1]))

    def _batch(self, shared: Any, points: Tensor, frame: Frame) -> _Found:
        """Candidates of a batch of ``points`` (b, 2) that pass the filters, boxes in the crop's frame."""
        from segment_anything.utils.amg import is_box_near_crop_edge

        settings = self._settings
        batch, iou = self._decoder.prompts(shared, points)
        good = (
            iou > settings.pred_iou_thresh if settings.pred_iou_thresh > 0 else torch.ones_like(iou, dtype=torch.bool)
        )
        some = good.any(1)
        side = [4 * n for n in self._decoder.grid]
        if not some.any():
            none = iou.new_zeros(0)
            return _Found(none.view(0, *side), none.view(0, 4).long(), none.int(), none, none)
        logits = self._decoder.logits(shared, batch.take(some.nonzero()[:, 0]), good[some])
        area, stability, boxes = self._measure(logits, frame)
        found = _Found(logits, boxes, area, iou[good], stability)
        if settings.stability_score_thresh > 0:
            found = found.keep(stability >= settings.stability_score_thresh)
        height, width = frame.image_hw
        at_edge = is_box_near_crop_edge(found.boxes, list(frame.crop_xyxy), [0, 0, width, height])
        return found.keep(~at_edge)

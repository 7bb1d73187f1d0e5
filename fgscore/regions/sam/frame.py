"""From SAM's low-resolution logits to masks of the image's size: area, box, stability and run lengths.

Upstream resizes all masks of a batch, twice, and keeps them as floats. Here each is resized when it is asked about, and
within the rectangle that is not surely background; what is found is upstream's to the bit, given the same logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

PIXELS = {"cpu": 1 << 20, "cuda": 1 << 27}  # of all masks that are at full size at one time


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
        factor = self.side / logits.shape[-1]
        everything = slice(0, logits.shape[-2]), slice(0, logits.shape[-1])
        rows, columns = self._busy(logits, low) if factor in (2, 4, 8) else everything
        cells = logits[:, None, rows, columns]
        size = [round(factor * n) for n in cells.shape[-2:]]
        part = interpolate(cells, size, mode="bilinear")
        top, left = round(factor * rows.start), round(factor * columns.start)
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
        mixed from the outermost is then below as well, whatever is put beyond it.

        Never fewer than make 65 pixels: torch resizes to less than 129 in height and width together by another kernel,
        which rounds otherwise.
        """
        least, total = 64 * logits.shape[-1] // self.side + 1, logits.shape[-1]
        height, width = (-(-n * logits.shape[-1] // self.side) + 1 for n in self.input_hw)
        logits = logits[:, :height, :width]
        busy = (logits + 1e-5 * logits.abs() > low - 1e-3).any(0)
        spans = []
        for some in (busy.any(1), busy.any(0)):
            cells = some.nonzero()[:, 0].tolist() or [0]
            start = max(0, min(cells[0] - 2, total - least))
            spans.append(slice(start, min(total, max(cells[-1] + 3, start + least))))
        return spans[0], spans[1]


class LazyRunLengths(Sequence[np.ndarray]):
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
    share = max(
        1, PIXELS.get(logits.device.type, PIXELS["cuda"]) // max(frame.side**2, frame.crop_hw[0] * frame.crop_hw[1])
    )
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


def measure_roughly(logits: Tensor, frame: Frame, threshold: float, offset: float) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`measure`, of the low-resolution cells themselves: a box is off by a cell or so."""
    height, width = (max(1, round(n * logits.shape[-1] / frame.side)) for n in frame.input_hw)
    cells = logits[:, :height, :width]
    up, across = (length / n for length, n in zip(frame.crop_hw, (height, width), strict=True))
    inside, around = (_in_rows(cells > t).sum(-1, dtype=torch.int32) for t in (threshold + offset, threshold - offset))
    mask = cells > threshold
    rows = _in_rows(mask)
    boxes = _boxes(rows > 0, mask.any(-2), 0, 0)
    low, high = (
        part * boxes.new_tensor((across, up), dtype=torch.float32) for part in (boxes[:, :2], boxes[:, 2:] + 1)
    )
    area = (rows.sum(-1, dtype=torch.int32) * (up * across)).round().int()
    return area, inside / around, torch.cat([low, high - 1], dim=1).round().long()


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

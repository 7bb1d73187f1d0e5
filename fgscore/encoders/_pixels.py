"""What transformers' image processor makes of a picture, without the processor: resized bytes, normalised in one pass.

A picture stays (h, w, 3) uint8, as it was decoded or cut, until it has the model's size; torch's antialiased bicubic
resize takes bytes with their channels together as they are, and rounds as Pillow does to within one or two of 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

BICUBIC = 3  # Pillow's number
PROCESSORS = ("CLIPImageProcessorPil", "SiglipImageProcessorPil")


def supports(processor: Any) -> bool:
    """Whether ``processor`` does what :class:`Pixels` does: resize with bicubic, cut a square, rescale, normalise."""
    steps = processor.do_resize and processor.do_rescale and processor.do_normalize
    known = type(processor).__name__ in PROCESSORS and processor.resample == BICUBIC
    return bool(known and steps and _edges(processor) is not None)


def _edges(processor: Any) -> tuple[int, bool] | None:
    """The side of the model's square, and whether pictures are squashed to it; None where it is not so simple."""
    size, crop = processor.size, processor.crop_size
    if not getattr(processor, "do_center_crop", False):
        square = size.height is not None and size.height == size.width
        return (int(size.height), True) if square else None
    simple = size.shortest_edge is not None and size.longest_edge is None
    same = simple and size.shortest_edge == crop.height == crop.width
    return (int(size.shortest_edge), False) if same else None


class Pixels:
    """``pictures`` (h, w, 3) uint8 -> ``pixel_values`` (B, 3, s, s) float32, channels last in memory."""

    def __init__(self, processor: Any, squash: bool, device: str) -> None:
        edges = _edges(processor)
        assert edges is not None, "asked for without `supports`"
        self._size, self._squash, self._device = edges[0], edges[1] or squash, device
        std = torch.tensor(processor.image_std, device=device)
        mean = torch.tensor(processor.image_mean, device=device)
        # one row of a picture at a time, so that the last dimension is long
        self._scale = (processor.rescale_factor / std).repeat(self._size)
        self._shift = (-mean / std).repeat(self._size)

    def __call__(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """The pictures at the model's size, in its units."""
        size = self._size
        ready = torch.empty(len(pictures), size, size, 3, dtype=torch.uint8, device=self._device)
        for row, picture in zip(ready, pictures, strict=True):
            row.copy_(self._resize(picture))
        rows = ready.view(-1, 3 * size).float()
        torch.addcmul(self._shift, rows, self._scale, out=rows)
        return rows.view(ready.shape).permute(0, 3, 1, 2)

    def _resize(self, picture: np.ndarray) -> Tensor:
        """(s, s, 3) uint8: all of the picture, or its centre after its shorter edge is brought to ``s``."""
        height, width = picture.shape[:2]
        size, short = self._size, min(height, width)
        to_h, to_w = (size, size) if self._squash else (size * height // short, size * width // short)
        bytes_ = tensor(picture)[None].to(self._device).permute(0, 3, 1, 2)
        if (to_h, to_w) != (height, width):
            bytes_ = _bicubic(bytes_, to_h, to_w)
        top, left = (to_h - size) // 2, (to_w - size) // 2
        return bytes_[0, :, top : top + size, left : left + size].permute(1, 2, 0)


def tensor(array: np.ndarray) -> Tensor:
    """``array``, or a copy: torch takes no mirrored arrays, and warns of those that it could write to."""
    usable = array.flags.writeable and min(array.strides, default=1) >= 0
    return torch.from_numpy(array if usable else array.copy())


def rows_first(dropped_rows: Any, dropped_columns: Any) -> Any:
    """Whether Pillow (13) resizes rows before columns: where that drops more than twice as many of them. For numbers,
    or arrays of them."""
    return (dropped_rows > 0) & (dropped_rows > 2 * dropped_columns)


def _bicubic(bytes_: Tensor, height: int, width: int) -> Tensor:
    """(1, 3, height, width) uint8; GPUs have the kernel for floats only.

    Bytes are rounded and clipped between the two directions, and torch begins with columns.
    """
    if bytes_.device.type != "cpu":
        wide = interpolate(bytes_.float(), (height, width), mode="bicubic", antialias=True)
        return wide.round_().clamp_(0, 255).to(torch.uint8)
    if rows_first(bytes_.shape[2] - height, bytes_.shape[3] - width):
        bytes_ = interpolate(bytes_, (height, bytes_.shape[3]), mode="bicubic", antialias=True)
    return interpolate(bytes_, (height, width), mode="bicubic", antialias=True)

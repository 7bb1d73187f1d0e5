"""Crops at a model's size on a GPU: resizing as matrix products, for all crops of a batch together.

A kernel call for every crop would cost more than the crop. Here an image is uploaded once, and each of its crops is
two products with it: columns first, then rows, as Pillow goes, with the weights of Pillow's antialiased bicubic. A
centre crop computes only what it keeps; padding is the weights that reach outside the box, times the mean colour.

Products are float16 with float32 sums: bytes and the colours around them are exact in it, weights good to 1/4096, so
that what is rounded at the end is within 2/255 of Pillow's. The CPU has no fast float16: there, float32 serves tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fgscore.encoders import _pixels, _render
from fgscore.types import Runs

Mask = np.ndarray | Runs | None
Cut = tuple[np.ndarray, np.ndarray, Mask]  # image, box_xyxy, mask
TOGETHER = 1024  # crops at one time
WEIGHTS = 1 << 28  # and numbers of their weights
SHARED = 1 << 20  # pixels of an image that all its crops are products with; of a larger one, each with its own part
A = -0.5  # Pillow's and Keys' bicubic


@dataclass(frozen=True)
class CropAxis:
    """One direction of B pictures: cells ``start`` to ``stop`` of the image are the picture's cells from ``offset`` on
    of ``length``, which is resized to ``to``, of which the cells from ``first`` on are kept. All (B,) int64."""

    start: np.ndarray
    stop: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    to: np.ndarray
    first: np.ndarray


def axes(boxes: np.ndarray, fit: str, size: int) -> tuple[CropAxis, CropAxis]:
    """Columns and rows of the pictures that ``_render.shape_to`` and the processor make of ``boxes`` (B, 4)."""
    boxes = boxes.astype(np.int64)
    start, stop = boxes[:, :2].T, boxes[:, 2:].T  # (2, B): columns, rows
    sides = stop - start
    if fit == "crop":  # the middle of what is long, see `_render.shape_to`
        most = _render.MAX_ASPECT * sides.min(0)
        start = start + np.maximum(0, (sides - most) // 2)
        sides = np.minimum(sides, most)
        stop = start + sides
    offset, lengths = np.zeros_like(sides), sides
    if fit == "pad":
        lengths = np.broadcast_to(sides.max(0), sides.shape)
        offset = (lengths - sides) // 2
    to = np.full_like(sides, size) if fit == "squash" else size * lengths // lengths.min(0)
    first = (to - size) // 2
    columns, rows = (CropAxis(*of) for of in zip(start, stop, offset, lengths, to, first, strict=True))
    return columns, rows


def weights(axis: CropAxis, size: int, cells: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(B, size, cells): what each kept cell of a resized picture takes of the cells of the image, as Pillow weighs
    them. Rows add up to one, but for what a padded picture takes of its padding."""
    given = np.stack([axis.start, axis.stop, axis.offset, axis.length, axis.to, axis.first])
    start, stop, offset, length, to, first = _to(device, given)[:, :, None]
    scale = length.double() / to  # float64: Pillow's centres are
    wide = scale.clamp(min=1)
    centre = (torch.arange(size, device=device) + first + 0.5) * scale  # (B, size), in the picture's cells
    low = (centre - 2 * wide + 0.5).floor().clamp(min=0).long()  # Pillow cuts towards zero, then at zero
    high = torch.minimum((centre + 2 * wide + 0.5).floor().long(), length)
    taps = int(2 * np.ceil(2 * np.maximum(axis.length / axis.to, 1)).max()) + 1
    at = low[..., None] + torch.arange(taps, device=device)  # (B, size, taps)
    share = _bicubic(((at - centre[..., None] + 0.5) / wide[..., None]).float())
    share = share * (at < high[..., None])
    share = share / share.sum(-1, keepdim=True)
    at = at + (start - offset)[..., None]
    inside = (at >= start[..., None]) & (at < stop[..., None])
    made = torch.zeros(*at.shape[:2], cells, dtype=dtype, device=device)
    return made.scatter_add_(2, torch.where(inside, at, 0), (share * inside).to(dtype))


def _bicubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = ((A + 2) * x - (A + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * A - 4 * A
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


@dataclass(frozen=True)
class Patch:
    """Pixels (H, 3, W), the boxes (n, 4) of some cuts of them, and their masks (n, H, W) bool where there are any."""

    pixels: Tensor
    boxes: np.ndarray
    inside: Tensor | None


class Crops:
    """``cuts`` -> ``pixel_values`` (B, 3, s, s) in ``dtype``: what ``_render.cut`` and ``_pixels.Pixels`` make of them.

    Cuts of one image follow each other. ``outside`` is any but blur, which Pillow alone does.
    """

    def __init__(
        self,
        processor: Any,
        size: int,
        fit: _render.Fit,
        outside: _render.Outside,
        margin: float,
        device: str,
        dtype: torch.dtype,
    ) -> None:
        self._size, self._fit, self._outside, self._margin = size, fit, outside, margin
        self._device, self._dtype = torch.device(device), dtype
        self._work = torch.float32 if self._device.type == "cpu" else torch.float16
        mean = torch.tensor(processor.image_mean, device=device)
        std = torch.tensor(processor.image_std, device=device)
        self._colour = (255 * mean).round()  # as `_render` fills with
        # pictures are held less this colour, so that what is not there is zero
        self._zero = self._colour if fit == "pad" else torch.zeros(3, device=device)
        zero = self._zero.to(self._work)[:, None]
        self._bounds: tuple[Any, Any] = (-zero, 255 - zero) if fit == "pad" else (0.0, 255.0)
        behind = torch.zeros(3, device=device) if outside == "black" else self._colour
        self._behind = (behind - self._zero).to(self._work)[:, None]
        self._scale = (processor.rescale_factor / std)[:, None, None]
        self._shift = (-mean / std)[:, None, None] + self._zero[:, None, None] * self._scale

    def __call__(self, cuts: Sequence[Cut]) -> Tensor:
        """The pictures at the model's size, in its units."""
        longest = max(sum(cut[0].shape[:2]) for cut in cuts)
        together = max(1, min(TOGETHER, WEIGHTS // (self._size * longest)))
        parts = [self._part(cuts[i : i + together]) for i in range(0, len(cuts), together)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _part(self, cuts: Sequence[Cut]) -> Tensor:
        views = list(self._views(cuts))
        height, width = (max(view.pixels.shape[axis] for view in views) for axis in (0, 2))
        columns, rows = axes(np.concatenate([view.boxes for view in views]), self._fit, self._size)
        take = weights(columns, self._size, width, self._device, self._work).mT  # (B, width, s)
        drop = weights(rows, self._size, height, self._device, self._work)  # (B, s, height)
        rows_first = _pixels.rows_first(rows.length - rows.to, columns.length - columns.to)
        pictures = torch.empty(len(cuts), self._size, 3 * self._size, dtype=self._work, device=self._device)
        start = 0
        for view in views:
            of = slice(start, start + len(view.boxes))
            self._resize(view, take[of], drop[of], rows_first[of], pictures[of])
            start = of.stop
        pictures = pictures.unflatten(2, (3, -1)).clamp_(*self._bounds).round_()  # (B, s, 3, s)
        made = torch.empty(len(cuts), 3, self._size, self._size, dtype=self._dtype, device=self._device)
        return torch.addcmul(self._shift, pictures.transpose(1, 2), self._scale, out=made)

    def _resize(self, view: Patch, columns: Tensor, rows: Tensor, rows_first: np.ndarray, out: Tensor) -> None:
        """Into ``out`` (n, s, 3 s) the pictures of one view, by ``columns`` (n, W', s) and ``rows`` (n, s, H')."""
        height, _, width = view.pixels.shape
        columns, rows = columns[:, :width], rows[..., :height]
        if rows_first.all() or not rows_first.any():
            self._multiply(view.pixels, view.inside, columns, rows, bool(rows_first[0]), out)
            return
        for first in (False, True):
            of = _to(self._device, np.flatnonzero(rows_first == first))
            inside, part = None if view.inside is None else view.inside[of], torch.empty_like(out[: len(of)])
            self._multiply(view.pixels, inside, columns[of], rows[of], first, part)
            out[of] = part

    def _multiply(
        self, pixels: Tensor, inside: Tensor | None, columns: Tensor, rows: Tensor, rows_first: bool, out: Tensor
    ) -> None:
        n, size = len(rows), self._size
        source = pixels.expand(n, -1, -1, -1)
        if inside is not None:
            source = torch.where(inside[:, :, None], source, self._behind)
        if rows_first:
            low = torch.bmm(rows, source.flatten(2)).view(n, size, 3, -1).clamp_(*self._bounds)
            torch.bmm(low.flatten(1, 2), columns, out=out.view(n, size * 3, size))
            return
        narrow = torch.bmm(source.flatten(1, 2), columns).view(n, -1, 3, size).clamp_(*self._bounds)
        torch.bmm(rows, narrow.flatten(2), out=out)

    def _views(self, cuts: Sequence[Cut]) -> Iterator[Patch]:
        """Each image with its cuts, or a part of it for each cut where the image is large."""
        for image, boxes, masks in _by_image(cuts, self._margin):
            pixels = self._upload(image)
            inside = self._inside(masks, image.shape[:2]) if self._outside != "keep" else None
            if image.shape[0] * image.shape[1] <= SHARED:
                yield Patch(_filled(pixels, 0, 2), boxes, None if inside is None else _filled(inside, 1, 2))
                continue
            for i, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
                part = None if inside is None else _filled(inside[i : i + 1, y0:y1, x0:x1], 1, 2)
                yield Patch(_filled(pixels[y0:y1, :, x0:x1], 0, 2), boxes[i : i + 1] - (x0, y0, x0, y0), part)

    def _upload(self, image: np.ndarray) -> Tensor:
        """(H, 3, W) in the working precision, less the colour that counts as zero."""
        pixels = _to(self._device, image).permute(0, 2, 1).to(self._work)
        return pixels if self._fit != "pad" else pixels - self._zero.to(self._work)[:, None]

    def _inside(self, masks: Sequence[Mask], size_hw: tuple[int, ...]) -> Tensor | None:
        """(n, H, W) bool: the masks at the size of their image, a pixel taking the nearest value; None without any."""
        if all(mask is None for mask in masks):
            return None
        found = []
        for mask in masks:
            whole = np.ones(size_hw, bool) if mask is None else mask
            found.append(_decode(whole, self._device) if isinstance(whole, Runs) else _to(self._device, whole))
        return torch.stack([self._nearest(mask, size_hw) for mask in found])

    def _nearest(self, mask: Tensor, size_hw: tuple[int, ...]) -> Tensor:
        for axis, length in enumerate(size_hw):
            if mask.shape[axis] != length:
                cells = _render.nearest(0, length, length, mask.shape[axis])
                mask = mask.index_select(axis, _to(self._device, cells))
        return mask


def _filled(x: Tensor, *axes: int) -> Tensor:
    """``x`` in one piece, with zeros up to whole vectors of 8 along ``axes``: a GPU multiplies those faster."""
    shape = list(x.shape)
    for axis in axes:
        shape[axis] = -(-shape[axis] // 8) * 8
    if tuple(shape) == x.shape:
        return x.contiguous()
    filled = x.new_zeros(shape)
    filled[tuple(slice(n) for n in x.shape)] = x
    return filled


def _by_image(cuts: Sequence[Cut], margin: float) -> Iterator[tuple[np.ndarray, np.ndarray, list[Mask]]]:
    """Cuts of one image together: (image, boxes with their margin (n, 4), masks)."""
    for _, group in groupby(cuts, key=lambda cut: id(cut[0])):
        some = list(group)
        image = some[0][0]
        height, width = image.shape[:2]
        boxes = np.array([box for _, box, _ in some], np.int64)
        if margin:
            boxes = np.array([_render.grow(box, margin, width, height) for box in boxes], np.int64)
        yield image, boxes, [mask for _, _, mask in some]


def _decode(mask: Runs, device: torch.device) -> Tensor:
    """(H, W) bool: every end of a run turns the value of what follows."""
    height, width = mask.size_hw
    turns = torch.zeros(height * width + 1, dtype=torch.int8, device=device)
    ends = _to(device, mask.ends())
    turns.scatter_add_(0, ends, torch.ones_like(ends, dtype=torch.int8))
    inside = turns[:-1].cumsum(0, dtype=torch.int32) & 1
    return inside.bool().view(width, height).T


def _to(device: torch.device, array: np.ndarray) -> Tensor:
    """``array`` on the device, without waiting for what the device has still to do."""
    tensor = _pixels.tensor(array)
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)

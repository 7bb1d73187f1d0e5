"""Area, stability and box of masks in one pass over their low-resolution logits, on a CPU.

Upstream resizes bilinearly, twice. Both are linear, so that a pixel is a sum of few cells by few, with weights that
torch itself gives when it resizes unit vectors. What is summed in another order is rounded otherwise: where that could
decide on which side of a threshold a pixel lies, it is computed again in torch's order. That differs between torch's
builds for one processor and another, and is found by trying; where none fits, torch measures.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fgscore.regions.sam import frame as sam_frame
from fgscore.regions.sam.frame import Frame
from fgscore.regions.sam.kernels.numbers import F, compiled, in_order, multiply_add

ROUNDING = F(2e-6)  # of the largest cell; some 15 roundings to float32 are 9e-7
TRIED = 1 << 17  # pixels, to find torch's order
_once = Lock()  # else all threads would find it for each size of image


class Resize(NamedTuple):
    """One resize along one axis: a pixel is ``weights`` (K, n) float32 times the K cells from ``first`` (n,) on."""

    first: np.ndarray
    weights: np.ndarray


class Resizes(NamedTuple):
    """Rows or columns: upstream's two resizes, and ``both`` at once."""

    up: Resize
    down: Resize
    both: Resize


def measure(logits: Tensor, frame: Frame, threshold: float, offset: float) -> tuple[Tensor, Tensor, Tensor]:
    """As `frame.measure`, to the bit."""
    sizes = logits.shape[-1], frame.side, frame.input_hw, frame.crop_hw
    with _once:
        fused, axes = _fused(*sizes), _axes(*sizes)
    if fused is None:
        return sam_frame.measure(logits, frame, threshold, offset)
    found = np.zeros((len(logits), 7), np.int64)
    low, high = sorted((F(threshold - offset), F(threshold + offset)))
    _measure(logits.contiguous().numpy(), *axes, fused, low, F(threshold), high, found)
    around, area, inside = torch.from_numpy(found[:, :3]).int().unbind(1)
    return area, inside / around if offset >= 0 else around / inside, torch.from_numpy(found[:, 3:])


@lru_cache(maxsize=64)
def _axes(cells: int, side: int, input_hw: tuple[int, int], crop_hw: tuple[int, int]) -> tuple[Resizes, Resizes]:
    """The rows and the columns of a frame."""
    rows, columns = (_axis(cells, side, *of) for of in zip(input_hw, crop_hw, strict=True))
    return rows, columns


def _axis(cells: int, side: int, given: int, wanted: int) -> Resizes:
    up = _resize(torch.eye(cells), side)
    both = up[:, :given] if given == wanted else _resize(up[:, :given], wanted)
    return Resizes(_step(up), _step(_resize(torch.eye(given), wanted)), _step(both))


def _resize(rows: Tensor, size: int) -> Tensor:
    """(m, size) of (m, n)."""
    return interpolate(rows[None, :, :, None], (size, 1), mode="bilinear")[0, :, :, 0]


def _step(matrix: Tensor) -> Resize:
    """Of a resize that makes ``matrix`` (cells, n) of unit vectors; of two cells at least, the second without weight
    if there is but one."""
    matrix = torch.nn.functional.pad(matrix, (0, 0, 0, max(0, 2 - len(matrix)))).T
    first, last = (matrix != 0).int().argmax(1), len(matrix[0]) - 1 - (matrix.flip(1) != 0).int().argmax(1)
    width = max(2, int((last - first).max()) + 1)
    first.clamp_(max=len(matrix[0]) - width)
    weights = matrix.gather(1, first[:, None] + torch.arange(width))
    return Resize(first.int().numpy(), weights.T.contiguous().numpy())


@lru_cache(maxsize=64)
def _fused(cells: int, side: int, input_hw: tuple[int, int], crop_hw: tuple[int, int]) -> bool | None:
    """Whether torch resizes with one rounding where it multiplies and adds, or with two; None if with others."""
    logits = torch.randn(cells, cells, generator=torch.Generator().manual_seed(0))
    frame = Frame(side, input_hw, (0, 0, crop_hw[1], crop_hw[0]), crop_hw)
    wanted = frame.resize(logits[None], -torch.inf)[0][0].numpy()
    every = max(1, wanted.size // TRIED)
    for fused in (True, False):
        found = np.empty_like(wanted[::every])
        _resized(logits.numpy(), *_axes(cells, side, input_hw, crop_hw), fused, every, found)
        if np.array_equal(found, wanted[::every]):
            return fused
    return None


@in_order
def _between(a: Any, b: Any, weight_a: Any, weight_b: Any, fused: bool) -> Any:
    """A pixel between two cells."""
    if fused:
        return multiply_add(a, weight_a, F(b * weight_b))
    return F(F(a * weight_a) + F(b * weight_b))


@in_order
def _larger(cells: Any, up_rows: Resize, up_columns: Resize, y: Any, x: Any, fused: bool) -> Any:
    """Pixel (y, x) of the first resize."""
    r, c = np.int64(up_rows.first[y]), np.int64(up_columns.first[x])
    a, b = up_columns.weights[0, x], up_columns.weights[1, x]
    one = _between(cells[r, c], cells[r, c + 1], a, b, fused)
    two = _between(cells[r + 1, c], cells[r + 1, c + 1], a, b, fused)
    return _between(one, two, up_rows.weights[0, y], up_rows.weights[1, y], fused)


@in_order
def _exactly(cells: Any, rows: Resizes, columns: Resizes, y: Any, x: Any, fused: bool) -> Any:
    """Pixel (y, x), as torch rounds it."""
    r, c = np.int64(rows.down.first[y]), np.int64(columns.down.first[x])
    a, b = columns.down.weights[0, x], columns.down.weights[1, x]
    one = _larger(cells, rows.up, columns.up, r, c, fused)
    two = _larger(cells, rows.up, columns.up, r, c + 1, fused)
    three = _larger(cells, rows.up, columns.up, r + 1, c, fused)
    four = _larger(cells, rows.up, columns.up, r + 1, c + 1, fused)
    upper, lower = _between(one, two, a, b, fused), _between(three, four, a, b, fused)
    return _between(upper, lower, rows.down.weights[0, y], rows.down.weights[1, y], fused)


@in_order
def _resized(cells: Any, rows: Resizes, columns: Resizes, fused: bool, every: int, out: Any) -> None:
    """Some rows of pixels of ``cells`` (h, w), as torch rounds them, into ``out`` (m, W)."""
    for y in range(len(out)):
        for x in range(len(out[0])):
            out[y, x] = _exactly(cells, rows, columns, y * every, x, fused)


@compiled
def _busy(cells: Any, low: Any) -> tuple[int, int, int, int]:
    """The first row and column of ``cells`` (h, w) with one above ``low``, and those after the last; zeros if none."""
    h, w = cells.shape
    top, bottom, left, right = h, 0, w, 0
    for r in range(h):
        for c in range(w):
            if cells[r, c] > low:
                top, bottom, left, right = min(top, r), r + 1, min(left, c), max(right, c + 1)
    return (top, bottom, left, right) if bottom else (0, 0, 0, 0)


@compiled
def _touched(step: Resize, first: int, last: int) -> tuple[int, int]:
    """The range of pixels that cells [first, last) are part of."""
    begin, end = 0, len(step.first)
    while begin < end and step.first[begin] + len(step.weights) <= first:
        begin += 1
    while end > begin and step.first[end - 1] >= last:
        end -= 1
    return begin, end


@compiled
def _spread(row: Any, step: Resize, out: Any, begin: int, end: int) -> None:
    """Pixels [begin, end) of a ``row`` of cells (w,), into ``out`` (n,)."""
    first = step.first[begin:end]
    for x in range(len(out)):
        out[x] = F(0.0)
    for k in range(len(step.weights)):
        weights, cells = step.weights[k, begin:end], row[k:]
        for x in range(len(out)):
            out[x] += weights[x] * cells[np.uint32(first[x])]


@compiled
def _blend(spread: Any, step: Resize, y: int, begin: int, out: Any) -> None:
    """Row ``y`` of pixels, from column ``begin`` on, of ``spread`` rows of cells (h, W), into ``out`` (n,)."""
    for x in range(len(out)):
        out[x] = F(0.0)
    for k in range(len(step.weights)):
        weight, cells = step.weights[k, y], spread[step.first[y] + k, begin : begin + len(out)]
        for x in range(len(out)):
            out[x] += weight * cells[x]


@compiled
def _count(line: Any, low: Any, middle: Any, high: Any, error: Any) -> Any:
    """Pixels of ``line`` (n,) above each threshold, and nearer to one than ``error``."""
    a, b, c, near = F(0.0), F(0.0), F(0.0), F(0.0)
    for x in range(len(line)):
        v = line[x]
        a += F(1.0) if v > low else F(0.0)
        b += F(1.0) if v > middle else F(0.0)
        c += F(1.0) if v > high else F(0.0)
        distance = min(min(abs(v - low), abs(v - middle)), abs(v - high))
        near += F(1.0) if distance <= error else F(0.0)
    return a, b, c, near


@compiled
def _correct(
    cells: Any,
    rows: Resizes,
    columns: Resizes,
    fused: bool,
    y: int,
    line: Any,
    begin: int,
    low: Any,
    middle: Any,
    high: Any,
    error: Any,
) -> None:
    """Pixels of ``line`` (n,), row ``y`` from column ``begin`` on, that are near a threshold: as torch rounds them."""
    for x in range(len(line)):
        v = line[x]
        if min(min(abs(v - low), abs(v - middle)), abs(v - high)) <= error:
            line[x] = _exactly(cells, rows, columns, y, begin + x, fused)


@compiled
def _measure(
    logits: Any, rows: Resizes, columns: Resizes, fused: bool, low: Any, middle: Any, high: Any, found: Any
) -> None:
    """Pixels above ``low``, ``middle`` and ``high``, and the box of those above ``middle`` (x0, y0, x1, y1, the last
    included), into ``found`` (m, 7), which is zero."""
    h, w, taps = len(logits[0]), len(logits[0, 0]), len(rows.both.weights)
    width = len(columns.both.first)
    spread = np.empty((h, width), np.float32)
    line, most = np.empty(width, np.float32), np.empty(width, np.float32)
    for i in range(len(logits)):
        cells, peak = logits[i], F(0.0)
        for r in range(h):
            for c in range(w):
                peak = max(peak, abs(cells[r, c]))
        error = ROUNDING * peak
        top, bottom, left, right = _busy(cells, low - error)
        y_begin, y_end = _touched(rows.both, top, bottom)
        begin, end = _touched(columns.both, left, right)
        if bottom == 0 or y_begin >= y_end or begin >= end:
            continue
        for r in range(rows.both.first[y_begin], rows.both.first[y_end - 1] + taps):
            _spread(cells[r], columns.both, spread[r, begin:end], begin, end)
        for x in range(begin, end):
            most[x] = -np.inf
        y0, y1 = -1, -1
        for y in range(y_begin, y_end):
            _blend(spread, rows.both, y, begin, line[begin:end])
            a, b, c, near = _count(line[begin:end], low, middle, high, error)
            if near:
                _correct(cells, rows, columns, fused, y, line[begin:end], begin, low, middle, high, error)
                a, b, c, _ = _count(line[begin:end], low, middle, high, error)
            found[i, 0] += int(a)
            found[i, 1] += int(b)
            found[i, 2] += int(c)
            if b:
                y0, y1 = y if y0 < 0 else y0, y
                for x in range(begin, end):
                    most[x] = max(most[x], line[x])
        if y0 >= 0:
            x0, x1 = width, 0
            for x in range(begin, end):
                if most[x] > middle:
                    x0, x1 = min(x0, x), x
            found[i, 3], found[i, 4], found[i, 5], found[i, 6] = x0, y0, x1, y1

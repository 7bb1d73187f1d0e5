"""What `_sam_cpu.py` does between products, in few passes over memory: loops in Python that numba compiles.

Torch reads and writes its arrays once a step, its exponential and its GELU take two to four times as long as those
here, and it has no quick way for the many small products of 16 channels. Arrays are float32, pixels last and contiguous;
the largest may be bfloat16, for which numpy has no name: the bits are uint16. A stretch of pixels at a time stays in the
first cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

F = np.float32
STRETCH = 512  # pixels
# no errno, no order of sums that has to be kept; infinities and NaN are for none of these arrays
compiled: Any = njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp", "nnan"})
in_order: Any = njit(nogil=True, error_model="numpy")  # every rounding as written
_inlined: Any = njit(inline="always", error_model="numpy")  # with the flags of the caller

# Least-maximum fits: of (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2, to 3e-9, and of erf(x / sqrt(2)) / x for
# |x| <= REACH as a polynomial in 2 (x / REACH)^2 - 1, to 3e-8
EXP = tuple(np.array([0.49999994, 0.1666652, 0.041668393, 0.008368781, 0.0013814464], F))
REACH = F(5.2)
ERF = tuple(
    np.array(
        [
            *(0.27189997, -0.13548762, 0.10005222, -0.07985079, 0.06392465, -0.0495269, 0.036267847, -0.02470672),
            *(0.01602018, -0.010134735, 0.005324884, -0.0019570317, 0.0012015204, -0.0011245807, 0.00040477936),
        ],
        F,
    )
)
LOG2_HIGH, LOG2_LOW = F(0.693359375), F(-2.12194440e-4)  # the first with so few digits that n times it is exact


@_inlined
def exp(x: Any) -> Any:
    """exp(x) of x <= 88, to 2e-7 of its value; below -87 as there."""
    x = max(x, F(-87.0))
    n = np.floor(x * F(1.44269504) + F(0.5))
    r = (x - n * LOG2_HIGH) - n * LOG2_LOW
    y = EXP[4]
    for k in range(3, -1, -1):
        y = y * r + EXP[k]
    power = (np.int32(n) + np.int32(127)) << np.int32(23)
    return (y * (r * r) + r + F(1.0)) * np.int32(power).view(np.float32)


@_inlined
def gelu(x: Any) -> Any:
    """x Phi(x), to 1e-6."""
    z = min(max(x, -REACH), REACH)
    t = z * z * F(2.0 / 5.2**2) - F(1.0)
    y = ERF[14]
    for k in range(13, -1, -1):
        y = y * t + ERF[k]
    return x * F(0.5) * (F(1.0) + z * y)


@_inlined
def _widen(bits: Any) -> Any:
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@_inlined
def _narrow(x: Any) -> Any:
    bits = np.float32(x).view(np.uint32)
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


def wide(x: Any) -> Any:
    """A number of an array as float32."""


def fit(x: Any, array: Any) -> Any:
    """The float32 ``x`` as ``array`` holds it, rounded to nearest, ties to even."""


@overload(wide, strict=False)
def _wide(x: Any) -> Any:
    return (lambda x: _widen(x)) if isinstance(x, types.Integer) else (lambda x: x)


@overload(fit, strict=False)
def _fit(x: Any, array: Any) -> Any:
    return (lambda x, array: _narrow(x)) if isinstance(array.dtype, types.Integer) else (lambda x, array: x)


@compiled
def largest(x: Any) -> Any:
    """The largest of ``x`` (n,): of whole numbers in the same order as the floats, which LLVM has vectors for."""
    most, rest = np.int32(-(2**31)), np.int32(2**31 - 1)
    for p in range(len(x)):
        bits = np.float32(x[p]).view(np.int32)
        most = max(most, np.int32(bits ^ ((bits >> np.int32(31)) & rest)))
    return np.int32(most ^ ((most >> np.int32(31)) & rest)).view(np.float32)


@compiled
def _mix(into: Any, own: Any, fixed: Any, rho: Any, at: int, n: int) -> None:
    """n columns of ``rho`` (N,) ``own`` + ``fixed`` (d, N) from ``at`` on, ``into`` (d, .)."""
    factor = rho[at : at + n]
    for k in range(len(into)):
        out, one, two = into[k, :n], own[k, at : at + n], fixed[k, at : at + n]
        for p in range(n):
            out[p] = factor[p] * one[p] + two[p]


@compiled
def _combine(into: Any, factors: Any, rows: Any, at: int, n: int) -> None:
    """``into`` (t, .) plus ``factors`` (t, d) times n columns of ``rows`` (d, .) from ``at`` on: two by four at a time,
    so that what was read is used more than once; d is a multiple of four."""
    t, d = factors.shape
    pairs = t - t % 2
    for k in range(0, d, 4):
        one, two = rows[k, at : at + n], rows[k + 1, at : at + n]
        three, four = rows[k + 2, at : at + n], rows[k + 3, at : at + n]
        for j in range(0, pairs, 2):
            out, next_out = into[j, :n], into[j + 1, :n]
            a, b, c, e = factors[j, k], factors[j, k + 1], factors[j, k + 2], factors[j, k + 3]
            u, v, x, z = factors[j + 1, k], factors[j + 1, k + 1], factors[j + 1, k + 2], factors[j + 1, k + 3]
            for p in range(n):
                w1, w2, w3, w4 = one[p], two[p], three[p], four[p]
                out[p] += a * w1 + b * w2 + (c * w3 + e * w4)
                next_out[p] += u * w1 + v * w2 + (x * w3 + z * w4)
        for j in range(pairs, t):
            out = into[j, :n]
            a, b, c, e = factors[j, k], factors[j, k + 1], factors[j, k + 2], factors[j, k + 3]
            for p in range(n):
                out[p] += a * one[p] + b * two[p] + (c * three[p] + e * four[p])


@compiled
def _dots(into: Any, x: Any, rows: Any, at: int, n: int) -> None:
    """``into`` (t, d) plus the products of ``x`` (t, .) with n columns of ``rows`` (d, .) from ``at`` on; d is a multiple
    of four."""
    t, d = into.shape
    for k in range(0, d, 4):
        one, two = rows[k, at : at + n], rows[k + 1, at : at + n]
        three, four = rows[k + 2, at : at + n], rows[k + 3, at : at + n]
        for j in range(t):
            y = x[j, :n]
            a, b, c, e = F(0.0), F(0.0), F(0.0), F(0.0)
            for p in range(n):
                a += y[p] * one[p]
                b += y[p] * two[p]
                c += y[p] * three[p]
                e += y[p] * four[p]
            into[j, k] += a
            into[j, k + 1] += b
            into[j, k + 2] += c
            into[j, k + 3] += e


@compiled
def _begin(into: Any, low: Any, row: int, at: int, n: int) -> None:
    """n columns of the rows of ``low`` from ``row`` on, or zeros if it has no rows, ``into`` (t, .)."""
    for j in range(len(into)):
        out = into[j]
        if len(low):
            one = low[row + j, at : at + n]
            for p in range(n):
                out[p] = wide(one[p])
        else:
            for p in range(n):
                out[p] = F(0.0)


@compiled
def over_pixels(
    queries: Any, own: Any, fixed: Any, low: Any, rho: Any, value: Any, weights: Any, found: Any, totals: Any
) -> None:
    """Attention of tokens to pixels. ``weights`` (H T, N) over ``totals`` (H T,) are the softmax over pixels of
    ``queries`` (H, T, d) times ``rho`` (N,) ``own`` + ``fixed`` (H, d, N), plus ``low`` (H T or 0, N); ``found``
    (H, T, d) are weights times rho ``value`` (H, d, N)."""
    heads, t, d = queries.shape
    n = own.shape[-1]
    mixed, logits = np.empty((d, STRETCH), np.float32), np.empty((t, n), np.float32)
    part, tops = np.empty((t, STRETCH), np.float32), np.empty(t, np.float32)
    for h in range(heads):
        for j in range(t):
            totals[h * t + j] = F(0.0)
            for k in range(d):
                found[h, j, k] = F(0.0)
        for at in range(0, n, STRETCH):
            count = min(n, at + STRETCH) - at
            _mix(mixed, own[h], fixed[h], rho, at, count)
            _begin(part, low, h * t, at, count)
            _combine(part, queries[h], mixed, 0, count)
            for j in range(t):
                one, out = part[j], logits[j, at : at + count]
                for p in range(count):
                    out[p] = one[p]
        for j in range(t):
            tops[j] = largest(logits[j])
        for at in range(0, n, STRETCH):
            count = min(n, at + STRETCH) - at
            factor = rho[at : at + count]
            for j in range(t):
                one, out, scaled = logits[j, at : at + count], weights[h * t + j, at : at + count], part[j, :count]
                top, total = tops[j], F(0.0)
                for p in range(count):
                    x = exp(one[p] - top)
                    total += x
                    out[p] = fit(x, out)
                    scaled[p] = x * factor[p]
                totals[h * t + j] += total
            _dots(found[h], part, value[h], at, count)


@compiled
def over_tokens(keys: Any, own: Any, fixed: Any, low: Any, rho: Any, columns: Any) -> None:
    """Attention of pixels to tokens: ``columns`` (H T, N) are the softmax over tokens of ``keys`` (H, T, d) times ``rho``
    (N,) ``own`` + ``fixed`` (H, d, N), plus ``low`` (H T or 0, N)."""
    heads, t, d = keys.shape
    n = own.shape[-1]
    mixed, part = np.empty((d, STRETCH), np.float32), np.empty((t, STRETCH), np.float32)
    top, total = np.empty(STRETCH, np.float32), np.empty(STRETCH, np.float32)
    for h in range(heads):
        for at in range(0, n, STRETCH):
            count = min(n, at + STRETCH) - at
            _mix(mixed, own[h], fixed[h], rho, at, count)
            _begin(part, low, h * t, at, count)
            _combine(part, keys[h], mixed, 0, count)
            for p in range(count):
                top[p], total[p] = part[0, p], F(0.0)
            for j in range(1, t):
                one = part[j]
                for p in range(count):
                    top[p] = max(top[p], one[p])
            for j in range(t):
                one = part[j]
                for p in range(count):
                    x = exp(one[p] - top[p])
                    one[p] = x
                    total[p] += x
            for p in range(count):
                total[p] = F(1.0) / total[p]
            for j in range(t):
                one, out = part[j], columns[h * t + j, at : at + count]
                for p in range(count):
                    out[p] = fit(one[p] * total[p], out)


@compiled
def normalise(
    columns: Any, values: Any, lifted: Any, gram: Any, rho: Any, energy: Any, channels: int, eps: float
) -> None:
    """The layer norm of `_sam_keys.py`, in place: ``columns`` C (K, N) and ``rho`` (N,) by r, of U F, which is ``values``
    (heads of all layers, T, d) and 1 times ``lifted`` (the same, d + 1, N), ``gram`` U U' C (K, N), ``energy`` (N,)."""
    heads, t, d = values.shape
    n = columns.shape[-1]
    sums, cross = np.empty(STRETCH, np.float32), np.empty((t, STRETCH), np.float32)
    for at in range(0, n, STRETCH):
        count = min(n, at + STRETCH) - at
        factor, power = rho[at : at + count], energy[at : at + count]
        for p in range(count):
            sums[p] = factor[p] * factor[p] * power[p]
        for h in range(heads):
            for j in range(t):
                one, two = cross[j], lifted[h, d, at : at + count]
                for p in range(count):
                    one[p] = two[p]
            _combine(cross, values[h], lifted[h], at, count)
            for j in range(t):
                one, two = columns[h * t + j, at : at + count], cross[j, :count]
                three = gram[h * t + j, at : at + count]
                for p in range(count):
                    sums[p] += wide(one[p]) * (F(2.0) * factor[p] * two[p] + wide(three[p]))
        for p in range(count):
            x = F(1.0) / np.sqrt(max(sums[p], F(0.0)) / F(channels) + F(eps))
            sums[p] = x
            factor[p] *= x
        for k in range(heads * t):
            one = columns[k, at : at + count]
            for p in range(count):
                one[p] = fit(wide(one[p]) * sums[p], one)


@compiled
def rise(x: Any, image: Any, rho: Any, fixed: Any, gain: Any, bias: Any, eps: float) -> None:
    """``x`` + ``rho`` (N,) ``image`` + ``fixed`` (4 c'), then layer norm over the c' channels (their mean is zero) and
    GELU, in place; ``x`` and ``image`` (4 c', N), the four pixels of a channel beside one another."""
    m, n = x.shape
    channels = m // 4
    sums, part = np.empty(STRETCH, np.float32), np.empty((channels, STRETCH), np.float32)
    for at in range(0, n, STRETCH):
        count = min(n, at + STRETCH) - at
        factor = rho[at : at + count]
        for s in range(4):
            for p in range(count):
                sums[p] = F(0.0)
            for c in range(channels):
                one, two, shift = x[4 * c + s, at : at + count], image[4 * c + s, at : at + count], fixed[4 * c + s]
                out = part[c]
                for p in range(count):
                    y = wide(one[p]) + factor[p] * two[p] + shift
                    out[p] = y
                    sums[p] += y * y
            for p in range(count):
                sums[p] = F(1.0) / np.sqrt(sums[p] / F(channels) + F(eps))
            for c in range(channels):
                one, out, by, to = part[c], x[4 * c + s, at : at + count], gain[c], bias[c]
                for p in range(count):
                    out[p] = fit(gelu(one[p] * sums[p] * by + to), out)


@compiled
def draw(x: Any, bias: Any, weights: Any, masks: Any, begin: int) -> None:
    """GELU of ``x`` (4 c'', n) + ``bias`` (4 c''), then its product with ``weights`` (k, c''), into n pixels of
    ``masks`` (k, 4, .) from ``begin`` on."""
    channels, n = x.shape[0] // 4, x.shape[1]
    one = np.empty(STRETCH, np.float32)
    for s in range(4):
        for at in range(0, n, STRETCH):
            count = min(n, at + STRETCH) - at
            first = begin + at
            for k in range(len(weights)):
                out = masks[k, s, first : first + count]
                for p in range(count):
                    out[p] = F(0.0)
            for c in range(channels):
                row, shift = x[4 * c + s, at : at + count], bias[4 * c + s]
                for p in range(count):
                    one[p] = gelu(wide(row[p]) + shift)
                for k in range(len(weights)):
                    out, by = masks[k, s, first : first + count], weights[k, c]
                    for p in range(count):
                        out[p] += by * one[p]


@compiled
def over_keys(scores: Any, by_row: Any, by_column: Any, totals: Any) -> None:
    """``scores`` (m, h w) plus ``by_row`` (m, h) and ``by_column`` (m, w), in place: over ``totals`` (m,) they are the
    softmax over the keys, which are h rows of w."""
    m, h, w = len(scores), by_row.shape[1], by_column.shape[1]
    line = np.empty(h * w, np.float32)
    for i in range(m):
        one, rows, columns, total = scores[i], by_row[i], by_column[i], F(0.0)
        for y in range(h):
            part, out, row = one[y * w : y * w + w], line[y * w : y * w + w], wide(rows[y])
            for x in range(w):
                out[x] = wide(part[x]) + row + wide(columns[x])
        top = largest(line)
        for x in range(h * w):
            y = exp(line[x] - top)
            total += y
            one[x] = fit(y, one)
        totals[i] = total

"""What `_sam_cpu.py` does between products, in one pass over memory each: loops in Python that numba compiles.

Torch reads and writes its arrays once a step, its exponential and its GELU take two to four times as long as those
here, and a sum over tokens or channels is slow where pixels are the last dimension. Arrays are float32, pixels last and
contiguous; a stretch of pixels at a time stays in the first cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

F = np.float32
STRETCH = 512  # pixels
# no errno, no order of sums that has to be kept; infinities and NaN are for none of these arrays
_compiled: Any = njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp", "nnan"})
_inlined: Any = njit(inline="always", error_model="numpy", fastmath={"contract", "nsz", "nnan"})

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
def _combine(out: Any, factors: Any, rows: Any, at: int) -> None:
    """``out`` (n,) plus ``factors`` (d,) times n columns of ``rows`` (d, .) from ``at`` on, four rows a pass."""
    d, n = len(factors), len(out)
    whole = d - d % 4
    for k in range(0, whole, 4):
        a, b, c, e = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        one, two = rows[k, at : at + n], rows[k + 1, at : at + n]
        three, four = rows[k + 2, at : at + n], rows[k + 3, at : at + n]
        for p in range(n):
            out[p] += a * one[p] + b * two[p] + (c * three[p] + e * four[p])
    for k in range(whole, d):
        a, one = factors[k], rows[k, at : at + n]
        for p in range(n):
            out[p] += a * one[p]


@njit(inline="always", error_model="numpy", fastmath={"contract", "reassoc", "nsz", "nnan"})
def _dots(sums: Any, x: Any, rows: Any, at: int) -> None:
    """``sums`` (d,) plus the products of ``x`` (n,) with n columns of ``rows`` (d, .) from ``at`` on."""
    d, n = len(sums), len(x)
    whole = d - d % 4
    for k in range(0, whole, 4):
        one, two = rows[k, at : at + n], rows[k + 1, at : at + n]
        three, four = rows[k + 2, at : at + n], rows[k + 3, at : at + n]
        a, b, c, e = F(0.0), F(0.0), F(0.0), F(0.0)
        for p in range(n):
            a += x[p] * one[p]
            b += x[p] * two[p]
            c += x[p] * three[p]
            e += x[p] * four[p]
        sums[k] += a
        sums[k + 1] += b
        sums[k + 2] += c
        sums[k + 3] += e
    for k in range(whole, d):
        a, one = F(0.0), rows[k, at : at + n]
        for p in range(n):
            a += x[p] * one[p]
        sums[k] += a


@_inlined
def _mixed(mix: Any, own: Any, fixed: Any, rho: Any, at: int, n: int) -> None:
    """n columns of ``rho`` (N,) ``own`` + ``fixed`` (d, N) from ``at`` on, into ``mix`` (d, .)."""
    factor = rho[at : at + n]
    for k in range(len(mix)):
        out, one, two = mix[k, :n], own[k, at : at + n], fixed[k, at : at + n]
        for p in range(n):
            out[p] = factor[p] * one[p] + two[p]


@_compiled
def over_pixels(
    queries: Any, own: Any, fixed: Any, low: Any, rho: Any, value: Any, weights: Any, found: Any
) -> None:
    """Attention of tokens to pixels: ``weights`` (H T, N) are the softmax over pixels of ``queries`` (H, T, d) times
    ``rho`` (N,) ``own`` + ``fixed`` (H, d, N), plus ``low`` (H T, N) if given; ``found`` (H, T, d) their product with
    rho ``value`` (H, d, N)."""
    heads, t, d = queries.shape
    n = own.shape[-1]
    mix, tops = np.empty((d, STRETCH), np.float32), np.empty(t, np.float32)
    scaled = np.empty(STRETCH, np.float32)
    for h in range(heads):
        tops[:] = F(-np.inf)
        for start in range(0, n, STRETCH):
            stop = min(n, start + STRETCH)
            count = stop - start
            _mixed(mix, own[h], fixed[h], rho, start, count)
            for j in range(t):
                out = weights[h * t + j, start:stop]
                if low is None:
                    out[:] = F(0.0)
                else:
                    out[:] = low[h * t + j, start:stop]
                _combine(out, queries[h, j], mix, 0)
                top = tops[j]
                for p in range(count):
                    top = max(top, out[p])
                tops[j] = top
        for j in range(t):
            total, sums = F(0.0), found[h, j]
            sums[:] = F(0.0)
            for start in range(0, n, STRETCH):
                stop = min(n, start + STRETCH)
                count = stop - start
                out, factor = weights[h * t + j, start:stop], rho[start:stop]
                for p in range(count):
                    x = exp(out[p] - tops[j])
                    out[p] = x
                    total += x
                    scaled[p] = x * factor[p]
                _dots(sums, scaled[:count], value[h], start)
            share = F(1.0) / total
            for k in range(d):
                sums[k] *= share
            out = weights[h * t + j]
            for p in range(n):
                out[p] *= share


@_compiled
def over_tokens(keys: Any, own: Any, fixed: Any, low: Any, rho: Any, columns: Any) -> None:
    """Attention of pixels to tokens: ``columns`` (H T, N) are the softmax over tokens of ``keys`` (H, T, d) times ``rho``
    (N,) ``own`` + ``fixed`` (H, d, N), plus ``low`` (H T, N) if given."""
    heads, t, d = keys.shape
    n = own.shape[-1]
    mix, top, total = np.empty((d, STRETCH), np.float32), np.empty(STRETCH, np.float32), np.empty(STRETCH, np.float32)
    for h in range(heads):
        for start in range(0, n, STRETCH):
            stop = min(n, start + STRETCH)
            count = stop - start
            _mixed(mix, own[h], fixed[h], rho, start, count)
            top[:] = F(-np.inf)
            for j in range(t):
                out = columns[h * t + j, start:stop]
                if low is None:
                    out[:] = F(0.0)
                else:
                    out[:] = low[h * t + j, start:stop]
                _combine(out, keys[h, j], mix, 0)
                for p in range(count):
                    top[p] = max(top[p], out[p])
            total[:] = F(0.0)
            for j in range(t):
                out = columns[h * t + j, start:stop]
                for p in range(count):
                    x = exp(out[p] - top[p])
                    out[p] = x
                    total[p] += x
            for p in range(count):
                total[p] = F(1.0) / total[p]
            for j in range(t):
                out = columns[h * t + j, start:stop]
                for p in range(count):
                    out[p] *= total[p]


@_compiled
def normalise(
    columns: Any, values: Any, lifted: Any, gram: Any, rho: Any, energy: Any, channels: int, eps: float
) -> None:
    """The layer norm of `_sam_keys.py`, in place: ``columns`` C (K, N) and ``rho`` (N,) by r, of U F, which is ``values``
    (heads of all layers, T, d) and 1 times ``lifted`` (the same, d + 1, N), ``gram`` U U' C (K, N), ``energy`` (N,)."""
    heads, t, d = values.shape
    n = columns.shape[-1]
    sums, cross = np.empty(STRETCH, np.float32), np.empty(STRETCH, np.float32)
    for start in range(0, n, STRETCH):
        stop = min(n, start + STRETCH)
        count = stop - start
        factor, power = rho[start:stop], energy[start:stop]
        for p in range(count):
            sums[p] = factor[p] * factor[p] * power[p]
        for h in range(heads):
            for j in range(t):
                one, three = columns[h * t + j, start:stop], gram[h * t + j, start:stop]
                cross[:count] = lifted[h, d, start:stop]
                _combine(cross[:count], values[h, j], lifted[h], start)
                for p in range(count):
                    sums[p] += one[p] * (F(2.0) * factor[p] * cross[p] + three[p])
        for p in range(count):
            x = F(1.0) / np.sqrt(max(sums[p], F(0.0)) / F(channels) + F(eps))
            sums[p] = x
            factor[p] *= x
        for j in range(heads * t):
            one = columns[j, start:stop]
            for p in range(count):
                one[p] *= sums[p]


@_compiled
def rise(x: Any, image: Any, rho: Any, fixed: Any, gain: Any, bias: Any, eps: float) -> None:
    """``x`` + ``rho`` (N,) ``image`` + ``fixed`` (4 c'), then layer norm over the c' channels (their mean is zero) and
    GELU, in place; ``x`` and ``image`` (4 c', N), the four pixels of a channel beside one another."""
    m, n = x.shape
    channels = m // 4
    sums = np.empty(STRETCH, np.float32)
    for start in range(0, n, STRETCH):
        stop = min(n, start + STRETCH)
        count = stop - start
        factor = rho[start:stop]
        for s in range(4):
            for p in range(count):
                sums[p] = F(0.0)
            for c in range(channels):
                one, two, shift = x[4 * c + s, start:stop], image[4 * c + s, start:stop], fixed[4 * c + s]
                for p in range(count):
                    y = one[p] + factor[p] * two[p] + shift
                    one[p] = y
                    sums[p] += y * y
            for p in range(count):
                sums[p] = F(1.0) / np.sqrt(sums[p] / F(channels) + F(eps))
            for c in range(channels):
                one, by, to = x[4 * c + s, start:stop], gain[c], bias[c]
                for p in range(count):
                    one[p] = gelu(one[p] * sums[p] * by + to)


@_compiled
def draw(x: Any, bias: Any, weights: Any, masks: Any, at: int) -> None:
    """GELU of ``x`` (4 c'', n) + ``bias`` (4 c''), then its product with ``weights`` (k, c''), into n pixels of
    ``masks`` (k, 4, .) from ``at`` on."""
    channels, n = x.shape[0] // 4, x.shape[1]
    one = np.empty(STRETCH, np.float32)
    for s in range(4):
        for start in range(0, n, STRETCH):
            stop = min(n, start + STRETCH)
            count = stop - start
            for k in range(len(weights)):
                out = masks[k, s, at + start : at + stop]
                for p in range(count):
                    out[p] = F(0.0)
            for c in range(channels):
                row, shift = x[4 * c + s, start:stop], bias[4 * c + s]
                for p in range(count):
                    one[p] = gelu(row[p] + shift)
                for k in range(len(weights)):
                    out, by = masks[k, s, at + start : at + stop], weights[k, c]
                    for p in range(count):
                        out[p] += by * one[p]

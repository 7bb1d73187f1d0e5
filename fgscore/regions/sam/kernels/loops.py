"""What `sam/kernels/cpu.py` does between products, in few passes over memory: loops in Python that numba compiles.

Torch reads and writes its arrays once a step, its exponential and its GELU take two to four times as long as those
here, and it has no quick way for many small products of 16 channels. Arrays are float32, pixels last and contiguous;
where `wide` and `fit` are, bfloat16 as well, for which numpy has no name: the bits are uint16. A stretch of pixels at a
time stays in the nearest caches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fgscore.regions.sam.kernels.numbers import F, compiled, exp, fit, gelu, largest, wide

STRETCH = 512  # pixels


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
    """``into`` (t, d) plus the products of ``x`` (t, .) with n columns of ``rows`` (d, .) from ``at`` on; d as in
    `_combine`."""
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
    """n columns of t rows of ``low`` from ``row`` on, ``into`` (t, .)."""
    for j in range(len(into)):
        out, one = into[j], low[row + j, at : at + n]
        for p in range(n):
            out[p] = wide(one[p])


@compiled
def over_pixels(
    queries: Any, own: Any, fixed: Any, low: Any, rho: Any, value: Any, weights: Any, found: Any, totals: Any
) -> None:
    """Attention of tokens to pixels. ``weights`` (H T, N) over ``totals`` (H T,) are the softmax over pixels of
    ``queries`` (H, T, d) times ``rho`` (N,) ``own`` + ``fixed`` (H, d, N), plus ``low`` (H T, N); ``found``
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
    """Attention of pixels to tokens: ``columns`` (H T, N) are the softmax over tokens of ``keys`` (H, T, d) times
    ``rho`` (N,) ``own`` + ``fixed`` (H, d, N), plus ``low`` (H T, N)."""
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
    """The layer norm of `sam/keys.py`, in place: ``columns`` C (K, N) and ``rho`` (N,) by r. ``gram`` is U U' C,
    ``energy`` |F|^2 (N,); U F is ``values`` (heads of all layers, T, d), and 1, by ``lifted`` (heads, d + 1, N)."""
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
def rise(x: Any, image: Any, rho: Any, fixed: Any, gain: Any, bias: Any, eps: float, found: Any) -> None:
    """``x`` + ``rho`` (N,) ``image`` + ``fixed`` (4 c'), then layer norm over the c' channels (their mean is zero) and
    GELU, into ``found``; it, ``x`` and ``image`` (4 c', N), the four pixels of a channel beside one another."""
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
                one, out, by, to = part[c], found[4 * c + s, at : at + count], gain[c], bias[c]
                for p in range(count):
                    out[p] = gelu(one[p] * sums[p] * by + to)


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
                    one[p] = gelu(row[p] + shift)
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
            weight = exp(line[x] - top)
            total += weight
            one[x] = fit(weight, one)
        totals[i] = total

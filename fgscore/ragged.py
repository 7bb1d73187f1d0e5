"""Everything that knows about offsets: N segments of a flat array, segment i being ``offsets[i]:offsets[i + 1]``.

Segments may be empty. Public functions check; arrays are never changed in place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def lengths(offsets: np.ndarray) -> np.ndarray:
    """(N,) int64: the length of each segment."""
    return np.diff(offsets)


def segment_ids(offsets: np.ndarray) -> np.ndarray:
    """(R,) int64: the segment of each element."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def from_lengths(lengths: np.ndarray) -> np.ndarray:
    """(N+1,) int64 offsets of segments of the given lengths (N,)."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def take(offsets: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep some segments: ``keep`` (K,) integer positions. Returns (elements, new offsets): the flat positions of the
    kept segments in their new order, (R',) int64, and (K+1,) int64."""
    sizes = np.diff(offsets)[keep]
    new = from_lengths(sizes)
    within = np.arange(new[-1]) - np.repeat(new[:-1], sizes)
    return np.repeat(offsets[:-1][keep], sizes) + within, new


def span(offsets: np.ndarray, segments: slice) -> tuple[slice, np.ndarray]:
    """The segments ``start:stop``, none skipped. Returns (the slice of their elements, new offsets): a view of flat
    values where :func:`take` would copy them."""
    start, stop, step = segments.indices(len(offsets) - 1)
    if step != 1 or stop < start:
        raise ValueError(f"segments: expected start <= stop in steps of 1, found {segments}")
    first, last = int(offsets[start]), int(offsets[stop])
    return slice(first, last), offsets[start : stop + 1] - first


def join(several: Sequence[np.ndarray]) -> np.ndarray:
    """(N+1,) int64 offsets of the segments of ``several``, at least one, as if their flat values were joined."""
    return from_lengths(np.concatenate([np.diff(offsets) for offsets in several]))


def window(offsets: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Elements ``start`` to ``stop`` of each segment, as many as there are. Returns (elements, new offsets) as
    :func:`take`."""
    if not 0 <= start < stop:
        raise ValueError(f"window: expected 0 <= start < stop, found {start} and {stop}")
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
    kept = np.flatnonzero((within >= start) & (within < stop))
    return kept, from_lengths(np.clip(np.diff(offsets) - start, 0, stop - start))


def rank(scores: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(R,) int64: position of each element within its segment by falling score, ties by position."""
    _check(scores, offsets)
    ids = segment_ids(offsets)
    order = np.lexsort((-scores, ids))  # stable, so that ties keep their position
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = np.arange(len(scores)) - offsets[:-1][ids]
    return ranks


def topk(scores: np.ndarray, offsets: np.ndarray, k: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` best of each segment (all with None). Returns (elements, new offsets) as :func:`take`, best first."""
    if k is not None and k < 1:
        raise ValueError(f"k: expected at least 1, found {k}")
    ranks = rank(scores, offsets)
    ids = segment_ids(offsets)
    kept = np.flatnonzero(ranks < (len(scores) if k is None else k))
    kept = kept[np.lexsort((ranks[kept], ids[kept]))]
    return kept, from_lengths(np.bincount(ids[kept], minlength=len(offsets) - 1))


def softmax(scores: np.ndarray, offsets: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(R,) float32: softmax of scores / temperature within each segment; computed in float64."""
    _check(scores, offsets)
    ids = segment_ids(offsets)
    z = scores.astype(np.float64) / temperature
    largest = np.full(len(offsets) - 1, -np.inf)
    np.maximum.at(largest, ids, z)
    e = np.exp(z - largest[ids])
    return (e / np.bincount(ids, e, minlength=len(offsets) - 1)[ids]).astype(np.float32)


def mean(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(N, ...) float64: the mean of ``values`` (R, ...) over each segment; NaN for an empty one."""
    sizes = np.diff(offsets).reshape(-1, *([1] * (values.ndim - 1)))
    sums = np.zeros((len(sizes), *values.shape[1:]))
    np.add.at(sums, segment_ids(offsets), values)
    return np.divide(sums, sizes, out=np.full(sums.shape, np.nan), where=sizes > 0)


def weighted_sum(values: np.ndarray, weights: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(N, d) float32: the sum of weights * values over each segment; zero for an empty one.

    ``values`` (R, d), ``weights`` (R,).
    """
    from scipy.sparse import csr_array

    _check(weights, offsets)
    rows = csr_array((weights.astype(np.float32), np.arange(offsets[-1]), offsets), (len(offsets) - 1, len(values)))
    return np.asarray(rows @ values.astype(np.float32, copy=False))


def _check(values: np.ndarray, offsets: np.ndarray) -> None:
    if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(values):
        raise ValueError(f"offsets: expected 0 to {len(values)}, found {offsets[:1]} to {offsets[-1:]}")

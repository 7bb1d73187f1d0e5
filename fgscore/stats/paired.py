"""Error bars and paired tests for accuracies on the same test images. Arrays in, numbers out.

The sampling unit is the test image: what varies is which images were photographed, not how a head was trained. An
outcome is a value an image: 1 where its prediction is right and 0 where not, or the mean of such over several runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
RESAMPLES = 10_000
FEW = 100  # distinct outcomes up to which the multinomial is drawn
IN_MEMORY = 10_000_000  # outcomes drawn at a time


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` images with its percentile interval at ``level``."""

    value: float
    low: float
    high: float
    n: int
    level: float = LEVEL


@dataclass(frozen=True)
class McNemar:
    """``only_a`` and ``only_b``: images that one alone has right; ``p`` two-sided, exact."""

    only_a: int
    only_b: int
    p: float


def bootstrap(outcomes: np.ndarray, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The mean of ``outcomes`` (N,) with its bootstrap percentile interval over images.

    Where outcomes take few values, as right and wrong do, how often each is drawn is drawn at once, from a
    multinomial: the same distribution without drawing N images. Raises ValueError for N = 0.
    """
    outcomes = np.asarray(outcomes, np.float64)
    if outcomes.ndim != 1 or not len(outcomes):
        raise ValueError(f"outcomes: expected (N,) with N of at least 1, found {outcomes.shape}")
    means = _resampled(np.sort(outcomes), resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(outcomes.mean()), float(low), float(high), len(outcomes), level)


def _resampled(outcomes: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """(resamples,) means of N outcomes drawn with replacement."""
    n = len(outcomes)
    values, counts = np.unique(outcomes, return_counts=True)
    if len(values) <= FEW:
        return np.asarray(rng.multinomial(n, counts / n, size=resamples) @ values / n)
    step = max(1, IN_MEMORY // n)
    blocks = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([outcomes[rng.integers(n, size=(size, n))].mean(axis=1) for size in blocks])


def paired_difference(
    a: np.ndarray, b: np.ndarray, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Mean of a - b, outcomes (N,) of the same images in the same order, with its interval: whole pairs are
    resampled."""
    return bootstrap(_paired(a, b), level, resamples, seed)


def mcnemar(a: np.ndarray, b: np.ndarray) -> McNemar:
    """McNemar's exact test on ``a`` and ``b`` (N,) bool, right or not: of the images that one alone has right, is the
    share of each a half? Two-sided binomial; 1 where there are none."""
    from scipy.stats import binomtest

    a, b = _right(a), _right(b)
    _paired(a, b)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    return McNemar(only_a, only_b, float(p))


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """(m,) p-values adjusted for a family of m tests, Holm's step-down way: the error rate of the family is kept
    whatever their dependence."""
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(stepped)
    return adjusted


def tost(a: np.ndarray, b: np.ndarray, margin: float) -> float:
    """p of equivalence: two one-sided tests that the accuracies of ``a`` and ``b`` (N,) bool differ by less than
    ``margin`` (0 to 1). The larger of the two p is returned; below 0.05 the two are equivalent within the margin.

    Each one is Tango's score test of a paired difference (Statistics in Medicine 17, 1998), which keeps its level
    where few images, or none, tell the two apart; a Wald test would call those equivalent on any number of images.
    """
    from scipy.stats import norm

    if not 0 < margin < 1:
        raise ValueError(f"margin: expected a number between 0 and 1, found {margin}")
    a, b = _right(a), _right(b)
    n, only_a, only_b = len(_paired(a, b)), int((a & ~b).sum()), int((b & ~a).sum())
    at_least = score_statistic(only_a, only_b, n, -margin)  # large where a is not worse by the margin
    at_most = score_statistic(only_b, only_a, n, -margin)
    return float(norm.sf(min(at_least, at_most)))


def score_statistic(only_a: int, only_b: int, n: int, delta: float) -> float:
    """Tango's z of the hypothesis that accuracy a less accuracy b is ``delta``, where ``only_a`` of ``n`` images are
    right by a alone and ``only_b`` by b alone. Its variance is that of the likeliest table under the hypothesis."""
    p_b = restricted_share(only_a, only_b, n, delta)
    variance = n * (2 * p_b + delta * (1 - delta))
    numerator = only_a - only_b - n * delta
    return float(numerator / np.sqrt(variance)) if variance > 0 else float(np.sign(numerator) * np.inf)


def restricted_share(only_a: int, only_b: int, n: int, delta: float) -> float:
    """The likeliest share of images that b alone has right, given that the accuracies differ by ``delta``."""
    linear = -only_a - only_b + (2 * n - only_a + only_b) * delta
    constant = -only_b * delta * (1 - delta)
    root = (np.sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
    return float(np.clip(root, max(0.0, -delta), 1.0))


def _right(outcomes: np.ndarray) -> np.ndarray:
    outcomes = np.asarray(outcomes)
    if not np.isin(outcomes, (0, 1)).all():
        raise ValueError("expected right or wrong, found other outcomes; a mean over runs has no such test")
    return outcomes.astype(bool)


def _paired(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"pairs: expected outcomes of the same images, found shapes {a.shape} and {b.shape}")
    return a - b

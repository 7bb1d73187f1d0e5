"""One accuracy with its interval: Wilson's, on the number of images that would give the variance that was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from fgscore.stats.crossed import IMAGES, factor_means, satterthwaite, term
from fgscore.stats.effects import LEVEL


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` images with the ends of its interval at 95 %."""

    value: float
    low: float
    high: float
    n: int


def accuracy(right: np.ndarray, chance: Sequence[str] = ()) -> Estimate:
    """The mean of ``right`` (N images, then a level for each factor of ``chance``), 0 or 1, with its interval.

    Images, and the factors with two levels or more, vary in it. Raises ValueError for another number of axes, or none
    along one.
    """
    y = _checked(right, chance)
    if y[0].size == 1:
        return one_run(float(y.mean()), len(y))
    terms, levels = _terms(y, chance)
    return wilson(float(y.mean()), sum(terms.values()), len(y), satterthwaite(terms, levels))


def one_run(p: float, n: int) -> Estimate:
    """The share ``p`` of ``n`` images that one run has right, with its interval over images."""
    return wilson(p, 0.0, n, max(1, n - 1))


def mean(values: np.ndarray) -> Estimate:
    """The mean of ``values`` (N,), one an image, with Student's interval: of shares and differences of such, which are
    of no run. Of one image the interval is of no width."""
    values = _checked(values, ())
    half = float(student.ppf((1 + LEVEL) / 2, len(values) - 1)) * np.sqrt(term(values)) if len(values) > 1 else 0.0
    value = float(values.mean())
    return Estimate(value, value - float(half), value + float(half), len(values))


def mean_per_class(right: np.ndarray, labels: np.ndarray, chance: Sequence[str] = ()) -> Estimate:
    """The mean over classes of the mean of ``right`` over a class's images, with its interval; ``labels`` (N,) are the
    classes of the images.

    Images vary within their classes, whose number and shares stay. A class of one image is taken to vary as the others
    do on average.
    """
    y = _checked(right, chance)
    classes, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weighted = y * (len(y) / (len(classes) * counts[inverse])).reshape(-1, *[1] * (y.ndim - 1))
    _, levels = _terms(y, chance)
    terms = {f: term(m) for f, m in factor_means(weighted, chance).items() if f != IMAGES and len(m) > 1}
    terms = {IMAGES: _within(y.reshape(len(y), -1).mean(axis=1), inverse, counts), **terms}
    variance = sum(terms.values())
    return wilson(float(np.clip(weighted.mean(), 0, 1)), variance, len(y), satterthwaite(terms, levels))


def _within(means: np.ndarray, inverse: np.ndarray, counts: np.ndarray) -> float:
    """The variance that the images within their classes, each of a mean, bring to the mean over classes."""
    centres = np.bincount(inverse, means) / counts
    squares = np.bincount(inverse, (means - centres[inverse]) ** 2)
    several = counts > 1
    variances = np.full(len(counts), means.var())
    if several.any():
        variances[several] = squares[several] / (counts[several] - 1)
        variances[~several] = variances[several].mean()
    return float((variances / counts).sum() / len(counts) ** 2)


def _terms(y: np.ndarray, chance: Sequence[str]) -> tuple[dict[str, float], dict[str, int]]:
    means = factor_means(y, chance)
    terms = {factor: term(values) for factor, values in means.items() if len(values) > 1}
    return terms, {factor: len(values) for factor, values in means.items()}


def wilson(p: float, variance: float, n: int, df: float, level: float = LEVEL) -> Estimate:
    """Wilson's interval of a share ``p`` with that ``variance`` and ``df`` degrees of freedom: on the number of images
    of which one run would give the variance, on ``n`` where it is zero. It is never of zero width."""
    images = p * (1 - p) / variance if variance > 0 and 0 < p < 1 else n
    z = float(student.ppf((1 + level) / 2, df))
    centre = (p + z * z / 2 / images) / (1 + z * z / images)
    half = z / (1 + z * z / images) * np.sqrt(p * (1 - p) / images + z * z / 4 / images**2)
    low, high = max(0.0, float(centre - half)), min(1.0, float(centre + half))
    return Estimate(p, min(low, p), max(high, p), n)  # at 0 and 1 but for rounding


def _checked(right: np.ndarray, chance: Sequence[str]) -> np.ndarray:
    y = np.asarray(right, np.float64)
    if y.ndim != 1 + len(chance) or not y.size:
        raise ValueError(f"right: expected axes {(IMAGES, *chance)}, with N of at least 1, found {y.shape}")
    return y

"""One difference of two settings, measured on the same images, draws of crops and seeds of a head.

The variance of the mean difference is the sum of what images, draws and seeds bring to it, each from its own means,
with nothing subtracted, so that no term is below what it is; its degrees of freedom are Satterthwaite's. Interval and p
are one Student t: p is below 0.05 exactly where the 95 % interval leaves out zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fgscore.stats.effects import Effect

IMAGES, DRAWS, SEEDS = "images", "draws", "seeds"
ROUNDING = 1e-9  # a mean over runs and settings of less is none


@dataclass(frozen=True)
class Contrast(Effect):
    """A mean difference ``value`` in -1..1.

    ``terms``: the variance that each factor brings to it; ``levels``: how many images, draws and seeds there are, of
    all that chance moves, also of one that was seen once and brings no term; ``differ``: the images on which the two
    settings differ, on the mean over runs; ``df``: degrees of freedom.
    """

    value: float
    terms: Mapping[str, float] = field(hash=False)
    levels: Mapping[str, int] = field(hash=False)
    differ: int
    df: float

    @property
    def n(self) -> int:
        """The number of images."""
        return self.levels[IMAGES]

    @property
    def variance(self) -> float:
        """Of ``value``; above zero."""
        return sum(self.terms.values())

    @property
    def errors(self) -> tuple[tuple[float, float], ...]:
        """Its one standard error, and ``df``."""
        return ((float(np.sqrt(self.variance)), self.df),)

    @property
    def repeats(self) -> int | None:
        """The smaller number of draws and seeds; None where chance moves neither."""
        return min((n for factor, n in self.levels.items() if factor != IMAGES), default=None)

    @property
    def shares(self) -> dict[str, float]:
        """The part of the variance that each factor brings, in 0..1: of what to take more."""
        return {factor: term / self.variance for factor, term in self.terms.items()}


def contrast(differences: np.ndarray, chance: Sequence[str] = ()) -> Contrast:
    """The contrast of ``differences`` (N images, then a level for each factor of ``chance``, 'draws' or 'seeds'): right
    by one setting less right by the other, -1, 0 or 1, or means of such.

    Where every draw has seeds of its own, average them within it, and leave out the factor: what they move is in the
    means of the draws. Two images are added to the means of the images, one won and one lost: an interval is never of
    zero width. Raises ValueError for another number of axes, or none along one.
    """
    d = np.asarray(differences, np.float64)
    if d.ndim != 1 + len(chance) or not d.size:
        raise ValueError(f"differences: expected axes {(IMAGES, *chance)}, at least one long, found {d.shape}")
    means = factor_means(d, chance)
    terms = {factor: term(values) for factor, values in means.items() if factor != IMAGES and len(values) > 1}
    images = np.append(means[IMAGES], (1.0, -1.0))
    terms = {IMAGES: term(images), **terms}
    levels = {factor: len(values) for factor, values in means.items()}
    differ = int((np.abs(means[IMAGES]) > ROUNDING).sum())
    return Contrast(float(d.mean()), terms, levels, differ, satterthwaite(terms, levels))


def factor_means(values: np.ndarray, chance: Sequence[str]) -> dict[str, np.ndarray]:
    """The means of ``values`` by image and by each level of the factors of ``chance``."""
    axes = range(values.ndim)
    return {factor: values.mean(axis=tuple(a for a in axes if a != axis)) if values.ndim > 1 else values
            for axis, factor in enumerate((IMAGES, *chance))}  # fmt: skip


def term(means: np.ndarray) -> float:
    """The variance of the mean of ``means`` (at least two)."""
    return float(means.var(ddof=1)) / len(means)


def satterthwaite(terms: Mapping[str, float], levels: Mapping[str, int]) -> float:
    """Degrees of freedom of a sum of variances, each with one less than its levels; those of images alone where all
    are zero."""
    squares = sum(v * v / max(1, levels[factor] - 1) for factor, v in terms.items())
    return sum(terms.values()) ** 2 / squares if squares > 0 else float(max(1, levels[IMAGES] - 1))


def sharing(rows: Sequence[Contrast]) -> list[Contrast]:
    """``rows`` of one table, those in which the same factors vary with one number of degrees of freedom, from their
    mean terms: each row's own are estimated so badly that whole tables of nothing hold false words."""
    kinds: dict[frozenset[str], list[Contrast]] = {}
    for row in rows:
        kinds.setdefault(frozenset(row.terms), []).append(row)
    df = {}
    for kind, alike in kinds.items():
        terms = {factor: float(np.mean([row.terms[factor] for row in alike])) for factor in kind}
        df[kind] = satterthwaite(terms, {factor: min(row.levels[factor] for row in alike) for factor in kind})
    return [replace(row, df=df[frozenset(row.terms)]) for row in rows]

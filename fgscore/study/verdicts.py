"""From outcomes image by image to a verdict: supported, contradicted or undecided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fgscore.stats import paired as stats

Verdict = Literal["supported", "contradicted", "undecided"]
ALPHA = 0.05


@dataclass(frozen=True)
class Decision:
    """A verdict and the difference that decides it, with its interval; ``p`` for claims of equality."""

    verdict: Verdict
    contrast: str
    estimate: stats.Estimate
    p: float | None = None


def better(contrasts: Mapping[str, np.ndarray]) -> Decision:
    """Whether every contrast, differences (N,) image by image, has a mean above zero.

    Supported where the 95 % interval of each lies above zero: all must hold, so that no correction is needed.
    Contradicted where that of one lies below zero at a level corrected for their number. The contrast with the
    smallest mean is reported, with its 95 % interval.
    """
    estimates = {name: stats.bootstrap(values) for name, values in contrasts.items()}
    strict = {name: stats.bootstrap(values, 1 - ALPHA / len(contrasts)) for name, values in contrasts.items()}
    weakest = min(estimates, key=lambda name: estimates[name].value)
    if all(estimate.low > 0 for estimate in estimates.values()):
        return Decision("supported", weakest, estimates[weakest])
    against = [name for name, estimate in strict.items() if estimate.high < 0]
    if against:
        worst = min(against, key=lambda name: estimates[name].value)
        return Decision("contradicted", worst, estimates[worst])
    return Decision("undecided", weakest, estimates[weakest])


def equal(contrasts: Mapping[str, tuple[np.ndarray, np.ndarray]], margin: float) -> Decision:
    """Whether both of every pair of outcomes, right or wrong (N,), are equally accurate within ``margin`` (0..1).

    Supported where two one-sided tests say so of each pair at 0.05: all must hold. Contradicted where the interval of
    one difference lies outside the margin at a level corrected for their number. The largest difference is reported
    with its 90 % interval, which is what two one-sided tests look at, and ``p`` is the largest p.
    """
    differences = {name: a.astype(float) - b for name, (a, b) in contrasts.items()}
    largest = max(differences, key=lambda name: abs(differences[name].mean()))
    p = max(stats.tost(a, b, margin) for a, b in contrasts.values())
    outside = [name for name, values in differences.items() if _outside(values, margin, len(differences))]
    if p >= ALPHA and outside:
        largest = max(outside, key=lambda name: abs(differences[name].mean()))
    verdict: Verdict = "supported" if p < ALPHA else "contradicted" if outside else "undecided"
    return Decision(verdict, largest, stats.bootstrap(differences[largest], 1 - 2 * ALPHA), p)


def _outside(values: np.ndarray, margin: float, tests: int) -> bool:
    strict = stats.bootstrap(values, 1 - 2 * ALPHA / tests)
    return strict.low > margin or strict.high < -margin

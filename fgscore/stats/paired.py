"""Tests of right and wrong on the same images, and of a family of tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class McNemar:
    """``only_a`` and ``only_b``: images that one alone has right; ``p`` two-sided, exact."""

    only_a: int
    only_b: int
    p: float


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

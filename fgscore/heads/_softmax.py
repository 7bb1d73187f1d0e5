"""Multinomial logistic regression by products in float32: the way to scikit-learn's optimum in two thirds of
its time.

With n images, rows x_i (a last element of 1 for the intercept), classes y_i and l2 = 1 / (n C), what is minimised is

    mean_i (log sum_k exp z_ik - z_i,y_i) + l2 / 2 |W|^2,   z = x W',   the intercepts not in the norm,

by L-BFGS (Nocedal and Wright, Numerical Optimization, section 7.2). scikit-learn leaves that to scipy, whose line
search compares values of the objective: in float32 these are noise long before the gradient is, so that all has to be
float64. The objective is convex, so its slope along a line says where the minimum lies; here that alone decides on a
step, and values are never computed; on rows of length 1 the gradient of what is found is below 1e-8 in float64 too.

The curvature that one fit has found serves the next: for another C it is exact but for l2, which is put right. And a
fit begins at that multiple of the solution before which suits its own C best. Of many fits on features that differ
little, all but the first few begin where the first was at the same C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fgscore.lazy import lazy

MEMORY = 10  # steps that L-BFGS remembers, as scipy's
STEPS = 20  # tried along one line
STEEP, FLAT = 0.9, 0.5  # of the first slope: a step is too short while it goes down as steeply, too long where it rises
LEFT = 1e-4  # of a step's curvature: less is rounding
PATIENCE = 50  # iterations without a smaller gradient: what is left of it is float32's rounding
LARGEST = 2.0**10  # multiple of a solution to begin at


@dataclass(frozen=True, eq=False)
class Step:
    """A step that was taken and the ``change`` of the gradient over it, (K, D + 1) float32."""

    step: np.ndarray
    change: np.ndarray

    @lazy
    def curvature(self) -> float:
        """Of the objective along the step, above zero for it is convex."""
        return _dot(self.step, self.change)

    def at(self, more: float) -> Step | None:
        """The same step where l2 is larger by ``more``; None where too little curvature is left to be known."""
        moved = Step(self.step, self.change + np.float32(more) * _penalised(self.step))
        return moved if moved.curvature > LEFT * self.curvature else None


@dataclass(frozen=True, eq=False)
class Fit:
    """``weight`` (K, D + 1) float64, the intercepts last, for ``classes`` (K,); ``converged`` where no element of the
    gradient is above the tolerance, which on rows much longer than 1 float32 may not reach. ``steps`` and ``l2`` are
    for the next fit."""

    classes: np.ndarray
    weight: np.ndarray
    n_iter: int
    converged: bool
    l2: float
    steps: Sequence[Step] = field(repr=False)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """(N,) classes of ``x`` (N, D)."""
        weight = self.weight.astype(np.float32)
        return np.asarray(self.classes[(x @ weight[:, :-1].T + weight[:, -1]).argmax(axis=1)])


def onward(before: Fit, near: Fit, near_before: Fit) -> Fit:
    """Where to begin at a C at which a problem much like this one has its optimum at ``near``: the optimum at the C
    ``before``, and the way that the other went from there."""
    if not np.array_equal(before.classes, near.classes):
        return before
    return replace(near, weight=before.weight + near.weight - near_before.weight)


class Softmax:
    """The problem for ``x`` (n, D) float32 and ``y`` (n,) of at least two classes."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.classes, self._codes = np.unique(y, return_inverse=True)
        self._x = np.concatenate([x, np.ones((len(x), 1), np.float32)], axis=1)
        self._rows = np.arange(len(x))

    def fit(self, c: float, tolerance: float, max_iter: int, start: Fit | None = None) -> Fit:
        """The optimum at ``c``, from that of another C or of other images where it has the same classes. Two classes
        are regularised as scikit-learn does, which has one row of weights for them."""
        l2 = (2 if len(self.classes) == 2 else 1) / (len(self._x) * c)
        at, steps = np.zeros((len(self.classes), self._x.shape[1])), []
        if start is not None and np.array_equal(start.classes, self.classes):
            at = start.weight * self._multiple(start.weight, l2)
            steps = [moved for step in start.steps if (moved := step.at(l2 - start.l2))]
        now, n_iter = self.gradient(at, l2), 0
        least, since = np.inf, 0
        while (largest := float(np.abs(now).max())) > tolerance and n_iter < max_iter:
            least, since = (largest, 0) if largest < least else (least, since + 1)
            if since > PATIENCE:
                break
            n_iter += 1
            down = _downwards(now, steps)
            first = 1.0 if steps else min(1.0, 1 / float(np.abs(now).sum()))
            step, new = _along(lambda moved: self.gradient(at + moved, l2), down, now, first)  # noqa: B023
            if (taken := Step(step, new - now)).curvature > 0:
                steps = [*steps[-MEMORY + 1 :], taken]
            at, now = at + step, new
        return Fit(self.classes, at, n_iter, largest <= tolerance, l2, steps)

    def gradient(self, at: np.ndarray, l2: float) -> np.ndarray:
        """(K, D + 1) float32, of the objective at ``at`` (K, D + 1)."""
        weight = at.astype(np.float32)
        found = self._residuals(self._x @ weight.T).T @ self._x
        found /= np.float32(len(self._x))
        found += np.float32(l2) * _penalised(weight)
        return np.asarray(found)

    def _residuals(self, logits: np.ndarray) -> np.ndarray:
        """(n, K): probabilities less one at the true class; in place of ``logits``."""
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        logits[self._rows, self._codes] -= 1
        return logits

    def _multiple(self, weight: np.ndarray, l2: float) -> float:
        """The a for which the objective is least at ``a * weight``."""
        from scipy.optimize import brentq

        logits = self._x @ weight.T.astype(np.float32)
        norm = l2 * float(np.square(weight[:, :-1]).sum())

        def slope(a: float) -> float:
            residuals = self._residuals(np.float32(a) * logits)
            return float(np.einsum("nk,nk->", residuals, logits)) / len(logits) + a * norm

        if slope(0.0) >= 0:
            return 1.0
        most = 1.0
        while slope(most) < 0:
            most *= 2
            if most > LARGEST:
                return 1.0
        return float(brentq(slope, 0.0, most, xtol=1e-2))


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.dot(a.ravel(), b.ravel()))


def _penalised(weight: np.ndarray) -> np.ndarray:
    """``weight`` with zero for the intercepts."""
    weights = weight.copy()
    weights[:, -1] = 0
    return weights


def _downwards(gradient: np.ndarray, steps: Sequence[Step]) -> np.ndarray:
    """The gradient through the approximate inverse of the Hessian, downwards: the two loops of L-BFGS."""
    down, shares = -gradient, []
    for one in reversed(steps):
        share = _dot(one.step, down) / one.curvature
        down -= np.float32(share) * one.change
        shares.append(share)
    if steps:
        down *= np.float32(steps[-1].curvature / _dot(steps[-1].change, steps[-1].change))
    for one, share in zip(steps, reversed(shares), strict=True):
        down += np.float32(share - _dot(one.change, down) / one.curvature) * one.step
    return down


def _along(
    gradient: Callable[[np.ndarray], np.ndarray], down: np.ndarray, now: np.ndarray, length: float
) -> tuple[np.ndarray, np.ndarray]:
    """A step along ``down``, and the gradient after it: where the slope is near enough to zero, by the secant of two
    slopes. ``now`` is the gradient before it."""
    first = _dot(now, down)
    low, high, slope_low, slope_high = 0.0, np.inf, first, np.nan
    step, new = down, now
    for _ in range(STEPS):
        step = np.float32(length) * down
        new = gradient(step)
        slope = _dot(new, down)
        if slope < STEEP * first:
            low, slope_low = length, slope
        elif slope > -FLAT * first:
            high, slope_high = length, slope
        else:
            break
        if np.isinf(high):  # on, to where a line through both slopes is zero
            length *= min(max(first / min(first - slope, 0.01 * first), 2.0), 100.0)
        else:
            share = slope_low / (slope_low - slope_high)
            length = low + (high - low) * min(max(share, 0.1), 0.9)
    return step, new

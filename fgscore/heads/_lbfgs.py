"""The minimum of a convex function from its gradient alone: L-BFGS (Nocedal and Wright, Numerical Optimization, section
7.2) without values of the function.

scipy's line search compares values, which in float32 are noise long before the gradient is. Of a convex function the
slope along a line says where the minimum lies, and here that alone decides on a step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fgscore.machine.lazy import lazy

MEMORY = 10  # steps that are remembered, as scipy's
TRIALS = 20  # along one line
STEEP, FLAT = 0.9, 0.5  # of the first slope: a step is too short while it goes down as steeply, too long where it rises
AFRESH = 10  # iterations with one approximate inverse
PATIENCE = 50  # iterations without a smaller gradient: what is left of it is float32's rounding


class Slope(NamedTuple):
    """At one point: the ``gradient``, and ``inverse``, which makes what multiplies by an approximate inverse of the
    Hessian there, symmetric and positive definite; the scale of that does not matter."""

    gradient: np.ndarray
    inverse: Callable[[], Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True, eq=False)
class Displacement:
    """A step that was taken and the ``change`` of the gradient over it."""

    step: np.ndarray
    change: np.ndarray

    @lazy
    def curvature(self) -> float:
        """Of the function along the step, above zero for it is convex."""
        return _dot(self.step, self.change)


class Minimum(NamedTuple):
    """Where it was found, and ``converged`` where no element of the gradient is above the tolerance."""

    at: np.ndarray
    n_iter: int
    converged: bool


def minimum(slope: Callable[[np.ndarray], Slope], at: np.ndarray, tolerance: float, max_iter: int) -> Minimum:
    """From ``at`` (float64; gradients and steps may be float32)."""
    now, n_iter, steps = slope(at), 0, deque[Displacement](maxlen=MEMORY)
    least, since = np.inf, 0
    while (largest := float(np.abs(now.gradient).max())) > tolerance and n_iter < max_iter:
        least, since = (largest, 0) if largest < least else (least, since + 1)
        if since > PATIENCE:
            break
        if n_iter % AFRESH == 0:
            inverse = now.inverse()
        n_iter += 1
        down = _downwards(now.gradient, inverse, steps)
        if (first := _dot(now.gradient, down)) >= 0:  # rounding again
            break
        step, new = _along(lambda moved: slope(at + moved), down, first)  # noqa: B023
        if (taken := Displacement(step, new.gradient - now.gradient)).curvature > 0:
            steps.append(taken)
        at, now = at + step, new
    return Minimum(at, n_iter, largest <= tolerance)


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.dot(a.ravel(), b.ravel()))


def _downwards(
    gradient: np.ndarray, inverse: Callable[[np.ndarray], np.ndarray], steps: deque[Displacement]
) -> np.ndarray:
    """The gradient through the approximate inverse of the Hessian, downwards: the two loops of L-BFGS."""
    down, shares = -gradient, []
    for one in reversed(steps):
        share = _dot(one.step, down) / one.curvature
        down -= np.float32(share) * one.change
        shares.append(share)
    down = inverse(down)
    if steps:
        last = steps[-1]
        down *= np.float32(last.curvature / _dot(last.change, inverse(last.change)))
    for one, share in zip(steps, reversed(shares), strict=True):
        down += np.float32(share - _dot(one.change, down) / one.curvature) * one.step
    return down


def _along(slope: Callable[[np.ndarray], Slope], down: np.ndarray, first: float) -> tuple[np.ndarray, Slope]:
    """A step along ``down``, and the slope after it: where it is near enough to zero along the line, by the secant of
    two. ``first`` is that at its beginning, below zero."""
    low, high, slope_low, slope_high, length = 0.0, np.inf, first, np.nan, 1.0
    for _ in range(TRIALS):
        step = np.float32(length) * down
        new = slope(step)
        along = _dot(new.gradient, down)
        if along < STEEP * first:
            low, slope_low = length, along
        elif along > -FLAT * first:
            high, slope_high = length, along
        else:
            break
        if np.isinf(high):  # on, to where a line through both slopes is zero
            length *= min(max(first / min(first - along, 0.01 * first), 2.0), 100.0)
        else:
            share = slope_low / (slope_low - slope_high)
            length = low + (high - low) * min(max(share, 0.1), 0.9)
    return step, new

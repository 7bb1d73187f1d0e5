"""Multinomial logistic regression by products in float32: the way to scikit-learn's optimum in a fraction of its time.

With n images, rows x_i (that end in 1, for the intercept), classes y_i and l2 = 1 / (n C), what is minimised is

    mean_i (log sum_k exp z_ik - z_i,y_i) + l2 / 2 |W|^2,   z = o + x W',   the intercepts not in the norm,

with o the offsets, fixed numbers that the logits begin at, and nothing where there are none.

L-BFGS begins with a Hessian known in part (``_hessian.py``), and takes a fourth of the steps that it would without.

Of many fits on features that differ little, all but the first few begin where the first was at the same C.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fgscore.heads._hessian import Hessian
from fgscore.heads._lbfgs import Slope, minimum


@dataclass(frozen=True, eq=False)
class Optimum:
    """``weight`` (K, D + 1) float64, the intercepts last, for ``classes`` (K,); ``converged`` where no element of the
    gradient is above the tolerance, which on rows much longer than 1 float32 may not reach."""

    classes: np.ndarray
    weight: np.ndarray
    n_iter: int
    converged: bool

    def predict(self, x: np.ndarray, offsets: np.ndarray | None = None) -> np.ndarray:
        """(N,) classes of rows ``x`` (N, D + 1). With ``offsets`` (N, C) to the logits of all classes, those that were
        not in train are predicted too: their logits are their offsets."""
        logits = x @ self.weight.T.astype(np.float32)
        if offsets is None:
            return np.asarray(self.classes[logits.argmax(axis=1)])
        of_all = offsets.copy()
        of_all[:, self.classes] += logits
        return np.asarray(of_all.argmax(axis=1))


def onward(before: Optimum, near: Optimum, near_before: Optimum) -> Optimum:
    """Where to begin at a C at which a problem much like this one has its optimum at ``near``: the optimum at the C
    ``before``, and the way that the other went from there."""
    if not np.array_equal(before.classes, near.classes):
        return before
    return replace(near, weight=before.weight + near.weight - near_before.weight)


class SoftmaxRegression:
    """The problem for ``x`` (n, D + 1) float32, rows that end in 1, or in 0 for no intercept, and ``y`` (n,) of at
    least two classes, with ``offsets`` (n, C) float32 to the logits of all classes."""

    def __init__(self, x: np.ndarray, y: np.ndarray, offsets: np.ndarray | None = None) -> None:
        self.classes, self._codes = np.unique(y, return_inverse=True)
        self.x, self.y, self._offsets = x, y, offsets
        self._of_classes = None if offsets is None else offsets[:, self.classes]
        self._rows = np.arange(len(x))

    def in_float64(self) -> SoftmaxRegression:
        """The same problem by products in float64, several times as slow: for rows so long that float32 rounds away
        what is left of the gradient."""
        offsets = None if self._offsets is None else self._offsets.astype(np.float64)
        return SoftmaxRegression(self.x.astype(np.float64), self.y, offsets)

    def fit(self, c: float, tolerance: float, max_iter: int, start: Optimum | None = None) -> Optimum:
        """The optimum at ``c``, from that of another C or of other images where it has the same classes. Two classes
        are regularised as scikit-learn does, which has one row of weights for them."""
        l2 = (2 if len(self.classes) == 2 else 1) / (len(self.x) * c)
        at = np.zeros((len(self.classes), self.x.shape[1]))
        if start is not None and np.array_equal(start.classes, self.classes):
            at = start.weight
        return Optimum(self.classes, *minimum(lambda weight: self.slope(weight, l2), at, tolerance, max_iter))

    def slope(self, at: np.ndarray, l2: float) -> Slope:
        """At ``at`` (K, D + 1): (K, D + 1), the gradient of the objective, in the precision of the rows."""
        weight = at.astype(self.x.dtype)
        logits = self.x @ weight.T
        if self._of_classes is not None:
            logits += self._of_classes
        residuals = self._residuals(logits)
        gradient = residuals.T @ self.x
        gradient /= len(self.x)
        gradient += l2 * _penalised(weight)
        return Slope(gradient, lambda: Hessian.of(self.x, _unsure(residuals), l2).divide)

    def _residuals(self, logits: np.ndarray) -> np.ndarray:
        """(n, K): probabilities less one at the true class; in place of ``logits``."""
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        logits[self._rows, self._codes] -= 1
        return logits


def _unsure(residuals: np.ndarray) -> np.ndarray:
    """p (1 - p), at the true class too."""
    sizes = np.abs(residuals)
    return np.asarray(sizes * (1 - sizes))


def _penalised(weight: np.ndarray) -> np.ndarray:
    """``weight`` with zero for the intercepts."""
    weights = weight.copy()
    weights[:, -1] = 0
    return weights

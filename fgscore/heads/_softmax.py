"""Multinomial logistic regression by products in float32: the way to scikit-learn's optimum in a third of its steps.

With n images, rows x_i (that end in 1, for the intercept), classes y_i and l2 = 1 / (n C), what is minimised is

    mean_i (log sum_k exp z_ik - z_i,y_i) + l2 / 2 |W|^2,   z = x W',   the intercepts not in the norm.

With p_i the probabilities of image i, its Hessian is mean_i (diag p_i - p_i p_i') (x) x_i x_i' + l2, (x) Kronecker's
product. L-BFGS begins with two factors of it, as K-FAC has them (Martens and Grosse, 2015), the diagonals alone:

    b_k a_f + l2,   b_k = mean_i p_ik (1 - p_ik),   a_f = sum_i v_i x_if^2 / sum_i v_i,   v_i = sum_k p_ik (1 - p_ik).

Rows are expected along their principal axes, where little is lost by that. b follows every step; a is that of where a
problem's first fit began, and serves all C.

The curvature that one fit has found serves the next: for another C it is exact but for l2, which is put right. Of many
fits on features that differ little, all but the first few begin where the first was at the same C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fgscore.heads._lbfgs import Slope, Step, minimum


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
        """(N,) classes of ``x`` (N, D + 1), rows that end in 1."""
        return np.asarray(self.classes[(x @ self.weight.T.astype(np.float32)).argmax(axis=1)])


def onward(before: Fit, near: Fit, near_before: Fit) -> Fit:
    """Where to begin at a C at which a problem much like this one has its optimum at ``near``: the optimum at the C
    ``before``, and the way that the other went from there."""
    if not np.array_equal(before.classes, near.classes):
        return before
    return replace(near, weight=before.weight + near.weight - near_before.weight)


class Softmax:
    """The problem for ``x`` (n, D + 1) float32, rows that end in 1, and ``y`` (n,) of at least two classes."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.classes, self._codes = np.unique(y, return_inverse=True)
        self._x = x
        self._rows = np.arange(len(x))
        self._moments: np.ndarray | None = None

    def fit(self, c: float, tolerance: float, max_iter: int, start: Fit | None = None) -> Fit:
        """The optimum at ``c``, from that of another C or of other images where it has the same classes. Two classes
        are regularised as scikit-learn does, which has one row of weights for them."""
        l2 = (2 if len(self.classes) == 2 else 1) / (len(self._x) * c)
        at, steps = np.zeros((len(self.classes), self._x.shape[1])), []
        if start is not None and np.array_equal(start.classes, self.classes):
            at, more = start.weight, np.float32(l2 - start.l2)
            steps = [s for one in start.steps if (s := one.moved(one.change + more * _penalised(one.step)))]
        found = minimum(lambda weight: self.slope(weight, l2), at, steps, tolerance, max_iter)
        return Fit(self.classes, found.at, found.n_iter, found.converged, l2, found.steps)

    def slope(self, at: np.ndarray, l2: float) -> Slope:
        """At ``at`` (K, D + 1): gradient of the objective and about the diagonal of its Hessian, (K, D + 1) float32."""
        weight = at.astype(np.float32)
        residuals = self._residuals(self._x @ weight.T)
        gradient = residuals.T @ self._x
        gradient /= np.float32(len(self._x))
        gradient += np.float32(l2) * _penalised(weight)
        unsure = np.abs(residuals, out=residuals)
        unsure *= 1 - unsure  # p (1 - p), at the true class too
        if self._moments is None:
            self._moments = _moments(self._x, unsure.sum(axis=1))
        hessian = np.outer(unsure.mean(axis=0), self._moments) + np.float32(l2)
        return Slope(gradient, hessian)

    def _residuals(self, logits: np.ndarray) -> np.ndarray:
        """(n, K): probabilities less one at the true class; in place of ``logits``."""
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        logits[self._rows, self._codes] -= 1
        return logits


def _moments(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(D + 1,) float32: the mean square of each column of ``x`` (n, D + 1), rows weighted by ``weights`` (n,)."""
    share = np.maximum(weights, np.finfo(np.float32).tiny)
    return np.asarray(np.einsum("nf,nf,n->f", x, x, share / share.sum()), np.float32)


def _penalised(weight: np.ndarray) -> np.ndarray:
    """``weight`` with zero for the intercepts."""
    weights = weight.copy()
    weights[:, -1] = 0
    return weights

"""Multinomial logistic regression from a given start: scikit-learn's objective, minimised by the same method, L-BFGS.

The matrix products, which are all the time there is, are float32 over blocks of rows that stay in the processor's
cache; sums are float64. Where float32 is too coarse for the last steps, float64 takes over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

BLOCK = 1024  # rows at a time
FLAT = 64 * np.finfo(float).eps  # no step makes the objective smaller by more than this share: it is at its minimum
ENDED, GAVE_UP = 0, 2  # scipy's status: at the minimum; no step was found that makes it smaller


@dataclass(frozen=True, eq=False)
class Fit:
    """``weight`` (K, D) and ``intercept`` (K,) float64, ``classes`` (C,) int64. K is C, but 1 for two classes: the
    logit of the second, that of the first is zero."""

    weight: np.ndarray
    intercept: np.ndarray
    classes: np.ndarray
    n_iter: int
    converged: bool

    def predict(self, x: np.ndarray) -> np.ndarray:
        """(N,) classes of ``x`` (N, D)."""
        logits = x @ self.weight.astype(np.float32).T + self.intercept.astype(np.float32)
        chosen = logits[:, 0] > 0 if len(self.classes) == 2 else logits.argmax(axis=1)
        return np.asarray(self.classes[chosen.astype(np.int64)])


def fit(x: np.ndarray, y: np.ndarray, c: float, tolerance: float, max_iter: int, start: Fit | None = None) -> Fit:
    """The minimum for ``x`` (N, D) float32 and the classes ``y`` (N,), at least two of them: the mean of the negative
    log-likelihoods plus |weight|^2 / (2 c N), until no gradient is above ``tolerance``. ``start`` is the solution of
    a like problem."""
    from scipy.optimize import minimize

    classes, place = np.unique(y, return_inverse=True)
    rows, d = (1 if len(classes) == 2 else len(classes)), x.shape[1]
    at = np.zeros((rows, d + 1))
    if start is not None and np.array_equal(start.classes, classes):
        at[:, :d], at[:, d] = start.weight, start.intercept
    status, done = GAVE_UP, 0
    for dtype in (np.float32, np.float64):
        if status != GAVE_UP or done >= max_iter:
            break
        options: Any = {"maxiter": max_iter - done, "maxls": 50, "gtol": tolerance, "ftol": FLAT}
        objective = _Objective(x, place, c, rows, dtype)
        found = minimize(objective, at.ravel(), jac=True, method="L-BFGS-B", options=options)
        at, status, done = found.x.reshape(at.shape), found.status, done + int(found.nit)
    return Fit(at[:, :d].copy(), at[:, d].copy(), classes, done, status == ENDED)


@dataclass(frozen=True, eq=False)
class _Objective:
    """Value and gradient; the parameters are ``rows`` times D weights and an intercept."""

    x: np.ndarray
    y: np.ndarray
    c: float
    rows: int
    dtype: Any

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        n, d = self.x.shape
        at = parameters.reshape(self.rows, d + 1)
        weight, intercept = at[:, :d].astype(self.dtype), at[:, d].astype(self.dtype)
        gradient, loss = np.zeros_like(at), 0.0
        for start in range(0, n, BLOCK):
            x = self.x[start : start + BLOCK].astype(self.dtype, copy=False)
            errors, lost = self._errors(x @ weight.T + intercept, self.y[start : start + BLOCK])
            gradient[:, :d] += errors.T @ x
            gradient[:, d] += errors.sum(axis=0, dtype=np.float64)
            loss += lost
        gradient /= n
        penalty = 1 / (self.c * n)
        gradient[:, :d] += penalty * at[:, :d]
        return loss / n + penalty / 2 * float(np.vdot(at[:, :d], at[:, :d])), gradient.ravel()

    def _errors(self, logits: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
        """(n, rows) probabilities less the truth, made in ``logits``, and the sum of the negative log-likelihoods."""
        if self.rows == 1:
            logits = np.hstack([np.zeros_like(logits), logits])
        image = np.arange(len(y))
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[image, y].sum(dtype=np.float64)
        np.exp(logits, out=logits)
        total = logits.sum(axis=1, dtype=np.float64)
        logits /= total.astype(self.dtype)[:, None]
        logits[image, y] -= 1
        return logits[:, -self.rows :], float(np.log(total).sum() - own)

"""About the Hessian of multinomial logistic regression, in a form whose inverse is cheap.

With x_i the n rows and p_i the probabilities of image i, the Hessian is mean_i (diag p_i - p_i p_i') (x) x_i x_i' + l2,
(x) Kronecker's product. Of it are kept the blocks of one class each, q_ik = p_ik (1 - p_ik):

    H_k = 1/n sum_i q_ik x_i x_i' + l2.

Where a fit has learnt its images well, a few that it is unsure of make up most of a block, and these, M_k, are kept.
The others are given their mean over all classes, and of that the diagonal, as in K-FAC (Martens and Grosse, 2015):

    H_k = Z_k' Z_k + D_k,   Z_k the rows sqrt(q_ik / n) x_i' of i in M_k,   D_k = r_k diag(a) + l2,
    r_k = 1/n sum_(i not in M_k) q_ik,   a_f = sum_i v_i x_if^2 / sum_i v_i,   v_i = sum_k q_ik.

By the eigenvalues L and eigenvectors E of Z_k D_k^-1 Z_k', which is small,

    H_k^-1 = D_k^-1/2 (1 - W' W) D_k^-1/2,   W = (1 + L)^-1/2 E' Z_k D_k^-1/2.

Blocks alone would give what is common to all classes the same curvature, where there is none: the gradient is free of
it, and steps are kept so. Rows are expected along their principal axes, where a diagonal loses least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNSURE = 32  # images of each class that are kept
SURE = 1 - 1e-5  # of W' W, so that in float32 too what is left of 1 is above zero


@dataclass(frozen=True, eq=False)
class Hessian:
    """Of K classes and D features: ``root`` (K, D) of the D_k's inverses, ``w`` (K, m, D)."""

    root: np.ndarray
    w: np.ndarray

    @staticmethod
    def of(x: np.ndarray, unsure: np.ndarray, l2: float) -> Hessian:
        """From rows ``x`` (n, D) and the q_ik ``unsure`` (n, K), both float32."""
        n = len(x)
        kept = min(UNSURE, n)
        by_class = np.ascontiguousarray(unsure.T)
        rows = np.argpartition(by_class, n - kept, axis=1)[:, n - kept :]
        q = np.take_along_axis(by_class, rows, axis=1)
        rest = np.maximum(by_class.sum(axis=1) - q.sum(axis=1), 0) / n
        root = 1 / np.sqrt(np.outer(rest, _mean_squares(x, unsure.sum(axis=1))) + np.float32(l2))
        z = x[rows] * np.sqrt(q / n)[:, :, None] * root[:, None, :]
        values, vectors = np.linalg.eigh((z @ z.transpose(0, 2, 1)).astype(np.float64))
        scale = np.sqrt(SURE / (1 + np.maximum(values, 0)))
        return Hessian(root, (vectors * scale[:, None, :]).astype(np.float32).transpose(0, 2, 1) @ z)

    def divide(self, rows: np.ndarray) -> np.ndarray:
        """The inverse times ``rows`` (K, D), kept free of what is common to all classes."""
        rows = (rows - rows.mean(axis=0)) * self.root
        within = self.w @ rows[:, :, None]
        rows = (rows - (within.transpose(0, 2, 1) @ self.w)[:, 0]) * self.root
        return np.asarray(rows - rows.mean(axis=0))


def _mean_squares(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(D,) float32, of the columns of ``x`` (n, D) with ``weights`` (n,) for its rows."""
    weights = np.maximum(weights, np.finfo(np.float32).tiny)
    return np.asarray(np.einsum("nf,nf,n->f", x, x, weights / weights.sum()), np.float32)

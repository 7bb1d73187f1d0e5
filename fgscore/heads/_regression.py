"""What heads that are logistic regressions share: rows along their principal axes, the choice of C on images held out,
and the way from one optimum to the next.

Features are centred and turned to their principal axes first: CLIP's rows lie in one narrow cone. The intercept, which
is not penalised, takes up the mean exactly, and the penalty is the same along any axes: the same optimum is reached,
in fewer steps.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fgscore.heads import Linear, folds
from fgscore.heads._softmax import Optimum, SoftmaxRegression, onward

C_GRID = (1.0, 10.0, 100.0, 1000.0, 10000.0)  # unit rows are short: the best C lies far above scikit-learn's 1
FOLDS = 5

# Of the largest element of the gradient, at C = 1. scikit-learn's own 1e-4 stops short: on 200 classes of features like
# CLIP's a fit at C = 10,000 then loses one point against the optimum, and one image in sixty depends on where it began.
TOLERANCE = 1e-6


def tolerance(c: float) -> float:
    """At ``c``: the weaker the regularisation, the flatter the objective, and the smaller a gradient still matters."""
    return TOLERANCE / float(np.sqrt(c))


@dataclass(frozen=True, eq=False)
class Optima:
    """Optima on the way to a head, along the ``axes`` (D, D): ``chosen`` at each C of C_GRID, none where C was given;
    ``final`` on all training images."""

    axes: np.ndarray
    chosen: tuple[Optimum, ...]
    final: Optimum


def principal(x: np.ndarray) -> np.ndarray:
    """(D, D) float32: the principal axes of centred rows ``x`` (n, D) as columns."""
    return np.asarray(np.linalg.eigh(x.T @ x)[1])


def held(split: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """(n,) bool each: the training images to choose C on, once for each fit without them: official validation ones
    where there are any, else those of each of five folds."""
    official = split == "val"
    if official.any():
        return [official]
    of = folds(labels, FOLDS)
    return [of == fold for fold in range(FOLDS) if (of == fold).any()]


def choose(
    x: np.ndarray,
    y: np.ndarray,
    several: list[np.ndarray],
    max_iter: int,
    details: dict[str, Any],
    near: tuple[Optimum, ...],
) -> tuple[float, tuple[Optimum, ...]]:
    """The C of C_GRID that is best on the rows held out, ``several`` times, the smallest of equals, and the solutions
    at each, of the first time; 10 where they are of one class. ``details`` say where they could not tell."""
    several = [held for held in several if len(np.unique(y[~held])) > 1]
    if not several:
        details["validation"] = "too few images"
        return 10.0, ()
    any_held = np.any(several, axis=0)
    if len(np.unique(y[any_held])) < 2:
        details["validation"] = f"{_images(any_held)} of one class"
        return 10.0, ()
    first: tuple[Optimum, ...] = ()
    right = np.zeros(len(C_GRID))
    for held in several:
        models = _path(x[~held], y[~held], max_iter, near or first)
        right += [(y[held] == model.predict(x[held])).sum() for model in models]
        first = first or models
    accuracies = (right / sum(held.sum() for held in several)).tolist()
    details["validation_accuracy"] = best = max(accuracies)
    details["folds"] = len(several)
    if min(accuracies) == best:
        often = {0.0: "wrong", 1.0: "right"}.get(best, "as often right")
        details["validation"] = f"{_images(any_held)} {often} at every C"
    return C_GRID[int(np.argmax(accuracies))], first


def _path(x: np.ndarray, y: np.ndarray, max_iter: int, near: tuple[Optimum, ...]) -> tuple[Optimum, ...]:
    """The solution at each C of C_GRID, each from the one before, or as far from there as the one of ``near`` is."""
    problem = SoftmaxRegression(x, y)
    models: list[Optimum] = []
    near = near if near and np.array_equal(near[0].classes, np.unique(y)) else ()  # a fold may lack a class
    for i, c in enumerate(C_GRID):  # one path: each solution starts the next, weaker-regularised one
        start = models[-1] if models else near[0] if near else None
        if near and models:
            start = onward(models[-1], near[i], near[i - 1])
        elif len(models) > 1:  # as far again as from the C before
            start = onward(models[-1], models[-1], models[-2])
        found = problem.fit(c, tolerance(c), max_iter, start)
        models.append(found if found.converged else finished(found, x, y, c, max_iter))
    return tuple(models)


def _images(held: np.ndarray) -> str:
    n = int(held.sum())
    return f"all {n} images" if n > 1 else "the one image"


def start(c: float, chosen: tuple[Optimum, ...], near: Optima | None) -> Optimum | None:
    """Where the fit on all training images begins: without a path nearby at the solution at the smallest C, though from
    the others, sure of the images held out and wrong, it takes about as many steps."""
    if near and chosen:
        best = C_GRID.index(c)
        return onward(chosen[best], near.final, near.chosen[best])
    return near.final if near else chosen[0] if chosen else None


def finished(near: Optimum, x: np.ndarray, y: np.ndarray, c: float, max_iter: int) -> Optimum:
    """scikit-learn's optimum, begun at ours, where by its own arithmetic nothing is left to do, or little."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    two = len(near.classes) == 2  # of which scikit-learn has one row, the logit of the second
    weight = near.weight[1:] - near.weight[:1] if two else near.weight
    model = LogisticRegression(C=c, max_iter=max_iter - near.n_iter, tol=tolerance(c), warm_start=True)
    x = x[:, :-1]
    model.coef_, model.intercept_, model.classes_ = weight[:, :-1].copy(), weight[:, -1].copy(), near.classes
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x, y)
    weight = np.hstack([model.coef_, model.intercept_[:, None]]).astype(np.float64)
    return replace(
        near,
        weight=np.concatenate([-weight, weight]) / 2 if two else weight,
        n_iter=near.n_iter + int(model.n_iter_.max()),
        converged=not any(issubclass(w.category, ConvergenceWarning) for w in caught),
    )


def linear(fit: Optimum, mean: np.ndarray, axes: np.ndarray) -> Linear:
    """The classifier of features as they are, not centred and along their own axes."""
    weight, intercept = fit.weight[:, :-1] @ axes.T, fit.weight[:, -1]
    return Linear(weight.astype(np.float32), (intercept - weight @ mean).astype(np.float32),
                  np.asarray(fit.classes, np.int64))  # fmt: skip

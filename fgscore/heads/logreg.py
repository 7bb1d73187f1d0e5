"""Multinomial logistic regression: scikit-learn's, brought near its optimum by our own solver (``_softmax.py``).

Features are centred first: CLIP's rows lie in one narrow cone, and with the mean taken out (the intercept, which is not
penalised, takes it up exactly) the same optimum is reached in fewer steps.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fgscore.heads._softmax import Fit, Softmax, onward
from fgscore.heads.data import Linear, Outcome, ProbeData, holdout, top1

C_GRID = (1.0, 10.0, 100.0, 1000.0, 10000.0)  # unit rows are short: the best C lies far above scikit-learn's 1

# Of the largest element of the gradient, at C = 1. scikit-learn's own 1e-4 stops short: on 200 classes of features like
# CLIP's a fit at C = 10,000 then loses one point against the optimum, and one image in sixty depends on where it began.
TOLERANCE = 1e-6


def tolerance(c: float) -> float:
    """At ``c``: the weaker the regularisation, the flatter the objective, and the smaller a gradient still matters."""
    return TOLERANCE / float(np.sqrt(c))


@dataclass(frozen=True, eq=False)
class Path:
    """Optima on the way to a head: ``chosen`` at each C of C_GRID, none where C was given; ``final`` on all training
    images."""

    chosen: tuple[Fit, ...]
    final: Fit


def logreg(
    data: ProbeData,
    test: np.ndarray,
    near: Path | None = None,
    /,
    *,
    C: float | str = "auto",
    max_iter: int = 2000,
    seed: int = 0,
) -> Outcome:
    """Multinomial logistic regression (scikit-learn); C on validation, then refit on train and validation.

    ``near`` is the path of a fit on features much like these, of the same width: it saves time, and moves nothing by
    more than the tolerance.
    """
    train = data.training_rows()
    mean = data.features[train].mean(axis=0, dtype=np.float64).astype(np.float32)
    chosen: tuple[Fit, ...] = ()
    details: dict[str, Any] = {}
    if C == "auto":
        c, chosen = _choose(data, train, mean, max_iter, seed, details, near.chosen if near else ())
    else:
        c = float(C)
    # of the first path, the solution at the smallest C: it has learnt least by heart, and takes fewer steps
    start = near.final if near else chosen[0] if chosen else None
    x, y = data.features[train] - mean, data.labels[train]
    final = _finished(Softmax(x, y).fit(c, tolerance(c), max_iter, start), x, y, c, max_iter)
    details |= {"C": c, "n_iter": final.n_iter}
    converged = final.converged and all(fit.converged for fit in chosen)
    linear = _linear(final, mean)
    found = linear.classes[linear.logits(data.features[test]).argmax(axis=1)]
    return Outcome(found, len(train), converged, details, linear, None if near else Path(chosen, final))


def _choose(
    data: ProbeData,
    train: np.ndarray,
    mean: np.ndarray,
    max_iter: int,
    seed: int,
    details: dict[str, Any],
    near: tuple[Fit, ...],
) -> tuple[float, tuple[Fit, ...]]:
    """The C of C_GRID that is best on validation, the smallest of equals, and the solutions at each."""
    if len(official := data.rows("val")):
        fit, val = data.rows("train"), official
    else:
        held = holdout(data.labels[train], 0.2, seed)
        fit, val = train[~held], train[held]
    if not len(val) or len(np.unique(data.labels[fit])) < 2:
        details["validation"] = "too few images; C=10"
        return 10.0, ()
    x, y = data.features[fit] - mean, data.labels[fit]
    problem = Softmax(x, y)
    x_val, y_val = data.features[val] - mean, data.labels[val]
    models: list[Fit] = []
    for i, c in enumerate(C_GRID):  # one path: each solution starts the next, weaker-regularised one
        start = models[-1] if models else None
        if near:
            start = onward(start, near[i], near[i - 1]) if start else near[0]
        found = problem.fit(c, tolerance(c), max_iter, start)
        models.append(found if found.converged else _finished(found, x, y, c, max_iter))
    accuracies = [top1(y_val, model.predict(x_val)) for model in models]
    details["validation_accuracy"] = max(accuracies)
    return C_GRID[int(np.argmax(accuracies))], tuple(models)


def _finished(near: Fit, x: np.ndarray, y: np.ndarray, c: float, max_iter: int) -> Fit:
    """scikit-learn's optimum, begun at ours, where by its own arithmetic nothing is left to do, or little."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    two = len(near.classes) == 2  # of which scikit-learn has one row, the logit of the second
    weight = near.weight[1:] - near.weight[:1] if two else near.weight
    model = LogisticRegression(C=c, max_iter=max_iter - near.n_iter, tol=tolerance(c), warm_start=True)
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


def _linear(fit: Fit, mean: np.ndarray) -> Linear:
    """The classifier of features as they are, not centred."""
    weight, intercept = fit.weight[:, :-1], fit.weight[:, -1]
    return Linear(weight.astype(np.float32), (intercept - weight @ mean).astype(np.float32),
                  np.asarray(fit.classes, np.int64))  # fmt: skip

"""Multinomial logistic regression: scikit-learn's, brought near its optimum by our own solver (``_softmax.py``)."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt

from fgscore.heads import Head, Outcome, ProbeData
from fgscore.heads._regression import Grid, Optima, Training, fit, tolerance
from fgscore.heads._softmax import Optimum, SoftmaxRegression


@Head.declares(version=2, thread_safe=True, begins_near=True, stochastic=False)
def logreg(
    data: ProbeData,
    test: np.ndarray,
    near: Optima | None = None,
    /,
    *,
    C: Annotated[float, Gt(0)] | Literal["auto"] = "auto",
    max_iter: Annotated[int, Ge(1)] = 2000,
    seed: Annotated[int, Ge(0)] = 0,
) -> Outcome:
    """Multinomial logistic regression (scikit-learn); C on validation or by five folds, then refit on all of train.

    The folds are fixed, so that nothing here depends on ``seed``: it decides which images few shots are.
    ``near`` is the path of a fit on features much like these, of the same width: it saves time, and moves nothing by
    more than the tolerance.
    """
    train = data.training_rows()
    training = Training.of(data, train, near)
    found = fit(training, Grid.of(C), _finished, max_iter, near)
    linear = training.linear(found.optimum)
    predictions = linear.classes[linear.logits(data.features[test]).argmax(axis=1)]
    return Outcome(predictions, len(train), found.converged, found.details, linear, found.path)


def _finished(near: Optimum, problem: SoftmaxRegression, c: float, max_iter: int) -> Optimum:
    """scikit-learn's optimum, begun at ours, where by its own arithmetic nothing is left to do, or little."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    two = len(near.classes) == 2  # of which scikit-learn has one row, the logit of the second
    weight = near.weight[1:] - near.weight[:1] if two else near.weight
    model = LogisticRegression(C=c, max_iter=max_iter - near.n_iter, tol=tolerance(c), warm_start=True)
    model.coef_, model.intercept_, model.classes_ = weight[:, :-1].copy(), weight[:, -1].copy(), near.classes
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(problem.x[:, :-1], problem.y)
    weight = np.hstack([model.coef_, model.intercept_[:, None]]).astype(np.float64)
    return replace(
        near,
        weight=np.concatenate([-weight, weight]) / 2 if two else weight,
        n_iter=near.n_iter + int(model.n_iter_.max()),
        converged=not any(issubclass(w.category, ConvergenceWarning) for w in caught),
    )

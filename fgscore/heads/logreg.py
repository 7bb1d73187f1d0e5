"""Multinomial logistic regression: scikit-learn's, brought near its optimum by our own solver (``_softmax.py``)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from fgscore.heads import Head, Outcome, ProbeData
from fgscore.heads import _regression as regression
from fgscore.heads._regression import Optima, tolerance
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
    mean = data.features[train].mean(axis=0, dtype=np.float64).astype(np.float32)
    centred, y = data.features[train] - mean, data.labels[train]
    axes = near.axes if near else regression.principal(centred)
    x = np.ones((len(train), len(mean) + 1), np.float32)  # each row ends in 1, for the intercept
    x[:, :-1] = centred @ axes
    del centred
    chosen: tuple[Optimum, ...] = ()
    details: dict[str, Any] = {}
    if C == "auto":
        held = regression.held(data.split[train], y)
        c, chosen = regression.choose(x, y, held, max_iter, details, near.chosen if near else ())
    else:
        c = float(C)
    start = regression.start(c, chosen, near)
    final = regression.finished(SoftmaxRegression(x, y).fit(c, tolerance(c), max_iter, start), x, y, c, max_iter)
    details |= {"C": c, "n_iter": final.n_iter}
    converged = final.converged and all(fit.converged for fit in chosen)
    linear = regression.linear(final, mean, axes)
    found = linear.classes[linear.logits(data.features[test]).argmax(axis=1)]
    return Outcome(found, len(train), converged, details, linear, None if near else Optima(axes, chosen, final))

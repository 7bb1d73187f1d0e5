"""Logistic regression that begins where the class names are: few labelled images correct zero-shot, and do not start
from nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from fgscore.errors import DataError
from fgscore.heads import Head, Linear, Outcome, ProbeData
from fgscore.heads._regression import Grid, Optima, Training, fit, tolerance
from fgscore.heads._softmax import Optimum, SoftmaxRegression

# Of the encoder's own logits: none, which is logreg, half, and all. Twice as sure as the encoder itself, on real car
# features, chose worse at 4 shots a class, and takes twice the time of all the others together.
SHARES = (0.0, 0.5, 1.0)


@Head.declares(needs_text=True, thread_safe=True, begins_near=True, stochastic=False)
def anchored(
    data: ProbeData,
    test: np.ndarray,
    near: Optima | None = None,
    /,
    *,
    a: Annotated[float, Ge(0), Lt(1000)] | Literal["auto"] = "auto",
    C: Annotated[float, Gt(0)] | Literal["auto"] = "auto",
    intercept: bool = True,
    max_iter: Annotated[int, Ge(1)] = 2000,
    seed: Annotated[int, Ge(0)] = 0,
) -> Outcome:
    """Logistic regression on top of zero-shot: class c of image i has the logit a s cos(g_i, t_c) + w_c f_i + b_c.

    g_i is the global embedding, t_c the class's text, s the encoder's logit scale, f_i the features. Weights w and
    intercepts b are fitted as logreg's, to the optimum; the text's part stays as it is. ``a`` (of 0, 1/2 and 1) and
    ``C`` are chosen together, on validation images or by five fixed folds, the smallest of equals; where nothing can be
    held out, as at one shot, a = 1 and C = 10. With a = 0 it is logreg; with C towards 0 zero-shot plus one fitted bias
    a class, and zero-shot itself with ``intercept=False``. A class without training images keeps its text's logit, so
    that it can be predicted, but for a = 0, as by logreg. ``seed`` decides which images few shots are.

    The idea, text as a part of the probe, is LP++'s (Huang et al., CVPR 2024), the form is our own: LP++ learns a
    multiplier of the text's logits for each class, and weights by a few block-wise steps of derived lengths; here one
    ``a`` is chosen on images held out, weights are penalised, and their optimum, which is one, is reached.
    """
    if data.text is None:
        raise DataError("head 'anchored' needs class text embeddings, found none; use --head logreg")
    train = data.training_rows()
    training = Training.of(data, train, near, _logits(data, train), intercept)
    grid = Grid.of(C, SHARES if a == "auto" else (float(a),))
    found = fit(training, grid, _finished, max_iter, near)
    learnt = training.linear(found.optimum)
    details = {"a": found.share, **found.details}
    if found.share and data.globals is not None:
        logits = np.float32(found.share) * _logits(data, test)
        logits[:, learnt.classes] += learnt.logits(data.features[test])
        return Outcome(logits.argmax(axis=1), len(train), found.converged, details, path=found.path)
    linear = _with_text(learnt, found.share, data) if found.share else learnt
    predictions = linear.classes[linear.logits(data.features[test]).argmax(axis=1)]
    return Outcome(predictions, len(train), found.converged, details, linear, found.path)


def _logits(data: ProbeData, rows: np.ndarray) -> np.ndarray:
    """(n, C) float32: the encoder's own logits of the images ``rows``, by their global embeddings."""
    assert data.text is not None
    whole = data.features[:, : data.text.shape[1]] if data.globals is None else data.globals
    return np.asarray(np.float32(data.logit_scale) * (whole[rows] @ data.text.T), np.float32)


def _with_text(learnt: Linear, share: float, data: ProbeData) -> Linear:
    """The classifier of all classes in features that begin with the global embedding: a share of the text, times the
    logit scale, and what was ``learnt`` of those that had training images."""
    assert data.text is not None
    n, d = data.text.shape
    weight, intercept = np.zeros((n, learnt.weight.shape[1]), np.float32), np.zeros(n, np.float32)
    weight[learnt.classes], intercept[learnt.classes] = learnt.weight, learnt.intercept
    weight[:, :d] += np.float32(share * data.logit_scale) * data.text
    return Linear(weight, intercept, np.arange(n))


def _finished(near: Optimum, problem: SoftmaxRegression, c: float, max_iter: int) -> Optimum:
    """The optimum, on in float64 where float32 did not reach it."""
    if near.converged:
        return near
    found = problem.in_float64().fit(c, tolerance(c), max_iter - near.n_iter, near)
    return replace(found, n_iter=near.n_iter + found.n_iter)

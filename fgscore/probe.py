"""Heads over feature matrices (section 3.6): ``logreg``, ``zeroshot``. Arrays in, a :class:`ProbeResult` out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fgscore import specs
from fgscore.errors import BadParameter, DataError, unknown

C_GRID = (1.0, 10.0, 100.0, 1000.0, 10000.0)


@dataclass(frozen=True, eq=False)
class ProbeData:
    """What a head is given. ``features`` (N, D) float32, ``labels`` (N,) int64, ``split`` (N,) of 'train', 'val' or
    'test'; ``text`` (C, d) float32 unit rows and ``logit_scale`` for heads that need no training."""

    features: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    n_classes: int
    text: np.ndarray | None = None

    def rows(self, *splits: str) -> np.ndarray:
        """(n,) int64 positions of the images of ``splits``."""
        return np.flatnonzero(np.isin(self.split, splits))


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """Outcome on the test images. ``predictions`` (n_test,) int64 in the order of ``test_rows``; ``accuracy`` is top-1
    and ``per_class`` the mean over the classes that have test images, both in 0..1."""

    accuracy: float
    per_class: float
    predictions: np.ndarray
    test_rows: np.ndarray
    n_train: int
    converged: bool
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """A head with every parameter decided."""

    name: str
    params: Mapping[str, specs.Value]
    canonical: str
    function: Callable[..., Any]

    def __call__(self, data: ProbeData) -> ProbeResult:
        """Fit where there is something to fit, predict the test images, measure."""
        test = data.rows("test")
        if not len(test):
            raise DataError(
                "expected test images to measure on, found none in this index; index a copy with a test split"
            )
        predictions, n_train, converged, details = self.function(data, test, **self.params)
        labels = data.labels[test]
        return ProbeResult(
            accuracy=top1(labels, predictions),
            per_class=mean_per_class(labels, predictions),
            predictions=predictions,
            test_rows=test,
            n_train=n_train,
            converged=converged,
            details=details,
        )


def top1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of predictions that are right."""
    return float(np.mean(labels == predictions))


def mean_per_class(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean over the classes present of the share of their images that are right."""
    _, inverse = np.unique(labels, return_inverse=True)
    right = np.bincount(inverse, (labels == predictions).astype(float))
    return float(np.mean(right / np.bincount(inverse)))


def holdout(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """(n,) bool: a stratified hold-out of about ``fraction`` of each class, at least one image of it left in train.

    A class of one image gives none. The choice depends on ``seed`` and the order of the labels only.
    """
    rng = np.random.default_rng(seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        n = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        held[rng.permutation(rows)[:n]] = True
    return held


def logreg(
    data: ProbeData, test: np.ndarray, /, *, C: float | str = "auto", max_iter: int = 2000, seed: int = 0
) -> tuple[np.ndarray, int, bool, dict[str, Any]]:
    """Multinomial logistic regression (scikit-learn); C on validation, then refit on train and validation."""
    train = data.rows("train", "val")
    if len(np.unique(data.labels[train])) < 2:
        raise DataError(
            f"a linear probe needs training images of at least 2 classes, found {len(train)} images of "
            f"{len(np.unique(data.labels[train]))}; use `--head zeroshot`"
        )
    details: dict[str, Any] = {}
    if C == "auto":
        C = _choose(data, train, max_iter, seed, details)
    model, converged = _fit(data.features[train], data.labels[train], float(C), max_iter)
    details |= {"C": float(C), "n_iter": int(model.n_iter_.max())}
    converged &= details.pop("all_converged", True)
    return model.predict(data.features[test]), len(train), converged, details


def _choose(data: ProbeData, train: np.ndarray, max_iter: int, seed: int, details: dict[str, Any]) -> float:
    """The C of C_GRID that is best on validation; the smallest of equals."""
    if len(official := data.rows("val")):
        fit, val = data.rows("train"), official
    else:
        held = holdout(data.labels[train], 0.2, seed)
        fit, val = train[~held], train[held]
    if not len(val) or len(np.unique(data.labels[fit])) < 2:
        details["validation"] = "too few images; C=10"
        return 10.0
    accuracies, start = [], None
    for c in C_GRID:  # one path: each solution starts the next, weaker-regularised one
        model, converged = _fit(data.features[fit], data.labels[fit], c, max_iter, start)
        details["all_converged"] = details.get("all_converged", True) and converged
        start = model
        accuracies.append(top1(data.labels[val], model.predict(data.features[val])))
    details["validation_accuracy"] = max(accuracies)
    return C_GRID[int(np.argmax(accuracies))]


def _fit(x: np.ndarray, y: np.ndarray, c: float, max_iter: int, start: Any = None) -> tuple[Any, bool]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=c, max_iter=max_iter, warm_start=start is not None)
    if start is not None:
        model.coef_, model.intercept_, model.classes_ = start.coef_.copy(), start.intercept_.copy(), start.classes_
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x, y)
    return model, not any(issubclass(w.category, ConvergenceWarning) for w in caught)


def zeroshot(data: ProbeData, test: np.ndarray, /) -> tuple[np.ndarray, int, bool, dict[str, Any]]:
    """Nearest class text, no training: of the global embedding, or of the local part where there is one."""
    if data.text is None:
        raise DataError("head 'zeroshot' needs class text embeddings; run `fgscore extract` to make them")
    local = data.features[test][:, -data.text.shape[1] :]
    return (local @ data.text.T).argmax(axis=1).astype(np.int64), 0, True, {}


HEADS = {f.__name__: f for f in (logreg, zeroshot)}


def bind(text: str) -> Head:
    """The head that ``text`` names: ``logreg(C=auto)``, ``logreg(C=100)``, ``zeroshot``."""
    spec = specs.parse(text)
    if spec.name not in HEADS:
        raise unknown("head", spec.name, HEADS)
    function = HEADS[spec.name]
    params = specs.bind(spec, function, "head")
    c = params.get("C", 1.0)
    if c != "auto" and (not isinstance(c, float) or c <= 0):
        raise BadParameter(f"head {spec.name!r}: C must be a number above 0 or 'auto', found {c!r}")
    for key, least in (("max_iter", 1), ("seed", 0)):
        if int(params.get(key, least)) < least:  # type: ignore[arg-type]
            raise BadParameter(f"head {spec.name!r}: {key} must be at least {least}, found {params[key]}")
    return Head(spec.name, params, specs.canonical(spec.name, params, specs.tunables(function)), function)

"""Heads over feature matrices (section 3.6), one file each: what a head is given, what it gives back and the choice of
images to learn from."""

from __future__ import annotations

import inspect
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from fgscore import specs
from fgscore.components import Component, Source
from fgscore.errors import BadParameter, DataError
from fgscore.labels import unlearnable, unmeasurable
from fgscore.machine.packages import check_package
from fgscore.types import Descriptions, read_only

UNUSED = "unused"  # the split of an image that takes no part


@dataclass(frozen=True, eq=False)
class ProbeData:
    """What a head is given. ``features`` (N, D) float32, ``labels`` (N,) int64, ``split`` (N,) of 'train', 'val' or
    'test', and 'unused' for an image that takes no part, whose label may be -1; for heads that need text ``text``
    (C, d) float32 unit rows, the encoder's ``logit_scale``, ``descriptions``, every text of each class, ``votes``,
    which makes the (N, C) weighted mean, over each image's pooled regions, of what a function finds for each class in
    unit rows (n, d), as (n, C), and ``globals`` (N, d) float32, the unit global embeddings where ``features`` do not
    begin with them, as they do for every pooling but one of whole images of the user's own."""

    features: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    n_classes: int
    text: np.ndarray | None = None
    logit_scale: float = 100.0
    votes: Callable[[Callable[[np.ndarray], np.ndarray]], np.ndarray] | None = None
    descriptions: Descriptions | None = None
    globals: np.ndarray | None = None

    def rows(self, *splits: str) -> np.ndarray:
        """(n,) int64 positions of the images of ``splits``."""
        return np.flatnonzero(np.isin(self.split, splits))

    def read_only(self) -> ProbeData:
        """The same arrays, which cannot be written to: others are given them too."""
        text, whole = (None if array is None else read_only(array) for array in (self.text, self.globals))
        return replace(self, features=read_only(self.features), labels=read_only(self.labels),
                       split=read_only(self.split), text=text, globals=whole)  # fmt: skip

    def training_rows(self) -> np.ndarray:
        """Positions of train and validation images; raises :class:`DataError` for fewer than two classes."""
        if fault := unlearnable(self.labels, self.split):
            raise DataError(f"{fault}; use --head zeroshot")
        return self.rows("train", "val")


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear classifier: ``weight`` (K, D) and ``intercept`` (K,) float32, ``classes`` (K,) int64, the class of each
    row."""

    weight: np.ndarray
    intercept: np.ndarray
    classes: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, K) float32 of ``features`` (N, D)."""
        return np.asarray(features @ self.weight.T + self.intercept, np.float32)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a head found. ``predictions`` (n_test,) int64; ``linear`` where it is a linear classifier of features;
    ``path`` is what later fits on features like these can begin from. ``details`` hold what JSON can; a ``loss`` in
    them is the final one of a head that trains for fixed epochs, and says that ``converged`` means no more than that
    it is finite."""

    predictions: np.ndarray
    n_train: int
    converged: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)
    linear: Linear | None = None
    path: Any = None


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """Outcome on the test images. ``predictions`` (n_test,) int64 in the order of ``test_rows``; ``accuracy`` is top-1
    and ``per_class`` the mean over the classes that have test images, both in 0..1; ``linear`` the fitted classifier
    where the head is linear in its features; ``path`` for :meth:`Head.__call__`."""

    accuracy: float
    per_class: float
    predictions: np.ndarray
    test_rows: np.ndarray
    n_train: int
    converged: bool
    details: Mapping[str, Any] = field(default_factory=dict)
    linear: Linear | None = None
    path: Any = None


@dataclass(frozen=True, kw_only=True)
class Head(Component):
    """A function ``f(data, test, /, *, hyper-parameters) -> Outcome``, or one that returns a scikit-learn classifier.

    ``data`` is a :class:`ProbeData`, ``test`` (n_test,) the rows to predict. ``trains``: it learns from labels;
    ``needs_text``: it compares with the texts of the classes, with each of them at those values of its parameters that
    ``needs_descriptions`` lists, with their mean else; ``thread_safe``: several can be fitted at a time;
    ``stochastic``: its seed decides more than which images choose a hyper-parameter; ``begins_near``: it takes the
    ``path`` of a fit on features like its own as a third argument, to begin there.

    Of a classifier the keyword parameters are the recipe, ``--seed`` sets every ``random_state``, and a GridSearchCV is
    its declared grid. Example, in a file of one's own::

        def forest(*, trees=100):
            from sklearn.ensemble import RandomForestClassifier
            return RandomForestClassifier(n_estimators=trees)
    """

    kind: ClassVar[str] = "head"
    home: ClassVar[str] = "fgscore.heads"
    takes: ClassVar[tuple[str, ...]] = ("data", "test")

    trains: bool = True
    needs_text: bool = False
    needs_descriptions: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    thread_safe: bool = False
    begins_near: bool = False
    stochastic: bool = True

    @classmethod
    def _made(cls, spec: specs.Spec, function: Callable[..., Any], source: Source) -> Self:
        from fgscore.heads import _estimator

        if source.is_object and (inspect.isclass(function) or _estimator.is_estimator(function)):
            function = _estimator.copies_of(function)
        if not _estimator.is_made_by(function):
            return super()._made(spec, function, source)
        return super()._made(spec, _estimator.as_head(function, spec, source.file), source)

    @property
    def reads_descriptions(self) -> bool:
        """Whether it compares with every text of a class, and not with their mean."""
        return any(self.params.get(name) in values for name, values in self.needs_descriptions.items())

    @property
    def given(self) -> tuple[str, ...]:
        """Data and test rows, and the path of a fit nearby where it begins there."""
        return (*self.takes, "near") if self.begins_near else self.takes

    @property
    def seed(self) -> int | None:
        """Its seed; None for a head without chance."""
        seed = self.params.get("seed")
        return seed if isinstance(seed, int) else None

    def check_installed(self) -> None:
        """Raises :class:`MissingExtra` where a package that it needs is not installed; imports nothing."""
        for package in self.needs:
            check_package(package, f"the head {self.name!r}")

    def __call__(self, data: ProbeData, near: Any = None) -> ProbeResult:
        """Fit where there is something to fit, predict the test images, measure. ``near`` is the ``path`` of a result
        of the same head on features of the same width, to begin there.

        Raises :class:`DataError` without test images, and for a head that is not ours :class:`BadParameter` or
        :class:`UsageError`, with file and line, for anything but a class for each test image.
        """
        if fault := unmeasurable(data.labels, data.split):
            raise DataError(f"{fault} in this index; index a copy with a test split")
        test = data.rows("test")
        labels = data.labels[test]
        if not self.is_ours:
            data = data.read_only()
        with self.blamed("expected an Outcome"):
            found = self.call(data, test, *([near] if self.begins_near else []))
        if not self.is_ours:
            found = self._checked(found, len(test), data.n_classes)
        return ProbeResult(
            accuracy=top1(labels, found.predictions),
            per_class=mean_per_class(labels, found.predictions),
            predictions=found.predictions,
            test_rows=test,
            n_train=found.n_train,
            converged=found.converged,
            details=found.details,
            linear=found.linear,
            path=found.path,
        )

    def _checked(self, found: Any, n: int, n_classes: int) -> Outcome:
        who = f"{self.place}head {self.canonical}"
        if not isinstance(found, Outcome):
            raise BadParameter(
                f"{who} must return an Outcome or a scikit-learn classifier, found {type(found).__name__}"
            )
        predicted = np.asarray(found.predictions)
        if predicted.shape != (n,) or predicted.dtype.kind not in "iu":
            raise BadParameter(f"{who} must predict ({n},) whole numbers, found {predicted.shape} {predicted.dtype}")
        if wrong := int(((predicted < 0) | (predicted >= n_classes)).sum()):
            raise BadParameter(f"{who} must predict classes from 0 to {n_classes - 1}, found {wrong} beyond")
        try:
            n_train, details = operator.index(found.n_train), json.loads(json.dumps(dict(found.details)))
        except (TypeError, ValueError) as error:
            raise BadParameter(f"{who}: n_train must be a whole number, details what JSON can hold: {error}") from error
        predictions, converged = predicted.astype(np.int64), bool(found.converged)
        return replace(found, predictions=predictions, n_train=n_train, converged=converged, details=details)


def probabilities(cosines: np.ndarray, scale: float) -> np.ndarray:
    """(n, C): the softmax of ``scale`` times ``cosines`` (n, C), as CLIP's own."""
    e = np.exp(scale * (cosines - cosines.max(axis=1, keepdims=True)))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


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


def folds(labels: np.ndarray, number: int) -> np.ndarray:
    """(n,) int64: for each image the fold, from 0, in which it is held out; -1 for the only one of its class. Each fold
    has its share of every class, or what of it there is. It depends on the order of the labels alone."""
    rng = np.random.default_rng(0)
    found = np.full(len(labels), -1)
    for i, label in enumerate(np.unique(labels)):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) > 1:
            found[rows] = (np.arange(len(rows)) + i) % number  # not all begin with the first: folds are of one size
    return found


def measured_on(eval_split: str, split: np.ndarray) -> np.ndarray:
    """(N,) the split for measuring on the images of ``eval_split``, 'test' or 'val': those are called test, and where
    they are the validation images, the test images are out of it."""
    if eval_split == "test":
        return split
    chosen = np.where(split == "test", UNUSED, split).astype(np.array(["test", UNUSED]).dtype)
    chosen[chosen == eval_split] = "test"
    return chosen


def few_shot(labels: np.ndarray, split: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """(N,) the split with ``shots`` train images a class left, or as many as there are; the other train images and all
    validation images are out of it, so that no more labels than these are seen. The fewer of two numbers of shots
    with the same seed are among the more."""
    rng = np.random.default_rng(seed)
    kept = np.where(split == "test", split, UNUSED).astype(np.array(["test", UNUSED]).dtype)
    for label in np.unique(labels):
        rows = np.flatnonzero((labels == label) & (split == "train"))
        kept[rng.permutation(rows)[:shots]] = "train"
    return kept


def validation_split(labels: np.ndarray, split: np.ndarray, seed: int) -> np.ndarray:
    """(N,) the split for choosing among settings: validation images in the place of test ones, which are out of it.
    Where there are no official validation images, a fifth of each class of train stands in for them."""
    if (split == "val").any():
        return measured_on("val", split)
    chosen = np.where(split == "test", UNUSED, split).astype(np.array(["test", UNUSED]).dtype)
    train = np.flatnonzero(split == "train")
    chosen[train[holdout(labels[train], 0.2, seed)]] = "test"
    return chosen

"""Results of probes: what was compared, what was measured, and the prediction for every test image. Nothing else reads
or writes ``data/results``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fgscore import specs
from fgscore.errors import UsageError
from fgscore.evaluate import sealed, strategies
from fgscore.evaluate.costs import Cost
from fgscore.evaluate.sealed import DamagedResult, Files, Place, places
from fgscore.heads import mean_per_class, top1
from fgscore.stats.accuracy import one_run

__all__ = ["DamagedResult", "Place", "Predictions", "Result", "places", "read", "read_all", "read_predictions", "write"]

NAME_DIGITS = 16  # of its digest, in the name of a result's files
PREDICTED = ("image_id", "label", "prediction")
COMPARED = ("dataset", "regions", "encoder", "prompt", "scorer", "target", "pool", "features", "crops", "head", "shots",
            "seed", "eval_split")  # fmt: skip
LINEAGE = "lineage"
COMPONENTS = frozenset({"scorer", "pool", "head"})
NO_COLUMNS = frozenset({"more", "cost", "cached", "place"})  # fields of a result that its row does not have
TYPES = {"str": (str,), "int": (int,), "float": (float, int), "float | None": (float, int, type(None)), "bool": (bool,)}


@dataclass(frozen=True, kw_only=True)
class Result:
    """One probed setting and what was measured.

    What was compared: canonical texts of components, '' where there is none, as ``regions`` for a pooling of whole
    images; ``features`` is 'unit' or 'raw', ``crops`` '0:32' for a draw of the cached ones, ``shots`` 0 for all train
    images, ``seed`` -1 for a head without chance, ``eval_split`` 'val' where validation images were measured, not test
    ones.

    What was measured, on ``n_test`` images: ``accuracy``, the share that is right, ``low`` and ``high``, its 95 %
    interval over images, ``per_class``, the mean of the classes' own accuracies, all in 0..1; ``without_regions``, how
    many images have none to pool. ``seconds`` are in all, ``features_seconds`` those for features; ``details`` is JSON
    of the head.

    ``digest`` is of everything that decides the result, ``labels_digest`` of the index's labels; ``lineage`` maps
    'features' and the kinds of their parents to recipe digests, and is empty in rows of before. ``more`` holds columns
    that a later version added. No columns are ``cost``, which the store says, ``cached``, whether it was there before,
    and ``place``, where it lies.
    """

    dataset: str
    regions: str
    encoder: str
    prompt: str
    scorer: str
    target: str
    pool: str
    features: str
    crops: str = ""
    head: str
    shots: int = 0
    seed: int = -1
    eval_split: str = "test"
    accuracy: float
    low: float | None = None
    high: float | None = None
    per_class: float
    n_train: int
    n_test: int
    without_regions: int
    converged: bool
    seconds: float
    features_seconds: float = 0.0
    details: str
    labels_digest: str = ""
    digest: str
    lineage: Mapping[str, str] = field(default_factory=dict, hash=False)
    more: Mapping[str, Any] = field(default_factory=dict, hash=False)
    cost: Cost = field(default=Cost(), compare=False)
    cached: bool = field(default=False, compare=False)
    place: Place | None = field(default=None, compare=False)

    @property
    def strategy(self) -> str:
        """The paper's name for what was done: ``Soft negative margin``."""
        return strategies.strategy(self.scorer, self.pool, self.head)

    @property
    def k(self) -> int | str | None:
        """How many regions are kept of each image: a number, 'all', or None for a pooling that does not choose."""
        return strategies.kept(self.pool)

    @property
    def is_oracle(self) -> bool:
        """Whether it was scored against true labels, or on regions that people marked: it is an upper bound."""
        return strategies.is_upper_bound(self.target, self.regions)

    @property
    def undecided(self) -> str:
        """Why a hyper-parameter of the head could not be chosen on held-out images; empty where it was."""
        details = self._read_details()
        if not isinstance(why := details.get("validation"), str):
            return ""
        taken = [f"{key} = {value:g}" for key in ("a", "C") if isinstance(value := details.get(key), int | float)]
        return f"{', '.join(taken)} ({why})" if taken else ""

    def _read_details(self) -> dict[str, Any]:
        try:
            details = json.loads(self.details)
        except ValueError:
            return {}
        return details if isinstance(details, dict) else {}

    @property
    def loss(self) -> float | None:
        """The final loss of a head that trains for fixed epochs; None of any other."""
        loss = self._read_details().get("loss")
        return float(loss) if isinstance(loss, int | float) and math.isfinite(loss) else None

    @property
    def training(self) -> str:
        """How it ended: 'converged', which a head without training is, 'not converged' or 'fixed epochs'."""
        if not self.converged:
            return "not converged"
        return "converged" if self.loss is None else "fixed epochs"

    @property
    def compared(self) -> tuple[str | int, ...]:
        """What was compared: equal for results of the same setting."""
        return tuple(getattr(self, name) for name in COMPARED)

    @property
    def setting(self) -> tuple[str | int, ...]:
        """What was compared, whatever the data set."""
        return tuple(getattr(self, name) for name in COMPARED if name != "dataset")

    def to_json(self) -> dict[str, Any]:
        """Columns by name, as commands print them with ``--json``, with its cost, ``undecided``, ``training``, ``loss``
        and ``cached``; ``converged`` is None after fixed epochs."""
        found = {**self.cost.to_json(), "undecided": self.undecided, "training": self.training, "loss": self.loss}
        found |= {"cached": self.cached} | ({"converged": None} if self.training == "fixed epochs" else {})
        return {**{k: v for k, v in _columns(self).items() if k != LINEAGE}, **self.more, **found}


def _columns(result: Result) -> dict[str, Any]:
    return {f.name: getattr(result, f.name) for f in fields(result) if f.name not in NO_COLUMNS}


@dataclass(frozen=True, eq=False)
class Predictions:
    """For each test image its id, true class and predicted class: three arrays (n,)."""

    image_ids: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """(n,) bool."""
        return self.labels == self.predictions

    def by_class(self, n_classes: int) -> np.ndarray | None:
        """(C,) accuracy among the test images of each class, NaN for a class without any; None where labels go beyond
        ``n_classes``, as those of another index may."""
        if self.labels.max() >= n_classes:
            return None
        with np.errstate(invalid="ignore"):
            return np.bincount(self.labels, self.right, n_classes) / np.bincount(self.labels, minlength=n_classes)


def read_all(root: Path, dataset: str | None = None) -> list[Result]:
    """Every result of test images below ``root``, of one data set's folder or of all, in the order of their files'
    names. Raises :class:`DamagedResult`."""
    return [result for place in places(root, dataset) if (result := read(place))]


def read(place: Place) -> Result | None:
    """The result at ``place``, checked against its seal and its predictions; None where there is none. Raises
    :class:`DamagedResult`. Where the predictions alone are gone, the row is what there is."""

    def checked(found: Files) -> Result:
        result = _result(place, found.row)
        if found.predictions is not None:
            _check_measured(result, place, found.predictions)
        return result

    return sealed.reading(place, checked)


def read_predictions(place: Place) -> Predictions | None:
    """The predictions of the result at ``place``; None where they are not there. Raises :class:`DamagedResult`."""

    def whole(found: Files) -> Predictions | None:
        return None if found.predictions is None else _predictions(place, found.predictions)

    return sealed.reading(place, whole)


def write(place: Place, result: Result, predictions: Predictions) -> Result:
    """Publish a result, whole or not at all. Returns it with its place."""
    columns = {**_columns(result), LINEAGE: json.dumps(dict(result.lineage), sort_keys=True)}
    row = pa.Table.from_pylist([{**columns, **result.more}])
    arrays = (predictions.image_ids.tolist(), predictions.labels, predictions.predictions)
    sealed.publish(place, row, pa.table(dict(zip(PREDICTED, arrays, strict=True))))
    return replace(result, place=place)


def _result(place: Place, row: dict[str, Any]) -> Result:
    """The result that the columns of ``row`` are; raises :class:`DamagedResult` where they are none."""
    values: dict[str, Any] = {}
    for column in (f for f in fields(Result) if f.name not in NO_COLUMNS):
        if column.name in row:
            values[column.name] = _value(place, column, row.pop(column.name))
        elif column.default is MISSING and column.default_factory is MISSING:
            raise DamagedResult(place.row, f"not a result (it lacks {column.name})")
    if values["n_test"] > 0 and 0 <= values["accuracy"] <= 1:  # versions before kept none, or one by a bootstrap
        interval = one_run(values["accuracy"], values["n_test"])
        values |= {"low": interval.low, "high": interval.high}
    result = Result(**values, more=row, place=place)
    if result.digest[:NAME_DIGITS] != place.name:
        raise DamagedResult(place.row, "the row of another result")
    return result


def _value(place: Place, column: Field, value: Any) -> Any:
    """``value`` as the field ``column`` holds it; raises :class:`DamagedResult` for one of another type."""
    if column.name == LINEAGE:
        try:
            found = json.loads(value)
        except (TypeError, ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and all(isinstance(digest, str) for digest in found.values()):
            return found
    elif type(value) in TYPES[str(column.type)] and _is_written(column.name, value):
        return value
    raise DamagedResult(place.row, f"not a result (its {column.name} is {value!r:.40})")


def _is_written(name: str, value: Any) -> bool:
    """Whether a number is one, and a text can be taken apart as what it is."""
    if isinstance(value, float):
        return math.isfinite(value)
    if name == "crops":
        return re.fullmatch(r"(\d{1,9}:\d{1,9})?", value) is not None
    if name in COMPONENTS and value:
        try:
            specs.parse(value)
        except UsageError:
            return False
    return True


def _predictions(place: Place, file: bytes) -> Predictions:
    ids, *classes = (sealed.parsed(place.predictions, file, PREDICTED)[name] for name in PREDICTED)
    return Predictions(np.array(ids.to_pylist(), np.str_), *(_whole_numbers(place, column) for column in classes))


def _whole_numbers(place: Place, column: pa.ChunkedArray) -> np.ndarray:
    """A column of classes (n,); raises :class:`DamagedResult` where it holds anything else, or nothing."""
    if pa.types.is_integer(column.type) and len(column) and not column.null_count:
        numbers: np.ndarray = column.to_numpy()
        if numbers.min() >= 0:
            return numbers
    raise DamagedResult(place.predictions, "not predictions (no column of classes)")


def _check_measured(result: Result, place: Place, file: bytes) -> None:
    """Raises :class:`DamagedResult` where accuracies or number of images are not those of the predictions in
    ``file``."""
    table = sealed.parsed(place.predictions, file, PREDICTED[1:])
    labels, predictions = (_whole_numbers(place, table[name]) for name in PREDICTED[1:])
    measured = {
        "n_test": len(labels),
        "accuracy": top1(labels, predictions),
        "per_class": mean_per_class(labels, predictions),
    }
    for name, value in measured.items():
        if not math.isclose(said := getattr(result, name), value, abs_tol=1e-9):
            raise DamagedResult(place.row, f"its {name} is {said:g}, that of its predictions {value:g}")

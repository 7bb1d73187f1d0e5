"""Heads over feature matrices (section 3.6), bound from their text: ``logreg``, ``adamw``, ``zeroshot``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fgscore import plugins, specs
from fgscore.errors import BadParameter, DataError, unknown
from fgscore.heads.adamw import adamw
from fgscore.heads.data import Linear, Outcome, ProbeData, few_shot, holdout, mean_per_class, top1, validation_split
from fgscore.heads.logreg import C_GRID, logreg
from fgscore.heads.zeroshot import zeroshot

__all__ = ["C_GRID", "HEADS", "Head", "Linear", "Outcome", "ProbeData", "ProbeResult", "bind", "few_shot", "holdout",
           "mean_per_class", "top1", "validation_split"]  # fmt: skip


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


@dataclass(frozen=True)
class Head:
    """A head with every parameter decided."""

    name: str
    params: Mapping[str, specs.Value]
    canonical: str
    function: Callable[..., Outcome]

    @property
    def trains(self) -> bool:
        """Whether it learns from labels."""
        return self.name != "zeroshot"

    @property
    def needs_text(self) -> bool:
        """Whether it compares with the texts of the classes."""
        return self.name == "zeroshot"

    @property
    def thread_safe(self) -> bool:
        """Whether several can be fitted at a time: torch's dropout draws from one generator for all threads."""
        return self.name not in NEEDS

    @property
    def begins_near(self) -> bool:
        """Whether a fit can begin where one on features like its own has ended."""
        return self.name in BEGINS_NEAR

    @property
    def seed(self) -> int | None:
        """Its seed; None for a head without chance."""
        seed = self.params.get("seed")
        return None if seed is None else int(seed)  # type: ignore[arg-type]

    def check_installed(self) -> None:
        """Raises :class:`MissingExtra` where a package that it needs is not installed; imports nothing."""
        for package in NEEDS.get(self.name, ()):
            plugins.check_package(package, f"the head {self.name!r}")

    def __call__(self, data: ProbeData, near: Any = None) -> ProbeResult:
        """Fit where there is something to fit, predict the test images, measure. ``near`` is the ``path`` of a result
        of the same head on features of the same width, to begin there."""
        test = data.rows("test")
        if not len(test):
            raise DataError(
                "expected test images to measure on, found none in this index; index a copy with a test split"
            )
        found = self.function(data, test, *([near] if self.begins_near else []), **self.params)
        labels = data.labels[test]
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


HEADS = {f.__name__: f for f in (logreg, adamw, zeroshot)}
NEEDS = {"adamw": ("torch",)}
BEGINS_NEAR = frozenset({"logreg"})
AT_LEAST = {"max_iter": 1, "seed": 0, "epochs": 1, "batch_size": 1, "weight_decay": 0}


def bind(text: str) -> Head:
    """The head that ``text`` names: ``logreg(C=auto)``, ``logreg(C=100)``, ``adamw(epochs=50)``, ``zeroshot``."""
    spec = specs.parse(text)
    if spec.name not in HEADS:
        raise unknown("head", spec.name, HEADS)
    function = HEADS[spec.name]
    params = specs.bind(spec, function, "head")
    _check(spec.name, params)
    return Head(spec.name, params, specs.canonical(spec.name, params, specs.tunables(function)), function)


def _check(name: str, params: Mapping[str, Any]) -> None:
    c = params.get("C", 1.0)
    if c != "auto" and (not isinstance(c, float) or c <= 0):
        raise BadParameter(f"head {name!r}: C must be a number above 0 or 'auto', found {c!r}")
    for key, least in AT_LEAST.items():
        if params.get(key, least) < least:
            raise BadParameter(f"head {name!r}: {key} must be at least {least}, found {params[key]}")
    if params.get("lr", 1.0) <= 0:
        raise BadParameter(f"head {name!r}: lr must be above 0, found {params['lr']}")
    if not 0 <= params.get("dropout", 0.0) < 1:
        raise BadParameter(f"head {name!r}: dropout must be at least 0 and below 1, found {params['dropout']}")

"""What every component must keep to, by kind, tried on small random inputs: ours in the tests, a user's by
``fgscore contract ./mine.py:thing``.

A law is a function that raises :class:`Broken` with a counterexample. It holds for all components of its kind that
declare what it is about: a grid of boxes does not fail for not being random, nor an encoder of images for reading no
text. To keep to all of them is necessary, not sufficient: none says that a scorer finds the right regions.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import foreign
from fgscore.components import Component
from fgscore.errors import FgscoreError

HOMES = {
    "scorer": "arrays",
    "target": "arrays",
    "pooling": "arrays",
    "head": "learning",
    "encoder": "pictures",
    "region generator": "pictures",
    "data set": "listing",
}  # the module that holds the laws of each kind


class Broken(AssertionError):
    """A law does not hold; the text is the counterexample."""


@dataclass(frozen=True)
class Law:
    """``says`` is the law in words; ``applies`` tells whether a component declares what it is about."""

    kind: str
    says: str
    check: Callable[[Any, Given], None]
    applies: Callable[[Any], bool]


@dataclass(frozen=True)
class Given:
    """What is at hand for a trial: the ``device`` for encoders and generators, what of them is ``loaded``, the ``root``
    folder of a data set."""

    device: str = "auto"
    root: Path | None = None
    loaded: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """How a component stands to a law: ``counterexample`` is empty where it keeps to it."""

    law: str
    counterexample: str = ""


_LAWS: list[Law] = []


def law(kind: type[Component], applies: Callable[[Any], bool] = lambda component: True) -> Callable[[Any], Any]:
    """A decorator that makes a function of a component of ``kind`` a law; the first line of its docstring is what it
    says."""

    def register(check: Callable[..., None]) -> Callable[..., None]:
        says = (inspect.getdoc(check) or check.__name__).partition("\n")[0].rstrip(".")
        takes_given = len(inspect.signature(check).parameters) > 1
        _LAWS.append(Law(kind.kind, says, check if takes_given else lambda one, given: check(one), applies))
        return check

    return register


def laws(component: Component) -> list[Law]:
    """The laws that hold for ``component``, by what it declares."""
    importlib.import_module(f"fgscore.contract.{HOMES[component.kind]}")
    return [one for one in _LAWS if one.kind == component.kind and one.applies(component)]


def check(component: Component, given: Given | None = None) -> Iterator[Verdict]:
    """Try every law that holds for ``component``; one after another, as it is tried."""
    given = given or Given()
    for one in laws(component):
        try:
            one.check(component, given)
        except Broken as broken:
            yield Verdict(one.says, str(broken))
        except FgscoreError as error:  # which says by itself what is wrong, and where
            yield Verdict(one.says, str(error))
        except Exception as error:  # whatever a component of a user's does
            where = foreign.place(component.source.file, None, error)
            yield Verdict(one.says, f"{where}: {type(error).__name__}: {error}")
        else:
            yield Verdict(one.says)


def same(found: np.ndarray, wanted: np.ndarray, what: str, atol: float = 2e-5) -> None:
    """Raises :class:`Broken` unless two arrays are equal within ``atol``; ``what`` says where the second comes from."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape:
        raise Broken(f"{what}: expected shape {wanted.shape}, found {found.shape}")
    wrong = np.argwhere(~np.isclose(found.astype(float), wanted.astype(float), rtol=1e-4, atol=atol))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        values = f"{float(wanted[at])!r}, found {float(found[at])!r}"
        raise Broken(f"{what}: expected {values} at {list(at)}, {len(wrong)} of {found.size} differ")


def untouched(before: Any, after: Any, what: str) -> None:
    """Raises :class:`Broken` where what a component was given is no longer what it was."""
    if not np.array_equal(np.asarray(before), np.asarray(after)):
        raise Broken(f"it writes to {what}, which it is given to read")

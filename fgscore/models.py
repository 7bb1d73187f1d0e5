"""What encoders and region generators have in common: a function that returns an object, which may have weights to be
found, fetched, looked at and loaded."""

from __future__ import annotations

import functools
import inspect
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from fgscore import foreign, specs
from fgscore.components import Component, Source, positional
from fgscore.errors import UsageError
from fgscore.machine.progress import Progress
from fgscore.runtime import Runtime

M = TypeVar("M", bound="Model")


@dataclass(frozen=True)
class Download:
    """One file to fetch: ``checksum`` is ``sha256:...`` or ``md5:...``, ``size`` in bytes; ``unpack`` for an archive,
    whose entries go to the folder it is fetched into."""

    url: str
    name: str
    checksum: str
    size: int
    unpack: bool = True


class Model:
    """What an encoder or a region generator may be asked for; what its class does not say is as here.

    To make one is cheap: nothing is read or loaded before :meth:`load`.
    """

    required: ClassVar[tuple[str, ...]] = ()  # what has no default
    given: ClassVar[tuple[str, ...]] = ()  # what is set from outside

    version: int = 1  # a change of what it computes raises it
    needs: tuple[str, ...] = ()  # packages that must be installed, by the name they are imported by
    device: str = "cpu"  # where it works once it is loaded, by torch's name
    thread_safe: bool = False  # whether several threads may call it at a time
    implementation: str | None = None  # whose code it runs, where there is a choice; kept as provenance
    downloads: tuple[Download, ...] = ()  # the files that `fgscore download` fetches into the folder of models

    def version_of(self, kind: str) -> int:
        """The version of artefacts of ``kind``."""
        return self.version

    def weights(self) -> str | None:
        """What identifies its weights, a digest or a commit; None where it has none. Raises :class:`MissingWeights`
        where they are not here. Files that are parameters annotated as ``Path`` are looked at without it."""
        return None

    def files(self) -> list[Path]:
        """The files of its weights that are on this machine."""
        return []

    def fetch(self, progress: Progress, again: bool = False) -> bool:
        """Bring weights that are not here from where they are published; with ``again`` also those that look whole.
        Returns whether anything was asked for."""
        return False

    @property
    def is_known(self) -> bool:
        """Whether all that it reads ships with fgscore or is named there: what may be used because a file names it."""
        return True

    @property
    def runs_code(self) -> bool:
        """Whether it runs code that its weights bring: only where the user wrote so, never because a file does."""
        return False

    @property
    def fetches(self) -> bool:
        """Whether it knows where its weights are published."""
        return type(self).fetch is not Model.fetch

    def check(self) -> None:
        """Look whether weights are what they say, as far as that goes without loading them; raises
        :class:`MissingWeights` otherwise."""

    def load(self) -> None:
        """Load what is heavy: called once, before the first image."""


def _is_code(member: Any) -> bool:
    """Whether a class has a function there, rather than a value."""
    return callable(member) or isinstance(member, property | functools.cached_property | classmethod | staticmethod)


def adopted(made: Any, contract: type[M]) -> M:
    """``made`` as a ``contract``: what it has is its own, also what it comes to have by its ``load``, and the rest is
    the contract's.

    Raises :class:`UsageError` where it lacks what has no default, but for what its ``load`` may bring.
    """
    if isinstance(made, contract):
        return made
    loads = hasattr(made, "load")
    lacks = [n for n in contract.required if not hasattr(made, n) and not (loads and n in contract.__annotations__)]
    if lacks:
        raise UsageError(f"found {type(made).__name__}, which has no {' and no '.join(lacks)}")

    def own(name: str) -> property:
        default = inspect.getattr_static(contract, name)
        return property(lambda self: getattr(made, name) if hasattr(made, name) else default)

    public = [name for name in dir(contract) if not name.startswith("_") and name not in contract.given]
    values = [name for name in public if not _is_code(inspect.getattr_static(contract, name))]
    namespace = {name: own(name) for name in public if name in values or hasattr(made, name)}
    adopter: Any = types.new_class(type(made).__name__, (contract,), exec_body=lambda body: body.update(namespace))
    found: M = adopter()
    return found


@dataclass(frozen=True, kw_only=True)
class Maker(Component):
    """A component whose function returns the thing itself: what it declares, it does as attributes and methods of
    ``contract``, whose defaults stand for the rest."""

    contract: ClassVar[type[Model]] = Model

    @property
    def given(self) -> tuple[str, ...]:
        """The runtime, for a function that takes one."""
        return ("runtime",) if positional(self.function) else ()

    @classmethod
    def of(cls, thing: Any) -> Self:
        """Also of the thing itself, which is made already."""
        if not isinstance(thing, cls.contract):
            return super().of(thing)
        name, source = type(thing).__name__, Source(file=foreign.file_of(type(thing)), is_object=True)
        return cls._made(specs.Spec(name), lambda: thing, source)

    def make(self, runtime: Runtime) -> Any:
        """What the function returns, as a ``contract``; ``runtime`` is given to a function that takes one.

        Raises :class:`DataError` where a file that a parameter names is not there, and :class:`UsageError` where the
        function returns something else.
        """
        self.paths()
        wanted = f"expected a function that returns one, with {' and '.join(self.contract.required)}"
        with self.blamed(wanted):
            return self._made_of(self._returned(runtime))

    def _returned(self, runtime: Runtime) -> Any:
        own = {name: self.params[name] for name in specs.tunables(self.function)}
        return self.function(*([runtime] if self.given else []), **own)

    def _made_of(self, returned: Any) -> Any:
        return adopted(returned, self.contract)

    def identity_of(self, weights: str | None) -> str | None:
        """What identifies all that is read beside the parameters: ``weights``, as the made thing says them, and the
        files that parameters name. Of what is not ours always a digest; None where there is nothing."""
        files = self.files
        if self.is_ours and not files:
            return weights
        return specs.digest({"weights": weights, "files": files}) if weights or files else None

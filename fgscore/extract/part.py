"""An encoder or a region generator, bound to how a run is carried out: found, looked at, loaded, and blamed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from fgscore import foreign, specs
from fgscore.errors import DataError, Faults, FgscoreError, MissingExtra, MissingWeights, UnfitPackage, UsageError
from fgscore.machine.macs import Macs
from fgscore.machine.packages import check_installed, is_installed
from fgscore.machine.progress import Progress, silent
from fgscore.models import Maker, Model
from fgscore.runtime import Runtime
from fgscore.store import manifest

Fault = tuple[str, FgscoreError]  # what was looked at, and what is wrong with it
AGAIN = "mend that, and run the same command again"
M = TypeVar("M", bound=Model)


class Part(Generic[M]):
    """An encoder or a region generator bound to a runtime, made of its text, its maker or a Python object: its recipe
    is known at once, its model is loaded when first needed."""

    makers: ClassVar[type[Maker]]

    def __init__(self, thing: Any, runtime: Runtime) -> None:
        self.maker = thing if isinstance(thing, Maker) else self.makers.of(thing)
        self.text = thing if isinstance(thing, str) else self.maker.canonical
        self.runtime = runtime
        self._lock, self._is_loaded = threading.RLock(), False

    @cached_property
    def made(self) -> M:
        """The encoder or generator itself, not loaded yet. Raises as :meth:`Maker.make`."""
        return self.maker.make(self.runtime)

    @property
    def loaded(self) -> M:
        """The same, loaded, and, where it is not ours, tried on a little invented input."""
        with self._lock:
            if not self._is_loaded:
                with self.blamed(self.made.load):
                    self.made.load()
                self._is_loaded = True
                try:
                    self._begin()
                except BaseException:
                    self._is_loaded = False
                    raise
        return self.made

    def _begin(self) -> None:
        """What follows on loading."""

    @cached_property
    def weights(self) -> str | None:
        """What identifies the weights; raises :class:`MissingWeights`."""
        with self.blamed(self.made.weights):
            return self.maker.identity_of(self.made.weights())

    def files(self) -> list[Path]:
        """The files of a model that are on this machine."""
        with self.blamed(self.made.files):
            return self.made.files()

    def lacking(self) -> list[str]:
        """The packages that it needs and that are not installed."""
        return [package for package in self.made.needs if not is_installed(package)]

    def faults(self, progress: Progress = silent, fetch: bool = True) -> Iterator[Fault]:
        """What would stop a run, before it starts: packages, weights that are not here or do not fit. Those that a hub
        has are fetched first, where ``fetch``. Raises :class:`UsageError` for values that exclude each other, and for
        what is not ours and does not do."""
        what = f"weights of {self.text}"
        if unmade := self.unmade():
            yield from unmade
            return
        lacking = self.lacking()
        yield from fault_of("packages", lambda: check_installed(lacking))
        found = list(fault_of(what, lambda: self._find(progress, fetch)))
        yield from (fault for fault in found if not (lacking and isinstance(fault[1], MissingExtra)))
        if not lacking and not found:
            yield from fault_of(what, lambda: self._look(progress, fetch))

    def unmade(self) -> list[Fault]:
        """Why it cannot even be made; nothing where it can."""
        return list(fault_of(f"weights of {self.text}", lambda: self.made))

    def check(self, progress: Progress = silent) -> None:
        """Raise what would stop a run, see :meth:`faults`."""
        stop_at(list(self.faults(progress)))

    def _find(self, progress: Progress, fetch: bool) -> None:
        if fetch:
            self._fetch(progress)
        _ = self.weights

    def _look(self, progress: Progress, fetch: bool) -> None:
        try:
            self._check()
        except MissingWeights:  # a file that another tool left out, or that is cut short, is the hub's to mend
            if not (fetch and self._fetched_again(progress)):
                raise
            self._check()

    def _check(self) -> None:
        with self.blamed(self.made.check):
            self.made.check()

    def _fetch(self, progress: Progress, again: bool = False) -> bool:
        with self.blamed(self.made.fetch):
            return self.made.fetch(progress, again)

    def _fetched_again(self, progress: Progress) -> bool:
        try:
            asked = self._fetch(progress, again=True)
        except MissingWeights:  # what was found at first says more
            return False
        self.__dict__.pop("weights", None)
        return asked

    def blamed(self, method: Callable[..., Any], at: str = "") -> AbstractContextManager[None]:
        """Where its code runs, or what that returned is read: what one that is not ours does wrong is an error with its
        file and line, that of ``method`` where it raised nothing itself. ``at`` is the image it was given."""
        if self.maker.is_ours:
            return nullcontext()
        file, who = self.maker.source.file, f"{self.maker.kind} {self.maker.canonical}{f' at {at}' if at else ''}"
        return foreign.blamed(file, who, AGAIN, method if foreign.is_in(file, method) else self.maker.function)

    @cached_property
    def macs(self) -> Macs | None:
        """Multiply-accumulates that it takes an image; None where that is not known."""
        return None

    def _counted(self, method: Callable[..., int | None], *given: int) -> int | None:
        """What its ``method`` says of multiply-accumulates; raises :class:`UsageError` unless that is a whole number, 0
        or more, or None."""
        with self.blamed(method):
            found = method(*given)
            if found is None or (isinstance(found, int) and found >= 0):
                return found
            raise UsageError(f"expected macs to return a whole number or None, found {found!r:.40}")

    @property
    def who(self) -> str:
        """How a message about what it returned begins."""
        if self.maker.is_ours:
            return f"the {self.maker.kind}"
        return f"{self.maker.place}{self.maker.kind} {self.maker.canonical}"

    def recipe(self, kind: str, parents: Mapping[str, str], **extra: Any) -> manifest.Recipe:
        """The recipe of an artefact of ``kind``, which may depend on some of the parameters only. Raises
        :class:`UsageError` for a Python object, which nothing could find again."""
        maker = self.maker
        if maker.source.is_object:
            raise UsageError(f"{maker.kind} {maker.canonical} is a Python object, of which the store keeps nothing; "
                             f"write it into a file and name it as ./mine.py:{maker.name}")  # fmt: skip
        keys = self._keys(kind)
        params = {name: value for name, value in maker.stored.items() if name in keys}
        component = specs.canonical(maker.name, params, maker.tunables(maker.function))
        if maker.source.sha256:
            extra["source"] = maker.source.sha256
        return manifest.Recipe(kind, component, params, self.made.version_of(kind), self.weights, dict(parents), extra)

    def _keys(self, kind: str) -> tuple[str, ...]:
        return tuple(self.maker.params)

    @property
    def facts(self) -> dict[str, Any]:
        """Provenance of what it makes: the device it really runs on, whose code, where there is a choice, and the
        distribution that it comes from."""
        facts = {"device": str(self.loaded.device)}
        if self.loaded.implementation is not None:
            facts["implementation"] = self.loaded.implementation
        return facts | ({"distribution": self.maker.source.distribution} if self.maker.source.distribution else {})


def fault_of(what: str, look: Callable[[], Any]) -> Iterator[Fault]:
    """What ``look`` finds to be at fault, under the name of ``what`` it looks at; nothing where all is well. Raises
    :class:`UsageError` where the call is wrong in itself."""
    try:
        look()
    except (DataError, MissingExtra, UnfitPackage) as error:
        yield what, error
    except OSError as error:  # such as weights that only their owner may read
        yield what, DataError(f"{error.strerror or error} at {error.filename or 'an unnamed file'}; mend that")


def stop_at(faults: Sequence[Fault]) -> None:
    """Raise the one of ``faults``, or all of them as one :class:`Faults`; nothing where there are none."""
    if len(faults) == 1:
        raise faults[0][1]
    if faults:
        raise Faults(faults)

"""Generators and encoders of a run, bound to how it is carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fgscore import encoders, plugins, regions, specs
from fgscore.errors import DataError, Faults, FgscoreError, MissingExtra, MissingWeights, UnfitPackage
from fgscore.machine.progress import Progress, silent
from fgscore.store import manifest
from fgscore.types import NOT_TOLD_APART, Runtime, pairs

Fault = tuple[str, FgscoreError]  # what was looked at, and what is wrong with it


class Component:
    """A plugin bound to a runtime: its recipe is known at once, its model is loaded when first needed."""

    def __init__(self, kind: str, text: str, runtime: Runtime) -> None:
        self.text, self.bound, self.runtime = text, plugins.bind(kind, text), runtime
        self.params = dict(self.bound.params)

    @cached_property
    def weights(self) -> str | None:
        """What identifies the weights; raises :class:`MissingWeights`."""
        weights = getattr(self.bound.module, "weights", None)
        return weights(self.runtime, self.params) if weights else None

    def files(self) -> list[Path]:
        """The files of a model that are on this machine."""
        listed = getattr(self.bound.module, "files", None)
        return listed(self.params) if listed else []

    @cached_property
    def loaded(self) -> Any:
        """The generator or encoder itself."""
        return self.bound.module.load(self.runtime, **self.params)

    def faults(self, progress: Progress = silent, fetch: bool = True) -> Iterator[Fault]:
        """What would stop a run, before it starts: packages, weights that are not here or do not fit. Those that a hub
        has are fetched first, where ``fetch``. Raises :class:`UsageError` for values that exclude each other."""
        if "area_min" in self.params:
            regions.check_area(*(self.params[k] for k in ("area_min", "area_max", "n")))  # type: ignore[arg-type]
        lacking = plugins.lacking_packages(self.bound)
        yield from fault_of("packages", lambda: plugins.check_installed(lacking))
        found = list(fault_of(f"weights of {self.text}", lambda: self._find(progress, fetch)))
        yield from (fault for fault in found if not (lacking and isinstance(fault[1], MissingExtra)))
        if not lacking and not found:
            yield from fault_of(f"weights of {self.text}", lambda: self._look(progress, fetch))

    def check(self, progress: Progress = silent) -> None:
        """Raise what would stop a run, see :meth:`faults`."""
        stop_at(list(self.faults(progress)))

    def _find(self, progress: Progress, fetch: bool) -> None:
        module = self.bound.module
        if fetch and hasattr(module, "fetch"):
            module.fetch(self.runtime, self.params, progress)
        _ = self.weights

    def _look(self, progress: Progress, fetch: bool) -> None:
        module = self.bound.module
        if hasattr(module, "check"):
            try:
                module.check(self.runtime, self.params)
            except MissingWeights:  # a file that another tool left out, or that is cut short, is the hub's to mend
                if not (fetch and self._fetched_again(progress)):
                    raise
                module.check(self.runtime, self.params)
        elif self.weights is None:  # nothing heavy to load, and loading looks at the parameters
            _ = self.loaded

    def _fetched_again(self, progress: Progress) -> bool:
        try:
            asked = hasattr(self.bound.module, "fetch") and self.bound.module.fetch(
                self.runtime, self.params, progress, again=True
            )
        except MissingWeights:  # what was found at first says more
            return False
        self.__dict__.pop("weights", None)
        return bool(asked)

    def recipe(self, kind: str, parents: Mapping[str, str], **extra: Any) -> manifest.Recipe:
        """The recipe of an artefact of ``kind``, which may depend on some of the parameters only."""
        keys = getattr(self.bound.module, "PARAMETERS", {}).get(kind, tuple(self.params))
        stored = getattr(self.bound.module, "resolve", dict)(self.params)
        params = {k: v for k, v in stored.items() if k in keys}
        component = specs.canonical(self.bound.name, params, specs.tunables(self.bound.module.load))
        by_kind = getattr(self.bound.module, "version", None)
        version = by_kind(self.runtime, self.params, kind) if by_kind else self.bound.version
        return manifest.Recipe(kind, component, params, version, self.weights, dict(parents), extra)

    @property
    def facts(self) -> dict[str, Any]:
        """Provenance of what it makes: the device it really runs on, and whose code, where there is a choice."""
        facts = {"device": str(getattr(self.loaded, "device", "cpu"))}
        implementation = getattr(self.loaded, "implementation", None)
        return facts if implementation is None else {**facts, "implementation": implementation}


def fault_of(what: str, look: Callable[[], Any]) -> Iterator[Fault]:
    """What ``look`` finds to be at fault, under the name of ``what`` it looks at; nothing where all is well. Raises
    :class:`UsageError` where the call is wrong in itself."""
    try:
        look()
    except (DataError, MissingExtra, UnfitPackage) as error:
        yield what, error
    except OSError as error:  # such as weights that only their owner may read
        yield what, DataError(f"{error.strerror or error} at {error.filename or 'an unnamed file'}; mend that")


def equal_text(component: Component, prompt: str, equal: Sequence[tuple[str, str]]) -> DataError:
    """The error for classes of which ``component`` says the same by ``prompt``."""
    return DataError(
        f"{component.text} says the same of {pairs(equal)} by the prompt {prompt!r}; {NOT_TOLD_APART}: mend the names "
        "or the prompt, or go on with --allow-equal-text"
    )


@dataclass(frozen=True)
class Components:
    """Generators and encoders of a run."""

    generators: list[Component]
    encoders: list[Component]
    prompts: list[str]

    @classmethod
    def of(
        cls,
        generators: list[str],
        encoders_: list[str],
        prompts: list[str],
        runtime: Runtime,
        noun: str | None = None,
    ) -> Components:
        """Parse and bind every component; nothing is loaded. ``noun`` is what the classes are kinds of. Raises
        :class:`UsageError` or :class:`DataError` for one that does not exist."""
        made = cls(
            [Component("region generator", text, runtime) for text in dict.fromkeys(generators)],
            [Component("encoder", text, runtime) for text in dict.fromkeys(encoders_)],
            list(dict.fromkeys(prompts)),
        )
        for prompt in made.prompts:
            encoders.prompt_set(prompt, noun)
        return made

    def faults(self, progress: Progress = silent, fetch: bool = True) -> list[Fault]:
        """What of them would stop a run; packages that lack are told together."""
        every = (*self.encoders, *self.generators)
        lacking = sorted({package for component in every for package in plugins.lacking_packages(component.bound)})
        found = [f for component in every for f in component.faults(progress, fetch) if f[0] != "packages"]
        return [*fault_of("packages", lambda: plugins.check_installed(lacking)), *found]


def stop_at(faults: Sequence[Fault]) -> None:
    """Raise the one of ``faults``, or all of them as one :class:`Faults`; nothing where there are none."""
    if len(faults) == 1:
        raise faults[0][1]
    if faults:
        raise Faults(faults)

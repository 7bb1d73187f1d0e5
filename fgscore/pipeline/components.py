"""Generators and encoders of a run, bound to how it is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fgscore import encoders, plugins, regions, specs
from fgscore.store import manifest
from fgscore.types import Runtime


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

    @cached_property
    def loaded(self) -> Any:
        """The generator or encoder itself."""
        return self.bound.module.load(self.runtime, **self.params)

    def check(self) -> None:
        """What would stop a run, before it starts: packages, weights, values that exclude each other."""
        plugins.check_installed(self.bound)
        if "area_min" in self.params:
            regions.check_area(*(self.params[k] for k in ("area_min", "area_max", "n")))  # type: ignore[arg-type]
        if self.weights is None:  # nothing heavy to load, and loading looks at the parameters
            _ = self.loaded

    def recipe(self, kind: str, parents: Mapping[str, str], **extra: Any) -> manifest.Recipe:
        """The recipe of an artefact of ``kind``, which may depend on some of the parameters only."""
        keys = getattr(self.bound.module, "PARAMETERS", {}).get(kind, tuple(self.params))
        stored = getattr(self.bound.module, "resolve", dict)(self.params)
        params = {k: v for k, v in stored.items() if k in keys}
        component = specs.canonical(self.bound.name, params, specs.tunables(self.bound.module.load))
        return manifest.Recipe(kind, component, params, self.bound.version, self.weights, dict(parents), extra)

    @property
    def facts(self) -> dict[str, Any]:
        """Provenance of what it makes: the device it really runs on, and whose code, where there is a choice."""
        facts = {"device": str(getattr(self.loaded, "device", "cpu"))}
        implementation = getattr(self.loaded, "implementation", None)
        return facts if implementation is None else {**facts, "implementation": implementation}


@dataclass(frozen=True)
class Components:
    """Generators and encoders of a run, each checked when made: packages and weights that are missing show at once,
    not hours into the run."""

    generators: list[Component]
    encoders: list[Component]
    prompts: list[str]

    @classmethod
    def check(
        cls,
        generators: list[str],
        encoders_: list[str],
        prompts: list[str],
        runtime: Runtime,
        noun: str | None = None,
    ) -> Components:
        """Parse, bind and check every component; nothing is loaded. ``noun`` is what the classes are kinds of."""
        made = cls(
            [Component("region generator", text, runtime) for text in dict.fromkeys(generators)],
            [Component("encoder", text, runtime) for text in dict.fromkeys(encoders_)],
            list(dict.fromkeys(prompts)),
        )
        for prompt in made.prompts:
            encoders.prompt_set(prompt, noun)
        for component in (*made.encoders, *made.generators):
            component.check()
        return made

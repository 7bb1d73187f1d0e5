"""List and load one-file plugins (data sets, region generators, encoders) by name, without importing the others.

A plugin is a module of its package that exposes ``load``; its keyword-only parameters are its tunables and the first
line of its docstring describes it. A module whose name starts with an underscore is a helper, not a plugin.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fgscore import specs
from fgscore.errors import missing_extra, unknown

KINDS = {"data set": "datasets", "region generator": "regions", "encoder": "encoders"}


@dataclass(frozen=True)
class Bound:
    """A plugin with every parameter decided: what a recipe is made of."""

    name: str
    params: Mapping[str, specs.Value]
    version: int
    canonical: str
    module: ModuleType


def available(kind: str) -> list[str]:
    """Names of the plugins of ``kind`` ('data set', 'region generator', 'encoder'), sorted; imports none of them."""
    package = importlib.import_module(f"fgscore.{KINDS[kind]}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def module(kind: str, name: str) -> ModuleType:
    """Import the one plugin of that name; raises :class:`UnknownName` with the nearest spelling."""
    names = available(kind)
    if name not in names:
        raise unknown(kind, name, names)
    return importlib.import_module(f"fgscore.{KINDS[kind]}.{name}")


def bind(kind: str, text: str) -> Bound:
    """Parse ``name(key=value)`` and decide every parameter; nothing heavy is imported.

    A plugin may define ``resolve(params) -> params`` to turn a local path into the name it is stored under.
    """
    spec = specs.parse(text)
    plugin = module(kind, spec.name)
    params = specs.bind(spec, plugin.load, kind)
    stored = dict(getattr(plugin, "resolve", dict)(params))
    canonical = specs.canonical(spec.name, stored, specs.tunables(plugin.load))
    return Bound(spec.name, params, getattr(plugin, "VERSION", 1), canonical, plugin)


def lacking_packages(bound: Bound) -> list[str]:
    """The packages that a plugin needs (``NEEDS``) and that are not installed."""
    return [package for package in getattr(bound.module, "NEEDS", ()) if not is_installed(package)]


def check_installed(lacking: Sequence[str]) -> None:
    """Raises :class:`MissingExtra` that names all of ``lacking``; nothing where there are none."""
    if lacking:
        raise missing_extra(lacking, "this extraction")


def check_package(package: str, feature: str, extra: str = "extract") -> None:
    """Raises :class:`MissingExtra` where ``package`` of ``extra``, which ``feature`` needs, is not installed; imports
    nothing."""
    if not is_installed(package):
        raise missing_extra([package], feature, extra)


def is_installed(package: str) -> bool:
    """Whether ``package`` can be imported; it is not."""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # imported, or blocked, without a spec
        return sys.modules.get(package) is not None


def describe(kind: str) -> list[dict[str, Any]]:
    """Name, parameters with defaults and one line of documentation for every plugin of ``kind``."""
    rows = []
    for name in available(kind):
        plugin = module(kind, name)
        line = (inspect.getdoc(plugin) or "").partition("\n")[0]
        rows.append({"name": name, "parameters": specs.tunables(plugin.load), "doc": line})
    return rows

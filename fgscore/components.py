"""One noun for all that has a name and parameters: data set, region generator, encoder, scorer, target, pooling, head.

A component is a function whose keyword-only parameters, each with a default, are its tunables. It is written
``name(key=value, ...)`` and is one of ours; or one that an installed distribution declares under the entry-point group
``fgscore.<plural>`` (``fgscore.scorers``, ``fgscore.encoders`` ...); or ``./mine.py:name(key=value)``, in a file of the
user's; or a Python object, given to :mod:`fgscore.api`. What else a component of a kind may declare is a field of the
kind's class (:class:`fgscore.scorers.Scorer`, :class:`fgscore.heads.Head` ...), set by its decorator ``declares``;
encoders and region generators declare it in the object that their function returns (:mod:`fgscore.models`).

No name that comes from a store, a saved probe or a result ever gets further than :func:`built_in`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

from fgscore import foreign, specs
from fgscore.errors import LISTED, DataError, UsageError, unknown
from fgscore.regular import content_sha256, file_sha256

F = TypeVar("F", bound=Callable[..., Any])
DECLARED = "__fgscore__"  # where a decorator keeps what a function declares


@dataclass(frozen=True)
class Source:
    """Where a component comes from. ``sha256`` is of the user's file or of the distribution's Python files, None for
    what ships with fgscore and for a Python object; ``file`` is what errors are blamed on."""

    sha256: str | None = None
    file: Path | None = None
    distribution: str = ""
    is_object: bool = False


OURS = Source()


@dataclass(frozen=True, kw_only=True)
class Component:
    """A component with every parameter decided: what a recipe is made of.

    ``name`` is the one it is stored under, ``mine.py:f`` for one in a file; ``params`` has all its parameters in the
    order of the signature; ``canonical`` is its one text, in which what equals a default is left out. A change of what
    it computes raises its ``version``; ``needs`` are packages that must be installed for it.
    """

    kind: ClassVar[str] = "component"
    home: ClassVar[str] = ""  # the module, or the package of one file each, that ours are in
    takes: ClassVar[tuple[str, ...]] = ()  # what its function is given by position
    shared: ClassVar[tuple[Callable[..., Any], ...]] = ()  # whose parameters all have, without writing them

    name: str
    function: Callable[..., Any] = field(repr=False)
    params: Mapping[str, specs.Value]
    canonical: str
    source: Source = OURS
    version: int = 1
    needs: tuple[str, ...] = ()

    @classmethod
    def declares(cls, *, name: str = "", **traits: Any) -> Callable[[F], F]:
        """A decorator that says what a function declares: fields of this class, and its ``name`` where that is not the
        function's. Raises TypeError for what the kind does not know."""
        known = {f.name for f in fields(cls)} - {"name", "function", "params", "canonical", "source"}
        if wrong := set(traits) - known:
            raise TypeError(f"a {cls.kind} declares {', '.join(sorted(known))}, found {', '.join(sorted(wrong))}")

        def declare(function: F) -> F:
            setattr(function, DECLARED, {"kind": cls.kind, "name": name or function.__name__, "traits": traits})
            return function

        return declare

    @classmethod
    def names(cls) -> list[str]:
        """The names of ours, then those of installed ones; no component is imported that has a file of its own."""
        return list(dict.fromkeys([*cls.ours_named(), *sorted(foreign.installed(LISTED[cls.kind]))]))

    @classmethod
    def tunables(cls, function: Callable[..., Any]) -> dict[str, Any]:
        """All parameters of a component of this kind with that ``function``, and their defaults."""
        return specs.tunables(function, *cls.shared)

    @classmethod
    def ours_named(cls) -> list[str]:
        """The names of ours, in the order in which they stand in their module, or sorted."""
        home = importlib.import_module(cls.home)
        if hasattr(home, "__path__"):
            return [m.name for m in pkgutil.iter_modules(home.__path__) if not m.name.startswith("_")]
        return list(cls._of_module())

    @classmethod
    def _of_module(cls) -> dict[str, Callable[..., Any]]:
        """The functions of a kind's module that declare themselves, in their order."""
        declared = [vars(f)[DECLARED] | {"function": f} for f in vars(importlib.import_module(cls.home)).values()
                    if inspect.isfunction(f) and DECLARED in vars(f)]  # fmt: skip
        return {one["name"]: one["function"] for one in declared if one["kind"] == cls.kind}

    @classmethod
    def bind(cls, text: str) -> Self:
        """The component that ``text`` names, which a user typed. Raises :class:`UnknownName` with the nearest name,
        :class:`BadParameter` for its parameters, :class:`UsageError` for a file or distribution that does not do."""
        spec = specs.parse(text)
        who = f"{cls.kind} {specs.stored_name(spec.name)}"
        if path := specs.file_of(spec.name):
            wanted = f"({', '.join([*cls.takes, '/'])})" if cls.takes else ""
            function, sha256 = foreign.from_file(path, spec.name.rpartition(":")[2], who, wanted)
            return cls._made(spec, function, Source(sha256, path))
        point = foreign.installed(LISTED[cls.kind]).get(spec.name)
        if point is None:
            return cls.built_in(text)
        if spec.name in cls.ours_named():
            whose = point.dist.name if point.dist else point.value
            raise UsageError(f"{who} is one of ours, and {whose} declares another by that name; "
                             f"run `pip uninstall {whose}`, or have it renamed")  # fmt: skip
        function, sha256, whose = foreign.from_distribution(point, who)
        return cls._made(spec, function, Source(sha256, foreign.file_of(function), whose))

    @classmethod
    def built_in(cls, text: str) -> Self:
        """The one of ours that ``text`` names, and no other: for a text that comes from a file."""
        spec = specs.parse(text)
        return cls._made(spec, cls.ours(spec.name), OURS)

    @classmethod
    def needed(cls, name: str) -> list[str]:
        """The parameters without a default that the one of ours by that name has."""
        parameters = cls.tunables(cls.ours(name)).items()
        return [parameter for parameter, default in parameters if default is inspect.Parameter.empty]

    @classmethod
    def declared(cls, function: Callable[..., Any], trait: str) -> Any:
        """The value of a field that ``function`` declares, or its default, without binding parameters."""
        default = next(f.default for f in fields(cls) if f.name == trait)
        return vars(function).get(DECLARED, {"traits": {}})["traits"].get(trait, default)

    @classmethod
    def ours(cls, name: str) -> Callable[..., Any]:
        """The function of ours by that name; raises :class:`UnknownName` with the nearest spelling."""
        if name not in cls.ours_named():
            raise unknown(cls.kind, name, cls.names())
        if functions := cls._of_module():
            return functions[name]
        return vars(importlib.import_module(f"{cls.home}.{name}"))[name]

    @classmethod
    def of(cls, thing: Any) -> Self:
        """A component of a text, as :meth:`bind`, or of a Python object: what depends on it is never kept on disk."""
        if isinstance(thing, str):
            return cls.bind(thing)
        name = thing.__name__ if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing).__name__
        return cls._made(specs.Spec(name), thing, Source(file=foreign.file_of(thing), is_object=True))

    @classmethod
    def _made(cls, spec: specs.Spec, function: Callable[..., Any], source: Source) -> Self:
        positional(function)  # no signature, no component
        declared = vars(function).get(DECLARED, {}) if hasattr(function, "__dict__") else {}
        if declared and declared["kind"] != cls.kind:
            raise UsageError(f"expected a {cls.kind}, found {spec.name}, which declares itself a {declared['kind']}")
        params = specs.bind(spec, function, cls.kind, *cls.shared)
        name = specs.stored_name(spec.name)
        canonical = specs.canonical(name, specs.stored(params, function, *cls.shared), cls.tunables(function))
        made = cls(name=name, function=function, params=params, canonical=canonical, source=source,
                   **declared.get("traits", {}))  # fmt: skip
        made._check_signature()
        return made

    @property
    def given(self) -> tuple[str, ...]:
        """What its function is given by position, by what it declares."""
        return self.takes

    def _check_signature(self) -> None:
        if len(positional(self.function)) != len(self.given):
            wanted = ", ".join([*self.given, "/", "*", "parameters=..."])
            found = inspect.signature(self.function)
            raise UsageError(f"{self.place}{self.kind} {self.canonical} must take ({wanted}), found {found}")

    @property
    def stored(self) -> dict[str, specs.Value]:
        """``params`` as a recipe keeps them: a local path by its last part, and nothing that is content of an index."""
        return specs.stored(self.params, self.function, *self.shared)

    def paths(self) -> dict[str, Path]:
        """The files, or folders, that parameters annotated as ``Path`` name. Raises :class:`DataError` where one is not
        there."""
        paths = {name: value for name, value in self.params.items() if isinstance(value, Path)}
        for name, path in paths.items():
            if not (path.is_file() or path.is_dir()):
                raise DataError(f"{self.kind} {self.canonical}: expected a file at {path}, found none; name it by "
                                f"{name}=...")  # fmt: skip
        return paths

    @property
    def files(self) -> dict[str, str]:
        """The SHA-256 of each of :meth:`paths`, by its parameter."""
        return {name: content_sha256(path) for name, path in self.paths().items()}

    @property
    def content(self) -> str | None:
        """What identifies the code of one that is not ours, and the files that its parameters name; None for ours."""
        files = self.files
        return specs.digest({"source": self.source.sha256, "files": files}) if files else self.source.sha256

    @property
    def identity(self) -> tuple[str, str | None]:
        """What tells it from every other of its kind: its text, and the content of all that decides it."""
        return self.canonical, self.content

    @property
    def is_ours(self) -> bool:
        """Whether it ships with fgscore."""
        return self.source is OURS

    def call(self, *arguments: Any) -> Any:
        """What its function returns for ``arguments``."""
        return self.function(*arguments, **self.params)

    def blamed(self, wanted: str) -> AbstractContextManager[None]:
        """Where its code runs, or what it returned is read: what one that is not ours does wrong is a
        :class:`UsageError` with its file and line; ``wanted`` says what it should have done."""
        if self.is_ours:
            return nullcontext()
        return foreign.blamed(self.source.file, f"{self.kind} {self.canonical}", wanted, self.function)

    @property
    def place(self) -> str:
        """``mine.py:12: ``, where it is not ours, before a message about it; else nothing."""
        return "" if self.is_ours else f"{foreign.place(self.source.file, self.function)}: "


def positional(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function that are given by position. Raises :class:`UsageError` where it has no signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError) as error:
        raise UsageError(f"expected a function with a signature, found {function!r}") from error
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


# what `fgscore list` calls each kind, and the class that is its contract
KINDS: Mapping[str, str] = {
    "datasets": "fgscore.datasets:DataSet",
    "regions": "fgscore.regions:GeneratorMaker",
    "encoders": "fgscore.encoders:EncoderMaker",
    "scorers": "fgscore.scorers:Scorer",
    "targets": "fgscore.targets:Target",
    "poolings": "fgscore.pooling:Pooling",
    "heads": "fgscore.heads:Head",
}


def kind_named(word: str) -> type[Component]:
    """The class of a kind by its name, in one word or two, or as `fgscore list` has it: encoder, encoders, data set,
    dataset, generator, regions. Raises :class:`UnknownName` for any other word."""
    plurals = {plural: plural for plural in KINDS} | LISTED | {"dataset": "datasets", "generator": "regions"}
    if word not in plurals:
        raise unknown("kind of component", word, plurals)
    module, _, name = KINDS[plurals[word]].partition(":")
    return vars(importlib.import_module(module))[name]


def kind_declared(text: str) -> type[Component]:
    """The kind that the function behind ``text``, in a user's file, declares itself to be. Raises :class:`UsageError`
    where it declares none, or where ``text`` names no file."""
    name = specs.parse(text).name
    path = specs.file_of(name)
    if path is not None:
        function, _ = foreign.from_file(path, name.rpartition(":")[2], specs.stored_name(name), "")
        if inspect.isfunction(function) and DECLARED in vars(function):
            return kind_named(vars(function)[DECLARED]["kind"])
    raise UsageError(f"{name} does not say what kind of component it is; say it, as --kind head")


class Stored(Protocol):
    """A component as a recipe keeps it."""

    @property
    def name(self) -> str: ...
    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def source(self) -> str | None: ...


def matches(kind: type[Component], stored: Stored, written: specs.Spec | None) -> bool:
    """Whether what is stored agrees with every parameter that was written; one left out agrees with all.

    What stands in a user's file, ``./lab/mine.py:f``, is known by the file's name wherever it lies, and by its content
    where it can be read here; what is of a distribution by that, where it is installed. A parameter that a recipe of
    before lacks has the default it has now.
    """
    if written is None:
        return True
    if specs.stored_name(written.name) != stored.name or not same_source(kind, written.name, stored.source):
        return False
    return agrees(kind, stored, written.params)


def agrees(
    kind: type[Component], stored: Stored, written: Mapping[str, Any], function: Callable[..., Any] | None = None
) -> bool:
    """Whether what is stored has the parameters that were ``written``, but for those that are content of an index: no
    recipe has any. ``function`` is that of a component which is not ours, where it is at hand."""
    named, params = dict(written), dict(stored.params)
    if set(named) - set(params):
        function = kind.ours(stored.name) if stored.name in kind.ours_named() else function
        params = {**(kind.tunables(function) if function else specs.tunables(*kind.shared)), **params}
        content = specs.of_content(function) if function else set()
        named = {key: value for key, value in named.items() if key not in content}
    return all(key in params and same(value, params[key]) for key, value in named.items())


def same_source(kind: type[Component], name: str, sha256: str | None) -> bool:
    """Whether ``name`` is of no file or distribution, of none that can be read here, or of one with that digest."""
    if path := specs.file_of(name):
        return not path.is_file() or file_sha256(path) == sha256
    point = foreign.installed(LISTED.get(kind.kind, "")).get(name)
    return point is None or sha256 is None or foreign.package_sha256(point) == sha256  # None: of embeddings imported


def same(written: Any, stored: Any) -> bool:
    """Whether a value that was written is the stored one; a local path is stored under its last part."""
    if isinstance(written, tuple):
        written = list(written)
    if isinstance(written, str) and isinstance(stored, str) and written != stored:
        return Path(written).name == stored
    return bool(written == stored)


def described(kind: type[Component]) -> list[dict[str, Any]]:
    """Name, parameters with defaults, one line of documentation and, for installed ones, the distribution, of every
    component of ``kind``; each is imported."""
    rows = []
    for name in kind.names():
        point = foreign.installed(LISTED[kind.kind]).get(name)
        function = kind.ours(name) if point is None else foreign.from_distribution(point, name)[0]
        line = (inspect.getdoc(function) or "").partition("\n")[0]
        whose = point.dist.name if point and point.dist else ""
        rows.append({"name": name, "parameters": kind.tunables(function), "doc": line, "from": whose})
    return rows

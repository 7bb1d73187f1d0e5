"""Component strings such as ``entropy(tau=100, lam=0.1)``: parse, bind to a signature, canonical text, digest.

A component is the same string on the command line, in the store, in results and in tables. Parsing goes through
``ast`` and accepts literals and single words only, so no text from a user or a file is ever evaluated.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import itertools
import json
import keyword
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from fgscore.errors import LISTED, BadParameter, MissingParameter, UsageError, guess

# what is quoted stays, a bare word with a slash is a path or the name of a model, and Python's own words are words too
_OWN = "|".join(sorted(set(keyword.kwlist) - {"None", "True", "False"}))
_BARE = re.compile(
    r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?<=[=\[,\s])([\w.~:@+-]*/[\w.~:@+/-]*|(?:"""
    + _OWN
    + r"""))(?=\s*[,)\]])"""
)

Value = None | bool | int | float | str | tuple | Path


@dataclass(frozen=True)
class StoredAs:
    """An annotation, ``Annotated[str, StoredAs(f)]``: the store keeps ``f(value)`` in place of a parameter's value, as
    no path may get there. A parameter that is annotated as a ``Path`` is kept as the name of its file."""

    keep: Callable[[str], str]


@dataclass(frozen=True)
class OfContent:
    """An annotation, ``Annotated[float | None, OF_CONTENT]``: the parameter decides what is read of the labels, splits
    and names of the same photos, which are content of the index. It is no part of a recipe: not of its digest, nor of
    the canonical text, nor of what is matched."""


OF_CONTENT = OfContent()


@dataclass(frozen=True)
class OfName:
    """An annotation, ``Annotated[int, OF_NAME]``, in a data set of ours: the parameter decides which photos there are.
    Those of another value than the default are kept under a name of their own: ``demo-train20`` of
    ``demo(train=20)``."""


OF_NAME = OfName()


@dataclass(frozen=True)
class Spec:
    """A component's name and the parameters that were written out."""

    name: str
    params: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        return text(self.name, self.params)


def file_of(name: str) -> Path | None:
    """``./lab/mine.py`` of ``./lab/mine.py:f``, a component that stands in a user's file; None for any other."""
    return Path(name.rpartition(":")[0]) if ".py:" in name else None


def stored_name(name: str) -> str:
    """``mine.py:f`` of ``./lab/mine.py:f``: the name under which the store keeps a component; no path is kept."""
    return re.split(r"[/\\]", name)[-1] if file_of(name) else name


def parse(string: str) -> Spec:
    """Parse ``name`` or ``name(key=value, ...)``; values are Python literals, or single words and paths, which are
    strings: ``clip(model=openai/clip-vit-base-patch32)`` needs no quotes, which a shell or `make` may have taken.

    A name may also be ``path/to/file.py:function``. Raises :class:`UsageError` with the offending text.
    """
    string = string.strip()
    name, parenthesis, rest = string.partition("(")
    name = name.strip()
    if not name:
        raise UsageError(f"expected a component such as 'entropy(tau=100)', found {string!r}")
    if not parenthesis:
        return Spec(name)
    if not rest.endswith(")"):
        raise UsageError(f"expected name(key=value, ...), found {_short(string)}: the closing parenthesis is missing")
    return Spec(name, _keywords(f"f({rest}", string))


def _keywords(call: str, string: str) -> dict[str, Value]:
    hint = f"expected name(key=value, ...) with numbers, 'strings', True, False or None, found {_short(string)}"
    try:
        node = ast.parse(_BARE.sub(lambda found: found[1] or repr(found[2]), call), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(hint) from None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise UsageError(hint)
    params: dict[str, Value] = {}
    for given in node.keywords:
        if given.arg is None:
            raise UsageError(hint)
        if given.arg in params:
            raise UsageError(f"expected {given.arg}=... once, found it twice in {_short(string)}")
        try:
            params[given.arg] = _literal_value(given.value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            raise UsageError(hint) from None
    return params


def _literal_value(node: ast.expr) -> Value:
    if isinstance(node, ast.Name):  # k=all needs no quotes, which a shell would want quoted again
        return node.id
    if isinstance(node, ast.Attribute):  # nor does table=boxes.csv
        return f"{_literal_value(node.value)}.{node.attr}"
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_literal_value(element) for element in node.elts)
    return _plain(ast.literal_eval(node))


def _plain(value: Any) -> Value:
    if isinstance(value, list | tuple):
        return tuple(_plain(v) for v in value)
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"not a plain value: {value!r}")


def _short(string: str) -> str:
    return repr(string if len(string) <= 100 else string[:97] + "...")


def text(name: str, params: Mapping[str, Value]) -> str:
    """``name(key=value, ...)`` in the order given; no parentheses when there are no parameters."""
    if not params:
        return name
    return f"{name}({', '.join(f'{k}={_literal(v)}' for k, v in params.items())})"


def _literal(value: Value) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(str(value) if isinstance(value, Path) else value)


def expand(string: str) -> list[str]:
    """Every component that a text with lists stands for: ``entropy(tau=[10, 50])`` is two. The first list varies
    slowest."""
    spec = parse(string)
    lists = [value if isinstance(value, tuple) else (value,) for value in spec.params.values()]
    return [text(spec.name, dict(zip(spec.params, values, strict=True))) for values in itertools.product(*lists)]


def tunables(*functions: Callable[..., Any]) -> dict[str, Any]:
    """Keyword-only parameters of a function and their defaults: the signature is the list of tunables. Of several
    functions, each parameter is that of the first that has it."""
    found: dict[str, Any] = {}
    for function in functions:
        for p in inspect.signature(function).parameters.values():
            if p.kind is p.KEYWORD_ONLY:
                found.setdefault(p.name, str(p.default) if isinstance(p.default, Path) else p.default)
    return found


def bind(
    spec: Spec, function: Callable[..., Any], what: str = "component", *more: Callable[..., Any]
) -> dict[str, Value]:
    """All parameters of ``function``, and those that it lacks of ``more``, with those of ``spec`` in place of the
    defaults, in the order of the signatures.

    Integers become floats where the signature says float, defaults included, and strings become paths where it says
    ``Path``; ``Annotated[float, Gt(0)]`` (also Ge, Lt, Le, of annotated-types) limits a number. Raises
    :class:`BadParameter` for an unknown parameter, a missing one, a value of the wrong type or beyond its limits, or a
    default that cannot be written down.
    """
    known = tunables(function, *more)
    for key in spec.params:
        if key not in known:
            see = f" See `fgscore list {LISTED[what]}`." if what in LISTED else ""
            raise BadParameter(f"{what} {spec.name!r} has no parameter {key!r}; {guess(key, known)}{see}")
    hints = hints_of(function, *more)
    bound: dict[str, Value] = {}
    for key, default in known.items():
        options = _options(default, hints.get(key))
        if key in spec.params:
            bound[key] = _coerce(spec.params[key], options, f"{what} {spec.name!r}: {key}")
        elif default is inspect.Parameter.empty:
            raise MissingParameter(f"{what} {spec.name!r} needs {key}=..., found {spec}")
        else:
            bound[key] = _default(default, options, f"{what} {spec.name!r}: the default of {key}")
    return bound


def stored(params: Mapping[str, Value], *functions: Callable[..., Any]) -> dict[str, Value]:
    """Bound parameters of ``functions`` as a recipe keeps them: a path as the name of its file, what is annotated with
    :class:`StoredAs` as that says, and nothing that is :class:`OfContent`."""
    hints, content = hints_of(*functions), of_content(*functions)
    kept = {key: value for key, value in params.items() if key not in content}
    for key, value in kept.items():
        if isinstance(value, Path):
            kept[key] = value.name
        for note in (note for note in _notes_of(hints.get(key)) if isinstance(note, StoredAs)):
            kept[key] = note.keep(str(value))
    return kept


def of_content(*functions: Callable[..., Any]) -> set[str]:
    """The parameters of ``functions`` that are annotated as :class:`OfContent`."""
    return {key for key, hint in hints_of(*functions).items() if OF_CONTENT in _notes_of(hint)}


def of_name(*functions: Callable[..., Any]) -> set[str]:
    """The parameters of ``functions`` that are annotated as :class:`OfName`."""
    return {key for key, hint in hints_of(*functions).items() if OF_NAME in _notes_of(hint)}


def _notes_of(hint: Any) -> tuple[Any, ...]:
    return hint.__metadata__ if typing.get_origin(hint) is typing.Annotated else ()


def hints_of(*functions: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of functions as they are meant, none of those that cannot be resolved."""
    found: dict[str, Any] = {}
    for function in reversed(functions):
        with suppress(Exception):  # a user's own file may annotate with names that it never imports
            found |= typing.get_type_hints(function, include_extras=True)
    return found


def _options(default: Any, hint: Any) -> tuple[Any, ...]:
    """The types a parameter may have; where nothing is annotated, that of a plain default."""
    if hint is None:
        if isinstance(default, int) and not isinstance(default, bool):
            return (int, float)  # without an annotation, 1 may stand for 1.0
        hint = type(default) if isinstance(default, bool | float | str) else Any
    if OF_CONTENT in _notes_of(hint) and not isinstance(hint.__origin__, type):
        hint = hint.__origin__  # a union, of which each member has limits of its own
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if is_union else (hint,)


def _coerce(value: Value, options: tuple[Any, ...], where: str) -> Value:
    for option in options:
        fits, result = _fit(value, option)
        if fits:
            return result
    raise BadParameter(f"{where} must be {' or '.join(_describe(o) for o in options)}, found {value!r}")


def _default(default: Any, options: tuple[Any, ...], where: str) -> Value:
    try:
        value = _plain(default)
    except ValueError:
        raise BadParameter(f"{where} must be numbers, strings, True, False, None or lists, found {default!r}") from None
    return next((result for fits, result in (_fit(value, o) for o in options) if fits), value)


def _fit(value: Value, option: Any) -> tuple[bool, Value]:
    """Whether ``value`` may stand where ``option`` is annotated, and what it is there."""
    if option is Any:
        return True, value
    if typing.get_origin(option) is typing.Annotated:
        fits, result = _fit(value, option.__origin__)
        return fits and all(_within(result, limit) for limit in option.__metadata__), result
    if (typing.get_origin(option) or option) in (tuple, list):
        return isinstance(value, tuple), value
    if typing.get_origin(option) is Literal:
        return value in typing.get_args(option), value
    if option is type(None):
        return value is None, value
    if option is Path:
        return isinstance(value, str | Path), Path(value).expanduser() if isinstance(value, str) else value
    if option is float and isinstance(value, int | float) and not isinstance(value, bool):
        return math.isfinite(value), float(value)
    if option is int and isinstance(value, bool):
        return False, value
    return isinstance(option, type) and isinstance(value, option), value


def _within(value: Any, limit: Any) -> bool:
    if isinstance(limit, Gt):
        return bool(value > limit.gt)
    if isinstance(limit, Ge):
        return bool(value >= limit.ge)
    if isinstance(limit, Lt):
        return bool(value < limit.lt)
    return bool(value <= limit.le) if isinstance(limit, Le) else True


def _limits(option: Any) -> str:
    said = {Gt: "above {0.gt}", Ge: "of at least {0.ge}", Lt: "below {0.lt}", Le: "of at most {0.le}"}
    return " and ".join(said[type(limit)].format(limit) for limit in option.__metadata__ if type(limit) in said)


def _describe(option: Any) -> str:
    if typing.get_origin(option) is typing.Annotated:
        return f"{_describe(option.__origin__)} {_limits(option)}".strip()
    if typing.get_origin(option) is Literal:
        return " or ".join(repr(a) for a in typing.get_args(option))
    names = {float: "a finite number", int: "a whole number", str: "a string", Path: "a path",
             bool: "True or False"}  # fmt: skip
    return "None" if option is type(None) else names.get(option, str(option))


def canonical(name: str, params: Mapping[str, Value], defaults: Mapping[str, Any]) -> str:
    """The one text of a component: what equals its default is left out, the rest in signature order."""
    return text(name, {k: v for k, v in params.items() if k not in defaults or _differs(v, defaults[k])})


def _differs(value: Value, default: Any) -> bool:
    if isinstance(default, list):
        default = tuple(default)
    return isinstance(value, bool) is not isinstance(default, bool) or value != default


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes. NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True).encode()


def digest(value: Any) -> str:
    """SHA-256, in hex, of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value)).hexdigest()

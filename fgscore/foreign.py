"""Components that are not ours: loaded from a user's file or a distribution, and blamed for what they do wrong."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from fgscore import specs
from fgscore.errors import DataError, FgscoreError, MissingExtra, UsageError, guess, out_of_memory
from fgscore.regular import file_sha256

GROUP = "fgscore."  # entry points: fgscore.scorers, fgscore.encoders ...


def from_file(path: Path, name: str, who: str, wanted: str) -> tuple[Callable[..., Any], str]:
    """The function ``name`` of a Python file, and the SHA-256 of the file: of the very bytes that were run.

    Modules that the file imports are not covered by it. ``who`` is what messages call the component, ``wanted`` what
    it should have been. Raises :class:`UsageError` where there is no such file or function, or where the file itself
    fails, with the line.
    """
    if not path.is_file():
        raise UsageError(f"{who}: expected a Python file, found none at {path}")
    source = path.read_bytes()
    sha256 = hashlib.sha256(source).hexdigest()
    with blamed(path, who, f"expected a file that defines {name}{wanted}"):
        module = _run(path, source, sha256)
        function = getattr(module, name, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_"]
        raise UsageError(f"{who}: {path.name} defines no function {name!r}; {guess(name, own)}")
    return function, sha256


@cache  # several components may stand in one file
def _run(path: Path, source: bytes, sha256: str) -> ModuleType:
    """The module that ``source`` makes: not what was compiled from the file before."""
    module = ModuleType(f"fgscore_user_{path.stem}_{sha256[:8]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses look up the module of a class
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def installed(plural: str) -> dict[str, metadata.EntryPoint]:
    """What installed distributions declare under the entry-point group ``fgscore.<plural>``, by name; nothing of it is
    imported."""
    return {point.name: point for point in metadata.entry_points(group=GROUP + plural)}


def from_distribution(point: metadata.EntryPoint, who: str) -> tuple[Callable[..., Any], str, str]:
    """The function that an entry point names, the SHA-256 of the Python files of its package, and the distribution with
    its version. Raises :class:`UsageError` or :class:`MissingExtra` where it cannot be imported."""
    whose = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    try:
        function = point.load()
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name:
            raise MissingExtra(f"{who}, which {whose} declares, {_lacks(error.name)}") from error
        raise UsageError(f"{who}, which {whose} declares, cannot be imported: {_told(error)}") from error
    if not callable(function):
        raise UsageError(f"{who}: {point.value} of {whose} is no function")
    return function, package_sha256(point), whose


def _lacks(package: str) -> str:
    return f"needs the package {package!r}, which is not installed; run: pip install {package}"


def package_sha256(point: metadata.EntryPoint) -> str:
    """The digest of the Python files of the package that an entry point is in, none of which is imported."""
    return _package_sha256(point.module.partition(".")[0])


@cache  # what was imported stays, whatever becomes of its files
def _package_sha256(name: str) -> str:
    spec = importlib.util.find_spec(name)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    files = {file.relative_to(folder).as_posix(): file for folder in folders for file in folder.rglob("*.py")}
    if not files and spec and spec.origin:
        files = {Path(spec.origin).name: Path(spec.origin)}
    return specs.digest({relative: file_sha256(file) for relative, file in files.items()})


def file_of(function: Callable[..., Any] | type) -> Path | None:
    """The source file of a function or class, where Python knows it."""
    try:
        found = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:  # of a compiled one, or an object
        return None
    return Path(found) if found else None


@contextmanager
def blamed(file: Path | None, who: str, wanted: str, function: Callable[..., Any] | None = None) -> Iterator[None]:
    """Whatever a component of the user's does wrong, an exit included, as one line with the place in its ``file``.

    An interruption stays one: in the main thread it is the user's Ctrl-C. A missing package is told as usual, and
    memory that ran out is no fault of the component's.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        if isinstance(error, DataError | MissingExtra) and not _raised_in(file, error):  # the store's
            raise
        if out_of_memory(error):
            raise
        if isinstance(error, ModuleNotFoundError) and error.name:
            raise MissingExtra(f"{place(file, function, error)}: {who} {_lacks(error.name)}") from error
        raise UsageError(f"{place(file, function, error)}: {who}: {_told(error)}; {wanted}") from error


def _raised_in(file: Path | None, error: BaseException) -> bool:
    """Whether it is ``file`` itself that raises ``error``."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename == str(file)


def place(file: Path | None, function: Callable[..., Any] | None = None, error: BaseException | None = None) -> str:
    """``mine.py:12``: the line of ``file`` that ``error`` came through last, or else where the function begins."""
    line = _line_of(function, file)
    if isinstance(error, SyntaxError) and error.filename == str(file):
        line = error.lineno
    trace = error.__traceback__ if error else None
    while trace:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    named = str(file) if file else "a Python object"
    return f"{named}:{line}" if line else named


def is_in(file: Path | None, function: Callable[..., Any]) -> bool:
    """Whether a function or method stands in ``file``."""
    return _line_of(function, file) is not None


def _line_of(function: Callable[..., Any] | None, file: Path | None) -> int | None:
    function = function.__func__ if inspect.ismethod(function) else function
    code = function.__code__ if inspect.isfunction(function) else None
    return code.co_firstlineno if code is not None and code.co_filename == str(file) else None


def _told(error: BaseException) -> str:
    """What happened, in one line."""
    said = str(error).partition("\n")[0][:300]
    if isinstance(error, SystemExit):
        return f"it exits ({said or 'no code'}), which a component must leave to fgscore"
    if isinstance(error, FgscoreError):
        return said
    line = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"{line}; the arrays are read-only; work on a copy" if "read-only" in said else line

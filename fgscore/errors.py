"""The errors a user can meet.

Every message is one line that says what was wanted, what was found and what to do next. ``exit_code`` is what the
command line returns: 2 where the call is at fault, 1 where the data or the store is. A command that a message tells to
run stands in backticks and works as it is written; the command line adds to it how it was called and on which data.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any


class FgscoreError(Exception):
    """Base of every error that fgscore raises on purpose; its text is meant for the person at the terminal."""

    exit_code = 1


class UsageError(FgscoreError):
    """The call is wrong: an option, a name or a parameter."""

    exit_code = 2


class UnknownName(UsageError):
    """A data set, generator, encoder, scorer, target or head of that name does not exist."""


class BadParameter(UsageError):
    """A component was given a parameter it does not have, or a value it cannot take."""


class MissingParameter(BadParameter):
    """A component was not given a parameter that has no default."""


class MissingExtra(UsageError):
    """A package of an optional extra is not installed."""


class UnfitPackage(UsageError):
    """A package is installed in a version that cannot do what is asked."""


class DataError(FgscoreError):
    """The user's data are not what was asked for: photos missing, list files cut, no test images."""


class MissingWeights(DataError):
    """Model weights are neither on disk nor in the local hub cache."""


class BadImage(DataError):
    """One image cannot be used. The run goes on without it; the text is the reason kept in the artefact."""


class StoreError(DataError):
    """A file of the store is damaged, malformed or not of the schema this version reads."""


class StaleParent(StoreError):
    """A shard was made from a parent that has changed since."""


class Exhausted(FgscoreError):
    """Memory, threads or open files of this machine gave out. That says nothing of what was being read."""


class NoText(DataError):
    """Something needs embeddings of class names where there are none: no names, or an encoder of images alone."""


class NoLabels(DataError):
    """Something needs labels where there are none, or none where it looks."""


class NothingCached(DataError):
    """No artefact in the cache matches what was asked for."""


class Faults(FgscoreError):
    """Everything that stands in the way of a run, found before anything was done: ``faults`` are what was looked at
    and its error. The text has a line for each."""

    def __init__(self, faults: Sequence[tuple[str, FgscoreError]]) -> None:
        self.faults = tuple(faults)
        self.exit_code = min(error.exit_code for _, error in self.faults)
        self.summary = f"{len(self.faults)} faults, nothing was done:"
        super().__init__(self.summary + "".join(f"\n  {what}: {error}" for what, error in self.faults))

    def __reduce__(self) -> tuple[type[Faults], tuple[Any, ...]]:
        return Faults, (self.faults,)  # a worker hands it to its parent


# what `fgscore list` and entry points call the components of each kind
LISTED = {
    "data set": "datasets",
    "region generator": "regions",
    "encoder": "encoders",
    "scorer": "scorers",
    "target": "targets",
    "pooling": "poolings",
    "head": "heads",
}


LISTABLE = 40  # names in one message


def shortened(names: Iterable[str], most: int = 3) -> str:
    """``a, b, c and 9 more``."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most:,} more" if len(every) > most else "")


def guess(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'?" where a known name is near, else the known names, of a library's hundreds the first."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {shortened(names, LISTABLE) or 'none'}."


def unknown(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for ``name`` not among ``known``, with the nearest spelling and the command that lists them."""
    if "," in name:
        return UnknownName(f"expected one {what}, found {name!r}; several are given by repeating the option")
    see = f" See `fgscore list {LISTED[what]}`." if what in LISTED else ""
    return UnknownName(f"no {what} named {name!r}; {guess(name, known)}{see}")


def quoted(word: str) -> str:
    """``word`` as it can be pasted into a command line: in double quotes, which leave the single ones of a component
    as they are, and where a shell would read on within those in single ones."""
    if re.fullmatch(r"[A-Za-z0-9._/+-][A-Za-z0-9._/:=+@-]*", word):
        return word
    if not set(word) & set('"' if os.name == "nt" else '"$`\\!'):
        return f'"{word}"'
    return shlex.quote(word)


def missing_extra(
    packages: str | Sequence[str], feature: str, extra: str = "extract", others: Sequence[str] = ()
) -> MissingExtra:
    """The error for an import that failed, or for several that would, because the extra is not installed; ``others``
    are those of ``packages`` that are in no extra, which is '' where that is true of all."""
    named = [packages] if isinstance(packages, str) else list(packages)
    these = f"the package{'s' * (len(named) > 1)} {', '.join(map(repr, named))}, which {'are' if named[1:] else 'is'}"
    installed = " ".join([*([f"'fgscore[{extra}]'"] if extra else []), *others])
    return MissingExtra(f"{feature} needs {these} not installed; run: pip install {installed}")


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that this machine, or a device of it, had no memory for what was asked."""
    return isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)

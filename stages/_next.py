"""Commands that we tell to run, as they work where the user is: by the program that was called, on the data folder and
the photos of this call."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fgscore.errors import quoted

from ._commands import COMMANDS, function
from ._options import DATA, POOL, TARGET

DEFAULTS = {"target": [TARGET], "pool": [POOL], "features": "unit"}

# between backticks, as messages have it; those inside a quoted word do not end it
_COMMAND = re.compile(r"""`(fgscore [a-z](?:'[^']*'|"(?:\\.|[^"\\])*"|[^`'"])*)`""")

_program = "fgscore"
_options: Mapping[str, Any] = {}


def begin(options: Mapping[str, Any]) -> None:
    """Remember the options of this call."""
    global _options
    _options = dict(options)


def begin_program() -> None:
    """Remember how this program was called: `make` and whoever has two environments call one that is not on the
    PATH."""
    global _program
    script, found = Path(sys.argv[0]), shutil.which("fgscore")
    by_name = script.stem == "fgscore"
    folder = script.parent if by_name else Path(sys.executable).parent
    if found and folder.is_dir() and Path(found).parent.samefile(folder):
        _program = "fgscore"
    else:
        _program = quoted(str(script)) if by_name else f"{quoted(sys.executable)} -m fgscore"


def here(command: str) -> str:
    """``command``, ``fgscore extract cub``, with what it takes to mean the same photos and the same data folder."""
    try:
        words = shlex.split(command)
    except ValueError:  # a word that was cut
        return command
    if len(words) < 2 or words[0] != "fgscore":
        return command
    added = [text for option, text in _carried(words[1]) if option not in words]
    return " ".join([_program + command.removeprefix("fgscore"), *added])


def _carried(name: str) -> Iterator[tuple[str, str]]:
    """(option, as it is written) of this call that the command ``name`` needs too."""
    takes = inspect.signature(function(name)).parameters if name in COMMANDS else {}
    given = {key: value for key, value in _options.items() if key in takes}
    if given.get("root") and name != "download":  # where that is where the files go
        yield "--root", f"--root {quoted(str(given['root']))}"
    for option in ("partial", "force"):
        if given.get(option):
            yield f"--{option}", f"--{option}"
    if given.get("limit"):
        yield "--limit", f"--limit {given['limit']}"
    if given.get("data") not in (None, Path(os.environ.get("FGSCORE_DATA") or DATA)):  # a variable stays in the shell
        yield "--data", f"--data {quoted(str(given['data']))}"


def inside(message: str) -> str:
    """``message`` with the commands in it as :func:`here` has them."""
    return _COMMAND.sub(lambda found: f"`{here(found[1])}`", message)


def step(command: str, word: str = "Next") -> None:
    """Print the line that says what to run: one command, which works as printed."""
    from fgscore.terminal import visible

    print(visible(f"{word}: {here(command)}"))


def meant(command: str, dataset: str | None, **options: Any) -> str:
    """``fgscore command dataset --scorer entropy --k 1 --k 5``: as it is typed, without what was left out or is the
    default."""
    words = [command, *([quoted(dataset)] if dataset else [])]
    for name, given in options.items():
        if given is not None and given != DEFAULTS.get(name):
            words += [f"--{name} {quoted(str(one))}" for one in (given if isinstance(given, list) else [given])]
    return " ".join(["fgscore", *words])

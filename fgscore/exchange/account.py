"""What is said of the files of an import: what was taken for what, what was passed over, and where nothing came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fgscore.errors import DataError, shortened
from fgscore.exchange.choose import Choice, Unnamed
from fgscore.exchange.names import ALIASES, KNOWN, address
from fgscore.exchange.pieces import Piece

SHOWN = 20  # names of what was passed over


def nothing(choices: Sequence[Choice]) -> DataError:
    """The error where nothing that came is of use, with what might be meant."""
    found = {key: entry for choice in choices for key, entry in choice.contents.entries.items()}
    described = ", ".join(
        f"{key} ({_described(entry.what, entry.shape)})" for key, entry in list(found.items())[:SHOWN]
    )
    wide = _wide(choices)[:1]
    rows = found[wide[0]].shape[:1] if wide else None
    idle = [key for choice in choices for key in choice.passed]
    beside = [key for key in idle if found[key].shape == rows and "float" not in found[key].what]
    where = shortened([str(choice.contents.path) for choice in choices], 2)
    message = f"expected globals, regions, boxes_xyxy, text or labels in {where}, found {described}"
    return Unnamed(message, *(f"globals={key}" for key in wide), *(f"labels={k}" for k in beside if len(beside) == 1))


def _wide(choices: Sequence[Choice]) -> list[str]:
    """What may be embeddings: arrays of two dimensions that are passed over."""
    every = [(choice.contents.entries[key], key) for choice in choices for key in choice.passed]
    return [key for entry, key in every if len(entry.shape) == 2 and entry.shape[1] > 1 and entry.load is not None]


def without_embeddings(choices: Sequence[Choice]) -> Iterator[str]:
    """A line where there may have been embeddings, and none came."""
    named = [key for choice in choices for key in choice.passed if KNOWN.get(address(key).word) == "globals"]
    if wide := _wide(choices):
        yield f"no embeddings came; if {wide[0]!r} is what they are called, add --array globals={wide[0]}"
    elif named:
        yield f"no embeddings came: {named[0]!r} holds none that can be read; write a list of numbers a row"


def _described(what: str, shape: tuple[int, ...]) -> str:
    return f"{what}, {' x '.join(map(str, shape))}" if len(shape) > 1 else what


def of_files(choices: Sequence[Choice]) -> Iterator[str]:
    """What was taken for what, then what was passed over, a line for files that are alike."""
    for tell in (_taken, _passed):
        files: dict[str, list[str]] = {}
        for choice in choices:
            files.setdefault(tell(choice), []).append(choice.contents.path.name)
        for text, names in files.items():
            if text:
                yield f"{shortened(names, 2)}: {text}"


def _taken(choice: Choice) -> str:
    """What was known by a name of others; an array alone is called as its file."""
    named = [(use.name, "" if choice.contents.is_single else f"{use.key!r} is ") for use in choice.uses if use.word]
    return ", ".join(f"{what}taken for {name}" for name, what in named)


def _passed(choice: Choice) -> str:
    """What was passed over, and what it is."""
    entries = choice.contents.entries
    named = [
        f"{'' if choice.contents.is_single else key or '(no name)'} ({_described(reason, entries[key].shape)})".strip()
        for key, reason in choice.passed.items()
        if ALIASES.get(key) not in choice.names
    ]
    return f"passed over {shortened(named, SHOWN)}" if named else ""


def by_name(choices: Sequence[Choice], by_file: Sequence[Sequence[Piece]]) -> Iterator[str]:
    """Which files are of which split by their names alone."""
    files: dict[str, list[str]] = {}
    for choice, of_file in zip(choices, by_file, strict=True):
        if of_file and of_file[0].split and not any(use.split for use in choice.uses):
            files.setdefault(of_file[0].split, []).append(choice.contents.path.name)
    for split, names in files.items():
        yield f"{shortened(names, 2)}: {split}, by the name"

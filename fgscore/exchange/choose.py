"""Which arrays of a file come in, and under which of our names; what is passed over, and why.

In this order: what ``--array`` names, what carries one of our names, and, where nothing else is there for it, what
others call it. An array under one of our names that is something else altogether, as a caption called ``text``, is
passed over like any other; those without which nothing comes in are refused instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fgscore.errors import DataError
from fgscore.exchange import values
from fgscore.exchange.contents import Contents, Entry
from fgscore.exchange.names import (
    ALIASES,
    KNOWN,
    NAMES,
    OF_IMAGES,
    SHORT,
    TRANSPOSED,
    WANTED,
    WITH_LABELS,
    WITH_REGIONS,
    Source,
    address,
)
from fgscore.exchange.numerals import What, reads_as_numbers
from fgscore.labels import UNLABELLED

OF_LABELS = ("labels", "label_names")  # of which a row may have none
ONE_OF_MANY = ("image_ids", "paths")  # of which the first known will do; of others there must be one


@dataclass(frozen=True)
class Use:
    """The entry ``key`` under our ``name``, of one ``split`` where its name says so; ``word`` is what others call it,
    where that is how it was known."""

    name: str
    key: str
    split: str | None = None
    word: str = ""


@dataclass
class Choice:
    """What is used of a file, and what is ``passed`` over: key to the reason."""

    contents: Contents
    uses: list[Use] = field(default_factory=list)
    passed: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """Ours, of all that is used."""
        return {use.name for use in self.uses}

    def read(self, use: Use) -> np.ndarray:
        """The array, checked and in our form. Raises :class:`DataError` that names the file and the row."""
        path, none = self.contents.path, None
        if use.name in OF_LABELS:
            array, none = self.contents.read_filled(use.key)
        else:
            array = self.contents.read(use.key)
        array = array.T if use.word in TRANSPOSED and array.ndim == 2 else array
        what = What(str(path), use.name + (f" ({use.key})" if use.key != use.name else ""))
        if use.word == "values" and array.ndim == 2:
            array = _from_one_hot(array, what)
        array = values.clean(use.name, array, what, self.contents.as_text, "class_names" in self.names)
        if none is not None:
            array = np.where(none, "" if array.dtype.kind == "U" else UNLABELLED, array)
        single = use.name == "logit_scale" and array.size == 1
        if array.ndim != NAMES[use.name] and not single:
            raise DataError(f"{path}: expected {use.name} of {NAMES[use.name]} dimensions, found shape {array.shape}"
                            f"{f' at {use.key!r}' if use.key != use.name else ''}; mend the file")  # fmt: skip
        return array


def _from_one_hot(array: np.ndarray, what: What) -> np.ndarray:
    """(N,) of (N, C) in which each row has a one and zeros."""
    wrong = (array.max(axis=1, initial=0) != 1) | (np.count_nonzero(array, axis=1) != 1)
    if wrong.any():
        raise what.fault(f"a one and zeros in every row of {what.name}", f"others in row {int(np.argmax(wrong))}")
    return array.argmax(axis=1)


def choose(contents: Contents, sources: Sequence[Source], known: Mapping[str, str] = KNOWN) -> Choice:
    """What is used of ``contents``; of ``known`` names only those for which nothing else is there. Raises
    :class:`Unnamed` where several arrays might be meant."""
    entries = contents.entries
    choice = Choice(contents, [Use(s.name, key, s.split) for s in sources if (key := _asked(contents, s.key))])
    taken, asked = {use.key for use in choice.uses}, {source.name for source in sources}
    for key, found in entries.items():
        name = ALIASES.get(key, key)
        if key in taken or name not in NAMES or name in asked or (key in ALIASES and name in entries):
            continue
        if reason := _unfit(contents, key, name, found):
            choice.passed[key] = reason
        else:
            choice.uses.append(Use(name, key))
    choice.uses += _known(contents, choice, asked, known)
    _name_by_row(choice)
    _drop_idle(choice, {(source.name, source.split) for source in sources})
    used = {use.key for use in choice.uses}
    choice.passed |= {key: found.what for key, found in entries.items() if key not in used | set(choice.passed)}
    return choice


def _asked(contents: Contents, key: str) -> str:
    """The entry that --array means by ``key``: also that of a part, ``emb_0`` by ``emb``. Empty for none."""
    if key in contents.entries:
        return key
    alone = contents.path.stem if contents.is_single else ""
    return alone if alone and re.fullmatch(re.escape(key) + r"[ _.-]?\d+", alone) else ""


def _unfit(contents: Contents, key: str, name: str, found: Entry) -> str:
    """Why ``found`` at ``key``, which carries our ``name``, is something else; empty where it is not, or would be
    missed."""
    if name == "text" and not _may_be_numbers(contents, key):
        return found.what
    is_column = key in contents.columns
    if name in WANTED and (name in OF_IMAGES[:5] or not is_column):
        return ""
    if found.load is None or (name in values.OF_NUMBERS and not _may_be_numbers(contents, key)):
        return found.what
    wrong = found.shape and len(found.shape) != NAMES[name] and (name not in OF_IMAGES or is_column)
    return found.what if wrong else ""


def _may_be_numbers(contents: Contents, key: str, several: bool | None = None) -> bool:
    """Whether an entry is of numbers, or ``several`` in a cell; where it is text, its first row says."""
    found = contents.entries[key]
    if found.load is None or found.what == "bytes":
        return False
    if not found.is_text:
        return True
    first = contents.read(key).ravel()[:1].tolist()
    several = NAMES.get(ALIASES.get(key, key)) == 2 if several is None else several
    return not first or reads_as_numbers(first[0], several)


def _known(contents: Contents, choice: Choice, asked: set[str], known: Mapping[str, str]) -> list[Use]:
    """The entries that others' names give away, for those of our names that nothing stands under yet."""
    there = asked | choice.names | ({"globals"} if "regions" in asked | choice.names else set())
    places: dict[tuple[str, str | None], list[Use]] = {}
    lone = contents.is_single
    for key in contents.entries:
        at = address(key, numbered=lone)
        split = None if lone or key in contents.columns else at.split  # that of a file is the file's own
        name = known.get(at.word) or (_ours(at.word) if lone or split else None)
        if name and name not in there and key not in choice.passed and _fits(contents, key, name, at.word):
            places.setdefault((name, split), []).append(Use(name, key, split, at.word))
    words = {use.word for uses in places.values() for use in uses}
    order = list(known)
    uses = []
    for (name, _), several in places.items():
        believed = [u for u in several if u.word not in SHORT or SHORT[u.word] in words or len(contents.entries) == 1]
        believed.sort(key=lambda use: order.index(use.word) if use.word in known else -1)
        if len(believed) > 1 and name not in ONE_OF_MANY:
            found = " and ".join(repr(use.key) for use in believed)
            raise Unnamed(f"{contents.path}: expected one array of {name}, found {found}", f"{name}={believed[0].key}")
        uses += believed[:1]
    if "boxes_xyxy" in there and not {"labels", "label_names", "split"} & there:  # a row a region
        uses = [replace(use, name="regions") if use.name == "globals" else use for use in uses]
    return uses


def _ours(word: str) -> str | None:
    name = ALIASES.get(word, word)
    return name if name in NAMES else None


def _fits(contents: Contents, key: str, name: str, word: str) -> bool:
    """Whether an entry can be what its name says in the files of others."""
    found = contents.entries[key]
    if found.load is None:
        return False
    if name in ("globals", "text"):
        wide = len(found.shape) == 2 and not found.is_text or len(found.shape) == 1 and found.is_text
        return wide and _may_be_numbers(contents, key, several=True)
    if name == "labels":
        return (len(found.shape) == 1 and found.what != "bytes") or word == "values"
    if len(found.shape) != NAMES[name]:
        return False
    return found.is_text or name not in values.OF_TEXT or (name == "image_ids" and "int" in found.what)


class Unnamed(DataError):
    """What would come in is not clear before ``--array`` says so, as ``sources`` would."""

    def __init__(self, message: str, *sources: str) -> None:
        super().__init__(message)
        self.sources = sources


def _drop_idle(choice: Choice, asked: set[tuple[str, str | None]]) -> None:
    """Pass over what nobody asked for and nothing that comes makes use of, whatever it holds."""
    of_images = {"labels", "label_names", "globals"} & choice.names
    regions = {"regions", "offsets", "predicted_iou", *(() if of_images else ("boxes_xyxy",))} & choice.names
    idle = {*(() if regions else WITH_REGIONS), *(() if {"labels", "label_names"} & choice.names else WITH_LABELS)}
    for use in [use for use in choice.uses if use.name in idle and (use.name, use.split) not in asked]:
        choice.uses.remove(use)
        choice.passed[use.key] = choice.contents.entries[use.key].what


def _name_by_row(choice: Choice) -> None:
    """Class names that stand in a column beside images are those of the rows, not of the classes."""
    by_row = {"labels", "globals", "split", "image_ids", "paths"} & choice.names and "text" not in choice.names
    for i, use in enumerate(choice.uses):
        if use.name == "class_names" and by_row and use.key in choice.contents.columns:
            choice.uses[i] = Use("label_names", use.key, use.split, use.word)

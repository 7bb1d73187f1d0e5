"""What a user's files hold, by our names: arrays chosen, parts and splits joined, sorted into records by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fgscore.errors import DataError, UsageError
from fgscore.exchange import formats, pieces
from fgscore.exchange.choose import Choice, Unnamed, choose
from fgscore.exchange.names import ALIASES, KNOWN, OF_IMAGES, OF_INDEX, OF_REGIONS, Address, Source, address
from fgscore.exchange.pieces import Piece
from fgscore.exchange.values import check_once
from fgscore.store.arrays import Arrays
from fgscore.types import SPLITS

Record = dict[str, Arrays]  # kind to arrays
ONCE = ("globals", "labels", "text")  # not looked for under others' names where any file has them under ours
SHOWN = 20  # names of what was passed over


def read(paths: Sequence[Path], sources: Sequence[Source], joins: bool = False) -> tuple[list[Record], list[str]]:
    """(records, notes): what the files make up, as kind ('index', 'globals', 'regions', 'region_embeddings', 'text') to
    its arrays; and lines that say what was taken for what, and what was passed over.

    ``joins`` says that there is an index to join: what others call labels is then taken only where a split is beside
    it. Raises :class:`DataError` that names the file, the array and the row at fault.
    """
    choices = _choices(paths, sources, joins)
    notes = [*_taken(choices), *_passed(choices)]
    found: list[Piece] = []
    for choice, at in zip(choices, _addresses(choices), strict=True):
        found += _pieces(choice, at)
        if at.split and any(piece.split == at.split for piece in found[-1:]):
            notes.append(f"{choice.contents.path.name}: {at.split}, by its name")
    whole, more = pieces.joined(found)
    records = [_sort(piece, notes) for piece in whole]
    if not any(records):
        raise _nothing(choices)
    return [record for record in records if record], [*notes, *more]


def _choices(paths: Sequence[Path], sources: Sequence[Source], joins: bool) -> list[Choice]:
    """What is used of each file. Raises :class:`DataError` where nothing is, or what ``sources`` name is not there."""
    every = [formats.contents(path) for path in paths]
    named: set[str] = set()
    for contents in every:
        named |= choose(contents, sources, {}).names
    known = {word: name for word, name in KNOWN.items() if name not in ONCE or name not in named}
    choices = [choose(contents, sources, known) for contents in every]
    if joins and not any("split" in choice.names for choice in choices):
        without = {word: name for word, name in known.items() if name != "labels"}
        choices = [choose(contents, sources, without) for contents in every]
    used = {(use.name, use.split) for choice in choices for use in choice.uses}
    if missing := next((source for source in sources if (source.name, source.split) not in used), None):
        there = ", ".join(dict.fromkeys(key for contents in every for key in contents.entries))
        raise DataError(f"expected an array {missing.key!r} in {', '.join(p.name for p in paths)}, found none, but "
                        f"{there[:300]}; see --array")  # fmt: skip
    if not any(choice.uses for choice in choices):
        raise _nothing(choices)
    return choices


def _nothing(choices: Sequence[Choice]) -> DataError:
    """The error where nothing that came is of use, with what might be meant."""
    found = {key: entry for choice in choices for key, entry in choice.contents.entries.items()}
    described = ", ".join(
        f"{key} ({_described(entry.what, entry.shape)})" for key, entry in list(found.items())[:SHOWN]
    )
    wide = [key for key, entry in found.items() if len(entry.shape) == 2 and entry.load is not None]
    where = ", ".join(str(choice.contents.path) for choice in choices[:3])
    message = f"expected globals, regions, boxes_xyxy, text or labels in {where}, found {described}"
    return Unnamed(message, *(f"globals={key}" for key in wide[:1]))


def _described(what: str, shape: tuple[int, ...]) -> str:
    return f"{what}, {' x '.join(map(str, shape))}" if len(shape) > 1 else what


def _taken(choices: Sequence[Choice]) -> Iterator[str]:
    """What was known by a name of others, a line for files that are alike."""
    for text, names in _alike((choice, _of_words(choice)) for choice in choices):
        yield f"{names}: {text}"


def _of_words(choice: Choice) -> str:
    return ", ".join(f"{use.key!r} is taken for {use.name}" for use in choice.uses if use.word)


def _passed(choices: Sequence[Choice]) -> Iterator[str]:
    """What was passed over, a line for files that are alike."""
    for text, names in _alike((choice, _of_passed(choice)) for choice in choices):
        yield f"{names}: passed over {text}"


def _of_passed(choice: Choice) -> str:
    named = [
        f"{key or '(without a name)'} ({_described(reason, choice.contents.entries[key].shape)})"
        for key, reason in choice.passed.items()
        if ALIASES.get(key) not in choice.names
    ]
    return ", ".join(named[:SHOWN]) + (f" and {len(named) - SHOWN} more" if len(named) > SHOWN else "")


def _alike(said: Iterator[tuple[Choice, str]]) -> Iterator[tuple[str, str]]:
    """(text, the files that it is said of) for each text that is not empty."""
    files: dict[str, list[str]] = {}
    for choice, text in said:
        if text:
            files.setdefault(text, []).append(choice.contents.path.name)
    for text, names in files.items():
        yield text, names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _addresses(choices: Sequence[Choice]) -> list[Address]:
    """The split and the part of each file by its name: a part where there are several of one name, a split where no
    array says one."""
    found = [address(choice.contents.path.stem, numbered=True) for choice in choices]
    family = [(at.word, at.split, choice.contents.path.suffix) for at, choice in zip(found, choices, strict=True)]
    sizes = Counter(family)
    says = any(use.split or use.name == "split" for choice in choices for use in choice.uses)
    return [
        Address(at.word, None if says else at.split, at.part if sizes[own] > 1 else None)
        for at, own in zip(found, family, strict=True)
    ]


def _pieces(choice: Choice, at: Address) -> Iterator[Piece]:
    """The arrays of one file: those of each split by themselves, where they are named so, and the rest."""
    path = choice.contents.path
    splits = [split for split in SPLITS if any(use.split == split for use in choice.uses)]
    rest = [use for use in choice.uses if use.split is None]
    if splits and (whole := next((use.name for use in rest if use.name in OF_IMAGES), None)):
        raise UsageError(
            f"{path.name}: expected every array of images split by split or none, found {whole} whole; give "
            f"{whole}:{splits[0]}=KEY too, or leave out the splits"
        )
    for split in splits:
        yield Piece(
            str(path), {use.name: choice.read(use) for use in choice.uses if use.split == split}, split, at.part
        )
    if rest:
        piece = Piece(str(path), {use.name: choice.read(use) for use in rest})
        by_name = piece.has_rows and (not piece.is_named or bool({"labels", "label_names"} & set(piece.arrays)))
        yield piece.at(at.split if by_name else None, at.part if piece.has_rows else None)


def _sort(piece: Piece, notes: list[str]) -> Record:
    """The arrays of a piece by the kind of record they make up."""
    arrays = piece.arrays
    rows = next(iter(piece.rows().values()), None)
    if "image_ids" not in arrays and rows is not None:
        notes.append(f"{Path(piece.where).name}: images are numbered, as no image_ids came")
        arrays = {**arrays, "image_ids": pieces.numbered(rows)}
    records: Record = {}
    if "globals" in arrays:
        records["globals"] = _pick(arrays, "image_ids globals", norms=_norms(arrays, "global_norms", "regions"))
    if "regions" in arrays:
        norms = _norms(arrays, "region_norms", "globals")
        records["region_embeddings"] = _pick(arrays, "image_ids offsets regions", norms=norms)
    if "offsets" in arrays and {"boxes_xyxy", "mask_counts", "area"} & set(arrays):
        records["regions"] = _pick(arrays, " ".join(OF_REGIONS))
    if "text" in arrays:
        records["text"] = _pick(arrays, "class_names text logit_scale templates")
    if {"labels", "label_names"} & set(arrays):
        boxes = arrays.get("boxes_xyxy") if "offsets" not in arrays else None
        records["index"] = _pick(arrays, " ".join(OF_INDEX), boxes_xyxy=boxes)
    for kind, record in records.items():
        _check_lengths(piece.where, kind, record)
    return records


def _pick(arrays: Arrays, names: str, **more: np.ndarray | None) -> Arrays:
    picked = {name: arrays[name] for name in names.split() if name in arrays}
    return picked | {name: array for name, array in more.items() if array is not None}


def _norms(arrays: Arrays, own: str, other: str) -> np.ndarray | None:
    """``norms`` alone says enough where a file holds embeddings of one kind."""
    return arrays.get(own, arrays.get("norms") if other not in arrays else None)


def _check_lengths(where: str, kind: str, record: Arrays) -> None:
    lengths: dict[str, int]
    if kind == "text":
        lengths = {name: len(record[name]) for name in ("class_names", "text") if name in record}
    else:
        if "image_ids" not in record:
            raise DataError(
                f"{where}: expected image_ids beside {', '.join(record)}, found none; name them with --array"
            )
        lengths = {name: len(record[name]) for name in (*OF_IMAGES, "boxes_xyxy") if name in record}
        if "offsets" in record:
            lengths = {"image_ids": lengths["image_ids"], "offsets": len(record["offsets"]) - 1}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise DataError(f"{where}: expected arrays of equal length for {kind}, found {found}")
    if "image_ids" in record:
        check_once(record["image_ids"], f"{where}: image_ids")

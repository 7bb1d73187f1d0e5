"""What a user's files hold, by our names: arrays chosen, parts and splits joined, sorted into records by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fgscore.errors import DataError, UsageError
from fgscore.exchange import account, formats, pieces
from fgscore.exchange.choose import Choice, Use, choose
from fgscore.exchange.names import (
    KNOWN,
    OF_IMAGES,
    OF_INDEX,
    OF_REGIONS,
    WITH_LABELS,
    Address,
    Source,
    address,
)
from fgscore.exchange.pieces import Piece
from fgscore.exchange.values import check_once
from fgscore.store.arrays import Arrays
from fgscore.types import SPLITS

Record = dict[str, Arrays]  # kind to arrays
ONCE = ("globals", "labels", "text")  # not looked for under others' names where any file has them under ours


def read(paths: Sequence[Path], sources: Sequence[Source], joins: bool = False) -> tuple[Record, list[str]]:
    """(record, notes): what the files make up, as kind ('index', 'globals', 'regions', 'region_embeddings', 'text') to
    its arrays; and lines that say what was taken for what, and what was passed over.

    ``joins`` says that there is an index to join: what others call labels is then taken only where a split is beside
    it. Where there is none, images that came without labels are an index of their own. Raises :class:`DataError` that
    names the file, the array and the row at fault.
    """
    choices = _choices(paths, sources, joins)
    by_file = [list(_pieces(choice, at)) for choice, at in zip(choices, _addresses(choices), strict=True)]
    whole, notes = pieces.joined([piece for of_file in by_file for piece in of_file])
    records: Record = {}
    owner: dict[str, str] = {}
    for piece in whole:
        for kind, record in _sort(piece, notes).items():
            if kind in records:
                raise DataError(f"expected {kind} in one file, found them in {owner[kind]} and {piece.where}; import "
                                "them one by one")  # fmt: skip
            records[kind], owner[kind] = record, piece.where
    if not records:
        raise account.nothing(choices)
    if not joins and "index" not in records and {"globals", "regions", "region_embeddings"} & set(records):
        records["index"] = _unlabelled(whole)
    said = [*account.of_files(choices), *account.by_name(choices, by_file), *notes]
    if set(records) == {"index"}:
        said += account.without_embeddings(choices)
    return records, said


def _unlabelled(whole: Sequence[Piece]) -> Arrays:
    """The index of images that came without labels, out of the first piece that has one entry an image."""
    of_images = [piece.arrays for piece in whole if "image_ids" in piece.arrays]
    arrays = next((one for one in of_images if "globals" in one and "offsets" not in one), of_images[0])
    return _pick(arrays, "image_ids paths split class_names")


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
        raise account.nothing(choices)
    return choices


def _addresses(choices: Sequence[Choice]) -> list[Address]:
    """The split and the part of each file by its name: a part where there are several of one name, a split where no
    array says one."""
    found = [address(choice.contents.path.stem, numbered=True) for choice in choices]
    folders = [address(choice.contents.path.parent.name) for choice in choices]
    if len({folder.split for folder in folders if folder.word in ("", "split")}) > 1:  # train/a.npy beside test/a.npy
        found = [Address(at.word, at.split or folder.split, at.part) for at, folder in zip(found, folders, strict=True)]
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
        arrays = _arrays(choice, [use for use in choice.uses if use.split == split])
        yield Piece((str(path),), arrays, split, at.part)
    if rest:
        piece = Piece((str(path),), _arrays(choice, rest))
        by_name = piece.has_rows and (not piece.is_named or bool({"labels", "label_names"} & set(piece.arrays)))
        yield piece.at(at.split if by_name else None, at.part if piece.has_rows else None)


def _arrays(choice: Choice, uses: Sequence[Use]) -> Arrays:
    """The arrays of ``uses``. A column that only happens to be called as one that an index can do without is passed
    over."""
    arrays: Arrays = {}
    for use in uses:
        try:
            arrays[use.name] = choice.read(use)
        except DataError as error:
            if use.name not in WITH_LABELS or use.key not in choice.contents.columns:
                raise
            choice.passed[use.key] = str(error).partition(": ")[2].partition("; ")[0]
    return arrays


def _sort(piece: Piece, notes: list[str]) -> Record:
    """The arrays of a piece by the kind of record they make up."""
    arrays = piece.arrays
    rows = next(iter(piece.rows().values()), None)
    if "image_ids" not in arrays and rows is not None and not {"labels", "label_names"} & set(arrays):
        raise DataError(f"{piece.where}: expected image_ids beside {', '.join(arrays)}, found none, nor labels of as "
                        "many images; bring them, or name them with --array image_ids=KEY")  # fmt: skip
    if "image_ids" not in arrays and rows is not None:
        notes.append(f"{Path(piece.files[0]).name}: images are numbered, as no image_ids came")
        arrays = {**arrays, "image_ids": pieces.numbered(rows)}
    records: Record = {}
    _check_equal(piece.where, "regions", {name: len(arrays[name]) for name in _of_regions(arrays)})
    of_globals, of_regions = _norms(arrays, "global_norms", "regions"), _norms(arrays, "region_norms", "globals")
    if "globals" in arrays:
        records["globals"] = _pick(arrays, "image_ids globals", norms=arrays.get(of_globals))
    if "regions" in arrays:
        records["region_embeddings"] = _pick(arrays, "image_ids offsets regions", norms=arrays.get(of_regions))
    if "offsets" in arrays and {"boxes_xyxy", "mask_counts", "area"} & set(arrays):
        records["regions"] = _pick(arrays, " ".join(OF_REGIONS))
    if "text" in arrays:
        records["text"] = _pick(arrays, "class_names text logit_scale templates")
    if {"labels", "label_names"} & set(arrays):
        boxes = arrays.get("boxes_xyxy") if "offsets" not in arrays else None
        records["index"] = _pick(arrays, " ".join(OF_INDEX), boxes_xyxy=boxes)
    for kind, record in records.items():
        _check_lengths(piece.where, kind, record)
    used = {"image_ids", "offsets", of_globals, of_regions}.union(*records.values())
    if records and (idle := [name for name in arrays if name not in used]):
        notes.append(f"{Path(piece.files[0]).name}: passed over {', '.join(idle)}, of which what came makes no use")
    return records


def _of_regions(arrays: Arrays) -> list[str]:
    """The arrays that have a row a region."""
    names = ("regions", "boxes_xyxy", "area", "predicted_iou", "stability") if "offsets" in arrays else ()
    return [name for name in names if name in arrays]


def _pick(arrays: Arrays, names: str, **more: np.ndarray | None) -> Arrays:
    picked = {name: arrays[name] for name in names.split() if name in arrays}
    return picked | {name: array for name, array in more.items() if array is not None}


def _norms(arrays: Arrays, own: str, other: str) -> str:
    """What the norms of embeddings are called: ``norms`` says enough where a file holds embeddings of one kind."""
    return "norms" if own not in arrays and other not in arrays else own


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
    _check_equal(where, kind, lengths)
    if "image_ids" in record:
        of_regions = "; if its rows are regions, name them with --array regions=KEY" if kind == "globals" else ""
        check_once(record["image_ids"], f"{where}: image_ids", f"make them unique{of_regions}")


def _check_equal(where: str, kind: str, lengths: dict[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise DataError(f"{where}: expected arrays of equal length for {kind}, found {found}; mend the file")

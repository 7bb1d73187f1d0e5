"""Files that make up one whole: arrays side by side, parts and splits one after another.

A file that names its images stands by itself. One that does not goes by position: beside those of the same split and
part, or beside the one file that names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fgscore import ragged
from fgscore.errors import DataError, UsageError, shortened
from fgscore.exchange.names import OF_IMAGES, OF_INDEX, OF_REGIONS
from fgscore.exchange.relative import relative
from fgscore.store.arrays import Arrays
from fgscore.types import SPLITS

WHOLE = ("class_names", "banner", "notes", "text", "logit_scale", "templates")  # without a row an image
BY_ROW = {*OF_IMAGES, *OF_REGIONS, *OF_INDEX, "regions", "region_norms"} - set(WHOLE)
CUTS = ("offsets", "mask_offsets")


@dataclass(frozen=True)
class Piece:
    """Arrays by our names of one or more files; those with a row an image are of one split and part."""

    files: tuple[str, ...]
    arrays: Arrays
    split: str | None = None
    part: int | None = None

    @property
    def where(self) -> str:
        """Its files, for people."""
        return shortened(self.files, 2)

    @property
    def has_rows(self) -> bool:
        """Whether any of it has a row an image or a region."""
        return bool(BY_ROW & set(self.arrays))

    @property
    def is_named(self) -> bool:
        """Whether its rows say which images they are of."""
        return bool({"image_ids", "paths"} & set(self.arrays))

    @property
    def place(self) -> tuple[int, int]:
        """What it is put in order by; (-1, -1) where it is whole."""
        return SPLITS.index(self.split) if self.split else -1, -1 if self.part is None else self.part

    def at(self, split: str | None, part: int | None) -> Piece:
        """The same as that part of that split."""
        return replace(self, split=split, part=part)

    def rows(self) -> dict[str, int]:
        """The number of images by every array that says one."""
        if "offsets" in self.arrays:
            return {"offsets": len(self.arrays["offsets"]) - 1}
        of_regions = {"image_ids", "norms"} if "regions" in self.arrays else set()
        return {name: len(a) for name, a in self.arrays.items() if name in OF_IMAGES and name not in of_regions}


def joined(pieces: Sequence[Piece]) -> tuple[list[Piece], list[str]]:
    """(pieces that are whole, notes). Raises :class:`DataError` where what belongs together does not fit, with both
    numbers."""
    for piece in pieces:
        _check_rows(piece)
    notes: list[str] = []
    one = _one_after_another(_side_by_side(pieces), notes)
    return [_named(piece, notes) for piece in _gathered(_side_by_side(one))], notes


def _gathered(pieces: Sequence[Piece]) -> list[Piece]:
    """``pieces``, what says something of classes or text alone beside what has these."""
    loose = [piece for piece in pieces if not piece.has_rows and "text" not in piece.arrays]
    whole = [piece for piece in pieces if piece not in loose]
    for piece in loose:
        wanted = "text" if {"logit_scale", "templates"} & set(piece.arrays) else "labels"
        hosts = [i for name in (wanted, "text") for i, one in enumerate(whole) if name in one.arrays]
        if hosts:
            whole[hosts[0]] = _beside([whole[hosts[0]], piece])
    return whole


def _check_rows(piece: Piece) -> None:
    counts = piece.rows()
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {n}" for name, n in counts.items())
        of = f" for {piece.split}" if piece.split else ""
        raise DataError(f"{piece.where}: expected arrays of equal length{of}, found {found}; mend the file")
    if empty := next((name for name, n in counts.items() if not n), None):
        raise DataError(f"{piece.where}: expected images, found none: {empty} is empty; write it again")


def _side_by_side(pieces: Sequence[Piece]) -> list[Piece]:
    """``pieces``, those that do not name their images merged with what has the same place."""
    made: list[Piece] = []
    for place in dict.fromkeys(piece.place for piece in pieces):
        here = [piece for piece in pieces if piece.place == place]
        needy = [piece for piece in here if piece.has_rows and not piece.is_named]
        hosts = [p for p in here if p.is_named and not {"regions", "offsets"} & set(p.arrays)]
        hosts = [p for p in hosts if {"labels", "label_names"} & set(p.arrays)] or hosts
        if needy and len(hosts) > 1:
            raise DataError(f"expected image_ids in {needy[0].where}, or one file beside it that has them, found "
                            f"{hosts[0].where} and {hosts[1].where}; import them one by one")  # fmt: skip
        if len(needy) + len(hosts) > 1 and needy:
            made.append(_beside([*hosts, *needy]))
            here = [piece for piece in here if piece not in (*hosts, *needy)]
        made += here
    return made


def _beside(pieces: Sequence[Piece]) -> Piece:
    """One piece of the arrays of several, of as many images each."""
    arrays: Arrays = {}
    owner: dict[str, str] = {}
    for piece in pieces:
        for name, array in piece.arrays.items():
            if name in arrays and name in WHOLE and not np.array_equal(arrays[name], array):
                raise DataError(f"expected the same {name} in {owner[name]} and in {piece.where}, found others; mend "
                                "one of them")  # fmt: skip
            if name in arrays and name not in WHOLE:
                raise DataError(f"expected {name} in one file, found it in {owner[name]} and {piece.where}; import "
                                "them one by one")  # fmt: skip
            arrays[name], owner[name] = array, piece.where
    counts = [(piece.where, *next(iter(piece.rows().items()))) for piece in pieces if piece.rows()]
    for where, name, count in counts[1:]:
        if count != counts[0][2]:
            raise DataError(
                f"expected as many rows in {where} as in {counts[0][0]}, found {name} {count} and {counts[0][1]} "
                f"{counts[0][2]}; bring files that belong together"
            )
    return replace(pieces[0], files=tuple(file for piece in pieces for file in piece.files), arrays=arrays)


def _one_after_another(pieces: Sequence[Piece], notes: list[str]) -> list[Piece]:
    """``pieces``, those that are parts or splits joined to one."""
    parts = sorted((p for p in pieces if p.place != (-1, -1)), key=lambda piece: piece.place)
    if not parts:
        return list(pieces)
    arrays = {name: _end_to_end(name, parts) for part in parts for name in part.arrays if name not in WHOLE}
    whole = _beside([Piece(part.files, {k: a for k, a in part.arrays.items() if k in WHOLE}) for part in parts])
    arrays |= whole.arrays
    counts = [next(iter(part.rows().values())) for part in parts]
    if parts[0].split:
        arrays["split"] = np.repeat(np.array([part.split for part in parts], np.str_), counts)
        arrays = _ids_of_splits(arrays, [str(part.split) for part in parts], counts, notes)
    notes += _gaps(parts)
    rest = [piece for piece in pieces if piece.place == (-1, -1)]
    return [*rest, Piece(whole.files, arrays)]


def _end_to_end(name: str, parts: Sequence[Piece]) -> np.ndarray:
    """The array ``name`` of all parts as one."""
    if lacking := next((part for part in parts if name not in part.arrays), None):
        raise UsageError(f"{lacking.where}: expected {name} for every split and part, found none for "
                         f"{lacking.split or f'part {lacking.part}'}; bring it, or name it with --array")  # fmt: skip
    several = [part.arrays[name] for part in parts]
    shapes = {array.shape[1:]: array.shape for array in several}
    if len(shapes) > 1:
        found = " and ".join(" x ".join(map(str, shape)) for shape in shapes.values())
        raise DataError(f"{parts[0].where}: expected {name} of one width in all parts, found {found}; bring those of "
                        "one encoder")  # fmt: skip
    return ragged.join(several) if name in CUTS else np.concatenate(several)


def _ids_of_splits(arrays: Arrays, splits: Sequence[str], counts: Sequence[int], notes: list[str]) -> Arrays:
    """Ids that carry their split where they would be double without: numbering often restarts in each."""
    key = "image_ids" if "image_ids" in arrays else "paths"
    if key not in arrays:
        n = {
            split: sum(c for s, c in zip(splits, counts, strict=True) if s == split) for split in dict.fromkeys(splits)
        }
        return {**arrays, "image_ids": np.concatenate([numbered(count, f"{split}/") for split, count in n.items()])}
    ids = arrays[key]
    if len(set(ids.tolist())) == len(ids):
        return arrays
    notes.append(f"image ids carry their split, as {splits[0]}/{ids[0]}: some are in two splits")
    return {**arrays, "image_ids": np.array([f"{s}/{i}" for s, i in zip(arrays["split"], ids, strict=True)], np.str_)}


def _gaps(parts: Sequence[Piece]) -> Iterator[str]:
    """A line about parts between others that are not there."""
    for split in dict.fromkeys(part.split for part in parts):
        numbers = [part.part for part in parts if part.split == split and part.part is not None]
        if absent := sorted(set(range(min(numbers, default=0), max(numbers, default=0))) - set(numbers)):
            yield f"of parts {min(numbers)} to {max(numbers)} there is no {', '.join(map(str, absent[:10]))}"


def numbered(n: int, prefix: str = "") -> np.ndarray:
    """(n,) ids of images that have none: 000000, 000001 and so on."""
    return np.array([f"{prefix}{i:06d}" for i in range(n)], np.str_)


def _named(piece: Piece, notes: list[str]) -> Piece:
    """``piece`` with paths that a store may keep, ids, and offsets where its rows are regions."""
    arrays = dict(piece.arrays)
    if "paths" in arrays:
        arrays["paths"] = relative(arrays["paths"], piece.where, notes)
        arrays.setdefault("image_ids", arrays["paths"])
    return replace(piece, arrays=_offsets_from_rows(piece.where, arrays))


def _offsets_from_rows(where: str, arrays: Arrays) -> Arrays:
    """Regions of a table with an image id a row: the rows of an image must follow each other."""
    of_images = {"labels", "label_names", "globals"} & set(arrays)
    of_regions = ("regions", "predicted_iou", *(() if of_images else ("boxes_xyxy",)))
    count = next((len(arrays[name]) for name in of_regions if name in arrays), None)
    if count is None or "offsets" in arrays:
        return arrays
    ids = arrays.get("image_ids", np.zeros(0, np.str_))
    if len(ids) != count:
        raise DataError(f"{where}: expected offsets, or an image_id for each of {count} regions, found neither")
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]])) if count else np.zeros(0, np.int64)
    if len(set(ids[starts].tolist())) < len(starts):
        raise DataError(
            f"{where}: expected the regions of an image one after another, found them apart; sort the table"
        )
    return {**arrays, "image_ids": ids[starts], "offsets": np.append(starts, count).astype(np.int64)}

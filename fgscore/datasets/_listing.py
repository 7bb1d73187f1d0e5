"""What the lists of a data set say: its photos, which of them are there, and whether a listing is one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import regular
from fgscore.datasets._account import Account, printable
from fgscore.errors import DataError, UsageError, shortened
from fgscore.labels import UNLABELLED, class_named, without
from fgscore.types import SPLITS


@dataclass(frozen=True)
class Photo:
    """One listed photo: ``path`` relative to the listing's root, with '/'; ``label`` -1 where it has none; ``box_xyxy``
    in pixels where known."""

    image_id: str
    path: str
    label: int
    split: str
    box_xyxy: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Listing:
    """What a data set's lists say. ``expected`` holds the published number of photos by split; ``banner`` is the number
    of bottom rows that are no part of the photo; ``where`` says how to get what is missing.

    ``account`` is of the files below ``root`` that are no photos of it, ``remarks`` what a user should know of how it
    was read, a line each. ``faults`` are refused unless forced, ``lacking`` are lists that are not there, without which
    the others may be used where a partial copy is accepted.
    """

    root: Path
    class_names: tuple[str, ...]
    photos: Sequence[Photo]
    expected: Mapping[str, int] = field(default_factory=dict)
    banner: int = 0
    where: str = ""
    account: Account = Account()
    remarks: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    def class_named(self, label: int) -> str | None:
        """The name of class ``label``; None for -1, of a photo without one."""
        return class_named(self.class_names, label)

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64: the label of every photo, -1 where it has none."""
        return np.array([photo.label for photo in self.photos], np.int64)

    @property
    def splits(self) -> np.ndarray:
        """(N,): the split of every photo."""
        return np.array([photo.split for photo in self.photos], np.str_)

    def without(self) -> str:
        """How many photos have no label, and which; empty where all have one."""
        return without(self.labels, [photo.image_id for photo in self.photos])


def checked(found: Any) -> Listing:
    """``found`` itself. Raises :class:`UsageError` where it is no listing that an index can be made of."""
    if not isinstance(found, Listing):
        raise UsageError(f"found {type(found).__name__} in place of a fgscore.datasets.Listing")
    if not isinstance(found.root, Path) or not all(isinstance(name, str) and name for name in found.class_names):
        raise UsageError("expected a Listing whose root is a Path and whose class_names are strings")
    for photo in found.photos:
        if not isinstance(photo, Photo):
            raise UsageError(f"expected every photo to be a fgscore.datasets.Photo, found {type(photo).__name__}")
        if wrong := _wrong_of(photo, len(found.class_names)):
            raise UsageError(f"photo {photo.image_id!r}: {wrong}")
    return found


def _wrong_of(photo: Photo, classes: int) -> str:
    """What an index cannot hold of a photo; empty where there is nothing."""
    if not all(isinstance(text, str) and text for text in (photo.image_id, photo.path)):
        return "expected an image_id and a path"
    label: Any = photo.label
    if not isinstance(label, int | np.integer) or not UNLABELLED <= label < classes:
        return f"expected a label from 0 to {classes - 1}, or {UNLABELLED} for none, found {photo.label!r}"
    if photo.split not in SPLITS:
        return f"expected a split of {', '.join(SPLITS)}, found {photo.split!r}"
    box = photo.box_xyxy
    if box is not None and not (len(box) == 4 and np.isfinite(box).all()):
        return f"expected a box x0, y0, x1, y1 in pixels or None, found {box!r}"
    return ""


def first_folder(root: Path, *candidates: str, marker: str, where: str) -> Path:
    """The folder among ``root`` and ``root/<candidate>`` that holds ``marker``; raises :class:`DataError` that ends in
    ``where``, how to get what is missing."""
    for folder in (root, *(root / c for c in candidates)):
        if (folder / marker).exists():
            return folder
    raise DataError(
        f"expected {marker} in {root} or in its {' or '.join(candidates) or 'subfolders'}, found "
        f"{_contents(root)}; {where}, or name their folder with --root DIR"
    )


def _contents(root: Path) -> str:
    if not root.is_dir():
        return "no such folder"
    names = sorted(p.name for p in root.iterdir())
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") if names else "an empty folder"


def read_lines(path: Path, where: str = "get a complete copy") -> list[tuple[str, str]]:
    """``(id, rest)`` of each line of a list file, split at the first space; blank lines are passed over. Raises
    :class:`DataError` that ends in ``where``, how to get what is missing."""
    try:
        text = regular.read(path).decode("utf-8")
    except FileNotFoundError:
        raise DataError(f"expected the list {path}, found none; {where}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"expected the list {path}, found something else ({error}); {where}") from error
    pairs = [line.strip().partition(" ") for line in text.splitlines() if line.strip()]
    return [(key, rest.strip()) for key, _, rest in pairs]


def present(listing: Listing, partial: bool) -> tuple[Listing, dict[str, Any]]:
    """The listing reduced to the photos that are there, and notes for the index.

    A copy that lacks photos, by its own lists or by the published counts, is refused with both counts, or accepted
    with ``partial`` and the counts noted. A list that points out of the data set's folder is refused outright.
    """
    for photo in listing.photos:
        if not is_below(photo.path):
            raise DataError(f"expected paths below {listing.root} in the lists, found {photo.path!r}; mend the list")
    _check_names(listing)
    if listing.lacking and not partial:
        raise DataError(f"{'; '.join(listing.lacking)}; {listing.where or 'complete the copy'}, or use "
                        "the photos that have labels, with --partial")  # fmt: skip
    folders: dict[str, set[str]] = {}
    there = [p for p in listing.photos if _exists(listing.root, p.path, folders)]
    expected = sum(listing.expected.values()) or len(listing.photos)
    if not expected:
        raise DataError(f"expected photos in the lists of {listing.root}, found none; mend the list")
    if not there:
        raise DataError(
            f"expected {expected} photos under {listing.root}, such as {listing.photos[0].path}, found none; "
            f"{f'{listing.where}, or name' if listing.where else 'name'} their folder with --root DIR"
        )
    if len(there) == expected and _split_counts(there, listing) == dict(
        listing.expected or _split_counts(there, listing)
    ):
        return listing, {}
    found = ", ".join(f"{n} {split}" for split, n in _split_counts(there, listing).items())
    wanted = ", ".join(f"{n} {split}" for split, n in listing.expected.items())
    if not partial:
        here = {p.path for p in there}
        named = shortened([p.path for p in listing.photos if p.path not in here])
        raise DataError(
            f"expected {expected} photos{f' ({wanted})' if wanted else ''} under {listing.root}, found {len(there)} "
            f"({found}), missing {expected - len(there)}{f' ({named})' if named else ''}; "
            f"{listing.where or 'complete the copy'}, or accept it with --partial"
        )
    return replace(listing, photos=there), {"partial": {"expected": expected, "found": len(there)}}


def is_below(path: str) -> bool:
    """Whether ``path``, with '/', stays below the folder that it starts from, and names no drive of Windows. Else a
    backslash and a colon are parts of names like others, but on Windows."""
    parts = path.split("/")
    leads_out = not parts[0] or ".." in parts or any(re.fullmatch(r"[A-Za-z]:", part) for part in parts)
    return not leads_out and (os.name != "nt" or not set(path) & set("\\:"))


def _check_names(listing: Listing) -> None:
    """Raises :class:`DataError` for a file whose name cannot be written down."""
    for photo in listing.photos:
        try:
            photo.path.encode("utf-8")
        except UnicodeEncodeError:
            name = printable(photo.path)
            raise DataError(f"expected file names in UTF-8 under {listing.root}, found {name}; rename it") from None


def _split_counts(photos: Sequence[Photo], listing: Listing) -> dict[str, int]:
    splits = [p.split for p in photos]
    return {s: splits.count(s) for s in (listing.expected or sorted(set(splits)))}


def _exists(root: Path, relative: str, folders: dict[str, set[str]]) -> bool:
    """Whether a listed file is there, one directory read a folder; the case of letters counts everywhere."""
    parent, _, name = relative.rpartition("/")
    if parent not in folders:
        folder = root / parent
        folders[parent] = set(os.listdir(folder)) if folder.is_dir() else set()
    return name in folders[parent]


def limited(listing: Listing, limit: int | None) -> Listing:
    """The first ``limit`` photos of each class and split, in listed order."""
    if limit is None:
        return listing
    seen: dict[tuple[int, str], int] = {}
    kept = []
    for photo in listing.photos:
        key = (photo.label, photo.split)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= limit:
            kept.append(photo)
    return replace(listing, photos=kept)

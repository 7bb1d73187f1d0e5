"""Data sets: what all of them share, from a list of photos to the index.

A data set is one file with ``load(root, /, *, parameters...) -> Listing``: it reads the official lists under ``root``
(or its parent), never a glob, and looks at no pixel. It may declare

- ``DEFAULTS``, components to use where the command line names none;
- ``NOUN``, what its classes are kinds of, for prompts such as "..., a type of bird.";
- ``DOWNLOADS``, the official :class:`Download` files, or ``INSTRUCTIONS``, where there is none, what to fetch instead;
- ``OWN = True``, where the photos are the user's, so that :mod:`fgscore.datasets._validate` looks at them first;
- ``prepare(root, progress)``, which makes the photos where they are made rather than found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import regular
from fgscore.errors import BadImage, DataError
from fgscore.types import ImageIndex, file_sha256

Progress = Callable[[int, int], None]
PHOTO_BYTES = 1 << 31  # a larger file is no photo


@dataclass(frozen=True)
class Defaults:
    """Components that a data set asks for where the command line names none."""

    encoder: str = "clip"
    regions: tuple[str, ...] = ("random_crop", "sam")
    prompt: str = "plain"


@dataclass(frozen=True)
class Download:
    """One official file: ``checksum`` is ``sha256:...`` or ``md5:...``; ``unpack`` for an archive, whose entries go to
    the data set's folder."""

    url: str
    name: str
    checksum: str
    size: int
    unpack: bool = True


@dataclass(frozen=True)
class Photo:
    """One listed photo: ``path`` relative to the listing's root, with '/'; ``box_xyxy`` in pixels where known."""

    image_id: str
    path: str
    label: int
    split: str
    box_xyxy: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Listing:
    """What a data set's lists say. ``expected`` holds the published number of photos by split; ``banner`` is the number
    of bottom rows that are no part of the photo."""

    root: Path
    class_names: tuple[str, ...]
    photos: Sequence[Photo]
    expected: Mapping[str, int] = field(default_factory=dict)
    banner: int = 0
    where: str = ""


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


def read_lines(path: Path) -> list[tuple[str, str]]:
    """``(id, rest)`` of each line of a list file, split at the first space; blank lines are passed over."""
    try:
        text = regular.read(path).decode("utf-8")
    except OSError as error:
        raise DataError(f"expected the list {path}, found none ({error.strerror}); get a complete copy") from error
    pairs = [line.strip().partition(" ") for line in text.splitlines() if line.strip()]
    return [(key, rest.strip()) for key, _, rest in pairs]


def present(listing: Listing, partial: bool) -> tuple[Listing, dict[str, Any]]:
    """The listing reduced to the photos that are there, and notes for the index.

    A copy that lacks photos, by its own lists or by the published counts, is refused with both counts, or accepted
    with ``partial`` and the counts noted. A list that points out of the data set's folder is refused outright.
    """
    for photo in listing.photos:
        if photo.path.startswith("/") or "\\" in photo.path or ":" in photo.path or ".." in photo.path.split("/"):
            raise DataError(f"expected paths below {listing.root} in the lists, found {photo.path!r}; mend the list")
    _check_names(listing)
    folders: dict[str, set[str]] = {}
    there = [p for p in listing.photos if _exists(listing.root, p.path, folders)]
    expected = sum(listing.expected.values()) or len(listing.photos)
    if not there:
        raise DataError(
            f"expected {expected} photos under {listing.root}, found none; "
            f"{f'{listing.where}, or name' if listing.where else 'name'} their folder with --root DIR"
        )
    if len(there) == expected and _split_counts(there, listing) == dict(
        listing.expected or _split_counts(there, listing)
    ):
        return listing, {}
    found = ", ".join(f"{n} {split}" for split, n in _split_counts(there, listing).items())
    wanted = ", ".join(f"{n} {split}" for split, n in listing.expected.items())
    if not partial:
        raise DataError(
            f"expected {expected} photos{f' ({wanted})' if wanted else ''} under {listing.root}, found {len(there)} "
            f"({found}), missing {expected - len(there)}; {listing.where or 'complete the copy'}, or accept it with "
            "--partial"
        )
    return replace(listing, photos=there), {"partial": {"expected": expected, "found": len(there)}}


def _check_names(listing: Listing) -> None:
    """Raises :class:`DataError` for a file whose name cannot be written down."""
    for photo in listing.photos:
        try:
            photo.path.encode("utf-8")
        except UnicodeEncodeError:
            name = os.fsencode(photo.path).decode("utf-8", "backslashreplace")
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


def build_index(
    dataset: str,
    listing: Listing,
    notes: Mapping[str, Any],
    shard_order: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    progress: Progress | None = None,
) -> ImageIndex:
    """Hash every photo and read its header. ``shard_order`` maps ids (N,) to their order and shard numbers."""
    order, shard = shard_order(np.array([p.image_id for p in listing.photos], np.str_))
    photos = [listing.photos[i] for i in order]
    facts: list[tuple[tuple[int, int], int, str]] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for fact in pool.map(lambda p: _facts(listing.root / p.path, listing.banner), photos):
            facts.append(fact)
            if progress:
                progress(len(facts), len(photos))
    sizes = np.array([f[0] for f in facts], np.int32).reshape(-1, 2)
    return ImageIndex(
        dataset=dataset,
        image_ids=np.array([p.image_id for p in photos], np.str_),
        paths=np.array([p.path for p in photos], np.str_),
        labels=np.array([p.label for p in photos], np.int64),
        split=np.array([p.split for p in photos], np.str_),
        class_names=listing.class_names,
        sizes_wh=sizes,
        sha256=np.array([f[2] for f in facts], np.str_),
        orientation=np.array([f[1] for f in facts], np.int8),
        shard=shard,
        boxes_xyxy=_inside(np.array([p.box_xyxy or (np.nan,) * 4 for p in photos], np.float32).reshape(-1, 4), sizes),
        banner=listing.banner,
        notes=notes,
    )


def _inside(boxes: np.ndarray, sizes_wh: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) cut to the photos as they are used: without the banner. NaN stays, unreadable photos have none."""
    return np.clip(boxes, 0, np.tile(np.where(sizes_wh > 0, sizes_wh, np.nan), 2))


def _facts(path: Path, banner: int) -> tuple[tuple[int, int], int, str]:
    """Size without the banner, orientation and hash of one file; size 0 x 0 where it is no image, and no hash where it
    is not even a file."""
    try:
        regular.check(path, PHOTO_BYTES)
    except regular.Irregular:
        return (0, 0), 1, ""
    sha256 = file_sha256(path)
    from fgscore.datasets import _images

    try:
        width, height, orientation = _images.read_header(path)
    except BadImage:
        return (0, 0), 1, sha256
    return (width, max(0, height - banner)), orientation, sha256

"""Anyone's photos in folders: root/{train,val,test}/<class>/*.jpg, root/<class>/*.jpg, or root/*.jpg without labels.

The cache keeps them under ``name``: give each folder of photos its own.

How a folder is read. Folders that are hidden, or that a system keeps for itself, count for nothing. Those at the top
that are called as a split (train or training; val, valid, validation or dev; test or testing) are splits, if one of
them is train and holds folders of photos, or if there are no other folders of photos beside them; else they are classes
like the others: ``bus/``, ``car/`` and ``train/`` are three classes. The class of a photo is the first folder below its
split, or below the root; how much deeper it lies makes no difference. A split, or a root, that holds photos and no
class is of photos without labels. What is left over is in the account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Lt

from fgscore.datasets import DataSet, Listing, Photo
from fgscore.datasets._account import LOOSE, NO_SPLIT, Account, PassedOver
from fgscore.datasets._below import Below, below, is_system, sorted_out
from fgscore.datasets._classes import alike, clashes
from fgscore.datasets._splits import set_aside
from fgscore.errors import DataError, quoted, shortened
from fgscore.labels import UNLABELLED
from fgscore.specs import OF_CONTENT
from fgscore.types import SPLITS, split_named

LAYOUT = "{root}/train/<class>/*.jpg and {root}/test/<class>/*.jpg, or {root}/<class>/*.jpg"
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


@DataSet.declares(own=True)
def folder(
    root: Path,
    /,
    *,
    name: str = "folder",
    split: Annotated[Annotated[float, Ge(0), Lt(1)] | None, OF_CONTENT] = None,
    seed: Annotated[int, Ge(0), OF_CONTENT] = 0,
    merge: Annotated[bool, OF_CONTENT] = False,
) -> Listing:
    """Anyone's photos as root/{train,val,test}/<class>/*.jpg or root/<class>/*.jpg; the folder's name is the class.

    An image's id is its path; underscores in a class name become spaces. ``split=0.2`` sets a fifth of each class aside
    for testing, drawn by ``seed``, where no folder is called test; ``merge`` makes one class of folders that come to
    one name, as blue_jay/ and 'blue jay/'. Raises :class:`DataError` for another layout.
    """
    found = below(root) if root.is_dir() else []
    photos, passed_over = sorted_out(root, found)
    splits = _splits(photos)
    placed = [_placed(photo, splits) for photo in photos]
    with_classes = {place.split for place in placed if place.folder}
    lost = [_lost(place, splits, with_classes) for place in placed]
    passed_over += [file for file, place in zip(lost, placed, strict=True) if file and not place.photo.is_folder]
    kept = [place for file, place in zip(lost, placed, strict=True) if not file]
    if not kept:
        raise DataError(_nothing(root, found, passed_over))
    class_of, names, clashing = _classes({place.folder for place in kept if place.folder}, merge)
    listed = [
        Photo(p.photo.path, p.photo.path, class_of.get(p.folder, UNLABELLED), p.split or "train")
        for p in sorted(kept, key=lambda p: (SPLITS.index(p.split or "train"), p.photo.parts))
    ]
    return Listing(
        root,
        names,
        set_aside(listed, split or 0, seed, root),
        account=Account.of(passed_over),
        remarks=(*_remarks(kept, splits, found), *_merged(class_of, names)),
        faults=(*clashing, *(_one_too_high(kept, root) or _splits_below(kept, splits) or _nearly_splits(kept, splits))),
    )


@dataclass(frozen=True)
class _Place:
    """A photo with its split, "" where it is in none, and the folder of its class, "" where it is in none."""

    photo: Below
    split: str
    folder: str


def _splits(photos: Iterable[Below]) -> Mapping[str, str]:
    """The folders at the top that are splits, and which; empty where they are classes."""
    tops = {photo.parts[0] for photo in photos if len(photo.parts) > 1}
    named = {top: split for top in tops if (split := split_named(top))}
    deeper = {named[photo.parts[0]] for photo in photos if len(photo.parts) > 2 and photo.parts[0] in named}
    return named if "train" in deeper or tops == set(named) else {}


def _placed(photo: Below, splits: Mapping[str, str]) -> _Place:
    top, *rest = photo.parts
    if not splits:
        return _Place(photo, "", top if rest else "")
    return _Place(photo, splits.get(top, "") if rest else "", rest[0] if len(rest) > 1 else "")


def _lost(place: _Place, splits: Mapping[str, str], with_classes: set[str]) -> PassedOver | None:
    """Why a photo is not one of the set; None where it is."""
    if splits and not place.split:
        reason = NO_SPLIT if len(place.photo.parts) > 1 else LOOSE
    elif not place.folder and place.split in with_classes:
        reason = LOOSE
    else:
        return None
    return PassedOver(place.photo.path, reason, True)


def _classes(folders: set[str], merge: bool) -> tuple[dict[str, int], tuple[str, ...], list[str]]:
    """Folder to label, label to name, and which folders come to one name, where they are not to ``merge``."""
    found = alike(folders, _name)
    if merge:
        groups = list(found.values())
        return {one: label for label, of in enumerate(groups) for one in of}, tuple(_name(of[0]) for of in groups), []
    classes = sorted(folders)
    clashing = clashes(found, "the folders", " (merge=True makes them one class)")
    return {one: label for label, one in enumerate(classes)}, tuple(map(_name, classes)), clashing


def _merged(class_of: Mapping[str, int], names: Sequence[str]) -> Iterator[str]:
    """Which folders were made one class."""
    for label, name in enumerate(names):
        of = [one for one in class_of if class_of[one] == label]
        if len(of) > 1:
            yield f"the folders {' and '.join(map(repr, of))} are one class, {name!r}"


def _name(of_folder: str) -> str:
    return of_folder.replace("_", " ")


def _one_too_high(kept: list[_Place], root: Path) -> list[str]:
    """That all photos lie in one folder, whose own folders look like the classes, or the splits."""
    tops = {place.photo.parts[0] for place in kept}
    inner = {place.photo.parts[1] if len(place.photo.parts) > 2 else "" for place in kept}
    if len(tops) > 1 or any(place.split for place in kept) or len(inner) < 2 or "" in inner:
        return []
    (top,) = tops
    looks = "splits" if all(map(split_named, inner)) else "classes"
    return [f"all photos lie in {top}/, whose folders {shortened(sorted(inner))} look like the {looks} (name it with "
            f"--root {quoted(str(root / top))})"]  # fmt: skip


def _splits_below(kept: list[_Place], splits: Mapping[str, str]) -> list[str]:
    """That folders called as splits lie below those of classes."""
    below_class = sorted({"/".join(parts[:2]) for place in kept if len(parts := place.photo.parts) > 2
                          and not splits and split_named(parts[1])})  # fmt: skip
    found = shortened([f"{path}/" for path in below_class])
    return [f"{found} would be read as photos of the class, not as splits (put splits above classes)"] * bool(found)


def _nearly_splits(kept: list[_Place], splits: Mapping[str, str]) -> list[str]:
    """That all folders at the top have a split in their names, as training_set/ and test_set/, and hold folders."""
    tops = sorted({place.folder for place in kept})
    nearly = all(any(map(split_named, re.findall("[a-z]+", top.casefold()))) for top in tops)
    if splits or len(tops) < 2 or not nearly or any(len(place.photo.parts) < 3 for place in kept):
        return []
    found = shortened([f"{top}/" for top in tops])
    return [f"{found} would be read as classes, though they look like splits (call them train, val and test)"]


def _remarks(kept: list[_Place], splits: Mapping[str, str], found: list[Below]) -> Iterator[str]:
    """What a user should know of how the folder was read."""
    if as_class := sorted({p.folder for p in kept if split_named(p.folder)} if not splits else ()):
        yield f"{shortened([f'{one}/' for one in as_class])}: read as a class, as no train/ with classes is beside it"
    renamed = {top: split for top, split in splits.items() if top != split}
    for top, split in sorted(renamed.items()):
        yield f"{top}/: read as {split}"
    bare = sorted({place.photo.parts[0] for place in kept if place.split and not place.folder})
    for top in bare:
        yield f"{top}/: its photos lie in no folder of a class, and are read without labels"
    if bare or not any(place.folder for place in kept):
        listed = [one.path for one in found if one.suffix in TABLES and not any(map(is_system, one.parts))]
        if listed:
            yield f"{listed[0]} lies there: labels of a table are read by `table(file={listed[0].split('/')[-1]})`"


def _nothing(root: Path, found: list[Below], passed_over: list[PassedOver]) -> str:
    """The message where no photo was found."""
    if not root.is_dir():
        here = "no such folder"
    elif not found:
        here = "no file"
    else:
        lines = [line.removeprefix("passed over ") for line in Account.of(passed_over).lines()]
        here = f"no photo among {len(found)} file{'s' * (len(found) > 1)}: {', '.join(lines[:4])}"
    return f"expected {LAYOUT.format(root=root)}, found {here}; name the folder of the photos with --root DIR"

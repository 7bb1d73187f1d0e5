"""Which column of a table of photos is which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fgscore.datasets._rows import SHOWN, Rows
from fgscore.errors import DataError, shortened
from fgscore.types import split_named

BOX = ("x0", "y0", "x1", "y1")
# what others call a column of ours, where it is called so itself and nothing else in the table is
USUAL: Mapping[str, tuple[str, ...]] = {
    "path": ("file_name", "filename", "file", "file_path", "filepath", "image", "image_path", "image_file", "img",
             "img_path", "photo"),
    "label": ("class", "class_name", "label_name", "labels", "category", "species", "breed", "target"),
    "split": ("fold", "subset", "set", "partition"),
    "image_id": (),
}  # fmt: skip
WHAT = {"path": "the paths of photos", "label": "labels", "split": "splits", "image_id": "ids"}


@dataclass(frozen=True)
class Named:
    """The columns of ours, by what the table calls them; None where it has none. ``mapped`` are those that the user
    named, ``remarks`` what was concluded."""

    path: str
    label: str | None
    split: str | None
    image_id: str | None
    box: str | None
    mapped: frozenset[str]
    remarks: tuple[str, ...]


def named(rows: Rows, given: Mapping[str, str | None]) -> Named:
    """Find the columns: the ``given`` one, else the one that is called as ours, else the only one with a usual name.

    Raises :class:`DataError` where a column is not there, is there twice or could be one of several, where the paths
    are missing, and where labels are but could be among columns of other names; label='' says that there are none.
    """
    found = {ours: _one(rows, ours, given.get(ours)) for ours in USUAL}
    path, box = found["path"], given.get("box")
    if path is None:
        raise DataError(f"expected a column of paths in {rows.path}, found {rows.shown}; say which, as "
                        "table(path=NAME)")  # fmt: skip
    corners = [name for name in BOX if name in rows.names]
    if box:
        rows.check(box)
    for name in corners:
        rows.check(name)
    used = {*found.values(), box, *corners}
    others = [name for name in dict.fromkeys(rows.names) if name not in used]
    if found["label"] is None and given.get("label") is None and others:
        raise DataError(f"expected a column of labels in {rows.path}, found {rows.shown}; say which, as "
                        "table(label=NAME), or label='' for photos without labels")  # fmt: skip
    guessed = {ours: name for ours, name in found.items() if name and name != ours and not given.get(ours)}
    remarks = [f"columns: {', '.join(f'{ours}={name}' for ours, name in guessed.items())}"] if guessed else []
    remarks += [f"columns of no use here: {shortened(others, SHOWN)}"] if others else []
    mapped = frozenset(ours for ours in USUAL if given.get(ours))
    return Named(path, found["label"], found["split"], found["image_id"], box, mapped, tuple(remarks))


def _one(rows: Rows, ours: str, given: str | None) -> str | None:
    if given == "":
        return None
    if given is not None:
        return rows.check(given)
    if ours in rows.names:
        return rows.check(ours)
    usual = [name for name in dict.fromkeys(rows.names) if _plain(name) in (ours, *USUAL[ours])]
    if ours == "split":
        usual = [name for name in usual if any(cell and split_named(cell) for cell in rows.texts(rows.check(name)))]
    if len(usual) > 1:
        raise DataError(f"expected one column of {WHAT[ours]} in {rows.path}, found {' and '.join(usual)}; say which, "
                        f"as `table({ours}={usual[0]})`")  # fmt: skip
    return rows.check(usual[0]) if usual else None


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")

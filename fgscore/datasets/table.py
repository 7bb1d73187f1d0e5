"""Anyone's photos as listed in a table: CSV with any separator, JSON lines or Parquet, with columns of any names.

The cache keeps them under ``name``: give each table its own. A cell is missing where nothing stands in it; see
:mod:`fgscore.datasets._rows`. A photo whose label is missing has none, and of one that the table does not name nothing
is read: the account says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Lt

from fgscore.datasets import DataSet, Listing, Photo
from fgscore.datasets._account import NOT_NAMED, TABLE, Account, PassedOver
from fgscore.datasets._below import below, sorted_out
from fgscore.datasets._classes import alike, clashes
from fgscore.datasets._columns import named
from fgscore.datasets._lines import Lines
from fgscore.datasets._rows import Rows, read
from fgscore.datasets._splits import set_aside
from fgscore.errors import DataError, shortened
from fgscore.labels import UNLABELLED, in_order
from fgscore.specs import OF_CONTENT
from fgscore.types import split_named

DOUBTFUL = ("na", "n/a", "nan", "null", "none", "nil", "-1")  # names that may have been meant as none
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")

Column = Annotated[str | None, OF_CONTENT]


@DataSet.declares(own=True)
def table(
    root: Path,
    /,
    *,
    file: Path = Path("table.csv"),
    name: str = "table",
    path: Column = None,
    label: Column = None,
    split: Annotated[Annotated[float, Ge(0), Lt(1)] | str | None, OF_CONTENT] = None,
    image_id: Column = None,
    box: Column = None,
    seed: Annotated[int, Ge(0), OF_CONTENT] = 0,
) -> Listing:
    """Anyone's photos as listed in a table, CSV or Parquet: path, label, split, and if you like image_id and a box.

    ``file`` is a path from ``root`` or from here, or a table of that name in each of the folders train, val and test;
    the store keeps its name, and the index says what was in it. TSV, semicolons and JSON lines are read too.

    ``path``, ``label``, ``split``, ``image_id`` and ``box`` name columns; where they are left out, those of these names
    are taken, or the only one of a usual name such as file_name, class, species or fold; ``label=''`` says that there
    are no labels. Columns: the path of a photo from ``root``; the class name; train, val or test, by any of their usual
    names, or the first folder of the path; the path where there is no image_id; ``x0 y0 x1 y1``, or the four in one
    cell of ``box``, an object box in pixels, right and bottom exclusive. ``split=0.2`` sets a fifth of each class aside
    for testing, drawn by ``seed``. Raises :class:`DataError` for a table of another form.
    """
    given = {"path": path, "label": label, "image_id": image_id, "box": box}
    given["split"] = split if isinstance(split, str) else None
    tables = [Lines(rows, named(rows, given), root, below_root) for rows, below_root in _found(root, file)]
    classes = in_order(label for one in tables for label in one.labels if label is not None)
    label_of = {name: i for i, name in enumerate(classes)} | {None: UNLABELLED}
    photos = [
        Photo(photo_id, photo_path, label_of[of], part, corners)
        for one in tables
        for photo_id, photo_path, of, part, corners in zip(
            one.ids, one.paths, one.labels, one.splits, one.boxes, strict=True
        )
    ]
    share = split if isinstance(split, float) else 0
    return Listing(
        root,
        classes,
        set_aside(photos, share, seed, root),
        account=_account(root, photos, [one.rows.path for one in tables]),
        remarks=tuple(dict.fromkeys(_remarks(tables, classes, label))),
        faults=tuple(clashes(alike(classes), "the labels")),
    )


def _found(root: Path, file: Path) -> Iterator[tuple[Rows, str]]:
    """The table, or that of each split, with the folder below the root that its paths start from."""
    tops = sorted(top for top in root.iterdir() if split_named(top.name)) if root.is_dir() else []
    of_splits = [(top / file, top.name) for top in tops if (top / file).exists()]
    if (root / file).exists() or not of_splits:
        path = root / file if (root / file).exists() else file
        if not path.exists():
            raise DataError(_no_table(root, root / file))
        yield read(path), ""
        return
    for path, top in of_splits:
        yield read(path), top


def _no_table(root: Path, path: Path) -> str:
    inside = [*root.glob("*"), *root.glob("*/*")] if root.is_dir() else []
    there = sorted({p.name for p in inside if p.suffix.lower() in SUFFIXES})
    found = f"found none (there is {shortened(there)})" if there else "found none"
    return f"expected a table at {path}, {found}; name it: --dataset \"table(file='mine.csv', name='mine')\""


def _account(root: Path, photos: Sequence[Photo], tables: Sequence[Path]) -> Account:
    """The files below the root that the table does not name: none of them is lost, as the table leaves it out."""
    listed, own = {photo.path for photo in photos}, {path.absolute() for path in tables}
    if not root.is_dir():
        return Account()
    found = [one for one in below(root) if one.path not in listed and not one.is_folder]
    unnamed, passed_over = sorted_out(root, found)
    own_paths = {one.path for one in passed_over if (root / one.path).absolute() in own}
    others = [PassedOver(one.path, TABLE if one.path in own_paths else one.reason) for one in passed_over]
    return Account.of([*others, *(PassedOver(one.path, NOT_NAMED) for one in unnamed)])


def _remarks(tables: Sequence[Lines], classes: Sequence[str], label: str | None) -> Iterator[str]:
    """What a user should know of how the tables were read."""
    for one in tables:
        yield from one.remarks
    counts = Counter(path for one in tables for path in dict(zip(one.ids, one.paths, strict=True)).values())
    if twice := [path for path, n in counts.items() if n > 1]:
        yield f"photos: {shortened(twice)} stands under more than one id, and counts as often"
    if label is None and (doubtful := [name for name in classes if name.casefold() in DOUBTFUL]):
        yield f"labels: {shortened(doubtful)} is read as the name of a class; leave the cell empty where there is none"

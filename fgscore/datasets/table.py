"""Anyone's photos as listed in a table, CSV or Parquet: path, label, split, and if you like image_id and a box.

The cache keeps them under ``name``: give each table its own.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fgscore import regular
from fgscore.datasets import DataSet, Listing, Photo
from fgscore.errors import DataError
from fgscore.types import SPLITS

TEXT = ("path", "label", "split", "image_id")
BOX = ("x0", "y0", "x1", "y1")


@DataSet.declares(own=True)
def table(root: Path, /, *, file: Path = Path("table.csv"), name: str = "table") -> Listing:
    """Anyone's photos as listed in a table, CSV or Parquet: path, label, split, and if you like image_id and a box.

    ``file`` is a path from ``root`` or from here; the store keeps its name, and the index says what was in it.

    Columns: ``path`` of a photo from ``root``, with '/'; ``label``, the class name; ``split``, one of train, val and
    test; ``image_id``, the path where it is left out; ``x0 y0 x1 y1``, an object box in pixels, right and bottom
    exclusive. Other columns are passed over. Raises :class:`DataError` for a table of another form.
    """
    path = root / file if (root / file).exists() else file
    rows = _read(path)
    labels = [str(row["label"]) for row in rows]
    classes = sorted(set(labels), key=_by_number)
    label_of = {c: i for i, c in enumerate(classes)}
    photos = [
        Photo(str(row.get("image_id") or row["path"]), str(row["path"]), label_of[label], str(row["split"]), _box(row))
        for row, label in zip(rows, labels, strict=True)
    ]
    return Listing(root, tuple(classes), photos)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        regular.check(path)
        table = pa.parquet.read_table(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except FileNotFoundError:
        raise DataError(
            f"expected a table at {path}, found none; name it: --dataset \"table(file='mine.csv', name='mine')\""
        ) from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"expected a CSV or Parquet table in {path}, found something else ({reason})") from error
    if missing := [c for c in TEXT[:3] if c not in table.column_names]:
        raise DataError(
            f"expected the columns path, label and split in {path}, found {', '.join(table.column_names)}; add "
            f"{' and '.join(missing)}"
        )
    rows: list[dict[str, Any]] = table.select([c for c in (*TEXT, *BOX) if c in table.column_names]).to_pylist()
    for number, row in enumerate(rows, 1):
        if row["split"] not in SPLITS or row["path"] in (None, "") or row["label"] in (None, ""):
            found = ", ".join(f"{c} {row[c]!r}" for c in TEXT[:3])
            raise DataError(f"expected a path, a label and a split of train, val or test in row {number} of {path}, "
                            f"found {found}; mend the row")  # fmt: skip
    return rows


def _read_csv(path: Path) -> pa.Table:
    types = dict.fromkeys(TEXT, pa.string()) | dict.fromkeys(BOX, pa.float64())
    return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True))


def _by_number(label: str) -> tuple[bool, int, str]:
    """Numbers in their own order, before names."""
    return (False, int(label), label) if label.isdecimal() else (True, 0, label)


def _box(row: dict[str, Any]) -> tuple[float, float, float, float] | None:
    corners = [row.get(c) for c in BOX]
    if any(c is None or math.isnan(c) for c in corners):
        return None
    x0, y0, x1, y1 = (float(c) for c in corners if c is not None)
    return x0, y0, x1, y1

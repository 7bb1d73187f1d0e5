"""Tables of text: separated by commas, semicolons or tabs, with names in the first row. All cells are text, and stay so
until somebody wants numbers: an id ``007`` is ``007``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from fgscore import regular
from fgscore.errors import DataError

SEPARATORS = ",;\t"
START = 1 << 20  # bytes in which the first row ends
LONGEST = (1 << 31) - 1  # bytes that pyarrow takes at a time: a row must fit


def first_row(path: Path) -> tuple[str, list[str]]:
    """What separates the columns of a table, by which of :data:`SEPARATORS` its first row has most columns, and their
    names. Raises :class:`DataError` for a file in another encoding, by its mark."""
    with regular.opened(path) as file:
        start = file.read(START)
    for mark, name in regular.MARKS.items():
        if start.startswith(mark):
            raise DataError(f"expected text in UTF-8 in {path}, found {name}; save it as UTF-8")
    text = start.decode("utf-8-sig", errors="replace")
    found = {}
    for separator in SEPARATORS:
        try:
            found[separator] = next(csv.reader(io.StringIO(text), delimiter=separator), [])
        except csv.Error:
            found[separator] = []
    best = max(SEPARATORS, key=lambda separator: len(found[separator]))
    return best, found[best]


def cells(path: Path, separator: str, names: Sequence[str], missing: Sequence[str] = ()) -> pa.Table:
    """All cells as text, columns called ``names``, quoted line breaks and all; null where one is among ``missing`` and
    stands in no quotes. Raises :class:`pyarrow.ArrowInvalid` for rows of another length, and for bytes that are no
    UTF-8."""
    try:
        return pa.csv.read_csv(
            path,
            pa.csv.ReadOptions(block_size=min(LONGEST, max(START, path.stat().st_size + 1))),
            pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=bool(missing),
                quoted_strings_can_be_null=False,
                null_values=list(missing),
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise
        return pa.table({name: pa.array([], pa.string()) for name in names})


def is_number(text: str) -> bool:
    """Whether ``text`` is a number as tables write one, NaN too: no ``1_000`` of Python's, which is a name."""
    if "_" in text or not text.isascii():
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True

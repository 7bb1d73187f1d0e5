"""Arrays of CSV files: separated by commas, semicolons or tabs, with names in the first row. All of them are text, and
stay so until somebody wants numbers: an id ``007`` is ``007``."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fgscore import regular
from fgscore.errors import DataError
from fgscore.exchange.columns import joined
from fgscore.exchange.contents import Contents, Entry, check_size
from fgscore.exchange.numerals import is_number

SEPARATORS = ",;\t"
START = 1 << 20  # bytes in which the first row ends
LONGEST = (1 << 31) - 1  # bytes that pyarrow takes at a time: a row must fit


def csv_file(path: Path) -> Contents:
    """What a CSV file holds. Raises :class:`DataError` for one in another encoding, or without names."""
    with open(path, "rb") as file:
        start = file.read(START)
    for mark, name in regular.MARKS.items():
        if start.startswith(mark):
            raise DataError(f"expected text in UTF-8 in {path}, found {name}; save it as UTF-8")
    separator, header = _first_row(start)
    if header and all(is_number(name) for name in header) and not header[0].isdecimal():
        raise DataError(f"expected names in the first row of {path}, found numbers, {header[0]} ...; add a first row, "
                        "as image_id,label,split,0,1,2")  # fmt: skip
    table = _table(path, separator, header)
    times = Counter(table.column_names)
    columns = {
        name: Entry("text", (table.num_rows,), 0, lambda name=name: _texts(path, table, name))  # type: ignore[misc]
        if times[name] == 1
        else Entry("a column that is there twice")
        for name in table.column_names
    }
    entries = joined(columns, lambda name: _numbers(path, table, name, separator))
    return Contents(path, entries, frozenset(entries), as_text=True)


def _table(path: Path, separator: str, header: list[str]) -> pa.Table:
    """The cells, as text."""
    try:
        return pa.csv.read_csv(
            path,
            pa.csv.ReadOptions(block_size=min(LONGEST, max(START, path.stat().st_size + 1))),
            pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise
        return pa.table({name: pa.array([], pa.string()) for name in header})


def _first_row(start: bytes) -> tuple[str, list[str]]:
    """What separates columns, by which of :data:`SEPARATORS` the first row has most columns, and their names."""
    text = start.decode("utf-8-sig", errors="replace")
    found = {}
    for separator in SEPARATORS:
        try:
            found[separator] = next(csv.reader(io.StringIO(text), delimiter=separator), [])
        except csv.Error:
            found[separator] = []
    best = max(SEPARATORS, key=lambda separator: len(found[separator]))
    return best, found[best]


def _texts(path: Path, table: pa.Table, name: str) -> np.ndarray:
    column = table[name]
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    check_size(path, name, 4 * longest * len(column))
    return np.array(column.to_pylist(), np.str_)


def _numbers(path: Path, table: pa.Table, name: str, separator: str) -> np.ndarray:
    """A column as float64. Beside semicolons a comma is the sign before decimals."""
    column = pc.utf8_trim_whitespace(table[name])
    column = pc.replace_substring(column, ",", ".") if separator == ";" else column
    try:
        return column.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:  # which does not say where
        texts = column.to_pylist()
    wrong = next((row for row, text in enumerate(texts) if not is_number(text)), None)
    if wrong is None:
        return np.array([float(text) for text in texts])
    raise DataError(
        f"{path}: expected a number in every row of {name!r}, found {texts[wrong]!r} in row {wrong}; mend it"
    )

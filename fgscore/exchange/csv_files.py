"""Arrays of CSV files: separated by commas, semicolons or tabs, with names in the first row. All of them are text, and
stay so until somebody wants numbers: an id ``007`` is ``007``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fgscore import separated
from fgscore.errors import DataError
from fgscore.exchange.columns import joined
from fgscore.exchange.contents import Contents, Entry, check_size
from fgscore.separated import is_number


def csv_file(path: Path) -> Contents:
    """What a CSV file holds. Raises :class:`DataError` for one in another encoding, or without names."""
    separator, header = separated.first_row(path)
    if header and all(is_number(name) for name in header) and not header[0].isdecimal():
        raise DataError(f"expected names in the first row of {path}, found numbers, {header[0]} ...; add a first row, "
                        "as image_id,label,split,0,1,2")  # fmt: skip
    table = separated.cells(path, separator, header)
    times = Counter(table.column_names)
    columns = {
        name: Entry("text", (table.num_rows,), 0, lambda name=name: _texts(path, table, name))  # type: ignore[misc]
        if times[name] == 1
        else Entry("a column that is there twice")
        for name in table.column_names
    }
    entries = joined(columns, lambda name: _numbers(path, table, name, separator))
    return Contents(path, entries, frozenset(entries), as_text=True)


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

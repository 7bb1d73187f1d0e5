"""Tables of photos as they lie on disk: CSV with any separator, Parquet, JSON lines; cells as they are.

A cell is missing where nothing stands in it, where it is null, and where a number is NaN. ``nan`` that stands in no
quotes is such a number; every other word is one: NA, null and None are names.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from fgscore import regular, separated
from fgscore.errors import DataError, guess, shortened

NAN = ("nan", "NaN", "NAN")
SHOWN = 20  # columns that a message names
LONGEST = 60  # characters of a name in a message
EXACT = 1 << 53  # beyond it floating point skips whole numbers
FORMS = {b"PAR1": "parquet", b"PK\3\4": "a spreadsheet or archive", b"\x1f\x8b": "a packed file",
         b"\xd0\xcf\x11\xe0": "an old spreadsheet"}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """A table: its file, the names of its columns without spaces around them, and ``load``, which gives the cells of
    one by its place. ``bare`` gives the rows of a column in which a bare ``nan`` stands; where ``comma`` is set, that
    is what stands before decimals."""

    path: Path
    names: Sequence[str]
    load: Callable[[int], list[Any]] = field(repr=False)
    bare: Callable[[int], set[int]] = field(default=lambda _: set(), repr=False)
    comma: bool = False

    @property
    def shown(self) -> str:
        """The names of its columns as a message has them: of what is no table they are long, or thousands."""
        return shortened([name if len(name) <= LONGEST else f"{name[:LONGEST]}..." for name in self.names], SHOWN)

    def check(self, name: str) -> str:
        """``name`` itself. Raises :class:`DataError` unless it is one column."""
        times = Counter(self.names)[name]
        if times == 0:
            raise DataError(f"expected a column {name!r} in {self.path}, found {self.shown}; "
                            f"{guess(name, self.names)}")  # fmt: skip
        if times > 1:
            raise DataError(f"expected one column {name!r} in {self.path}, found {times}; remove or rename the others")
        return name

    def column(self, name: str) -> list[Any]:
        """The cells of the column ``name``, None where one is missing."""
        return [None if _is_missing(cell) else cell for cell in self.load(self.names.index(name))]

    def nan(self, name: str) -> set[int]:
        """The rows of the column ``name`` in which a bare ``nan`` stands."""
        return self.bare(self.names.index(name))

    def texts(self, name: str) -> list[str | None]:
        """The cells of a column as text: whole numbers as such, whatever their type, None where they are missing.
        Raises :class:`DataError` for what is no text."""
        return [None if cell is None else self._text(cell, name, row) for row, cell in enumerate(self.column(name))]

    def _text(self, cell: Any, name: str, row: int) -> str:
        if isinstance(cell, bytes):
            return cell.decode("utf-8", "surrogateescape")
        if isinstance(cell, list | dict):
            raise self.fault(row, f"text as {name}", f"{type(cell).__name__}s; name another column")
        if isinstance(cell, float) and cell.is_integer() and abs(cell) < EXACT:
            return str(int(cell))
        return str(cell)

    def numbers(self, name: str) -> list[float | None]:
        """The cells of a column as numbers, None where they are missing."""
        return [self.number(cell, name, row) for row, cell in enumerate(self.column(name))]

    def number(self, cell: Any, name: str, row: int) -> float | None:
        """A cell as a number; None where it is missing or NaN. Raises :class:`DataError` where it is none."""
        if cell is None:
            return None
        text = str(cell).strip()
        text = text.replace(",", ".") if self.comma else text
        if not separated.is_number(text) or math.isinf(float(text)):
            raise self.fault(row, f"a number as {name}", f"{cell!r}; mend the row")
        return None if math.isnan(float(text)) else float(text)

    def fault(self, row: int, wanted: str, found: str) -> DataError:
        """The error for ``row``, counted from 0, that has another thing than was ``wanted``. People count from 1."""
        return DataError(f"expected {wanted} in row {row + 1} of {self.path}, found {found}")


def read(path: Path) -> Rows:
    """The table at ``path``. Raises :class:`DataError` where it is none that is read here."""
    try:
        with regular.opened(path) as file:
            start = file.read(8)
        if not start:
            raise DataError(f"expected a table in {path}, found an empty file; write it again")
        form = next((form for mark, form in FORMS.items() if start.startswith(mark)), "")
        if form not in ("", "parquet"):
            raise DataError(f"expected a CSV, TSV, JSON lines or Parquet table in {path}, found {form}; "
                            "save or unpack it as one")  # fmt: skip
        if form or path.suffix.lower() in (".parquet", ".pq"):
            return _parquet(path)
        return _json(path) if path.suffix.lower() in (".jsonl", ".ndjson", ".json") else _csv(path)
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        regular.check_exhausted(path, error)
        reason = str(error).partition("\n")[0][:200]
        raise DataError(
            f"expected a CSV, TSV, JSON lines or Parquet table in {path}, found something else ({reason}); mend it"
        ) from error


def _parquet(path: Path) -> Rows:
    with pa.parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names

    def load(i: int) -> list[Any]:
        return pa.parquet.read_table(path, columns=[names[i]]).column(0).to_pylist()

    return Rows(path, _stripped(names), load, lambda i: {row for row, cell in enumerate(load(i)) if cell in NAN})


def _csv(path: Path) -> Rows:
    separator, names = separated.first_row(path)
    table = separated.cells(path, separator, names)

    def load(i: int) -> list[Any]:
        return table.column(i).to_pylist()

    def bare(i: int) -> set[int]:
        if not set(NAN) & {cell.strip() for cell in load(i)}:
            return set()
        marked = separated.cells(path, separator, names, NAN).column(i)
        return {row for row, cell in enumerate(marked.to_pylist()) if cell is None}

    return Rows(path, _stripped(table.column_names), load, bare, comma=separator == ";")


def _json(path: Path) -> Rows:
    content = regular.read_text(path, 1 << 31).strip()
    lines = json.loads(content, object_pairs_hook=_once) if content.startswith("[") else _lines(content)
    if wrong := [row for row, line in enumerate(lines) if not isinstance(line, dict)]:
        raise ValueError(f"row {wrong[0] + 1} is no object")
    names = list(dict.fromkeys(name for line in lines for name in line))
    return Rows(path, names, lambda i: [line.get(names[i]) for line in lines])


def _lines(content: str) -> list[Any]:
    found = []
    for number, line in enumerate(content.split("\n"), 1):
        try:
            found += [json.loads(line, object_pairs_hook=_once)] if line.strip() else []
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError where it has a name twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"{Counter(name for name, _ in pairs).most_common(1)[0][0]!r} is there twice")
    return found


def _is_missing(cell: Any) -> bool:
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, str) and not cell.strip())
    )


def _stripped(names: Sequence[str]) -> list[str]:
    return [name.strip() for name in names]

"""Arrays of Parquet files: a column is looked at when it is wanted, and not before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fgscore import ragged
from fgscore.errors import DataError
from fgscore.exchange.columns import joined
from fgscore.exchange.contents import Contents, Entry, check_size, entry
from fgscore.store import arrays as array_files

RUNS, RUN_OFFSETS = "mask_counts", "mask_offsets"  # lists of different lengths that are one array of ours, and its cuts
LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
STRINGS = ("string", "large_string", "string_view")
BYTES = ("binary", "large_binary", "binary_view")
NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)


def parquet(path: Path) -> Contents:
    """What a Parquet file holds: its columns, and what we keep beside them."""
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        columns = {field.name: _entry(path, file, field) for field in schema}
        kept = array_files.no_columns(schema.metadata)
    for name, times in Counter(schema.names).items():
        if times > 1:
            columns[name] = Entry("a column that is there twice")
    if RUNS in columns:
        columns[RUN_OFFSETS] = Entry("int64", (len(schema),), 0, lambda: _run_offsets(path))
    entries = joined(columns, lambda name: _numbers(path, name))
    beside = {key: entry(array.dtype, array.shape, lambda array=array: array) for key, array in kept.items()}  # type: ignore[misc]
    return Contents(path, entries | beside, frozenset(entries) - {RUN_OFFSETS})


def _entry(path: Path, file: pq.ParquetFile, field: pa.Field) -> Entry:
    name, rows = field.name, file.metadata.num_rows
    kind = field.type.storage_type if isinstance(field.type, pa.BaseExtensionType) else field.type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if str(kind) in STRINGS + BYTES:
        what = "text" if str(kind) in STRINGS else "bytes"
        return Entry(what, (rows,), 0, lambda: _texts(path, name), lambda: (_texts(path, name, ""), _gaps(path, name)))
    if _is(kind, NUMBERS):
        filled = lambda: (_numbers(path, name, 0), _gaps(path, name))  # noqa: E731
        return Entry(str(kind), (rows,), 8 * rows, lambda: _numbers(path, name), filled)
    if pa.types.is_null(kind):
        empty = lambda: (np.full(rows, "", np.str_), np.ones(rows, bool))  # noqa: E731
        return Entry("empty cells", (rows,), 0, lambda: _texts(path, name), empty)
    if _is(kind, LISTS) and _is(kind.value_type, NUMBERS):
        values = _values(file, name)
        wide = (rows, values // rows if rows else 0) if name != RUNS else ()
        what, nbytes = f"lists of {kind.value_type}", values * kind.value_type.bit_width // 8
        return Entry(what, wide, nbytes, lambda: _runs(path) if name == RUNS else _lists(path, name))
    return Entry(str(kind)[:60])


def _is(kind: pa.DataType, tests: tuple[Callable[[Any], bool], ...]) -> bool:
    return any(test(kind) for test in tests)


def _values(file: pq.ParquetFile, name: str) -> int:
    """How many numbers the lists of a column hold in all, as the file's end says."""
    groups = (file.metadata.row_group(i) for i in range(file.num_row_groups))
    chunks = (group.column(i) for group in groups for i in range(group.num_columns))
    return sum(chunk.num_values for chunk in chunks if chunk.path_in_schema.startswith(f"{name}."))


def _gaps(path: Path, name: str) -> np.ndarray:
    """(rows,) bool: which cells of a column are empty."""
    with pq.ParquetFile(path) as file:
        return pc.is_null(file.read([name])[name]).to_numpy()


def _chunks(
    path: Path, name: str, of_text: bool = False, fill: str | int | None = None
) -> Iterator[tuple[int, pa.Array]]:
    """The parts of a column, each with its first row. Raises :class:`DataError` for an empty cell, unless there is
    something to ``fill`` it with."""
    start = 0
    with pq.ParquetFile(path, read_dictionary=[name] if of_text else None) as file:
        for group in range(file.num_row_groups):
            for chunk in file.read_row_group(group, columns=[name]).column(0).chunks:
                if chunk.null_count and fill is not None:
                    plain = chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk
                    plain = plain.fill_null(pa.scalar(fill).cast(plain.type))
                    chunk = plain.dictionary_encode() if of_text else plain
                if chunk.null_count:
                    row = start + int(np.argmax(chunk.is_null().to_numpy(zero_copy_only=False)))
                    raise DataError(
                        f"{path}: expected a value in every row of {name!r}, found none in row {row}; fill it in, or "
                        "leave the row out"
                    )
                yield start, chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
                start += len(chunk)


def _texts(path: Path, name: str, fill: str | None = None) -> np.ndarray:
    parts: list[pa.Array] = []
    longest = rows = 0
    for start, chunk in _chunks(path, name, True, fill):
        longest = max(longest, pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0)
        rows = start + len(chunk)
        check_size(path, name, 4 * longest * rows)
        parts.append(chunk)
    found = [text for part in parts for text in part.to_pylist()]
    return np.array([text.decode("utf-8") if isinstance(text, bytes) else text for text in found], np.str_)


def _numbers(path: Path, name: str, fill: int | None = None) -> np.ndarray:
    parts = []
    for _, chunk in _chunks(path, name, fill=fill):
        plain = chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk
        plain = plain.cast(pa.float64()) if pa.types.is_decimal(plain.type) else plain
        parts.append(plain.to_numpy(zero_copy_only=False))
    return np.concatenate(parts) if parts else np.zeros(0)


def _lists(path: Path, name: str) -> np.ndarray:
    """(rows, width) of lists of one length."""
    parts: list[np.ndarray] = []
    width = None
    for start, chunk in _chunks(path, name):
        lengths = pc.list_value_length(chunk).to_numpy()
        width = int(lengths[0]) if width is None and len(lengths) else width
        if (odd := np.flatnonzero(lengths != width)).size:
            raise DataError(
                f"{path}: expected lists of one length at {name!r}, found {width} in row 0 and {lengths[odd[0]]} in "
                f"row {start + odd[0]}; leave it out, or mend it"
            )
        parts.append(chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), width or 0))
    return np.concatenate(parts) if parts else np.zeros((0, 0))


def _runs(path: Path) -> np.ndarray:
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for _, chunk in _chunks(path, RUNS)]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint32)


def _run_offsets(path: Path) -> np.ndarray:
    lengths = [pc.list_value_length(chunk).to_numpy() for _, chunk in _chunks(path, RUNS)]
    return ragged.from_lengths(np.concatenate(lengths) if lengths else np.zeros(0, np.int64))

"""Named arrays in files that others read and write: ``.npz``, Parquet, safetensors. No pickle in any of them.

One set of arrays, the same names in every format. What a format cannot hold as such is kept in its metadata, as JSON
under the key ``fgscore``: strings in safetensors, and in Parquet all that is not one value a row.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fgscore import ragged, regular
from fgscore.errors import DataError, UsageError
from fgscore.store import files

Arrays = dict[str, np.ndarray]
FORMATS = {"npz": ".npz", "parquet": ".parquet", "safetensors": ".safetensors"}
WRONG = (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile, pa.ArrowException)
META = "fgscore"
MOST_META = 1 << 32  # bytes of an array in it: a few letters may claim strings of any length


def write(
    path: Path, arrays: Mapping[str, np.ndarray], columns: Collection[str], none: Mapping[str, int] | None = None
) -> None:
    """Publish ``arrays`` at ``path`` in the format of its suffix. ``columns`` names those with one entry a row of the
    table that Parquet makes of them; ``x_counts`` and ``x_offsets`` make one column of lists. ``none`` is, by the name
    of a column, the number that stands for no value, which is null in Parquet."""
    writers: Mapping[str, Callable[[Mapping[str, np.ndarray], Collection[str]], bytes]] = {
        ".npz": _to_npz,
        ".parquet": partial(_to_parquet, none=none or {}),
        ".safetensors": _to_safetensors,
    }
    files.publish(path, writers[path.suffix](arrays, columns))


def read(path: Path) -> Arrays:
    """All arrays of a file, by name; strings as numpy strings. Raises :class:`DataError` for a file that is no such
    thing, :class:`UsageError` for another suffix."""
    readers = {".npz": _from_npz, ".parquet": _from_parquet, ".safetensors": _from_safetensors}
    if path.suffix.lower() not in readers:
        raise UsageError(f"expected a file of {', '.join(readers)}, found {path.name!r}; convert it to one of these")
    try:
        regular.check(path)
        arrays = readers[path.suffix.lower()](path)
    except FileNotFoundError:
        raise DataError(f"expected a file at {path}, found none; check the path") from None
    except regular.Irregular as error:
        raise DataError(f"expected a file at {path}, found {error}; check the path") from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        RecursionError,
        zipfile.BadZipFile,
        pa.ArrowException,
    ) as error:
        regular.check_exhausted(path, error)
        reason = str(error).partition("\n")[0][:200]
        raise DataError(f"expected arrays in {path}, found something else ({reason}); write it again") from error
    if wrong := [name for name, array in arrays.items() if array.dtype.kind not in "biufU"]:
        raise DataError(f"expected numbers or strings in {path}, found {arrays[wrong[0]].dtype} at {wrong[0]!r}")
    return arrays


def _to_npz(arrays: Mapping[str, np.ndarray], columns: Collection[str]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]
    return buffer.getvalue()


def _from_npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as content:
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        return {name: _decoded(content[name]) for name in content.files}


def _decoded(array: np.ndarray) -> np.ndarray:
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array


def _to_safetensors(arrays: Mapping[str, np.ndarray], columns: Collection[str]) -> bytes:
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items() if a.dtype.kind != "U"}
    texts = {name: a.tolist() for name, a in arrays.items() if a.dtype.kind == "U"}
    return bytes(save(tensors, metadata={META: json.dumps(texts)}))


def _from_safetensors(path: Path) -> Arrays:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as content:
            arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (not a mapping)
            metadata = content.metadata() or {}
    except SafetensorError as error:
        raise ValueError(error) from error
    return arrays | texts(metadata)


def texts(metadata: Mapping[str, str]) -> Arrays:
    """The strings in the metadata of a safetensors file: ours are together under one key, others write each list under
    its own. Raises ValueError where ours are damaged."""
    found = {k: _json_strings(v) for k, v in metadata.items() if k != META}
    found |= json.loads(metadata.get(META, "{}"))
    return {name: np.array(v, np.str_) for name, v in found.items() if v is not None}


def _json_strings(text: str) -> list[str] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) and all(isinstance(v, str) for v in value) else None


def _to_parquet(arrays: Mapping[str, np.ndarray], columns: Collection[str], none: Mapping[str, int]) -> bytes:
    buffer = io.BytesIO()
    made = table(arrays, columns)
    for name, value in none.items():
        place, array = made.schema.get_field_index(name), arrays[name]
        made = made.set_column(place, name, pa.array(array, mask=array == value))
    made = made.replace_schema_metadata(table_metadata(arrays, columns))
    pq.write_table(made, buffer, compression="zstd")
    return buffer.getvalue()


def table(arrays: Mapping[str, np.ndarray], columns: Collection[str]) -> pa.Table:
    """``columns`` as a table. Where its rows are regions, the first column says which image each belongs to."""
    made = {name: _column(arrays[name], arrays.get(_offsets(name))) for name in columns if name in arrays}
    if "image_ids" not in columns and {"image_ids", "offsets"} <= set(arrays):
        owners = np.repeat(arrays["image_ids"], np.diff(arrays["offsets"]))
        made = {"image_id": pa.array(owners.tolist(), pa.string()), **made}
    return pa.table(made)


def table_metadata(arrays: Mapping[str, np.ndarray], columns: Collection[str]) -> dict[str, str]:
    """All that is no column of the table, as metadata of its schema."""
    cuts = {_offsets(name) for name in columns}
    rest = {
        name: {"dtype": array.dtype.str, "shape": array.shape, "values": array.ravel().tolist()}
        for name, array in arrays.items()
        if name not in columns and name not in cuts
    }
    return {META: json.dumps(rest)}


def _offsets(name: str) -> str:
    """The array that cuts ``x_counts`` into lists: ``x_offsets``."""
    return name.removesuffix("_counts") + "_offsets" if name.endswith("_counts") else ""


def _column(array: np.ndarray, offsets: np.ndarray | None) -> pa.Array:
    if offsets is not None:
        return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(array))
    if array.dtype.kind == "U":
        return pa.array(array.tolist(), pa.string())
    if array.ndim == 1:
        return pa.array(array)
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(array).ravel()), array.shape[1])


def _from_parquet(path: Path) -> Arrays:
    table = pq.read_table(path)
    arrays: Arrays = {}
    for name in table.column_names:
        arrays |= _from_column(name, table[name].combine_chunks())
    return arrays | no_columns(table.schema.metadata)


def no_columns(metadata: Mapping[bytes, bytes] | None) -> Arrays:
    """The arrays that :func:`table_metadata` put beside the columns of a table. Raises ValueError where they are
    damaged."""
    rest = json.loads((metadata or {}).get(META.encode(), b"{}"))
    arrays: Arrays = {}
    for name, kept in rest.items() if isinstance(rest, dict) else ():
        if isinstance(kept, dict) and {"dtype", "shape", "values"} <= set(kept):
            dtype = np.dtype(kept["dtype"])
            if dtype.itemsize * len(kept["values"]) > MOST_META:
                raise ValueError(f"{name!r} of {dtype} in the metadata")
            arrays[name] = np.array(kept["values"], dtype).reshape(kept["shape"])
    return arrays


def _from_column(name: str, column: Any) -> Arrays:
    if isinstance(column, pa.ChunkedArray):  # an empty table
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if column.null_count:
        raise ValueError(f"empty cells in column {name!r}")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_fixed_size_list(column.type):
        return {name: column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)}
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lengths = np.diff(column.offsets.to_numpy())
        flat = column.flatten().to_numpy(zero_copy_only=False)
        if _offsets(name):
            return {name: flat, _offsets(name): ragged.from_lengths(lengths)}
        if len(lengths) and (lengths != lengths[0]).any():
            raise ValueError(f"lists of different lengths in column {name!r}")
        return {name: flat.reshape(len(lengths), -1) if len(lengths) else flat.reshape(0, 0)}
    values = column.to_numpy(zero_copy_only=False)
    return {name: values.astype(np.str_) if values.dtype.kind == "O" else values}

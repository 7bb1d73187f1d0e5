"""Arrays larger than memory to files in the formats of :mod:`fgscore.store.arrays`: part after part."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from fgscore.store.arrays import META, Arrays, table, table_metadata

SAFETENSORS = {"f2": "F16", "f4": "F32", "f8": "F64", "i4": "I32", "i8": "I64", "u4": "U32"}


@dataclass(frozen=True)
class Flow:
    """An array that comes in parts along its first axis; ``parts`` starts anew at each call."""

    dtype: np.dtype
    shape: tuple[int, ...]
    parts: Callable[[], Iterator[np.ndarray]]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return math.prod(self.shape) * self.dtype.itemsize

    def write(self, file: Any) -> None:
        """The array's bytes, row-major."""
        for part in self.parts():
            file.write(part.astype(self.dtype, copy=False).tobytes())


def whole(array: np.ndarray) -> Flow:
    """An array that is in memory, as one part."""
    return Flow(array.dtype, array.shape, lambda: iter((array,)))


def write_npz(file: BinaryIO, arrays: Arrays, flows: Mapping[str, Flow]) -> None:
    """As ``numpy.savez`` writes it."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, flow in {**{n: whole(a) for n, a in arrays.items()}, **flows}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                described = {"descr": flow.dtype.str, "fortran_order": False, "shape": flow.shape}
                np.lib.format.write_array_header_1_0(member, described)
                flow.write(member)


def write_safetensors(file: BinaryIO, arrays: Arrays, flows: Mapping[str, Flow]) -> None:
    """A header of names, dtypes, shapes and places, then the bytes of one array after another."""
    texts = {name: a.tolist() for name, a in arrays.items() if a.dtype.kind == "U"}
    ready = {**{name: whole(a) for name, a in arrays.items() if name not in texts}, **flows}
    # widest first, so that every array starts at a multiple of its item size
    ready = dict(sorted(ready.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))
    header: dict[str, Any] = {"__metadata__": {META: json.dumps(texts)}}
    place = 0
    for name, flow in ready.items():
        header[name] = {"dtype": SAFETENSORS[flow.dtype.str[1:]], "shape": flow.shape,
                        "data_offsets": (place, place + flow.nbytes)}  # fmt: skip
        place += flow.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for flow in ready.values():
        flow.write(file)


def write_parquet(file: BinaryIO, arrays: Arrays, shards: Iterator[Arrays], columns: tuple[str, ...]) -> None:
    """One group of rows a shard; ``arrays`` are those that are no ``columns`` of the table."""
    import pyarrow.parquet as pq

    metadata = table_metadata(arrays, columns)
    writer = None
    try:
        for part in shards:
            made = table(part, columns).replace_schema_metadata(metadata)
            writer = writer or pq.ParquetWriter(file, made.schema, compression="zstd")
            writer.write_table(made)
    finally:
        if writer is not None:
            writer.close()

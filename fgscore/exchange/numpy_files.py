"""Arrays of ``.npz`` and ``.npy``. No pickle is loaded: arrays of objects are no arrays here."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from fgscore.exchange.contents import Contents, Entry, entry

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def npz(path: Path) -> Contents:
    """What a ``.npz`` holds. A member whose header promises other bytes than are there is no array."""
    entries = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            key = info.filename.removesuffix(".npy")
            if key == info.filename:
                entries[key] = Entry("no array of numpy's")
                continue
            with archive.open(info) as member:
                entries[key] = _entry(member, info.file_size, lambda info=info: _member(path, info))  # type: ignore[misc]
        names = archive.namelist()
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice!r} twice")
    return Contents(path, entries)


def _member(path: Path, info: zipfile.ZipInfo) -> np.ndarray:
    with zipfile.ZipFile(path) as archive, archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def npy(path: Path) -> Contents:
    """What a ``.npy`` holds: one array, by the name of the file."""
    with open(path, "rb") as file:
        found = _entry(file, path.stat().st_size, lambda: np.load(path, allow_pickle=False))
    return Contents(path, {path.stem: found})


def _entry(file: IO[bytes], nbytes: int, load: Callable[[], np.ndarray]) -> Entry:
    """The array that begins in ``file``, which takes ``nbytes`` in all."""
    header = HEADERS.get(np.lib.format.read_magic(file))
    if header is None:  # a version for the names of fields alone
        return Entry("records")
    shape, _, dtype = header(file)
    there = nbytes - file.tell()
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize != there:
        return Entry(f"an array of {math.prod(shape) * dtype.itemsize} bytes by its header, of which {there} are there")
    return entry(dtype, shape, load)

"""Arrays of plain HDF5 files. Nothing leads out of the file: neither links nor storage elsewhere are followed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from fgscore.exchange.contents import NO_ARRAYS, Contents, Entry, check_size, entry

ROWS = 1 << 6  # strings that are read at a time
DEEP = 16


def hdf5(path: Path) -> Contents:
    """The datasets of an HDF5 file by their paths, as ``test/features``; a link to one of them is that dataset."""
    entries: dict[str, Entry] = {}
    links: dict[str, str] = {}
    with _opened(path) as file:
        for key, found in _walk(file, "", set()):
            if isinstance(found, h5py.Dataset):
                entries[key] = _entry(path, key, found)
            elif isinstance(found, h5py.SoftLink):
                links[key] = found.path.strip("/")
            else:
                entries[key] = Entry("a link to another file, which is not followed")
    for key, target in links.items():
        entries[key] = entries.get(target, Entry("a link that leads to no dataset of this file"))
    return Contents(path, entries)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    with h5py.File(path, "r", locking=False) as file:  # some network file systems refuse locks
        yield file


def _walk(group: h5py.Group, prefix: str, seen: set[int], depth: int = 0) -> Iterator[tuple[str, object]]:
    """Every dataset below ``group``, once, and every link that is not followed."""
    for name in group:
        key, link = prefix + name, group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            yield key, link
            continue
        found = group[name]
        place = h5py.h5o.get_info(found.id).addr
        if isinstance(found, h5py.Group) and place not in seen and depth < DEEP:
            seen.add(place)
            yield from _walk(found, f"{key}/", seen, depth + 1)
        elif isinstance(found, h5py.Dataset):
            yield key, found


def _entry(path: Path, key: str, dataset: h5py.Dataset) -> Entry:
    properties = dataset.id.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count():
        return Entry("data that lie in another file, which is not read")
    if dataset.shape is None:
        return Entry("nothing")
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return Entry("text", dataset.shape, 0, lambda: _strings(path, key))
    if dataset.dtype.kind == "O":
        return Entry("lists of different lengths, or references")
    if dataset.dtype.kind in NO_ARRAYS:
        return Entry(NO_ARRAYS[dataset.dtype.kind], dataset.shape)
    return entry(dataset.dtype, dataset.shape, lambda: _numbers(path, key))


def _numbers(path: Path, key: str) -> np.ndarray:
    with _opened(path) as file:
        return np.asarray(file[key][()])


def _strings(path: Path, key: str) -> np.ndarray:
    """Strings of any length, which no header says: some at a time."""
    with _opened(path) as file:
        dataset = file[key].asstr("utf-8")  # numpy's strings are marked as ASCII, whatever they hold
        if file[key].shape == ():
            return np.array(dataset[()], np.str_)
        found: list[str] = []
        longest = 0
        for start in range(0, len(dataset), ROWS):
            part = dataset[start : start + ROWS].ravel().tolist()
            found += part
            longest = max(longest, *map(len, part))
            check_size(path, key, 4 * longest * file[key].size)
        return np.array(found, np.str_).reshape(file[key].shape)

"""What a file of arrays holds, before any of it is read: names, shapes, and why something in it is no array.

A reader of a format lists entries from headers alone. What nobody wants is never read, whatever it is; what is wanted
is refused where its header promises more than the file can honestly hold or this machine has memory for.
"""

from __future__ import annotations

import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fgscore import regular, weights
from fgscore.errors import DataError, Exhausted
from fgscore.tables import text

FREE = 1 << 28  # bytes that anything may take
RATIO = 100  # embeddings shrink to two thirds at best: what grows more than so many times from its file is a bomb
NO_ARRAYS = {"O": "Python objects, which only a pickle holds", "V": "records", "M": "timestamps", "m": "durations",
             "c": "complex numbers"}  # fmt: skip
# what libraries raise over files that are not what they say
WRONG = (OSError, ValueError, KeyError, TypeError, EOFError, IndexError, AttributeError, RuntimeError, OverflowError,
         MemoryError, struct.error, zlib.error, zipfile.BadZipFile, pa.ArrowException)  # fmt: skip
PAGE = re.compile(rb"\s*<(!doctype|html|\?xml)", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One array of a file. ``what`` says for people what it is, ``shape`` is () where it is not known, ``nbytes`` what
    it takes in memory, as far as the header says. Without ``load`` it is no array that could be read, and ``what`` is
    the reason. ``load`` fails where a row has no value; ``load_filled`` is for formats that know of such: the array
    with '' or 0 there, and (N,) bool that says where."""

    what: str
    shape: tuple[int, ...] = ()
    nbytes: int = 0
    load: Callable[[], np.ndarray] | None = None
    load_filled: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None

    @property
    def is_text(self) -> bool:
        """Whether its values are strings."""
        return self.what == "text"


def entry(dtype: np.dtype, shape: tuple[int, ...], load: Callable[[], np.ndarray]) -> Entry:
    """The entry of an array of numpy's."""
    if dtype.kind in NO_ARRAYS:
        return Entry(NO_ARRAYS[dtype.kind], shape)
    what = "text" if dtype.kind in "SU" else str(dtype)
    grown = 4 if dtype.kind == "S" else 1  # numpy's strings are UTF-32
    return Entry(what, shape, math.prod(shape) * dtype.itemsize * grown, load)


@dataclass(frozen=True)
class Contents:
    """The entries of one file. ``columns`` are those that have a value a row of a table; ``as_text`` all of them are
    text, and which are numbers has to be seen."""

    path: Path
    entries: Mapping[str, Entry]
    columns: frozenset[str] = frozenset()
    as_text: bool = False

    @property
    def is_single(self) -> bool:
        """Whether it is one array, which is called as the file."""
        return list(self.entries) == [self.path.stem]

    def read_filled(self, key: str) -> tuple[np.ndarray, np.ndarray | None]:
        """The array at ``key``, and (N,) bool that says which rows have no value and are filled with '' or 0; None for
        a format that knows of no such. Raises as :meth:`read`."""
        found = self.entries[key]
        if found.load_filled is None:
            return self.read(key), None
        check_size(self.path, key, found.nbytes)
        with reading(self.path):
            return found.load_filled()

    def read(self, key: str) -> np.ndarray:
        """The array at ``key``: numbers, booleans or strings. Raises :class:`DataError` where it is none, or too
        large."""
        found = self.entries[key]
        if found.load is None:
            raise DataError(f"{self.path}: expected numbers or strings at {key!r}, found something else "
                            f"({found.what}); convert it, or leave it out")  # fmt: skip
        check_size(self.path, key, found.nbytes)
        with reading(self.path):
            array = np.asarray(found.load())
            if array.dtype.kind == "S":
                array = np.char.decode(array, "utf-8") if array.size else np.zeros(array.shape, np.str_)
        if array.dtype.kind not in "biufU":
            raise DataError(f"{self.path}: expected numbers or strings at {key!r}, found {array.dtype}; convert it")
        return array


def check_size(path: Path, key: str, nbytes: int) -> None:
    """Raises :class:`DataError` for an array that is a bomb, by :data:`RATIO`, and :class:`Exhausted` for one that the
    memory of this machine does not hold."""
    on_disk = path.stat().st_size
    if nbytes > max(FREE, RATIO * on_disk):
        raise DataError(
            f"{path}: expected arrays of about the size of the file, found {key!r} of {text(nbytes, 'bytes')} in "
            f"{text(on_disk, 'bytes')}: "
            "refused as a bomb; write it without compression"
        )
    if nbytes > FREE and nbytes > (there := memory()):
        raise Exhausted(
            f"{path}: {key!r} takes {text(nbytes, 'bytes')} of memory, found {text(there, 'bytes')} on this machine; "
            "import it where there is more, or as float16"
        )


def memory() -> int:
    """Bytes of memory that this machine has in all; where it does not say, without limit."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 1 << 62


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a library raises over a file that is damaged, or something else, as one :class:`DataError`."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"expected a file at {path}, found none; check the path") from None
    except regular.Irregular as error:
        raise DataError(f"expected a file at {path}, found {error}; check the path") from error
    except WRONG as error:
        regular.check_exhausted(path, error)
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise DataError(f"expected arrays in {path}, found something else ({reason}); write it again") from error


def check_plain(path: Path) -> None:
    """Raises :class:`DataError` for what has a file's name and is none of its kind: nothing, empty, a pointer, a web
    page."""
    with reading(path):
        nbytes = regular.check(path)
        with open(path, "rb") as file:
            start = file.read(64)
    if not nbytes:
        raise DataError(f"expected arrays in {path}, found an empty file (0 bytes); write it again")
    if start.startswith(weights.POINTER):
        raise DataError(f"expected arrays in {path}, found something else (a pointer of git-lfs); run `git lfs pull` "
                        "in its folder")  # fmt: skip
    if PAGE.match(start):
        raise DataError(f"expected arrays in {path}, found something else (a web page); fetch it by its direct link")

"""Files that are files: what is opened for reading is a regular one, of a size that can be read.

Whoever opens a pipe waits for its writer, and a device may never end. So nothing that comes from outside, nor a file of
the store, is opened before this has looked at it.
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from fgscore.errors import Exhausted

MOST = 1 << 28  # bytes of a file that is read whole, where nothing else is said
# the longer first: one begins like another
MARKS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16",
         codecs.BOM_UTF16_BE: "UTF-16"}  # fmt: skip
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
_EXHAUSTED = [os.strerror(code) for code in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)]


class Irregular(OSError):
    """There is something under that name, but no file to be read whole; its text says what, without the name."""

    def __str__(self) -> str:
        return str(self.strerror)


def check(path: Path | str, most: int | None = None) -> int:
    """Bytes of the regular file at ``path``. Raises :class:`Irregular` for anything else, for a link that leads
    nowhere and for more than ``most`` bytes, and :class:`OSError` where nothing is there."""
    try:
        found = os.stat(path)
    except OSError as error:
        if os.path.islink(path) and error.errno in (errno.ENOENT, errno.ELOOP):
            raise Irregular(error.errno, "a link that leads nowhere", str(path)) from None
        raise
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "a device")
        raise Irregular(errno.EINVAL, f"{kind}, not a file", str(path))
    if most is not None and found.st_size > most:
        raise Irregular(errno.EFBIG, f"larger than {most} bytes", str(path))
    return found.st_size


def opened(path: Path | str) -> BinaryIO:
    """The file at ``path``, open for reading, if it is one: see :func:`check`."""
    check(path)
    return open(path, "rb")


def read(path: Path | str, most: int = MOST) -> bytes:
    """The whole content of the file at ``path``, if it is one and no larger than ``most``: see :func:`check`."""
    size = check(path, most)
    with open(path, "rb") as file:
        return file.read(size)


def read_text(path: Path | str, most: int = MOST) -> str:
    """The text of the file at ``path``, which is UTF-8, with a byte order mark or without: see :func:`check`.

    Raises ValueError that names another encoding, or the line that is none.
    """
    content = read(path, most)
    for mark, name in MARKS.items():
        if content.startswith(mark):
            raise ValueError(f"it is {name}, not UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8 (byte 0x{content[error.start]:02x})") from error
    if "\0" in text:
        raise ValueError("it has NUL characters, as UTF-16 without its mark has, not UTF-8")
    return text


def check_exhausted(path: object, error: Exception) -> None:
    """Raises :class:`Exhausted` where ``error``, met in reading ``path``, says that memory, threads or open files gave
    out: whoever reads does this before it calls the file damaged. Libraries keep the number of an error to themselves
    as often as not, but repeat its text."""
    if isinstance(error, MemoryError) or any(text in str(error) for text in _EXHAUSTED):
        reason = str(error).partition("\n")[0] or "out of memory"
        raise Exhausted(f"{path}: could not be read for want of memory, threads or open files ({reason}); run the same "
                        "command again where there is more") from error  # fmt: skip


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def content_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, or of the names and bytes of all files below a folder but hidden ones, in hex."""
    if not path.is_dir():
        return file_sha256(path)
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_file() and not any(part.startswith(".") for part in name.split("/")):
            whole.update(f"{name}\0{file_sha256(file)}\0".encode())
    return whole.hexdigest()

"""Unpack a tar archive from elsewhere: all of it, into the folder and nowhere else, or nothing.

Refused by name before a byte is written for them: absolute paths, '..', symbolic links, hard links out, devices;
refused too is an archive that unpacks to far more than it weighs. Members go to a temporary folder that is moved into
place at the end.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from fgscore import regular
from fgscore.errors import DataError

GZIP = b"\x1f\x8b"
MAX_FILES = 200_000
MAX_RATIO, MAX_EXTRA = 20, 1 << 24  # photos hardly compress: an official archive stays far below 20 times its size
MAX_READ = 1 << 26  # one header or block that claims more is no photo
MAX_DEPTH = 16


class Refused(DataError):
    """An archive that would write outside its folder, or without end."""


def unpack(
    archive: Path,
    folder: Path,
    *,
    max_bytes: int | None = None,
    max_files: int = MAX_FILES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Unpack ``archive``, tar or gzipped tar whatever its name says, into ``folder``. Returns the names of the entries
    that are new in ``folder``, sorted.

    ``max_bytes`` limits what it may unpack to, 20 times its size and 16 MiB where left out. Raises :class:`Refused`
    that names the member at fault, and :class:`DataError` for a damaged archive or an entry that is there already;
    ``folder`` is then as it was.
    """
    size = archive.stat().st_size
    limit = max_bytes if max_bytes is not None else MAX_RATIO * size + MAX_EXTRA
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    try:
        with regular.opened(archive) as raw:
            _extract_all(archive.name, raw, staging, limit, max_files, lambda: progress(raw.tell(), size))
        return _move_into_place(archive.name, staging, folder)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, OSError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the archive's
        raise DataError(
            f"{archive}: a damaged archive ({error}); nothing was unpacked, remove it and download it again"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _extract_all(name: str, raw: BinaryIO, staging: Path, limit: int, max_files: int, tick: Callable[[], None]) -> None:
    zipped = raw.read(2) == GZIP
    raw.seek(0)
    plain = gzip.GzipFile(fileobj=raw) if zipped else raw
    count = total = 0
    with tarfile.open(fileobj=_Limited(name, plain, limit), mode="r:") as tar:
        for member in tar:
            count += 1
            total += member.size
            _check(name, member)
            if count > max_files or total > limit:
                what = f"{max_files} members" if count > max_files else f"{limit} bytes"
                raise Refused(f"{name}: refused at {member.name!r}: unpacks to more than {what}; nothing was unpacked")
            tar.extract(member, staging, set_attrs=False, filter="data")
            if count % 100 == 0:
                tick()
    if not count:
        raise DataError(f"{name}: an empty archive; nothing was unpacked, remove it and download it again")


def _check(archive: str, member: tarfile.TarInfo) -> None:
    reason = _fault(member.name)
    if member.issym():
        reason = reason or f"a symbolic link, to {member.linkname!r}"
    elif member.islnk():
        fault = _fault(member.linkname)
        reason = reason or (f"a link to {member.linkname!r}, {fault}" if fault else None)
    elif not (member.isreg() or member.isdir()) or member.issparse():
        reason = reason or "neither a file nor a folder"
    if reason:
        raise Refused(f"{archive}: refused at {member.name!r}: {reason}; nothing was unpacked")


def _fault(name: str) -> str | None:
    parts = name.split("/")
    if name.startswith(("/", "\\")) or ":" in parts[0]:
        return "an absolute path"
    if ".." in parts or "\\" in name or "\0" in name:
        return "a path that may lead out of the folder"
    return f"more than {MAX_DEPTH} folders deep" if len(parts) > MAX_DEPTH else None


def _move_into_place(archive: str, staging: Path, folder: Path) -> list[str]:
    names = sorted(os.listdir(staging))
    if there := [name for name in names if (folder / name).exists()]:
        raise DataError(
            f"{archive}: expected no {there[0]} in {folder} yet, found one; move it away and run the same command again"
        )
    for name in names:
        os.replace(staging / name, folder / name)
    return names


class _Limited(io.RawIOBase):
    """A file that refuses to be read beyond ``limit`` bytes or in reads of a size that no honest header asks for."""

    def __init__(self, archive: str, file: BinaryIO | gzip.GzipFile, limit: int) -> None:
        # headers, padding and the end-of-archive blocks come on top of the members
        self._archive, self._file, self._limit = archive, file, 2 * limit + MAX_EXTRA

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes."""
        if size < 0 or size > MAX_READ or self._file.tell() + size > self._limit:
            raise Refused(f"{self._archive}: refused: asks for more than {self._limit} bytes; nothing was unpacked")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file; reading on is what seeking forward in a compressed one costs."""
        if whence == os.SEEK_SET and offset > self._limit:
            raise Refused(f"{self._archive}: refused: longer than {self._limit} bytes; nothing was unpacked")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Position in the unpacked archive."""
        return self._file.tell()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

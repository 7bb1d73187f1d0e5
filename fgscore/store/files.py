"""Files that become visible whole or not at all, and JSON that carries its own seal."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from fgscore import regular
from fgscore.errors import StoreError

TEMPORARY = ".tmp-"
DAY = 24 * 60 * 60.0  # seconds
SEAL = "seal"
MAX_JSON_BYTES = 1 << 28
_encoded = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


def publish(path: Path, content: bytes, durable: bool = True) -> None:
    """Write ``content`` to a temporary file beside ``path``, flush it to disk, then move it into place.

    A reader sees the old file or the new one, whole; a writer that dies leaves only a temporary file. Without
    ``durable`` the disk may lag behind: a file may then be lost to a power cut, for what takes seconds to make anew.
    """
    with publishing(path, durable) as file:
        file.write(content)


@contextmanager
def publishing(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """As :func:`publish`, for content that is written bit by bit."""
    temporary = path.parent / f"{TEMPORARY}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}-{path.name}"
    try:
        with _created(temporary) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def _created(path: Path) -> BinaryIO:
    """A new file, its folder made where it is missing."""
    try:
        return open(path, "xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "xb")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # a folder cannot be opened, nor need it be, elsewhere
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@cache
def _machine() -> str:
    """Six hex digits that tell apart, without naming them, machines and whatever else numbers processes by itself: a
    container has the name of its host as often as not, but not its processes; nor has a host those of before it was
    started."""
    parts = [platform.node()]
    with suppress(OSError):  # where there is no such thing
        parts += [os.readlink("/proc/self/ns/pid"), Path("/proc/sys/kernel/random/boot_id").read_text()]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:6]


def leftovers(folder: Path) -> list[Path]:
    """Temporary files in ``folder`` whose writer is gone. Of those that were written here, the process says so; those
    of other machines and containers may belong to a run that goes on, unless nobody has touched them for a day."""
    return [path for path in _temporary(folder) if _is_left(path)]


def held(folder: Path) -> bool:
    """Whether a writer, here or elsewhere, is at work in ``folder``."""
    return any(not _is_left(path) for path in _temporary(folder))


def sweep(folder: Path) -> None:
    """Remove what dead writers left in ``folder``."""
    for path in leftovers(folder):
        path.unlink(missing_ok=True)


def _temporary(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if name.startswith(TEMPORARY)]
    except OSError:
        return []


def _is_left(path: Path) -> bool:
    match = re.match(rf"{re.escape(TEMPORARY)}([0-9a-f]{{6}})-(\d+)-", path.name)
    if match and match[1] == _machine():
        return not _alive(int(match[2]))
    try:
        return time.time() - path.stat().st_mtime > DAY
    except OSError:
        return False  # moved into place meanwhile


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return True
    if os.name != "posix":  # there, signal 0 would end the process instead of asking after it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def write_sealed(path: Path, content: Mapping[str, Any], durable: bool = True) -> None:
    """Publish ``content`` as JSON that carries the SHA-256 of its own text, so that any later change shows."""
    publish(path, seal(content), durable)


def seal(content: Mapping[str, Any]) -> bytes:
    """``content`` as sealed JSON, a line for each of its members: the digest is of the whole text with an empty seal.
    Lines further in would take json's encoder in Python, several times slower."""
    members = sorted({**content, SEAL: ""}.items())
    lines = ",\n".join(f" {_encoded(key)}: {_encoded(value)}" for key, value in members)
    text = f"{{\n{lines}\n}}\n".encode()
    return text.replace(_line(""), _line(hashlib.sha256(text).hexdigest()))


def _line(digest: str) -> bytes:
    """The one line that holds the seal: a member of the outermost object, which alone begins lines."""
    return f'\n "{SEAL}": "{digest}"'.encode()


def read_sealed(path: Path) -> dict[str, Any]:
    """The content of a sealed JSON file. Raises :class:`StoreError` where it is not, byte for byte, what was
    written."""
    try:
        raw = regular.read(path, MAX_JSON_BYTES)
    except OSError as error:
        regular.check_exhausted(path, error)
        raise StoreError(f"{path}: cannot be read ({error.strerror}); {_WAY_OUT}") from error
    return unseal(path, raw)


def unseal(path: Path, raw: bytes) -> dict[str, Any]:
    """The content of sealed JSON found at ``path``, as :func:`read_sealed`."""
    try:
        content = json.loads(raw)
        found = content.pop(SEAL)
        right = hashlib.sha256(raw.replace(_line(found), _line(""))).hexdigest() == found
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        right = False
    if not right:
        raise StoreError(f"{path}: not the JSON that fgscore wrote; {_WAY_OUT}")
    return dict(content)


_WAY_OUT = "run `fgscore repair`, then the same extract again"

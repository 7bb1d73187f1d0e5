"""Files that become visible whole or not at all, and JSON that carries its own seal."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fgscore import specs
from fgscore.errors import StoreError

TEMPORARY = ".tmp-"
SEAL = "seal"


def publish(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then move it into place.

    A reader sees the old file or the new one, whole; a writer that dies leaves only a temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}-{path.name}"
    try:
        write(temporary)
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # a folder cannot be opened, nor need it be, elsewhere
        _sync(path.parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Publish ``content`` as JSON with the SHA-256 of its canonical form, so that any later change shows."""
    sealed = {**content, SEAL: specs.digest(content)}
    text = json.dumps(sealed, indent=1, sort_keys=True, allow_nan=False) + "\n"
    publish(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))


def read_sealed(path: Path) -> dict[str, Any]:
    """The content of a sealed JSON file. Raises :class:`StoreError` where it is not what was written."""
    try:
        raw = path.read_bytes()
        content = json.loads(raw)
        seal = content.pop(SEAL)
        right = seal == specs.digest(content)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); run `fgscore status`") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        right = False
    if not right:
        raise StoreError(f"{path}: not the JSON that fgscore wrote; remove the file and run the same extract again")
    return content

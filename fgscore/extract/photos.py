"""Pixels of indexed photos, decoded ahead, in order: by threads, or by processes where a GPU is to be kept busy.

Decoders let other threads run only half of the time. Where the thread that feeds a GPU calls it thousands of times a
second, and has to wait for one of them at every call, that is what the GPU waits for.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from fgscore import regular
from fgscore.datasets import PHOTO_BYTES
from fgscore.errors import BadImage, DataError
from fgscore.types import ImageIndex

PROCESSES = 16  # at most
KEPT = 512 << 20  # bytes


class Kept:
    """Of one shard, what is made for one artefact and kept for those that follow. Pixels of its photos: as many as
    ``most`` bytes hold, the rest is decoded again; whoever gets some may write into them. And ``whole``: by encoder,
    raw embeddings (d,) of whole images by id."""

    def __init__(self, most: int = KEPT) -> None:
        self.whole: dict[str, dict[str, np.ndarray]] = {}
        self._room = most
        self._found: dict[int, np.ndarray | BadImage] = {}

    def __contains__(self, row: int) -> bool:
        return row in self._found

    def get(self, row: int) -> np.ndarray | BadImage:
        """What decoding the photo of that row gave."""
        found = self._found[row]
        return found.copy() if isinstance(found, np.ndarray) else found

    def keep(self, row: int, found: np.ndarray | BadImage) -> None:
        """Keep what decoding gave, where there is room."""
        size = found.nbytes if isinstance(found, np.ndarray) else 0
        if row not in self._found and size <= self._room:
            self._found[row] = found.copy() if isinstance(found, np.ndarray) else found
            self._room -= size


class Photos:
    """The photos of an index under ``root``; ``workers`` threads decode them for each shard, or, once
    ``in_processes`` is set, as many processes as there are processors (``workers`` where given) for all of them."""

    def __init__(self, index: ImageIndex, root: Path, workers: int = 0) -> None:
        self.index, self.root, self.workers, self.in_processes = index, root, workers, False
        self._processes: Executor | None = None
        self._lock = threading.Lock()

    def read(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8, upright. Raises :class:`BadImage` where the file cannot be decoded, and
        :class:`DataError` where it is gone or is not the file that was indexed."""
        return _read(*self._arguments(row))

    def read_all(self, rows: Iterable[int], kept: Kept | None = None) -> Iterator[tuple[int, np.ndarray | BadImage]]:
        """``(row, pixels or the reason why not)`` for each row, in order; those that are ``kept`` are not decoded
        again."""
        with self._pool() as pool:
            ahead: deque[tuple[int, Future[np.ndarray] | None]] = deque()
            most = 2 * self._at_once()
            try:
                for row in rows:
                    work = (_read, *self._arguments(row)) if self.in_processes else (self.read, row)
                    ahead.append((row, None if kept is not None and row in kept else pool.submit(*work)))
                    if len(ahead) > most:
                        yield _result(*ahead.popleft(), kept)
                while ahead:
                    yield _result(*ahead.popleft(), kept)
            finally:
                for future in (future for _, future in ahead if future):
                    future.cancel()

    def _arguments(self, row: int) -> tuple[Path, str, int]:
        index = self.index
        return self.root / str(index.paths[row]), str(index.sha256[row]), index.banner

    def _at_once(self) -> int:
        most = PROCESSES if self.in_processes else 2
        return self.workers or max(1, min(most, os.cpu_count() or 1))

    def _pool(self) -> AbstractContextManager[Executor]:
        if not self.in_processes:
            return ThreadPoolExecutor(self._at_once())
        with self._lock:
            if self._processes is None:
                from loky import ProcessPoolExecutor  # its processes start afresh, without the caller's main module

                self._processes = ProcessPoolExecutor(self._at_once(), initializer=_ignore_interrupts)
        return nullcontext(self._processes)


def _ignore_interrupts() -> None:
    """Ctrl-C reaches the process that asked for the photos."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read(path: Path, sha256: str, banner: int) -> np.ndarray:
    from fgscore.datasets import _images

    try:
        content = regular.read(path, PHOTO_BYTES)
    except regular.Irregular as error:
        if not sha256:  # nor was it a file when it was indexed
            raise BadImage(f"is {error}") from None
        raise DataError(
            f"photo {path} was a file when it was indexed, found {error}; run the same extract again"
        ) from error
    except OSError as error:
        if not sha256:
            raise BadImage(f"cannot be read: {error.strerror}") from None
        raise DataError(
            f"photo {path} cannot be read ({error.strerror}); name the photos' folder with --root DIR"
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"photo {path} has changed since it was indexed; run the same extract again")
    return _images.read_rgb(io.BytesIO(content), banner)


def _result(row: int, future: Future[np.ndarray] | None, kept: Kept | None) -> tuple[int, np.ndarray | BadImage]:
    if future is None:
        assert kept is not None
        return row, kept.get(row)
    found: np.ndarray | BadImage
    try:
        found = future.result()
    except BadImage as error:
        found = error
    if kept is not None:
        kept.keep(row, found)
    return row, found

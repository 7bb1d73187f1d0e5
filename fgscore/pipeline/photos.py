"""Pixels of indexed photos, decoded ahead by threads, in order."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fgscore.errors import BadImage, DataError
from fgscore.types import ImageIndex


class Photos:
    """The photos of an index under ``root``."""

    def __init__(self, index: ImageIndex, root: Path, workers: int = 2) -> None:
        self.index, self.root, self.workers = index, root, max(1, workers)

    def read(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8, upright. Raises :class:`BadImage` where the file cannot be decoded, and
        :class:`DataError` where it is gone or is not the file that was indexed."""
        from fgscore.datasets import _images

        path = self.root / str(self.index.paths[row])
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"photo {path} cannot be read ({error.strerror}); name the photos' folder with --root DIR"
            ) from error
        if hashlib.sha256(content).hexdigest() != self.index.sha256[row]:
            raise DataError(
                f"photo {path} has changed since it was indexed; run `fgscore extract {self.index.dataset}` again"
            )
        return _images.read_rgb(io.BytesIO(content), self.index.banner)

    def read_all(self, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray | BadImage]]:
        """``(row, pixels or the reason why not)`` for each row, in order."""
        with ThreadPoolExecutor(self.workers) as pool:
            ahead: deque[tuple[int, Future[np.ndarray]]] = deque()
            try:
                for row in rows:
                    ahead.append((row, pool.submit(self.read, row)))
                    if len(ahead) > 2 * self.workers:
                        yield _result(*ahead.popleft())
                while ahead:
                    yield _result(*ahead.popleft())
            finally:
                for _, future in ahead:
                    future.cancel()


def _result(row: int, future: Future[np.ndarray]) -> tuple[int, np.ndarray | BadImage]:
    try:
        return row, future.result()
    except BadImage as error:
        return row, error

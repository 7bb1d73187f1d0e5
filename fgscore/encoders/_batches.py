"""Batches of a size that the device can hold: halved where it runs out of memory, for good."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from fgscore.errors import StoreError, out_of_memory

T = TypeVar("T")
SIZES = {"cpu": 64, "mps": 64}
ON_GPU = 1024


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one shorter."""
    iterator = iter(items)
    while block := list(islice(iterator, size)):
        yield block


class Batches:
    """``size`` images or regions at a time, 0 for what suits ``device``."""

    def __init__(self, size: int, device: str) -> None:
        self.size = size or SIZES.get(device.partition(":")[0], ON_GPU)

    def embed(self, embed: Callable[[list[Any]], np.ndarray], items: Iterable[Any]) -> Iterator[np.ndarray]:
        """What ``embed`` returns of ``items``, list after list. Raises :class:`StoreError` where the device cannot hold
        a single one."""
        iterator = iter(items)
        while block := list(islice(iterator, self.size)):
            yield from self._parts(embed, block)

    def _parts(self, embed: Callable[[list[Any]], np.ndarray], block: list[Any]) -> list[np.ndarray]:
        try:
            return [embed(block)]
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if len(block) == 1:
                raise StoreError(
                    "the device has no memory for a single image; free some, or use another: --device cpu"
                ) from error
        # outside the handler: while it lasts, the traceback holds what the failed attempt had allocated
        self.size = min(self.size, (len(block) + 1) // 2)
        return [part for half in batched(block, (len(block) + 1) // 2) for part in self._parts(embed, half)]

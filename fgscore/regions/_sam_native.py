"""The compiled parts of mask generation, where there are any, and threads to run them on.

Kernels run on one thread. So the work is cut into pieces (batches of prompts, blocks of queries) and each is done on a
thread of its own, products included: torch's own threads would wait for one another between any two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Barrier
from typing import Any, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")
MOST = 16  # threads; each holds a batch of prompts


def native(device: torch.device) -> Any:
    """`_sam_cpu` for a CPU if numba is installed, else None."""
    return _on_cpu() if device.type == "cpu" else None


@cache
def _on_cpu() -> Any:
    try:
        from fgscore.regions import _sam_cpu
    except ImportError:
        return None
    return _sam_cpu


@contextmanager
def without_kernels() -> Iterator[None]:
    """Generators that are made and used while it lasts do as where numba is not installed."""
    global _on_cpu
    before = _on_cpu
    _on_cpu = cache(lambda: None)
    try:
        yield
    finally:
        _on_cpu = before


def together(task: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """``task`` of each of ``items``, in their order, in inference mode: on as many threads as torch may use."""
    threads = min(MOST, torch.get_num_threads())
    if threads == 1:
        return [task(item) for item in items]

    def one(item: T) -> R:
        with torch.inference_mode():
            return task(item)

    return list(_pool(threads).map(one, items))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in each of which torch uses one."""
    allowed, started = torch.get_num_threads(), Barrier(threads + 1)

    def begin() -> None:
        torch.get_num_threads()  # without having asked once, a thread would take on the number that is set last
        torch.set_num_threads(1)  # of this thread, and of those that begin from now on
        started.wait()

    pool = ThreadPoolExecutor(threads, "sam", begin)
    for _ in range(threads):
        pool.submit(lambda: None)
    started.wait()
    torch.set_num_threads(allowed)
    return pool

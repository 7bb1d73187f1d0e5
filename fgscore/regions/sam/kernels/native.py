"""The compiled parts of mask generation, where there are any, and threads to run them on.

Kernels run on one thread. So the work is cut into pieces (batches of prompts, blocks of queries) and each is done on a
thread of its own, products included: torch's own threads would wait for one another between any two steps.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock, Thread
from typing import Any, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")
MOST = 16  # threads; each holds a batch of prompts


def native(device: torch.device) -> Any:
    """`cpu` for a CPU if numba is installed and compiles, else None."""
    return _on_cpu() if device.type == "cpu" else None


@cache
def _on_cpu() -> Any:
    try:
        import numba
    except ModuleNotFoundError:
        return None
    except ImportError as error:  # it refuses versions of numpy that it does not know
        warnings.warn(f"numba cannot be used, so that masks take several times as long: {error}", stacklevel=2)
        return None
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return None
    from fgscore.regions.sam.kernels import cpu

    return cpu


def threads() -> int:
    """How many `together` uses."""
    return min(MOST, torch.get_num_threads())


def together(task: Callable[[T], R], items: Iterable[T], device: torch.device) -> list[R]:
    """``task`` of each of ``items``, in their order: where there are kernels, in inference mode and on as many threads
    as torch may use; elsewhere one after the other, each with all that torch has."""
    if not native(device):
        return [task(item) for item in items]

    def one(item: T) -> R:
        with torch.inference_mode():
            return task(item)

    count = threads()
    return list(map(one, items) if count == 1 else _pool(count).map(one, items))


_starting = Lock()
_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # whose threads are not there


def _pool(count: int) -> ThreadPoolExecutor:
    """Threads in each of which torch uses one."""
    with _starting:
        if count not in _pools:
            _pools[count] = ThreadPoolExecutor(count, "sam", initializer=_begin, initargs=(torch.get_num_threads(),))
        return _pools[count]


def _begin(allowed: int) -> None:
    """In a new thread: torch's number of threads is the thread's own, but the number that it is set to last is what
    other threads begin with. So that is put back, by one that ends at once."""
    torch.get_num_threads()  # a thread that has not asked takes on the number at its first product
    torch.set_num_threads(1)
    other = Thread(target=torch.set_num_threads, args=(allowed,))
    other.start()
    other.join()

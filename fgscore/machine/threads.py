"""Arithmetic on several processors: threads that each do their own matrix products."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
TURN = 0.0005  # seconds
THREADS = 8  # at most: reading is what bounds more


def processors() -> int:
    """How many threads to use where nobody says."""
    return min(THREADS, os.cpu_count() or 1)


def ahead(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[tuple[Item, Result]]:
    """As :func:`threads_ahead`, for arithmetic: BLAS gets one thread for each, as its own on top would fight for the
    same processors, and results are the same to the last bit on any number of threads."""
    with _one_blas_thread():
        yield from threads_ahead(work, items, threads)


def threads_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Generator[tuple[Item, Result]]:
    """``work`` of every item, in order, at most twice as many begun as there are threads, so that memory stays flat.
    An error ends it; what was begun is waited for."""
    with _short_turns(), ThreadPoolExecutor(threads) as pool:
        begun: deque[tuple[Item, Future[Result]]] = deque()
        try:
            for item in items:
                begun.append((item, pool.submit(work, item)))
                if len(begun) >= 2 * threads:
                    first, future = begun.popleft()
                    yield first, future.result()
            while begun:
                first, future = begun.popleft()
                yield first, future.result()
        finally:
            for _, future in begun:
                future.cancel()


@contextmanager
def _short_turns() -> Iterator[None]:
    """Threads that come back from arithmetic wait for Python a tenth as long as they would: there are many such waits
    a shard, and at 5 ms each they cost a tenth of the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _one_blas_thread() -> AbstractContextManager[Any]:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1, "blas")

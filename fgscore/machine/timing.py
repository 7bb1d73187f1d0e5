"""Where the time goes: blocks of code say what they do, whoever is interested collects the seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_collected: ContextVar[dict[str, float] | None] = ContextVar("collected", default=None)


@contextmanager
def collect() -> Iterator[dict[str, float]]:
    """Seconds by name of what this thread says it spends until the context ends."""
    found: dict[str, float] = {}
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


@contextmanager
def spent(name: str) -> Iterator[None]:
    """Count the time until the context ends under ``name``."""
    found, start = _collected.get(), time.perf_counter()
    try:
        yield
    finally:
        if found is not None:
            found[name] = found.get(name, 0.0) + time.perf_counter() - start

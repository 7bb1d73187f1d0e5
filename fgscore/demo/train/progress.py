"""Progress lines on stderr."""

from __future__ import annotations

import sys
import time


class Progress:
    """Prints a line now and then: how far, how fast, how long still. It never steers what is computed."""

    def __init__(self, title: str, every: float = 10.0):
        self._title, self._every = title, every
        self._start = self._last = time.monotonic()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Say that ``done`` of ``total`` are finished; most calls print nothing."""
        now = time.monotonic()
        if done < total and now - self._last < self._every:
            return
        self._last = now
        rate = done / max(now - self._start, 1e-9)
        left = (total - done) / max(rate, 1e-9) / 60
        line = f"{self._title} {done}/{total}  {note}  {rate:.2f}/s  {left:.1f} min left"
        print(line, file=sys.stderr, flush=True)

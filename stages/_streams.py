"""Standard streams that somebody closed: a pipe that is read no further, a descriptor that was never open."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


def open_all() -> None:
    """Put the null device where a standard stream is closed (``>&-``), so that printing does nothing and no file that
    is opened later becomes the standard output."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (for as long as the program runs)


@contextmanager
def unread(stream: TextIO | Any) -> Iterator[None]:
    """What is printed within may go unread, as in ``| head -1``: that is no fault, and no reason to stop."""
    try:
        yield
        stream.flush()
    except (BrokenPipeError, SystemExit):  # rich ends the program by itself
        mute(stream)


def mute(stream: TextIO | Any) -> None:
    """Let whatever is still to be printed to ``stream`` vanish."""
    with suppress(OSError, ValueError):  # a stream in memory has no descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)

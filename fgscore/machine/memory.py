"""How the system's allocator treats memory that is freed."""

from __future__ import annotations

import ctypes
import sys


def keep_freed() -> None:
    """Have glibc keep freed memory: a batch of prompts is gigabytes of temporaries, and getting each page anew from
    the system costs more than the arithmetic on it."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    never_map, never_trim, room_on_top = (-4, 0), (-1, 2**31 - 1), (-2, 1 << 26)
    for parameter, value in (never_map, never_trim, room_on_top):
        mallopt(parameter, value)

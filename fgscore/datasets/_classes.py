"""Names of classes that come from folders and tables."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable


def alike(written: Iterable[str], name: Callable[[str], str] = str) -> dict[str, list[str]]:
    """What each class is called, sorted by what it is ``written``: a name to all that come to it, spaces and the two
    ways to write an accent apart. ``name`` is what a written one reads as."""
    found: dict[str, list[str]] = {}
    for one in sorted(written):
        found.setdefault(" ".join(unicodedata.normalize("NFC", name(one)).split()), []).append(one)
    return found


def clashes(found: dict[str, list[str]], what: str, way_out: str = "") -> list[str]:
    """A finding for each of what :func:`alike` gives that stands for several; ``what`` is written, as "the labels"."""
    return [f"{what} {' and '.join(map(repr, of))} both read {name!r}{way_out}" for name, of in found.items()
            if len(of) > 1]  # fmt: skip

"""Class names of the user's own: one a line of a file, in that order, whatever the photos are labelled with.

They are content of the index, not of its recipe: other names cost no image work. Once given they stay, until others
are given or the data set's own are asked for.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fgscore import regular
from fgscore.datasets import Listing
from fgscore.datasets._classes import alike, clashes
from fgscore.errors import DataError, shortened
from fgscore.labels import UNLABELLED
from fgscore.types import ImageIndex

OWN = "own"  # in place of a file: the data set's own names again
NOTE = "classes"  # in the notes of an index: the name of the file that its class names come from

_log = logging.getLogger("fgscore")


@dataclass(frozen=True)
class Given:
    """Class names in order, and what people call the place they came from."""

    names: tuple[str, ...]
    file: str
    before: bool = False

    @property
    def notes(self) -> dict[str, Any]:
        """What the index keeps of it."""
        return {NOTE: self.file}

    def applied(self, listing: Listing) -> Listing:
        """``listing`` with these classes, its photos labelled by the names that they had. Raises :class:`DataError`
        that names the classes of photos which are not among them."""
        place = {name: number for number, name in enumerate(self.names)}
        named = [listing.class_named(photo.label) for photo in listing.photos]
        if absent := Counter(name for name in named if name is not None and name not in place):
            raise DataError(self._absent(absent))
        labels = [UNLABELLED if name is None else place[name] for name in named]
        photos = [replace(photo, label=label) for photo, label in zip(listing.photos, labels, strict=True)]
        return replace(listing, class_names=self.names, photos=photos)

    def _absent(self, absent: Counter[str]) -> str:
        found = shortened([f"{name!r} ({n} photo{'s' * (n > 1)})" for name, n in absent.items()])
        near = get_close_matches(next(iter(absent)), self.names, n=1)
        like = f", where the nearest to the first is {near[0]!r}" if near else ""
        where, again = (
            (f"the names of {self.file}, given before", ", or --classes own") if self.before else (self.file, "")
        )
        return (
            f"expected the class of every labelled photo among {where}, found photos of {found}{like}; add a line for "
            f"each and give the file with --classes{again}"
        )


def given(asked: str | None, earlier: ImageIndex | None) -> Given | None:
    """The class names that --classes asks for, or that the index of before was given; None where the data set's own
    count. Raises as :func:`read_names`."""
    if asked == OWN:
        return None
    if asked is not None:
        return Given(read_names(Path(asked)), Path(asked).name)
    if earlier is None or NOTE not in earlier.notes:
        return None
    kept = Given(earlier.class_names, str(earlier.notes[NOTE]), before=True)
    _log.info("the %d class names of %s, given before, are kept; --classes gives others", len(kept.names), kept.file)
    return kept


def read_names(path: Path) -> tuple[str, ...]:
    """The names in a file, one a line: UTF-8, with a byte order mark or without. Blank lines and those that begin with
    ``#`` are passed over, spaces around a name are taken off, which a line says. Raises :class:`DataError` where there
    is no such file, it holds no name, or two that read the same."""
    try:
        text = regular.read_text(path)
    except OSError as error:
        raise DataError(f"expected class names in {path}, found none ({error.strerror or error}); check the path, or "
                        "take the data set's own with --classes own") from error  # fmt: skip
    except ValueError as error:
        raise DataError(f"expected text in UTF-8 in {path}, found something else: {error}; save it as UTF-8") from error
    lines = [(number, line.replace("\ufeff", "")) for number, line in enumerate(re.split("\r\n|\r|\n", text), 1)]
    lines = [(number, line) for number, line in lines if line.strip() and not line.strip().startswith("#")]
    first: dict[str, int] = {}
    for number, line in lines:
        if first.setdefault(name := line.strip(), number) != number:
            raise DataError(f"expected each class name once in {path}, found {name!r} in lines {first[name]} and "
                            f"{number}; leave one out")  # fmt: skip
    if not first:
        raise DataError(f"expected a class name a line in {path}, found none; write some, as 'blue jay'")
    if clashing := clashes(alike(first), f"the names in {path}"):
        raise DataError(f"{'; '.join(clashing)}; leave one out")
    _say_trimmed(path, [line for _, line in lines if line != line.strip()])
    return tuple(first)


def _say_trimmed(path: Path, spaced: Sequence[str]) -> None:
    if spaced:
        of = f"{len(spaced)} name{'s' * (len(spaced) > 1)}"
        _log.info("%s: spaces around %s are taken off, as in %r", path.name, of, spaced[0])

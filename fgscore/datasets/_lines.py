"""What each row of a table says of its photo."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fgscore import separated
from fgscore.datasets._columns import BOX, Named
from fgscore.datasets._rows import NAN, Rows
from fgscore.errors import DataError
from fgscore.types import SPLITS, split_named

Corners = tuple[float, float, float, float]
ELSEWHERE = re.compile(r"[A-Za-z]:/|[a-z][a-z0-9+.-]*://")  # a drive, or an address
FLOAT = re.compile(r"([+-]?\d+)\.0*")


@dataclass(frozen=True)
class Lines:
    """The rows of one file of photos below ``root``, with what its columns are; paths start from ``folder`` of it."""

    rows: Rows
    named: Named
    root: Path
    folder: str = ""

    @cached_property
    def paths(self) -> list[str]:
        """The path of each row's photo, from the root, with '/'."""
        texts = self.rows.texts(self.named.path)
        if not texts:
            raise DataError(f"expected a row for each photo in {self.rows.path}, found none; write it again")
        return [self._path(text, row) for row, text in enumerate(texts)]

    def _path(self, text: str | None, row: int) -> str:
        start = self.root / self.folder
        if text is None:
            raise self.rows.fault(row, "a path", "none; mend the row, or leave it out")
        plain = text.strip().replace("\\", "/")
        path = text if text != plain and _is_there(start, text) else plain
        path = _relative(path, start) if os.path.isabs(path) else path
        below = posixpath.normpath(path)
        if ELSEWHERE.match(path) or below.startswith("/") or ".." in below.split("/") or "\0" in path:
            raise self.rows.fault(row, f"a path below {start}", f"{text!r}; mend the row, or name another folder with "
                                  "--root DIR")  # fmt: skip
        return posixpath.join(self.folder, below)

    @property
    def ids(self) -> list[str]:
        """The id of each row's photo, its path where it has none."""
        texts = self.rows.texts(self.named.image_id) if self.named.image_id else [None] * len(self.paths)
        return [path if text is None else text for text, path in zip(texts, self.paths, strict=True)]

    @cached_property
    def labels(self) -> list[str | None]:
        """The label of each row without spaces around it; None where it is missing, or a number that is NaN."""
        name = self.named.label
        if name is None:
            return [None] * len(self.paths)
        texts = [None if text is None else text.strip() for text in self.rows.texts(name)]
        others = {text for text in texts if text is not None and text not in NAN}
        of_numbers = bool(others) and all(map(separated.is_number, others))
        if "label" not in self.named.mapped or of_numbers:
            bare = self.rows.nan(name)
            texts = [None if row in bare else text for row, text in enumerate(texts)]
        return [self._whole(text, row) for row, text in enumerate(texts)] if of_numbers else texts

    def _whole(self, text: str | None, row: int) -> str | None:
        if text is None or text in NAN or not float(text) % 1:
            found = None if text is None else FLOAT.fullmatch(text)
            return found[1] if found else text
        raise self.rows.fault(row, f"a whole number or a name as {self.named.label}", f"{text}; mend the row")

    @cached_property
    def splits(self) -> list[str]:
        """train, val or test of each row: by its column, by the folder that the file or the path lies in, else
        train."""
        if self.named.split:
            return [self._split(text, row) for row, text in enumerate(self.rows.texts(self.named.split))]
        if own := split_named(self.folder.strip("/")):
            return [own] * len(self.paths)
        return self._of_paths() or ["train"] * len(self.paths)

    def _split(self, text: str | None, row: int) -> str:
        found = split_named(text or "")
        if found is None:
            one_of = f"{', '.join(SPLITS[:-1])} or {SPLITS[-1]}"
            raise self.rows.fault(row, f"a split of {one_of}", f"{text!r}; mend the row, or name another column by "
                                  "split=")  # fmt: skip
        return found

    def _of_paths(self) -> list[str]:
        """The splits that the first folders of all paths stand for; empty where some of them stand for none."""
        tops = [path.partition("/") for path in self.paths]
        found = [split_named(top) if rest else None for top, _, rest in tops]
        return [split for split in found if split] if all(found) else []

    def _in_no_split(self) -> str:
        """The first path in no folder of a split where others are in test or validation; empty where none is."""
        found = {path: split_named(path.partition("/")[0]) for path in self.paths}
        others = set(found.values()) & {"val", "test"}
        return next((path for path, split in found.items() if not split), "") if others else ""

    @property
    def boxes(self) -> list[Corners | None]:
        """The object box of each row, None where it is missing."""
        if self.named.box:
            rows = [self._parted(cell, row) for row, cell in enumerate(self.rows.column(self.named.box))]
        elif set(BOX) <= set(self.rows.names):
            rows = [list(four) for four in zip(*(self.rows.numbers(name) for name in BOX), strict=True)]
        else:
            return [None] * len(self.paths)
        return [self._box(numbers, row) for row, numbers in enumerate(rows)]

    def _parted(self, cell: Any, row: int) -> list[float | None]:
        parts = re.split(r"[\s,;]+", cell.strip("[]() ,;")) if isinstance(cell, str) else cell
        if cell is None or not isinstance(parts, list):
            parts = [cell]
        if len(parts) != len(BOX) and parts != [None]:
            raise self.rows.fault(row, f"four numbers as {self.named.box}", f"{cell!r}; mend the row")
        return [self.rows.number(part, str(self.named.box), row) for part in parts]

    def _box(self, numbers: Sequence[float | None], row: int) -> Corners | None:
        known = [number for number in numbers if number is not None]
        if not known:
            return None
        if len(known) < len(BOX) or known[2] < known[0] or known[3] < known[1]:
            shown = ", ".join("" if number is None else f"{number:g}" for number in numbers)
            raise self.rows.fault(row, f"a box {' '.join(BOX)}", f"{shown}; if it is x y width height, add x and y")
        return known[0], known[1], known[2], known[3]

    @property
    def remarks(self) -> list[str]:
        """What a user should know of how the rows were read."""
        said = [*self.named.remarks]
        texts = [str(text) for text in self.rows.texts(self.named.path)]
        if changed := [text for text, path in zip(texts, self.paths, strict=True) if "\\" in text and "\\" not in path]:
            said.append(f"paths: '\\' is read as '/', as in {changed[0]!r}")
        if changed := [text for text in texts if os.path.isabs(text)]:
            said.append(
                f"paths: {len(changed)} of {len(texts)} are absolute, and kept from the folder of the photos on"
            )
        written = self.rows.texts(self.named.label) if self.named.label else []
        if changed := [text for text in written if text is not None and text != text.strip()]:
            said.append(f"labels: spaces are taken off in {len(changed)} rows, as around {changed[0]!r}")
        if self.named.image_id and (gaps := self.rows.texts(self.named.image_id).count(None)):
            said.append(f"ids: {gaps} are missing, in whose place the path stands")
        if not self.named.split and not self.folder and self._of_paths():
            said.append("splits: by the first folder of each path")
        elif not self.named.split and not self.folder and (lost := self._in_no_split()):
            said.append(f"splits: not by the first folders of the paths, as {lost} lies in none; all are of train")
        return said


def _is_there(start: Path, text: str) -> bool:
    return "\0" not in text and os.path.lexists(start / text)


def _relative(path: str, start: Path) -> str:
    """An absolute path from ``start`` on, where it lies below it, by its name or by where links lead."""
    for name, folder in ((path, os.path.abspath(start)), (os.path.realpath(path), os.path.realpath(start))):
        below = os.path.relpath(name, folder)
        if not below.startswith(os.pardir):
            return Path(below).as_posix()
    return path

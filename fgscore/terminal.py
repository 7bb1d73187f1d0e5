"""Tables at a terminal, and text on its way to one.

A table keeps within the terminal's width. A number is never broken: columns that find no room stand below, in a block
of their own that begins with the names of the rows again.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.cells import cell_len

from fgscore.tables import Table

WIDE = 240  # a pipe has no width of its own
GAP = 2
LONG = 16  # a longer word is broken where it must be
# parts of a long word, each up to a separator; -0.5 and 1e-05 stay in one
PART = re.compile(r".+?(?:[/_]+|(?<=[^\W\d_])(?<!\de)-+|$)", re.DOTALL)

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, reversals of direction, halves of characters, ends of lines
JOINERS = "\u200c\u200d"  # of the kind, but spelling needs them


def visible(text: str) -> str:
    """``text`` in one line as a terminal shows it and does not obey it: what is no sign to read is escaped, ``\\x1b``.
    Whatever comes from a file, a photo's name or a store goes through here on its way to a terminal."""
    if text.isprintable():
        return text
    hidden = (c for c in set(text) - set(JOINERS) if unicodedata.category(c) in OBEYED)
    return text.translate({ord(c): c.encode("unicode_escape").decode() for c in hidden})


def show(*tables: Table) -> None:
    """Print ``tables`` to stdout with a blank line between, those without rows left out. What all of them say below is
    said once, at the end."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, highlight=False)

    def say(line: Any) -> None:
        console.print(line, markup=False, emoji=False, soft_wrap=not console.is_terminal)

    shown = [table for table in tables if table.rows]
    below = [table.below for table in shown]
    common = [line for line in (below[0] if below else ()) if all(line in lines for lines in below)]
    for i, (table, lines) in enumerate(zip(shown, below, strict=True)):
        if i:
            say("")
        if table.title:
            say(Text(visible(table.title), "italic"))
        for pieces in _lines(table, console.width):
            line = Text(" " * GAP).join(Text(*piece) for piece in pieces)
            line.rstrip()
            console.print(line, soft_wrap=True)
        for note in (line for line in lines if line not in common):
            say(visible(note))
    for note in ["", *common] if common else ():
        say(visible(note))


def _lines(table: Table, width: int) -> Iterator[list[tuple[str, str]]]:
    """The lines of a table within ``width``, each as its cells with their styles."""
    columns = table.shown
    measured = next((i for i, c in enumerate(columns) if c.is_number and c.kind != "count"), len(columns))
    strips = [
        Strip(visible(c.heading), [visible(table.text(row, c)) for row in table.rows], c.is_number, i < measured)
        for i, c in enumerate(columns)
    ]
    for n, block in enumerate(blocks(strips, width)):
        if n:
            yield []
        own = [strips[place.strip] for place in block]
        for line in _side_by_side(block, own, [strip.heading for strip in own], low=True):
            yield [(cell, "bold") for cell in line]
        for i in range(len(table.rows)):
            styles = ["bold" if table.is_best(i, columns[place.strip]) else "" for place in block]
            for line in _side_by_side(block, own, [strip.cells[i] for strip in own]):
                yield list(zip(line, styles, strict=True))


@dataclass(frozen=True)
class Strip:
    """A column of text. ``is_number``: to the right, its cells in one line; ``is_label``: repeated in every block."""

    heading: str
    cells: Sequence[str]
    is_number: bool
    is_label: bool

    @cached_property
    def wide(self) -> int:
        """Its width with every cell in one line."""
        return max(map(cell_len, (self.heading, *self.cells)))

    @cached_property
    def least(self) -> int:
        """The width that it must have: of its longest number or, up to :data:`LONG`, its longest word."""
        words = self.heading.replace("-", "- ").split()
        words += [] if self.is_number else [word for cell in self.cells for word in cell.split()]
        numbers = self.cells if self.is_number else ()
        return max([1, *(min(LONG, cell_len(word)) for word in words), *map(cell_len, numbers)])


@dataclass(frozen=True)
class Place:
    """A strip, by its position, and its width."""

    strip: int
    width: int


def blocks(strips: Sequence[Strip], width: int) -> list[list[Place]]:
    """The strips in as few blocks as fit into ``width``: one where all do. A number that is wider than that by itself
    keeps its width."""
    every = list(range(len(strips)))
    if fitted := _fitted(strips, every, width):
        return [fitted]
    beside = width - GAP - max(strip.least for strip in strips)  # what labels leave free, any column finds room in
    labels: list[int] = []
    for i in every:
        if strips[i].is_label and _fitted(strips, [*labels, i], beside):
            labels.append(i)
    made = [list(labels)]
    for i in (i for i in every if i not in labels):
        if len(made[-1]) > len(labels) and not _fitted(strips, [*made[-1], i], width):
            made.append(list(labels))
        made[-1].append(i)
    return [_fitted(strips, own, width) or [Place(i, strips[i].least) for i in own] for own in made]


def _fitted(strips: Sequence[Strip], chosen: Sequence[int], width: int) -> list[Place] | None:
    """The chosen strips side by side, the widest narrowed first; None where there is no room."""
    room = width - GAP * (len(chosen) - 1)
    for most in range(max(strips[i].wide for i in chosen), 0, -1):
        widths = [min(strips[i].wide, max(strips[i].least, most)) for i in chosen]
        if sum(widths) <= room:
            return [Place(i, own) for i, own in zip(chosen, widths, strict=True)]
    return None


def _side_by_side(block: Sequence[Place], strips: Sequence[Strip], cells: Sequence[str], low: bool = False) -> Any:
    """The lines of a row, each of its cells filled up to their widths; with ``low`` short cells stand at the foot."""
    parts = [broken(cell, place.width) for cell, place in zip(cells, block, strict=True)]
    height = max(map(len, parts))
    for i in range(height):
        line = []
        for lines, place, strip in zip(parts, block, strips, strict=True):
            j = i - (height - len(lines)) if low else i
            part = lines[j] if 0 <= j < len(lines) else ""
            blank = " " * (place.width - cell_len(part))
            line.append(blank + part if strip.is_number else part + blank)
        yield line


def broken(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` cells, broken between words, and long words after a separator or, where
    none is near, anywhere."""
    lines = [""]
    for piece in _pieces(text, width):
        if lines[-1] and cell_len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _pieces(text: str, width: int) -> Iterator[str]:
    for word in re.findall(r"\S+\s*", text):
        parts = [word] if cell_len(word.rstrip()) <= width else PART.findall(word)
        for part in parts:
            yield from [part] if cell_len(part.rstrip()) <= width else part

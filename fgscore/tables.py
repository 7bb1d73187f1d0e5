"""Tables: rows of raw values under typed columns, and the one place where a number becomes text for people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

Row = Mapping[str, Any]
Kind = Literal["text", "component", "count", "number", "accuracy", "difference", "interval", "p", "share", "seconds",
               "bytes", "macs", "flag"]  # fmt: skip
WORDS = ("text", "component", "flag")  # kinds that stand to the left; all others are numbers
EMPTY = (None, "", "-")  # the last where an empty cell would look like a gap


@dataclass(frozen=True)
class Measured:
    """A measured fraction, with the ends of its confidence interval where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Column:
    """A column: the key of its values in the rows, its heading, and what kind of values they are.

    Of a component the rows hold the canonical text, ``sam(n=3)``; it is shown by its name where that tells it from the
    others of the column. An accuracy is a fraction or :class:`Measured`; a difference is one of two fractions, shown in
    points, an interval the two ends of such, as a tuple; shares and p are fractions; seconds and bytes are in these
    units; macs are multiply-accumulates, shown in billions; a number is any other. A word may stand in place of a
    number. ``mark`` says what is set behind a component, '' for most: a row with such a mark is compared with no other.
    """

    key: str
    heading: str
    kind: Kind = "text"
    mark: Callable[[str], str] | None = None

    @property
    def is_number(self) -> bool:
        """Whether its values stand to the right, and are never broken over lines."""
        return self.kind not in WORDS


@dataclass(frozen=True)
class Table:
    """Rows of raw values by column key, None where there is none.

    ``name`` is the stem of its files; ``notes`` are sentences below. A column whose key is in ``once`` is said in a
    sentence below where all rows that have something in it agree. The largest value of each column in ``best`` is set
    bold, but for the rows, by position, in ``marked``: those read labels of test images.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    once: Collection[str] = ()
    best: Collection[str] = ()
    marked: Collection[int] = ()

    @cached_property
    def filled(self) -> list[Column]:
        """The columns that hold something: no output shows the others."""
        return [c for c in self.columns if any(row.get(c.key) not in EMPTY for row in self.rows)]

    @cached_property
    def shown(self) -> list[Column]:
        """The columns that people see: a program is given all of :attr:`filled`."""
        return [column for column in self.filled if column.key not in self._agreed]

    @cached_property
    def _agreed(self) -> dict[str, str]:
        values = {c: {row.get(c.key) for row in self.rows} - {None} for c in self.filled if c.key in self.once}
        return {c.key: f"{c.heading} {text(of.pop(), c.kind)}" for c, of in values.items() if len(of) == 1}

    @cached_property
    def _names(self) -> dict[str, dict[str, str]]:
        components = [column for column in self.filled if column.kind == "component"]
        named = {c.key: shortened(str(row.get(c.key) or "") for row in self.rows) for c in components}
        return {c.key: {full: f"{name}{c.mark(full) if c.mark else ''}" for full, name in named[c.key].items()}
                for c in components}  # fmt: skip

    @property
    def below(self) -> list[str]:
        """What is said below: components that are shown by name, what all rows agree on, the notes."""
        components = [self._names[column.key] for column in self.shown if column.kind == "component"]
        names = {full: name for own in components for full, name in own.items()}
        legend = [f"{name}: {full}" for full, name in names.items() if "(" in full and name != full]
        agreed = [f"Everywhere: {', '.join(self._agreed.values())}."] if self._agreed else []
        return [*legend, *agreed, *self.notes]

    def text(self, row: Row, column: Column) -> str:
        """A cell as people read it."""
        value = row.get(column.key)
        return (
            self._names[column.key].get(str(value or ""), "")
            if column.kind == "component"
            else text(value, column.kind)
        )

    @cached_property
    def _marked(self) -> set[int]:
        """The rows that are compared with no other."""
        marks = [column for column in self.filled if column.mark]
        return {*self.marked, *(i for i, row in enumerate(self.rows)
                                if any(c.mark and c.mark(str(row.get(c.key) or "")) for c in marks))}  # fmt: skip

    @cached_property
    def _largest(self) -> dict[str, str]:
        largest: dict[str, str] = {}
        marked = self._marked
        for column in (column for column in self.columns if column.key in self.best):
            values = [number(row.get(column.key)) for i, row in enumerate(self.rows) if i not in marked]
            compared = [value for value in values if value is not None]
            largest |= {column.key: text(max(compared), column.kind)} if len(compared) > 1 else {}
        return largest

    def is_best(self, i: int, column: Column) -> bool:
        """Whether row ``i`` has the largest value of ``column``, as printed, and there is one to compare it with."""
        if column.key not in self._largest or i in self._marked:
            return False
        return text(number(self.rows[i].get(column.key)), column.kind) == self._largest[column.key]


def text(value: Any, kind: Kind) -> str:
    """A value as people read it: '' for None, a word in place of a number as it is.

    count: 240. number: 0.1234, 31.25. accuracy: 0.6558, 0.6558 (0.6401-0.6703). difference: +1.25. interval: -0.50 to
    +3.00. p: 0.0312, < 0.0001. share: 0.512. seconds: 1.20 s, 2.5 min, 12.0 h. bytes: 4.1 kB. macs: 4.409
    (billions). flag: yes, no.
    """
    if value is None:
        return ""
    return value if isinstance(value, str) else FORMATS[kind](value)


def _number(value: float) -> str:
    """Four digits, below 1 four decimals."""
    if not math.isfinite(value):
        return str(value)
    decimals = 4 if abs(value) < 1 else max(0, 3 - int(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def _accuracy(value: float | Measured) -> str:
    if not isinstance(value, Measured):
        return f"{value:.4f}"
    known = value.low is not None and value.high is not None
    return f"{value.value:.4f}" + (f" ({value.low:.4f}-{value.high:.4f})" if known else "")


def _points(value: float) -> str:
    return f"{100 * value:+.2f}"


def _seconds(value: float) -> str:
    if value < 100:
        return f"{value:.2f} s"
    return f"{value / 60:.1f} min" if value < 6000 else f"{value / 3600:.1f} h"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


FORMATS: Mapping[Kind, Callable[[Any], str]] = {
    "text": str,
    "component": str,
    "count": str,
    "number": _number,
    "accuracy": _accuracy,
    "difference": _points,
    "interval": lambda ends: f"{_points(ends[0])} to {_points(ends[1])}",
    "p": lambda value: "< 0.0001" if value < 1e-4 else f"{value:.4f}",
    "share": lambda value: f"{value:.3f}",
    "seconds": _seconds,
    "bytes": _bytes,
    "macs": lambda value: _number(value / 1e9),
    "flag": lambda value: "yes" if value else "no",
}


def number(value: Any) -> float | None:
    """What a value is sorted by: an interval by its lower end, 'all' after every number. None for other words."""
    if isinstance(value, Measured):
        return value.value
    if isinstance(value, tuple):
        return float(value[0])
    if isinstance(value, str):
        return math.inf if value == "all" else None
    return None if value is None else float(value)


def shortened(components: Iterable[str]) -> dict[str, str]:
    """Each component to its name, or to all of it where another of that name is among them."""
    names = {component: component.partition("(")[0] for component in components if component}
    shared = Counter(names.values())
    return {component: name if shared[name] == 1 else component for component, name in names.items()}


def to_dicts(table: Table) -> list[dict[str, Any]]:
    """The rows for a program: numbers raw, components in full, the ends of intervals under ``KEY_low`` and
    ``KEY_high``, None where there is nothing. All rows have the same keys, in the order of the columns."""
    rows = [dict(pair for column in table.filled for pair in _raw(column, row)) for row in table.rows]
    keys = [key for c in table.filled for key in (c.key, f"{c.key}_low", f"{c.key}_high")]
    held = [key for key in keys if any(row.get(key) is not None for row in rows)]
    return [{key: row.get(key) for key in held} for row in rows]


def _raw(column: Column, row: Row) -> Iterator[tuple[str, Any]]:
    value = row.get(column.key)
    if isinstance(value, Measured):
        yield from ((column.key, value.value), (f"{column.key}_low", value.low), (f"{column.key}_high", value.high))
    elif isinstance(value, tuple):
        yield from zip((f"{column.key}_low", f"{column.key}_high"), value, strict=True)
    else:
        yield column.key, None if value in EMPTY else value

"""One table as Markdown, CSV, LaTeX (booktabs) and HTML. Every text is escaped for where it goes."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from fgscore.tables import accuracy

FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")  # what a spreadsheet takes for one, at the start
CRLF = "\r\n"  # so that csv quotes a cell that holds either
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Estimate:
    """A measured fraction with its confidence interval, where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Change:
    """A signed difference of two accuracies."""

    value: float


@dataclass(frozen=True)
class Short:
    """A component by its name, where that tells it from the others; CSV gets all of it."""

    name: str
    full: str


@dataclass(frozen=True)
class Table:
    """Rows of values by column key: text, numbers, :class:`Estimate`, :class:`Change`; None where there is none.

    ``name`` is the file's stem, ``columns`` maps keys to headings. The best estimate of each column of ``best`` is set
    bold, but for rows with a true ``marked``: those read labels of test images.
    """

    name: str
    title: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    note: str = ""
    best: Sequence[str] = ()

    def is_number(self, key: str) -> bool:
        """Whether a column holds numbers alone, and stands to the right."""
        values = [v for row in self.rows if (v := row.get(key)) not in (None, "")]
        return bool(values) and all(_number(v) is not None for v in values)

    def is_best(self, row: Mapping[str, Any], key: str) -> bool:
        """Whether the value is the largest of its column."""
        value = row.get(key)
        if key not in self.best or not isinstance(value, Estimate) or row.get("marked"):
            return False
        others = [v.value for r in self.rows if not r.get("marked") and isinstance(v := r.get(key), Estimate)]
        return len(others) > 1 and accuracy(value.value) == accuracy(max(others))


def text(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, Estimate):
        known = value.low is not None and value.high is not None
        return accuracy(value.value) + (f" ({value.low:.3f}–{value.high:.3f})" if known else "")
    if isinstance(value, Change):
        return f"{value.value:+.4f}"
    if isinstance(value, Short):
        return value.name
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> float | None:
    if isinstance(value, Estimate | Change):
        return value.value
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("inf") if value == "all" else None


def markdown(table: Table) -> str:
    """The table as GitHub-flavoured Markdown."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rules = ["---:" if table.is_number(key) else "---" for key in table.columns]
    lines = [line([markdown_text(h) for h in table.columns.values()]), line(rules)]
    lines += [line(_cells(table, row, markdown_text, "**{}**")) for row in table.rows]
    note = f"\n\n{markdown_text(table.note)}" if table.note else ""
    return f"### {markdown_text(table.title)}\n\n" + "\n".join(lines) + note + "\n"


def latex(table: Table) -> str:
    """The table as a LaTeX float in the style of booktabs."""
    letters = "".join("r" if table.is_number(key) else "l" for key in table.columns)
    lines = ["% needs \\usepackage{booktabs}", "\\begin{table}", "\\centering"]
    lines += [f"\\caption{{{latex_text(f'{table.title}. {table.note}'.strip())}}}", f"\\label{{tab:{table.name}}}"]
    lines += [f"\\begin{{tabular}}{{{letters}}}", "\\toprule"]
    lines += [" & ".join(latex_text(h) for h in table.columns.values()) + r" \\", "\\midrule"]
    lines += [" & ".join(_cells(table, row, latex_text, "\\textbf{{{}}}")) + r" \\" for row in table.rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])


def _cells(table: Table, row: Mapping[str, Any], escape: Callable[[str], str], bold: str) -> list[str]:
    cells = {key: escape(text(row.get(key))) for key in table.columns}
    return [bold.format(cell) if table.is_best(row, key) else cell for key, cell in cells.items()]


def comma_separated(table: Table) -> str:
    """The table as CSV: numbers in full, the ends of intervals in columns of their own, and no cell that a spreadsheet
    would compute."""
    rows = [{_inert(k): _inert(v) for k, v in _flat(table, row).items()} for row in table.rows]
    ordered = (_inert(key) for key in _ordered(table))
    fields = list(dict.fromkeys(key for key in ordered if any(key in row for row in rows)))
    lines: list[str] = []
    writer = csv.DictWriter(SimpleNamespace(write=lines.append), fields, lineterminator=CRLF)
    writer.writeheader()
    writer.writerows(rows)
    return "".join(line.removesuffix(CRLF) + "\n" for line in lines)


def _inert(value: Any) -> Any:
    """``value`` with an apostrophe before a text that a spreadsheet would run as a formula; a number stays one, and the
    dash that stands for nothing is nothing."""
    if value == "-":
        return ""
    if isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _ordered(table: Table) -> list[str]:
    return [name for key in table.columns for name in (key, f"{key}_low", f"{key}_high")]


def _flat(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key in table.columns:
        value = row.get(key)
        if isinstance(value, Estimate):
            flat[key] = value.value
            if value.low is not None and value.high is not None:
                flat |= {f"{key}_low": value.low, f"{key}_high": value.high}
        else:
            whole = {Change: "value", Short: "full"}.get(type(value))
            flat[key] = getattr(value, whole) if whole else "" if value is None else value
    return flat


def hypertext(table: Table) -> str:
    """The table as HTML; a cell that holds a number carries it in full, for the page to sort by."""
    numeric = {key for key in table.columns if table.is_number(key)}

    def attributes(key: str) -> str:
        return ' class="number"' if key in numeric else ""

    head = "".join(f'<th scope="col"{attributes(k)}>{html.escape(h)}</th>' for k, h in table.columns.items())
    body = []
    for row in table.rows:
        cells = []
        for key, cell in zip(table.columns, _cells(table, row, _with_interval, "<b>{}</b>"), strict=True):
            number = _number(row.get(key)) if key in numeric else None
            value = "" if number is None else f' data-value="{number!r}"'
            cells.append(f"<td{attributes(key)}{value}>{cell}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f"<table><caption>{html.escape(table.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
        + (f'<p class="note">{html.escape(table.note)}</p>' if table.note else "")
    )


def _with_interval(cell: str) -> str:
    """Escaped, an interval at the end in small print."""
    return re.sub(r"^(\d\.\d+) (\([\d.–]+\))$", r"\1 <small>\2</small>", html.escape(cell))


def markdown_text(words: str) -> str:
    """``words`` so that Markdown shows them as they are, within a table cell."""
    one_line = " ".join(words.split())
    # an underscore between letters is one, as in random_crop
    return re.sub(r"([\\`*{}\[\]<>#|~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", one_line)


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "Δ": r"$\Delta$",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}


def latex_text(words: str) -> str:
    """``words`` so that LaTeX prints them as they are; every special character once."""
    return "".join(LATEX.get(c, c) for c in " ".join(words.split()))

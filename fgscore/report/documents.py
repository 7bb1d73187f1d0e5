"""One table as Markdown, CSV, LaTeX (booktabs) and HTML. Every text is escaped for where it goes."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from fgscore.tables import Column, Table, number, to_dicts

FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")  # what a spreadsheet takes for one, at the start
CRLF = "\r\n"  # so that csv quotes a cell that holds either
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def markdown(table: Table) -> str:
    """The table as GitHub-flavoured Markdown."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rules = ["---:" if column.is_number else "---" for column in table.shown]
    lines = [line([markdown_text(column.heading) for column in table.shown]), line(rules)]
    lines += [line(_cells(table, i, markdown_text, "**{}**")) for i in range(len(table.rows))]
    below = "".join(f"\n{markdown_text(said)}\n" for said in table.below)
    return f"### {markdown_text(table.title)}\n\n" + "\n".join(lines) + f"\n{below}"


def latex(table: Table) -> str:
    """The table as a LaTeX float in the style of booktabs."""
    letters = "".join("r" if column.is_number else "l" for column in table.shown)
    caption = " ".join([f"{table.title}.", *(f"{said.removesuffix('.')}." for said in table.below)])
    lines = ["% needs \\usepackage{booktabs}", "\\begin{table}", "\\centering", f"\\caption{{{latex_text(caption)}}}"]
    lines += [f"\\label{{tab:{table.name}}}", f"\\begin{{tabular}}{{{letters}}}", "\\toprule"]
    lines += [" & ".join(latex_text(column.heading) for column in table.shown) + r" \\", "\\midrule"]
    lines += [" & ".join(_cells(table, i, latex_text, "\\textbf{{{}}}")) + r" \\" for i in range(len(table.rows))]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])


def _cells(table: Table, i: int, escape: Callable[[str], str], bold: str) -> list[str]:
    cells = [(column, escape(_printed(table, i, column))) for column in table.shown]
    return [bold.format(cell) if table.is_best(i, column) else cell for column, cell in cells]


def _printed(table: Table, i: int, column: Column) -> str:
    """A cell as print has it: a dash between the ends of an interval."""
    cell = table.text(table.rows[i], column)
    return cell.replace("-", "–") if column.kind == "accuracy" else cell


def comma_separated(table: Table) -> str:
    """The table as CSV: numbers and components in full, the ends of intervals in columns of their own, and no cell that
    a spreadsheet would compute."""
    rows = [{_inert(k): _inert(v) for k, v in row.items()} for row in to_dicts(table)]
    lines: list[str] = []
    writer = csv.DictWriter(SimpleNamespace(write=lines.append), list(rows[0]) if rows else [], lineterminator=CRLF)
    writer.writeheader()
    writer.writerows(rows)
    return "".join(line.removesuffix(CRLF) + "\n" for line in lines)


def _inert(value: Any) -> Any:
    """``value`` with an apostrophe before a text that a spreadsheet would run as a formula; a number stays one."""
    if isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def hypertext(table: Table) -> str:
    """The table as HTML; a cell that holds a number carries it in full, for the page to sort by."""

    def attributes(column: Column) -> str:
        return ' class="number"' if column.is_number else ""

    head = "".join(f'<th scope="col"{attributes(c)}>{html.escape(c.heading)}</th>' for c in table.shown)
    body = []
    for i, row in enumerate(table.rows):
        cells = []
        for column, cell in zip(table.shown, _cells(table, i, _with_interval, "<b>{}</b>"), strict=True):
            value = number(row.get(column.key)) if column.is_number else None
            data = "" if value is None else f' data-value="{value!r}"'
            cells.append(f"<td{attributes(column)}{data}>{cell}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f"<table><caption>{html.escape(table.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
        + "".join(f'<p class="note">{html.escape(said)}</p>' for said in table.below)
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

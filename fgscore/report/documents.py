"""One table as Markdown, CSV, LaTeX (booktabs) and HTML. Every text is escaped for where it goes."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from types import SimpleNamespace
from typing import Any

from fgscore.errors import missing_extra
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
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{latex_text(table.title)}}}",
    ]
    lines += [f"\\label{{tab:{table.name}}}", f"\\begin{{tabular}}{{{letters}}}", "\\toprule"]
    lines += [" & ".join(latex_text(column.heading) for column in table.shown) + r" \\", "\\midrule"]
    lines += [" & ".join(_cells(table, i, latex_text, "\\textbf{{{}}}")) + r" \\" for i in range(len(table.rows))]
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [f"\\par\\smallskip\\raggedright\\footnotesize {latex_text(said)}" for said in table.below]
    return "\n".join([*lines, "\\end{table}", ""])


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
    return str(templates().get_template("table.html").module.plain(table))


@cache
def templates() -> Any:
    """The page's templates, in which every text is escaped. Raises :class:`MissingExtra` without jinja2."""
    try:
        import jinja2
    except ImportError as error:
        raise missing_extra("jinja2", "writing the page", "report") from error
    loader = jinja2.FunctionLoader(asset)
    made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    made.globals |= {"printed": _printed, "number": number}
    return made


def asset(name: str) -> str:
    """A file that the page is made of."""
    return resources.files("fgscore.report").joinpath(name).read_text(encoding="utf-8")


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

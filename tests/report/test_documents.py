"""Tables as Markdown, CSV, LaTeX and HTML: nothing in a name is ever taken for markup, and the numbers are whole."""

from __future__ import annotations

import csv
import html.parser
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore.report import documents
from fgscore.tables import Column, Measured, Table

HOSTILE = "</script><img src=x onerror=alert(1)> 50% of $x_i^2$ & #1 | {a} ~b \\textbf{c} `d` *e* [f](javascript:g)"
TABLE = Table(
    "results",
    "Top-1 accuracy",
    [
        Column("name", "strategy"),
        Column("regions", "regions", "component"),
        Column("k", "k", "count"),
        Column("a", "cub", "accuracy"),
        Column("gain", "Δ global", "difference"),
        Column("head", "head", "component"),
    ],
    [
        {"name": "Soft_margin", "regions": "sam(n=3)", "k": 5, "a": Measured(0.65585, 0.6401, 0.6703)},
        {"name": HOSTILE, "regions": "crops", "k": "all", "a": Measured(0.5), "gain": -0.0132, "head": "logreg(C=1)"},
        {"name": "oracle", "k": 5, "a": 0.9},
    ],
    notes=["A note of <b>one</b> line."],
    once=["head"],
    best=["a"],
    marked=[2],
)


# ---- Markdown


def test_markdown() -> None:
    lines = documents.markdown(TABLE).splitlines()
    assert lines[0] == "### Top-1 accuracy"
    assert lines[2] == "| strategy | regions | k | cub | Δ global |"
    assert lines[3] == "| --- | --- | ---: | ---: | ---: |"
    assert lines[4] == "| Soft_margin | sam | 5 | **0.6559 (0.6401–0.6703)** |  |"
    assert lines[6] == "| oracle |  | 5 | 0.9000 |  |"
    assert lines[8::2] == ["sam: sam(n=3)", "Everywhere: head logreg(C=1).", "A note of \\<b\\>one\\</b\\> line."]


def test_every_row_of_markdown_has_as_many_cells_as_the_heading() -> None:
    rows = [line for line in documents.markdown(TABLE).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}


def test_markdown_shows_markup_as_text() -> None:
    made = documents.markdown_text(HOSTILE)
    assert "\\<img" in made and "\\[f\\](javascript" in made and "\\|" in made and "\\`d\\`" in made
    assert documents.markdown_text("random_crop") == "random_crop"
    assert documents.markdown_text("_a_\nb") == "\\_a\\_ b"


# ---- LaTeX

PRINTED = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"$\Delta$": "Δ",
    **{f"\\{c}": c for c in "&%$#_{}"},
}


def printed(latex: str) -> str:
    """What LaTeX would print, for the commands that we emit; any other special character is an error."""
    out, i = "", 0
    while i < len(latex):
        command = next((c for c in PRINTED if latex.startswith(c, i)), None)
        assert command or latex[i] not in "\\&%$#_{}~^", f"{latex!r} at {i}"
        out += PRINTED[command] if command else latex[i]
        i += len(command) if command else 1
    return out


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_latex_prints_any_text_as_it_is(text: str) -> None:
    assert printed(documents.latex_text(text)) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("50% of a_b & c#d", r"50\% of a\_b \& c\#d"),
        (r"\write18{rm}", r"\textbackslash{}write18\{rm\}"),
        ("$x^2$ ~", r"\$x\textasciicircum{}2\$ \textasciitilde{}"),
    ],
)
def test_latex_escapes(text: str, latex: str) -> None:
    assert documents.latex_text(text) == latex


def test_latex_is_a_booktabs_table() -> None:
    lines = documents.latex(TABLE).splitlines()
    assert lines[0] == r"% needs \usepackage{booktabs}"
    assert r"\begin{tabular}{llrrr}" in lines
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert body[0] == r"Soft\_margin & sam & 5 & \textbf{0.6559 (0.6401–0.6703)} &  \\"
    assert all(len(re.findall(r"(?<!\\)&", line)) == 4 and line.endswith(r" \\") for line in body)
    assert r"strategy & regions & k & cub & $\Delta$ global \\" in lines
    text = "\n".join(lines)
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


# ---- CSV


def test_csv_holds_numbers_in_full_and_intervals_apart() -> None:
    first, second, third = csv.DictReader(io.StringIO(documents.comma_separated(TABLE)))
    assert list(first) == ["name", "regions", "k", "a", "a_low", "a_high", "gain", "head"]
    assert (float(first["a"]), float(first["a_low"]), float(first["a_high"])) == (0.65585, 0.6401, 0.6703)
    assert (second["name"], first["regions"]) == (HOSTILE, "sam(n=3)")
    assert (float(second["gain"]), second["a_low"], third["gain"], third["head"]) == (-0.0132, "", "", "")


FORMULAS = [
    "=1+1",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\uff1d1",
    "-1e5x",
    "--1",
]
NUMBERS = ["-0.5", "+12", "-1e-5", "-.5", "0.7", -0.25, -3, 1.5]


def test_no_cell_of_a_csv_is_a_formula_and_numbers_stay_numbers() -> None:
    values = [*FORMULAS, *NUMBERS, "region_text", "a=b", "5-7", ""]
    rows = [{"cell": v, "short": str(v), "=head": v} for v in values]
    columns = [Column("cell", "cell"), Column("short", "short", "component"), Column("=head", "=head")]
    table = Table("results", "t", columns, rows)
    fields, *lines = csv.reader(io.StringIO(documents.comma_separated(table)))
    assert fields == ["cell", "short", "'=head"]
    for value, cells in zip(values, lines, strict=True):
        wanted = f"'{value}" if value in FORMULAS else str(value)
        assert cells == [wanted] * 3


def test_what_stands_for_nothing_is_an_empty_cell() -> None:
    columns = [Column("target", "target"), Column("k", "k", "count")]
    table = Table("results", "t", columns, [{"target": "-", "k": 1}, {"target": "global", "k": 2}])
    assert documents.comma_separated(table) == "target,k\n,1\nglobal,2\n"


# ---- HTML


class Reader(html.parser.HTMLParser):
    """Tags, attributes and text of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("td", "th", "caption"):
            self.cells.append("")
        self.values += [value or "" for name, value in attrs if name == "data-value"]

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def test_html_shows_any_name_as_text() -> None:
    reader = Reader()
    reader.feed(documents.hypertext(TABLE))
    assert HOSTILE in reader.cells
    assert set(reader.tags) <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "b", "small", "p"}


def test_html_cells_carry_their_number() -> None:
    reader = Reader()
    reader.feed(documents.hypertext(TABLE))
    assert reader.values == ["5.0", "0.65585", "inf", "0.5", "-0.0132", "5.0", "0.9"]


def test_html_sets_the_best_bold_and_an_interval_small() -> None:
    made = documents.hypertext(TABLE)
    assert made.count("<b>") == 1 and "<b>0.6559 <small>(0.6401–0.6703)</small></b>" in made

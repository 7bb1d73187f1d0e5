"""Tables: how each kind of value reads, and that no output loses, cuts or changes a number."""

from __future__ import annotations

import ast
import contextlib
import csv
import html.parser
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgscore import tables, terminal
from fgscore.report import documents
from fgscore.store.cache import Store
from fgscore.tables import Column, Kind, Measured, Table

Run = Callable[..., Any]

# ---- a value as text


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("text", "crow", "crow"),
        ("count", 15360, "15360"),
        ("count", np.int64(3), "3"),
        ("count", "all", "all"),
        ("number", 0.02314, "0.0231"),
        ("number", -0.5, "-0.5000"),
        ("number", 4.8334, "4.833"),
        ("number", 31.249, "31.25"),
        ("number", 1312.4, "1312"),
        ("number", float("nan"), "nan"),
        ("accuracy", 0.65584, "0.6558"),
        ("accuracy", 1, "1.0000"),
        ("accuracy", Measured(0.65584), "0.6558"),
        ("accuracy", Measured(0.65584, 0.64009, 0.67031), "0.6558 (0.6401-0.6703)"),
        ("accuracy", "one set of masks", "one set of masks"),
        ("difference", 0.0125, "+1.25"),
        ("difference", -0.2, "-20.00"),
        ("interval", (-0.005, 0.03), "-0.50 to +3.00"),
        ("p", 0.03123, "0.0312"),
        ("p", 0.00009, "< 0.0001"),
        ("p", 1.0, "1.0000"),
        ("share", 0.51249, "0.512"),
        ("seconds", 0.004, "0.00 s"),
        ("seconds", 51.523, "51.52 s"),
        ("seconds", 150, "2.5 min"),
        ("seconds", 5999, "100.0 min"),
        ("seconds", 6000, "1.7 h"),
        ("seconds", 43200, "12.0 h"),
        ("bytes", 0, "0 B"),
        ("bytes", 999, "999 B"),
        ("bytes", 4123, "4.1 kB"),
        ("bytes", 7_300_000, "7.3 MB"),
        ("bytes", 2.5e12, "2.5 TB"),
        ("macs", 4_408_811_520, "4.409"),
        ("macs", 486_038_667_264, "486.0"),
        ("macs", 86_722_048, "0.0867"),
        ("flag", True, "yes"),
        ("flag", False, "no"),
        ("seconds", None, ""),
    ],
)
def test_a_value_reads_as_its_kind(kind: Kind, value: Any, shown: str) -> None:
    assert tables.text(value, kind) == shown


def test_a_component_is_shown_by_name_where_that_tells_it_from_the_others() -> None:
    rows = [{"c": text} for text in ("sam(n=3)", "random_crop", "random_crop(n=64)", "", None)]
    table = Table("t", "", [Column("c", "regions", "component")], rows)
    assert [table.text(row, table.columns[0]) for row in rows] == ["sam", "random_crop", "random_crop(n=64)", "", ""]
    assert table.below == ["sam: sam(n=3)"], "all of what was shortened"


def test_what_all_rows_agree_on_is_said_once_where_that_is_wanted() -> None:
    columns = [Column("encoder", "encoder", "component"), Column("k", "k", "count"), Column("n", "n", "count")]
    rows = [{"encoder": "clip(m=1)", "k": 5, "n": 7}, {"encoder": None, "k": 5, "n": 7}]
    table = Table("t", "", columns, rows, ["A note."], once=["encoder", "k"])
    assert [column.key for column in table.shown] == ["n"]
    assert table.below == ["Everywhere: encoder clip(m=1), k 5.", "A note."]
    other = Table("t", "", columns, [*rows, {"encoder": "", "k": "all"}], once=["encoder", "k"])
    assert [column.key for column in other.shown] == ["encoder", "k", "n"], "an empty word is another, None is none"


def test_columns_of_nothing_are_left_out() -> None:
    columns = [Column(key, key) for key in ("gap", "none", "dash", "held")]
    table = Table("t", "", columns, [{"gap": "", "dash": "-", "held": "-"}, {"none": None, "held": "x"}])
    assert [column.key for column in table.filled] == ["held"]


def test_the_best_is_the_largest_of_what_may_be_compared() -> None:
    column = Column("a", "a", "accuracy")
    rows = [{"a": Measured(0.50001)}, {"a": 0.49999}, {"a": 0.4}, {"a": None}, {"a": 0.9}]

    def best(*rows: dict[str, Any], **more: Any) -> list[bool]:
        table = Table("t", "", [column], rows, **more)
        return [table.is_best(i, column) for i in range(len(rows))]

    assert best(*rows, best=["a"], marked=[4]) == [True, True, False, False, False], "alike as printed"
    assert best(*rows, best=["a"]) == [False, False, False, False, True]
    assert best(*rows) == [False] * 5
    assert best(rows[0], best=["a"]) == [False], "nothing to compare it with"


def test_rows_for_a_program_hold_raw_numbers_and_whole_components() -> None:
    columns = [
        Column("a", "top-1", "accuracy"),
        Column("d", "95 % interval", "interval"),
        Column("c", "regions", "component"),
        Column("e", "encoder"),
    ]
    rows = [
        {"a": Measured(0.61234567, 0.5, 0.7), "d": (-0.1, 0.2), "c": "sam(n=3)", "e": "x"},
        {"a": 0.1, "c": "-", "e": "x"},
    ]
    assert tables.to_dicts(Table("t", "", columns, rows, once=["e"])) == [
        {"a": 0.61234567, "a_low": 0.5, "a_high": 0.7, "d_low": -0.1, "d_high": 0.2, "c": "sam(n=3)", "e": "x"},
        {"a": 0.1, "a_low": None, "a_high": None, "d_low": None, "d_high": None, "c": None, "e": "x"},
    ]


def test_no_other_file_formats_a_number_for_people(root: Path) -> None:
    """No f-string rounds one elsewhere, but in the log of the demo's training."""
    found = []
    for path in sorted(p for folder in ("fgscore", "stages") for p in (root / folder).rglob("*.py")):
        if path.name == "tables.py" or path.parent.name == "train":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            spec = ast.unparse(node.format_spec) if isinstance(node, ast.FormattedValue) and node.format_spec else ""
            found += [f"{path.name}: {spec}"] if re.search(r"\.\d+[efg%]", spec) else []
    assert not found


# ---- no output loses a number

WORD = st.text("abcdefgh-_/", max_size=29).map("w{}".format)
FRACTION = st.floats(0, 1)
GAIN = st.floats(-1, 1)
INTERVAL = st.tuples(GAIN, GAIN)
VALUES: dict[Kind, st.SearchStrategy] = {
    "text": WORD | st.lists(WORD, min_size=2, max_size=6).map(" ".join),
    "component": st.builds("{}(n={}, tau=1e-05)".format, st.sampled_from(["sam", "crop"]), st.integers(0, 99)),
    "count": st.integers(0, 10**9) | st.just("all"),
    "number": st.floats(-1e6, 1e6),
    "accuracy": FRACTION | st.builds(Measured, FRACTION, FRACTION, FRACTION) | st.builds(Measured, FRACTION),
    "difference": GAIN,
    "interval": INTERVAL,
    "p": FRACTION,
    "share": FRACTION,
    "seconds": st.floats(0, 1e6),
    "bytes": st.integers(0, 10**13),
    "flag": st.booleans(),
}


@st.composite
def random_tables(draw: st.DrawFn) -> Table:
    """One to five rows of any kinds, some cells empty; the first column names the row."""
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=14))
    columns = [Column(f"c{i}", draw(WORD) if i % 2 else "top of all", kind) for i, kind in enumerate(kinds)]
    rows = [
        {"id": f"row{i}", **{c.key: draw(VALUES[c.kind] | st.none()) for c in columns}}
        for i in range(draw(st.integers(1, 5)))
    ]
    best = [column.key for column in columns if column.kind == "accuracy"]
    return Table("random", "Any table", [Column("id", "row"), *columns], rows, ["A note."], best=best)


def held(table: Table) -> list[Column]:
    """The columns that have something to show."""
    return [column for column in table.columns if any(row[column.key] is not None for row in table.rows)]


def numbers(row: dict[str, Any], column: Column) -> list[float]:
    """The numbers that a cell holds."""
    value = row.get(column.key)
    if isinstance(value, Measured):
        return [v for v in (value.value, value.low, value.high) if v is not None]
    if isinstance(value, tuple):
        return list(value)
    return [] if value is None or isinstance(value, str) else [float(value)]


UNITS = {"s": 1, "min": 60, "h": 3600, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def read(cell: str, kind: Kind) -> list[tuple[float, float]]:
    """The numbers of a printed cell, each with what its last digit may be off by; read without the formatter."""
    if kind in ("text", "component") or cell in ("", "all"):
        return []
    if kind == "flag":
        return [(float({"yes": True, "no": False}[cell]), 0)]
    if kind in ("seconds", "bytes"):
        (digits, unit) = cell.split(" ")
        return [(float(digits) * UNITS[unit], 0.51 * 10 ** -len(digits.partition(".")[2]) * UNITS[unit])]
    if cell == "< 0.0001":
        return [(0.0, 1e-4)]
    scale = 100 if kind in ("difference", "interval") else 1
    found = re.findall(r"[+-]?\d+(?:\.\d+)?", re.sub(r"(?<=\d)[-–](?=\d)", " ", cell))
    return [(float(digits) / scale, 0.51 * 10 ** -len(digits.partition(".")[2]) / scale) for digits in found]


def check(table: Table, cells: list[list[str]]) -> None:
    """``cells``, read back from some output, hold every number of ``table``."""
    assert len(cells) == len(table.rows)
    for row, line in zip(table.rows, cells, strict=True):
        for column, cell in zip(held(table), line, strict=True):
            own, found = numbers(dict(row), column), read(cell, column.kind)
            assert len(own) == len(found), (column, cell)
            for value, (printed, off) in zip(own, found, strict=True):
                assert abs(value - printed) <= off + 1e-9 * abs(value), (column, value, cell)


@given(random_tables())
def test_csv_gives_every_number_back_exactly(table: Table) -> None:
    lines = list(csv.DictReader(io.StringIO(documents.comma_separated(table))))
    assert len(lines) == len(table.rows)
    for row, line in zip(table.rows, lines, strict=True):
        for column in held(table):
            cells = [line.get(key) for key in (column.key, f"{column.key}_low", f"{column.key}_high")]
            found = [cell for cell in cells if cell]
            if column.is_number and found != ["all"]:
                assert list(map(float, found)) == numbers(dict(row), column)
            else:
                assert found == ([] if row[column.key] is None else [str(row[column.key])])


def unescaped(cell: str) -> str:
    """A cell of Markdown or LaTeX without its bold and its escapes."""
    bold = re.fullmatch(r"\*\*(.*)\*\*|\\textbf\{(.*)\}", cell)
    cell = (bold[1] or bold[2]) if bold else cell
    return re.sub(r"\\(.)", r"\1", cell.replace(r"\textless{}", "<"))


@given(random_tables())
def test_markdown_gives_every_number_back(table: Table) -> None:
    lines = [line for line in documents.markdown(table).splitlines() if line.startswith("|")]
    check(table, [[unescaped(c.strip()) for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]])


@given(random_tables())
def test_latex_gives_every_number_back(table: Table) -> None:
    body = documents.latex(table).partition("\\midrule\n")[2].partition("\n\\bottomrule")[0]
    lines = [line.removesuffix(r" \\") for line in body.splitlines()]
    check(table, [[unescaped(c.strip()) for c in re.split(r"(?<!\\)&", line)] for line in lines])


class Cells(html.parser.HTMLParser):
    """The cells of each row of a table's body, and what they carry to be sorted by."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.values: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows += [[]] if tag == "tr" else []
        if tag == "td":
            self.rows[-1].append("")
            self.values.append(dict(attrs).get("data-value"))

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@settings(max_examples=30)
@given(random_tables())
def test_html_gives_every_number_back_and_carries_it_in_full(table: Table) -> None:
    pytest.importorskip("jinja2")
    cells = Cells()
    cells.feed(documents.hypertext(table).partition("</table>")[0])
    check(table, cells.rows[1:])
    carried = [float(value) for value in cells.values if value not in (None, "inf")]
    whole = [numbers(dict(row), c)[:1] for row in table.rows for c in held(table) if c.kind not in tables.WORDS]
    assert carried == [value for values in whole for value in values]


class Screen(io.StringIO):
    """A terminal, as a program sees one."""

    def isatty(self) -> bool:
        return True


def printed(*shown: Table) -> list[str]:
    """The lines that a terminal of 80 columns is given."""
    screen = Screen()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(screen):
        patch.setenv("TERM", "dumb")  # 80 columns, no colours
        terminal.show(*shown)
    return screen.getvalue().splitlines()


def by_row(lines: list[str]) -> Iterator[str]:
    """All that is said of each row, whatever block it stands in."""
    said: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        name = found[0] if (found := re.match(r"row\d\b", line)) else name if line else ""
        said.setdefault(name, []).append(line)
    said.pop("", None)
    yield from ("\n".join(own) for own in said.values())


@given(random_tables())
def test_a_terminal_of_80_columns_shows_every_number_whole(table: Table) -> None:
    lines = printed(table)
    body = lines[: lines.index("A note.")]
    assert max(map(len, body)) <= 80
    found = list(by_row(body))
    assert len(found) == len(table.rows)
    for row, said in zip(table.rows, found, strict=True):
        for column in held(table):
            cell = table.text(row, column)
            if column.is_number and cell:
                assert re.search(rf"(?<![\w.+-]){re.escape(cell)}(?![\w.])", said), (column, cell, said)
            elif not column.is_number:
                letters = iter(said)  # a long word is folded, its pieces stand below each other
                assert all(letter in letters for letter in "".join(cell.split())), (cell, said)


@given(random_tables())
def test_the_text_of_a_cell_is_the_same_number(table: Table) -> None:
    """What the terminal's tokens are compared with above is right by itself."""
    check(table, [[table.text(row, column) for column in held(table)] for row in table.rows])


def test_what_tables_say_alike_below_is_said_once() -> None:
    def of(title: str, note: str) -> Table:
        columns = [Column("c", "regions", "component"), Column("n", "images", "count")]
        return Table("t", title, columns, [{"c": "sam(n=3)", "n": 1}], [note, "For all."])

    assert printed(of("One", "Of one."), Table("t", "Empty", [], []), of("Two", "Of two.")) == [
        "One", "regions  images", "sam           1", "Of one.",
        "",
        "Two", "regions  images", "sam           1", "Of two.",
        "",
        "sam: sam(n=3)", "For all.",
    ]  # fmt: skip


# ---- one row, one name


ENTROPY_50 = "Entropy confidence (tau=50)"


def test_a_setting_has_one_name_in_every_command(study: Store, run: Run, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    own = ("--scorer", "entropy(tau=50)", "--head", "logreg(C=10)", "--k", "2", "--k", "5")
    commands = {
        "probe": ("probe", "cub", *own, "--pool", "topk", "--pool", "none", "--pool", "mean"),
        "sweep": ("sweep", "cub", *own, "--pool", "topk", "--pool", "mean"),
        "diagnose": ("diagnose", "cub", *own),
        "locate": ("locate", "cub", "--scorer", "entropy(tau=50)"),
        "report": ("report", "cub", "--no-plots", "--out", tmp_path),
    }
    said = {}
    for name, command in commands.items():
        done = run(*command)
        assert done.code == 0, done.err
        said[name] = done.out
    for name in ("comparison", "over-k", "results"):
        said[name] = (tmp_path / f"{name}.md").read_text(encoding="utf-8")
    said["page"] = (tmp_path / "report.html").read_text(encoding="utf-8")
    del said["report"]
    for name, text in said.items():
        broken = name == "sweep"  # which has so many columns that names are broken over lines
        assert all(word in text for word in (ENTROPY_50.split() if broken else [ENTROPY_50])), name
        assert name in ("locate", "over-k") or all(w in text for w in ("Global", "linear")), name
        assert name in ("locate", "over-k", "diagnose") or all(w in text for w in ("Average", "local")), name
        assert not re.search("global embedding alone {2}|Global embedding alone", text), name

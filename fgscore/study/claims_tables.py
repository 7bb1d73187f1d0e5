"""The tables of `fgscore claims`: verdicts on the paper's claims, ours beside those by its own figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fgscore.evaluate import strategies
from fgscore.study import cost_claim, paper, paper_claims
from fgscore.study.sweep_tables import listed, varies
from fgscore.tables import Column, Row, Table, text

SETTING = ("dataset", "regions", "encoder", "prompt", "head")
COLUMNS = (
    Column("claim", "claim"),
    Column("dataset", "data set"),
    Column("regions", "regions"),
    *strategies.columns("encoder", "prompt", "head"),
    Column("source", "source"),
    Column("verdict", "verdict"),
    Column("difference", "points", "difference"),
    Column("interval", "interval", "interval"),
    Column("p", "p", "p"),
    Column("p_holm", "p (Holm)", "p"),
    Column("bound", "within", "difference"),
    Column("ratio", "times", "number"),
    Column("ratio_seconds", "times by the clock", "number"),
    Column("contrast", "of"),
    Column("draws", "draws", "count"),
    Column("seeds", "seeds", "count"),
    Column("shares", "varies by"),
    Column("differ", "images that differ", "count"),
    Column("visible", "visible, about", "difference"),
    Column("agree", "data sets that agree", "count"),
    Column("n_test", "test images", "count"),
    Column("paper_verdict", "by the paper's figures"),
    Column("paper_difference", "points", "difference"),
    Column("paper_datasets", "holds in", "count"),
    Column("paper_of", "data sets in the paper", "count"),
    Column("paper_contrast", "of"),
)
SCORER = re.compile(rf"\b({'|'.join(strategies.SCORERS)})\b")


def table(rows: Sequence[Row]) -> Table:
    """Rows of :func:`fgscore.study.claims.verdicts` in one table."""
    return Table("claims", "What the paper says, and what these results say", COLUMNS, [_line(row) for row in rows],
                 _notes(rows), once=(*SETTING, "n_test", "paper_of"))  # fmt: skip


def tables(rows: Sequence[Row]) -> list[Table]:
    """The same as one table for each data set, or all together, and setting; the same notes under all."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], *row["regions"], *(row[key] for key in SETTING[2:])), []).append(row)
    made = []
    for group in groups.values():
        pooled = ", ".join(group[0]["datasets"])
        of = f"all together: {pooled}" if group[0]["dataset"] == "all" else group[0]["dataset"]
        made.append(replace(table(group), title=f"{of}, head {group[0]['head']}"))
    return made


def _line(row: Row) -> dict[str, Any]:
    return {
        **row,
        "regions": ", ".join(f"{one}{strategies.bound(one)}" for one in row["regions"]),
        "interval": None if row["low"] is None else (row["low"], row["high"]),
        "bound": None if row["bound"] is None else _points(row["bound"]),
        "visible": None if row["visible"] is None else _points(row["visible"]),
        "shares": varies(row["shares"]),
        "draws": row["draws"] or "",
        "seeds": row["seeds"] or "",
        "contrast": _named(row["contrast"]),
        "paper_contrast": _named(row["paper_contrast"]),
        "paper_of": None
        if row["paper_verdict"] is None
        else len(paper.DATASETS)
        if row["paper_dataset"] == "all"
        else 1,
    }


def _named(contrast: str | None) -> str | None:
    """``contrast`` with scorers by their names."""
    return contrast and SCORER.sub(lambda found: strategies.SCORERS[found[0]], contrast)


def _notes(rows: Sequence[Row]) -> list[str]:
    """How the verdicts were reached."""
    margins = {row["margin"] for row in rows} - {None}
    repeats = paper.repeats()
    rms = (sum(value**2 for value in repeats) / len(repeats)) ** 0.5
    factors = list(dict.fromkeys(factor for row in rows for factor in row["shares"])) or ["images"]
    families = dict.fromkeys(row["family"] for row in rows if row["family"])
    several = [
        "All together: the mean over data sets, each weighing the same, with an interval at least as wide as they "
        "scatter; mixed where one says the opposite by itself."
    ] if any(row["agree"] is not None for row in rows) else []  # fmt: skip
    repeated = max((row["repeated"] or 0 for row in rows), default=0)
    several += [
        f"{repeated} test images of the data sets taken together are files that an earlier one has too, and count once."
    ] if repeated else []  # fmt: skip
    few = [
        "One draw, two draws: of crops, or seeds of the head; a word needs three, better five."
    ] if any(row["verdict"] in ("one draw", "two draws") for row in rows) else []  # fmt: skip
    return [
        "Better: the mean over settings of the paired difference, with its 95 % interval; of several the smallest is "
        "shown, and all must be above zero.",
        *(f"p, after Holm's correction over {n} claims of a head and data set, decides." for n in families),
        *(
            f"Equal: all differences are surely within the points said, by two one-sided tests at 0.05; equivalent "
            f"where that is less than the margin, here {_points(margin)} points. Shown: the one that decides, with its "
            "90 % interval."
            for margin in sorted(margins)
        ),
        f"Intervals: {listed(factors)} vary in them, training images never do.",
        *several,
        *few,
        *([cost_claim.RULE] if any(row["kind"] == cost_claim.KIND for row in rows) else []),
        paper_claims.RULE,
        f"The paper prints {len(repeats)} settings twice (k = 5 in Tables 1, 3 and 4): they differ by up to "
        f"{_points(max(map(abs, repeats)))} points, {_points(rms)} root mean square.",
    ]


def _points(value: float) -> str:
    """Without a sign."""
    return text(value, "difference").removeprefix("+")

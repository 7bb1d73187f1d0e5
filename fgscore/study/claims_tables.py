"""The tables of `fgscore claims`: verdicts on the paper's claims, ours beside those by its own figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fgscore.evaluate import strategies
from fgscore.study import paper, paper_claims
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
    Column("contrast", "of"),
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
        "contrast": _named(row["contrast"]),
        "paper_contrast": _named(row["paper_contrast"]),
        "paper_of": len(paper.DATASETS) if row["paper_dataset"] == "all" else 1,
    }


def _named(contrast: str | None) -> str | None:
    """``contrast`` with scorers by their names."""
    return contrast and SCORER.sub(lambda found: strategies.SCORERS[found[0]], contrast)


def _notes(rows: Sequence[Row]) -> list[str]:
    """How the verdicts were reached."""
    margins = {row["margin"] for row in rows} - {None}
    repeats = paper.repeats()
    rms = (sum(value**2 for value in repeats) / len(repeats)) ** 0.5
    return [
        "Better: the mean over settings of the paired difference, image by image, with its 95 % bootstrap interval. "
        "Supported above zero, contradicted below, undecided across; of several differences all must be above.",
        *(
            f"Equal, with a p: two one-sided tests (Tango's score) of every difference against a margin, here "
            f"{_points(margin)} points. Supported where all are within, contradicted where one is surely outside. "
            "Shown: the largest, with its 90 % interval."
            for margin in sorted(margins)
        ),
        "Intervals are over test images; the variance of training is not in them.",
        paper_claims.RULE,
        f"The paper prints {len(repeats)} settings twice (k = 5 in Tables 1, 3 and 4): they differ by up to "
        f"{_points(max(map(abs, repeats)))} points, {_points(rms)} root mean square.",
    ]


def _points(value: float) -> str:
    """Without a sign."""
    return text(value, "difference").removeprefix("+")

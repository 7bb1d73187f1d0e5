"""Verdicts on the paper's claims as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fgscore.study import paper, paper_claims
from fgscore.study.paper_rows import p_value, points
from fgscore.tables import Row

COLUMNS = {
    "claim": "claim",
    "source": "source",
    "verdict": "verdict",
    "difference": "points",
    "interval": "interval",
    "p": "p",
    "contrast": "of",
    "n_test": "test",
    "paper_verdict": "by the paper's figures",
    "paper_difference": "points",
    "paper_datasets": "holds in",
    "paper_contrast": "of",
}


def verdict_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of :func:`fgscore.study.claims.verdicts` as text, differences in points."""
    return [_line(row) for row in rows]


def _line(row: Row) -> dict[str, Any]:
    interval = ""
    if row["low"] is not None:
        interval = f"{points(row['low'])} to {points(row['high'])} ({round(100 * row['level'])} %)"
    of = len(paper.DATASETS) if row["paper_dataset"] == "all" else 1
    return {
        **row,
        "difference": points(row["difference"]),
        "interval": interval,
        "p": p_value(row["p"]),
        "paper_difference": points(row["paper_difference"]),
        "paper_datasets": f"{row['paper_datasets']} of {of}",
    }


def caption(margin: float) -> list[str]:
    """How the verdicts were reached, a line each."""
    repeats = paper.repeats()
    rms = (sum(value**2 for value in repeats) / len(repeats)) ** 0.5
    return [
        "Better: the mean over settings of the paired difference, image by image, with its 95 % bootstrap interval. "
        "Supported above zero, contradicted below, undecided across; of several differences all must be above.",
        f"Equal: two one-sided tests (Tango's score) of every difference against a margin, here {100 * margin:g} "
        "points. Supported where all are within, contradicted where one is surely outside. Shown: the largest.",
        "Intervals are over test images; the variance of training is not in them.",
        paper_claims.RULE,
        f"The paper prints {len(repeats)} settings twice (k = 5 in Tables 1, 3 and 4): they differ by up to "
        f"{100 * max(map(abs, repeats)):.2f} points, {100 * rms:.2f} root mean square.",
    ]

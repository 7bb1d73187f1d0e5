"""The tables of a sweep: our accuracies beside the paper's, and notes that say what the numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fgscore.evaluate import strategies
from fgscore.tables import Column, Measured, Row, Table

NAMES = ("regions", "encoder", "prompt", "target", "strategy", "k", "head", "shots", "eval_split")
MEASURED = (
    Column("accuracy", "top-1", "accuracy"),
    Column("spread", "sd of runs", "accuracy"),
    Column("per_class", "per class", "accuracy"),
    Column("difference", "against global", "difference"),
    Column("interval", "95 % interval", "interval"),
    Column("p", "p", "p"),
    Column("p_holm", "p (Holm)", "p"),
    Column("paper", "paper", "accuracy"),
    Column("paper_difference", "ours - paper", "difference"),
    Column("paper_gain", "paper's gain", "difference"),
    Column("n_test", "test images", "count"),
    Column("converged", "converged", "flag"),
    strategies.UNDECIDED,
)
ONCE = ("encoder", "prompt", "head", "shots", "eval_split", "n_test", strategies.UNDECIDED.key)
TITLES = {
    1: "Table 1: scoring strategies, k = 5",
    2: "Table 2: true labels against pseudo-labels, k = 5",
    3: "Table 3: k, random crops",
    4: "Table 4: k, SAM masks",
}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Rows of :func:`fgscore.study.compare.compare` as one table for each data set and table of the paper, the same
    notes under all."""
    several = any(row["runs"] > 1 for row in rows)
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row["table"]), []).append(row)
    columns, notes = [*strategies.columns(*NAMES), *MEASURED], _notes(rows)
    made = []
    for (dataset, n), group in groups.items():
        title = f"{dataset}. {TITLES[n]}" if n else dataset
        marked = [i for i, row in enumerate(group) if row["upper_bound"]]
        lines = [_line(row, several) for row in group]
        made.append(Table(f"sweep-{n}", title, columns, lines, notes, ONCE, ["accuracy"], marked))
    return made


def candidates(rows: Sequence[Row]) -> Table:
    """What :func:`fgscore.study.selection.choose` chose from."""
    columns = strategies.columns("dataset", "regions", "strategy", "scorer", "target", "pool", "head")
    columns += [Column("validation_accuracy", "validation", "accuracy"), Column("chosen", "chosen", "flag")]
    lines = [{**row, **_names(row)} for row in rows]
    return Table("candidates", "Chosen on validation images", columns, lines, once=("dataset", "target", "head"))


def _names(row: Row) -> dict[str, Any]:
    strategy = strategies.strategy(row["scorer"], row["pool"], row["head"])
    return {"strategy": strategy, "target": strategies.target_name(row["target"]), "regions": row["regions"] or "-"}


def _line(row: Row, several: bool) -> dict[str, Any]:
    compared = row["difference"] is not None
    spread: float | str | None = row["spread"]
    if several and row["fixed_regions"] and spread is None:
        spread = "one set of masks"
    return {
        **row,
        **_names(row),
        "k": strategies.kept(row["pool"]),
        "shots": row["shots"] or "",
        "eval_split": strategies.measured_on(row.get("eval_split")),
        "accuracy": Measured(row["accuracy"], row["low"], row["high"]),
        "spread": spread,
        "interval": (row["difference_low"], row["difference_high"]) if compared else None,
        "paper_difference": None if row["paper"] is None else row["accuracy"] - row["paper"],
        "paper_gain": row["paper_gain"] if compared else None,
        "converged": None if row["converged"] else False,
    }


def _notes(rows: Sequence[Row]) -> list[str]:
    """What the numbers mean, a sentence or two each."""
    n = max((row.get("comparisons", 0) for row in rows), default=0)
    notes = [
        "Intervals: 95 %, bootstrap over test images. They tell of the choice of test images; the variance of training "
        "is not in them."
    ]
    if n:
        notes.append(
            "Against global: points over the global embedding alone under the same head, on the same images; p: "
            f"McNemar, exact; Holm's correction over all comparisons of a data set under one head, here {n}."
        )
    if any(row["runs"] > 1 for row in rows):
        notes.append(
            "Lines of several runs: mean accuracy, and its standard deviation over draws of crops and seeds of the "
            "head; p is of the first run. Masks have one set an image, so no other draw to spread over."
        )
    notes += strategies.bounds(rows)
    if any(row["paper"] is not None for row in rows):
        notes.append(
            "Paper: its printed top-1 (CLIP ViT-B/32, SAM ViT-B, head adamw), without intervals; its gain is over its "
            "own global linear probe. Another encoder or head is another experiment."
        )
    return notes

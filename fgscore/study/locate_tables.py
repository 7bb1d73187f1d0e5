"""The tables of `fgscore locate`: where the best regions lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fgscore.evaluate import strategies
from fgscore.tables import Column, Row, Table

COLUMNS = (
    Column("annotation", "on"),
    *strategies.columns("strategy", "target", "k"),
    Column("on", "area on it", "share"),
    Column("on_chance", "chance", "share"),
    Column("difference", "points", "difference"),
    Column("interval", "95 % interval", "interval"),
    Column("hits", "half on it", "share"),
    Column("hits_chance", "chance", "share"),
    Column("covers", "covered", "share"),
    Column("covers_chance", "chance", "share"),
    Column("images", "images", "count"),
)
NOTES = (
    "Area on it: mean share of a kept region's area that lies on what is annotated; half on it: share of kept regions "
    "with half their area there; covered: mean share of it inside a kept region.",
    "Chance: the same over all regions, as keeping k at random would give. Intervals: Student's t over images.",
)


def tables(rows: Sequence[Row]) -> list[Table]:
    """Rows of :func:`fgscore.study.locate.locate` as one table for each data set, generator, encoder and prompt; by
    annotation within, the same notes under all."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        by = f"{row['encoder']}, prompt {row['prompt']}" if row["prompt"] else row["encoder"]
        groups.setdefault(f"{row['dataset']}: {row['regions']}{strategies.bound(row['regions'])} by {by}", []).append(
            row
        )
    made = []
    for title, group in groups.items():
        annotations = list(dict.fromkeys(row["annotation"] for row in group))
        lines = [_line(row) for annotation in annotations for row in group if row["annotation"] == annotation]
        made.append(Table("located", title, COLUMNS, lines, NOTES, once=("k", "images")))
    return made


def _line(row: Row) -> dict[str, Any]:
    return {
        **row,
        "strategy": strategies.scored(row["scorer"], None),
        "target": strategies.target_name(row["target"]),
        "interval": (row["low"], row["high"]),
    }

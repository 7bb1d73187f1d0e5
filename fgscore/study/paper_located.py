"""Where the best regions lie, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fgscore.study.paper_rows import points
from fgscore.tables import STRATEGIES, Row

COLUMNS = {
    "annotation": "on",
    "strategy": "scoring strategy",
    "target": "target",
    "k": "k",
    "on": "area on it",
    "on_chance": "chance",
    "difference": "points",
    "interval": "95 % interval",
    "hits": "half on it",
    "hits_chance": "chance",
    "covers": "covered",
    "covers_chance": "chance",
    "images": "images",
}
CAPTION = (
    "Area on it: mean share of a kept region's area that lies on what is annotated; half on it: share of kept regions "
    "with half their area there; covered: mean share of it inside a kept region.",
    "Chance: the same over all regions, as keeping k at random would give. Intervals: bootstrap over images.",
)


def located_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of :func:`fgscore.study.locate.locate` as text."""
    return [_line(row) for row in rows]


def _line(row: Row) -> dict[str, Any]:
    shares = {key: f"{row[key]:.3f}" for key in row if key.removesuffix("_chance") in ("on", "hits", "covers")}
    name, parenthesis, rest = row["scorer"].partition("(")
    oracle = row["target"] == "oracle"
    return {
        **row,
        **shares,
        "strategy": STRATEGIES.get(name, name) + (f" ({rest}" if parenthesis else ""),
        "target": "oracle (upper bound)" if oracle else row["target"] or "-",
        "difference": points(row["difference"]),
        "interval": f"{points(row['low'])} to {points(row['high'])}",
    }


def groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows of one data set, generator, encoder and prompt, with a title; by annotation within."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        by = f"{row['encoder']}, prompt {row['prompt']}" if row["prompt"] else row["encoder"]
        found.setdefault(f"{row['dataset']}: {row['regions']} by {by}", []).append(row)
    for group in found.values():
        order = list(dict.fromkeys(row["annotation"] for row in group))
        group.sort(key=lambda row, order=order: order.index(row["annotation"]))  # type: ignore[misc]
    return list(found.items())

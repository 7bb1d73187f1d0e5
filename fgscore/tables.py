"""Rows of results as terminal tables: the one place that formats an accuracy."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
WIDE = 240  # a pipe has no width of its own; a table cut to 80 columns would lose results


def accuracy(value: float | None) -> str:
    """0.6558 as in the paper's tables."""
    return "" if value is None else f"{value:.4f}"


def size(n_bytes: float) -> str:
    """Bytes with a unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def cell(value: Any) -> str:
    """A value as table text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, reversals of direction, halves of characters, ends of lines
JOINERS = "\u200c\u200d"  # of the kind, but spelling needs them


def visible(text: str) -> str:
    """``text`` in one line as a terminal shows it and does not obey it: what is no sign to read is escaped, ``\\x1b``.
    Whatever comes from a file, a photo's name or a store goes through here on its way to a terminal."""
    if text.isprintable():
        return text
    hidden = (c for c in set(text) - set(JOINERS) if unicodedata.category(c) in OBEYED)
    return text.translate({ord(c): c.encode("unicode_escape").decode() for c in hidden})


def show(rows: Sequence[Row], columns: Mapping[str, str], title: str = "") -> None:
    """Print ``rows`` to stdout; ``columns`` maps keys to headings. Columns that are empty throughout are left out,
    numbers stand to the right."""
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = Text(visible(title), "table.title") if title else None
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False, header_style="bold")
    kept = [key for key in columns if any(cell(row.get(key)) for row in rows)]
    for key in kept:
        numeric = all(isinstance(row.get(key), int | float | None) or _is_number(row.get(key)) for row in rows)
        table.add_column(Text(visible(columns[key])), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell(row.get(key)))) for key in kept))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, highlight=False)
    console.print(table)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return value in ("", None)
    return True


PROBE_COLUMNS = {
    "dataset": "data set",
    "regions": "regions",
    "encoder": "encoder",
    "prompt": "prompt",
    "scorer": "scorer",
    "target": "target",
    "pool": "pooling",
    "features": "features",
    "crops": "crops",
    "head": "head",
    "shots": "shots",
    "accuracy": "top-1",
    "interval": "95 % interval",
    "per_class": "per class",
    "n_test": "test",
    "without_regions": "no regions",
    "converged": "converged",
    "seconds": "seconds",
}


def interval(low: float | None, high: float | None) -> str:
    """0.6413 to 0.6701, as text."""
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def probe_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Result rows as text, with the oracle marked: it reads test labels and is an upper bound."""
    shown = []
    for row in rows:
        target = f"{row['target']} (upper bound)" if row["target"] == "oracle" else row["target"]
        text = {k: accuracy(row[k]) for k in ("accuracy", "per_class")}
        text["interval"] = interval(row.get("low"), row.get("high"))
        shown.append({**row, **text, "target": target, "shots": row.get("shots") or ""})
    return shown


def shared(rows: Sequence[Row], keys: Sequence[str]) -> dict[str, Any]:
    """Those of ``keys`` on which all rows agree: said once instead of in a column each."""
    return {k: rows[0][k] for k in keys if rows and all(row.get(k) == rows[0].get(k) for row in rows)}


STRATEGIES = {
    ("none", "zeroshot"): "Zero-shot",
    ("none", "logreg"): "Global linear",
    "self": "Global embedding twice",
    "mean": "Average local",
    "region_global": "Region-global similarity",
    "region_text": "Region-text similarity",
    "hard_margin": "Hard negative margin",
    "soft_margin": "Soft negative margin",
    "entropy": "Entropy confidence",
}


def comparison(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Result rows in the form of the paper's Table 1, with the gain over the global probe in points."""
    baseline = next(r["accuracy"] for r in rows if r["pool"] == "none" and r["head"] != "zeroshot")
    shown = []
    for row in rows:
        name = row["scorer"] or (row["pool"] if row["regions"] else (row["pool"], row["head"].partition("(")[0]))
        shown.append(
            {
                "candidate": row["regions"].partition("(")[0] or "-",
                "target": row["target"] or "-",
                "strategy": STRATEGIES.get(name, str(name)),
                "accuracy": accuracy(row["accuracy"]),
                "gain": f"{100 * (row['accuracy'] - baseline):+.1f}",
            }
        )
    return shown


COMPARISON_COLUMNS = {
    "candidate": "candidate",
    "target": "pseudo-label",
    "strategy": "scoring strategy",
    "accuracy": "top-1",
    "gain": "against global linear",
}

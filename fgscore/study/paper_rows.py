"""Rows of a sweep as text: ours beside the paper's, and the caption that says what the numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fgscore import specs
from fgscore.tables import STRATEGIES, Row, accuracy, interval

COLUMNS = {
    "candidate": "regions",
    "encoder": "encoder",
    "prompt": "prompt",
    "target": "target",
    "strategy": "scoring strategy",
    "k": "k",
    "head": "head",
    "shots": "shots",
    "accuracy": "top-1",
    "interval": "95 % interval",
    "spread": "sd of runs",
    "per_class": "per class",
    "difference": "against global",
    "difference_interval": "95 % interval",
    "p": "p",
    "p_holm": "p (Holm)",
    "paper": "paper",
    "paper_difference": "ours - paper",
    "paper_gain": "paper's gain",
    "converged": "converged",
}
TITLES = {
    0: "",
    1: "Table 1: scoring strategies, k = 5",
    2: "Table 2: true labels against pseudo-labels, k = 5",
    3: "Table 3: k, random crops",
    4: "Table 4: k, SAM masks",
}


def points(value: float | None) -> str:
    """A difference of accuracies in points: +1.25."""
    return "" if value is None else f"{100 * value:+.2f}"


def p_value(value: float | None) -> str:
    """A p-value of four digits; < 0.0001 below."""
    return "" if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def strategy(row: Row) -> str:
    """The paper's name for what a row scores by, with hyper-parameters that are not the default."""
    if row["scorer"]:
        name, parenthesis, rest = row["scorer"].partition("(")
        return STRATEGIES.get(name, name) + (f" ({rest}" if parenthesis else "")
    return STRATEGIES.get(row["pool"], "Global embedding alone")


def sweep_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of :func:`fgscore.study.compare.compare` as text."""
    several = any(row["runs"] > 1 for row in rows)
    short = short_names([row["regions"] for row in rows])
    return [_line(row, short, several) for row in rows]


def short_names(regions: Sequence[str]) -> dict[str, str]:
    """Each text of a generator to its name alone, where no other text has that name."""
    names = {text: text.partition("(")[0] for text in regions}
    return {text: name if list(names.values()).count(name) == 1 else text for text, name in names.items()}


def _line(row: Row, short: Mapping[str, str], several: bool) -> dict[str, Any]:
    spread = accuracy(row["spread"])
    if several and row["fixed_regions"] and row["spread"] is None:
        spread = "one set of masks"
    ours_less_paper = None if row["paper"] is None else row["accuracy"] - row["paper"]
    between = ""
    if row["difference"] is not None:
        between = f"{points(row['difference_low'])} to {points(row['difference_high'])}"
    return {
        **row,
        "candidate": short[row["regions"]] or "-",
        "target": f"{row['target']} (upper bound)" if row["upper_bound"] else row["target"] or "-",
        "strategy": strategy(row),
        "k": kept(row["pool"]),
        "shots": row["shots"] or "",
        "accuracy": accuracy(row["accuracy"]),
        "interval": interval(row["low"], row["high"]),
        "spread": spread,
        "per_class": accuracy(row["per_class"]),
        "difference": points(row["difference"]),
        "difference_interval": between,
        "p": p_value(row["p"]),
        "p_holm": p_value(row["p_holm"]),
        "paper": accuracy(row["paper"]),
        "paper_difference": points(ours_less_paper),
        "paper_gain": points(row["paper_gain"]) if row["difference"] is not None else "",
        "converged": "" if row["converged"] else "no",
    }


def kept(pool: str) -> str:
    """How many regions a pooling keeps, with what else it was given; empty where it does not choose."""
    params = specs.parse(pool).params
    if not pool.startswith("topk"):
        return ""
    rest = {key: value for key, value in params.items() if key != "k"}
    return f"{params.get('k', 5)}" + (f" {specs.text('', rest)}" if rest else "")


def caption(rows: Sequence[Row]) -> list[str]:
    """What the numbers mean, a line each."""
    n = max((row.get("comparisons", 0) for row in rows), default=0)
    lines = [
        "Intervals: 95 %, bootstrap over test images. They tell of the choice of test images; the variance of training "
        "is not in them."
    ]
    if n:
        lines.append(
            "Against global: points over the global embedding alone under the same head, on the same images; p: "
            f"McNemar, exact; Holm's correction over all comparisons of a data set under one head, here {n}."
        )
    if any(row["runs"] > 1 for row in rows):
        lines.append(
            "Lines of several runs: mean accuracy, and its standard deviation over draws of crops and seeds of the "
            "head; p is of the first run. Masks have one set an image, so no other draw to spread over."
        )
    if any(row["upper_bound"] for row in rows):
        lines.append("Target oracle reads the labels of test images: an upper bound.")
    if any(row["paper"] is not None for row in rows):
        lines.append(
            "Paper: its printed top-1 (CLIP ViT-B/32, SAM ViT-B, head adamw), without intervals; its gain is over its "
            "own global linear probe. Another encoder or head is another experiment."
        )
    return lines

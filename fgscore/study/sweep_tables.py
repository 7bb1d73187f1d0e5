"""The tables of a sweep: our accuracies beside the paper's, and notes that say what the numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fgscore.evaluate import strategies
from fgscore.store.paths import slug
from fgscore.tables import Column, Measured, Row, Table, text

NAMES = ("regions", "encoder", "prompt", "target", "strategy", "k", "head", "shots", "eval_split")
MEASURED = (
    Column("accuracy", "top-1", "accuracy"),
    strategies.COST[0],
    Column("spread", "sd of runs", "accuracy"),
    Column("per_class", "per class", "accuracy"),
    Column("against", "against"),
    Column("difference", "difference", "difference"),
    Column("interval", "95 % interval", "interval"),
    Column("word", "that it is better"),
    Column("p", "p", "p"),
    Column("p_holm", "p (Holm)", "p"),
    Column("p_mcnemar", "McNemar's p", "p"),
    Column("differ", "images that differ", "count"),
    Column("visible", "visible, about", "difference"),
    Column("shares", "varies by"),
    Column("over_global", "over global", "difference"),
    Column("paper", "paper", "accuracy"),
    Column("paper_difference", "ours - paper", "difference"),
    Column("paper_gain", "paper's gain", "difference"),
    Column("draws", "draws", "count"),
    Column("seeds", "seeds", "count"),
    Column("converged", "converged", "flag"),
    strategies.UNDECIDED,
)
ONCE = ("encoder", "prompt", "head", "shots", "eval_split", "n_test", strategies.UNDECIDED.key)
AGAINST = {"self": "global twice"}
MARK = " *"
BASELINES = {
    "mean": "what is scored, against the mean of the same regions",
    "self": "the mean, against the global embedding twice, which is as wide",
    "global": "the global embedding twice, against it once, which shows what width alone gains",
}
TITLES = {
    1: "Table 1: scoring strategies, k = 5",
    2: "Table 2: true labels against pseudo-labels, k = 5",
    3: "Table 3: k, random crops",
    4: "Table 4: k, SAM masks",
}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Rows of :func:`fgscore.study.compare.compare` as one table for each data set and table of the paper, the same
    notes under all. Their names are ``sweep-1`` and so on, of several data sets ``sweep-cub-1``."""
    several = any(row["runs"] > 1 for row in rows)
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row["table"]), []).append(row)
    columns = [*strategies.columns(*NAMES), *MEASURED, strategies.measured_images(rows)]
    notes = _notes(rows)
    made = []
    of_several = len({dataset for dataset, _ in groups}) > 1
    for (dataset, n), group in groups.items():
        name = f"sweep-{slug(dataset)}-{n}" if of_several else f"sweep-{n}"
        title = f"{dataset}. {TITLES[n]}" if n else dataset
        marked = [i for i, row in enumerate(group) if row["upper_bound"]]
        lines = [_line(row, several) for row in group]
        made.append(Table(name, title, columns, lines, notes, ONCE, ["accuracy"], marked))
    return made


def candidates(rows: Sequence[Row]) -> Table:
    """What :func:`fgscore.study.selection.choose` chose from."""
    columns = strategies.columns("dataset", "regions", "strategy", "scorer", "target", "pool", "head")
    columns += [Column("validation_accuracy", "validation", "accuracy"), Column("chosen", "chosen", "flag")]
    lines = [{**row, **_names(row)} for row in rows]
    return Table("candidates", "Chosen on validation images", columns, lines, once=("dataset", "target", "head"))


def varies(shares: Mapping[str, float]) -> str:
    """``images 64 %, draws 36 %``: of what to take more; of one factor its name alone."""
    if len(shares) < 2:
        return next(iter(shares), "")
    return ", ".join(f"{factor} {round(100 * share)} %" for factor, share in shares.items())


def _names(row: Row) -> dict[str, Any]:
    strategy = strategies.strategy(row["scorer"], row["pool"], row["head"])
    return {"strategy": strategy, "target": strategies.target_name(row["target"]), "regions": row["regions"] or "-"}


def _line(row: Row, several: bool) -> dict[str, Any]:
    compared, named = row["difference"] is not None, _names(row)
    spread: float | str | None = row["spread"]
    if several and row["fixed_regions"] and spread is None:
        spread = "one set"
    return {
        **row,
        **named,
        "head": strategies.head_beside(named["strategy"], row["head"]),
        "k": strategies.kept(row["pool"]),
        "shots": row["shots"] or "",
        "eval_split": strategies.measured_on(row.get("eval_split")),
        "accuracy": Measured(row["accuracy"], row["low"], row["high"]),
        "macs": _cost(row),
        "spread": spread,
        "against": AGAINST.get(row["against"], row["against"]),
        "interval": (row["difference_low"], row["difference_high"]) if compared else None,
        "visible": text(row["visible"], "difference").removeprefix("+") if compared else None,
        "shares": varies(row["shares"]),
        "draws": row["draws"] or "",
        "seeds": row["seeds"] or "",
        "paper_difference": None if row["paper"] is None else row["accuracy"] - row["paper"],
        "paper_gain": row["paper_gain"] if row["over_global"] is not None else None,
        "converged": False if row["converged"] is False else None,
    }


def _cost(row: Row) -> str:
    """Multiply-accumulates, with a mark where no cheaper row is better."""
    return text(strategies.gmac(row), "macs") + (MARK if row["frontier"] else "")


def _notes(rows: Sequence[Row]) -> list[str]:
    """What the numbers mean, a sentence or two each."""
    factors = list(dict.fromkeys(factor for row in rows for factor in row["shares"]))
    varying = factors or ["images", *(f for f in ("draws", "seeds") if any(row[f] > 1 for row in rows))]
    notes = [
        f"Intervals: 95 %; {listed(varying)} vary in them, training images never do. Top-1: Wilson's; differences: "
        "Student's t, one number of degrees of freedom for a table."
    ]
    against = dict.fromkeys(row["against"] for row in rows if row["against"])
    if against:
        ways = "; ".join(BASELINES[name] for name in BASELINES if name in against)
        notes.append(
            f"Differences, in points, on the same images under the same head: {ways}. Random, shuffled and reversed "
            "scores, the mean of ten crops, crops matched to masks, and the global embedding twice, are controls: no p "
            "is asked of them."
        )
    families = {(row["dataset"], row["table"], row["head"], row["shots"]): row["comparisons"] for row in rows
                if row["comparisons"]}  # fmt: skip
    if families:
        counts = " or ".join(str(n) for n in dict.fromkeys(families.values()))
        several = f"{len(families)} families at 5 % each." if len(families) > 1 else "one family at 5 %."
        notes.append(
            f"p: two-sided, and after Holm's correction over the {counts} differences of a table under one head: "
            f"{several} Visible: the smallest difference that would have been found four times in five."
        )
    if any(row["word"] in ("one draw", "two draws") for row in rows):
        notes.append(
            "One draw, two draws: of crops, or seeds of the head; a word needs three, better five: --draws 3, and "
            "--head-seeds 3 for a head that starts at random."
        )
    if any(row["runs"] > 1 for row in rows):
        notes.append(
            "Lines of several runs: mean accuracy, and its standard deviation over draws of crops and seeds of the "
            "head. Masks have one set an image, so no other draw to spread over."
        )
    notes += [*strategies.bounds(rows), *strategies.fixed_epochs(rows)]
    notes += strategies.costs(rows)
    if any(row["frontier"] for row in rows):
        notes.append(
            f"{MARK.strip()}: by accuracy as measured, no row of the table that costs as much or less is better, upper "
            "bounds aside; whether the difference is more than chance, its interval says."
        )
    if any(row["paper"] is not None for row in rows):
        notes.append(
            "Paper: its printed top-1 (CLIP ViT-B/32, SAM ViT-B, head adamw), without intervals; its gain is over its "
            "own global linear probe. Another encoder or head is another experiment."
        )
    return notes


def listed(names: Sequence[str]) -> str:
    """``images, draws and seeds``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

"""Rows of results in the shape of the paper's tables: Table 1 (comparison), 2 (oracle), 3 and 4 (over k)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fgscore.evaluate import strategies
from fgscore.evaluate.strategies import K, is_oracle, kept
from fgscore.tables import Column, Measured, Table

Row = Mapping[str, Any]
EMBEDDINGS, NOT_HERE = "embeddings", "not in this cache"  # a column of the report's own, and what it says
SETTINGS = ("encoder", "prompt", "features", "crops", "shots", "head", "eval_split", EMBEDDINGS)
IDENTITY = ("dataset", "regions", "scorer", "target", "pool", *SETTINGS, "seed")
ACCURACY = (Column("accuracy", "top-1", "accuracy"), Column("per_class", "per class", "accuracy"))
MEASURED = (
    Column("without_regions", "without regions", "count"),
    Column("training", "training"),
    strategies.UNDECIDED,
    Column("seconds", "time", "seconds"),
)
ONCE = (*IDENTITY, "n_test", "without_regions", "training", strategies.UNDECIDED.key)


def strategy(row: Row) -> str:
    """The name of what a row does."""
    return strategies.strategy(str(row["scorer"]), str(row["pool"]), str(row["head"]))


def measured(row: Row) -> Measured:
    """Accuracy of a row, with its interval where the row has one."""
    return Measured(float(row["accuracy"]), row.get("low"), row.get("high"))


def describe(row: Row) -> str:
    """A result in a line: ``Soft negative margin, global, k = 5, random_crop``."""
    k = kept(str(row["pool"]))
    extra = [f"{key} {row[key]}" for key in ("crops", "shots") if row.get(key)]
    extra += [f"seed {row['seed']}"] if (row.get("seed") or 0) > 0 else []
    extra += [f"on {measured}"] if (measured := strategies.measured_on(row.get("eval_split"))) else []
    extra += [f"embeddings {row[EMBEDDINGS]}"] if row.get(EMBEDDINGS) else []
    target = strategies.target_name(row["target"]) if row["target"] else ""
    regions = str(row["regions"]).partition("(")[0] + strategies.bound(str(row["regions"]))
    parts = [strategy(row), target, f"k = {k}" if k else "", regions, *extra]
    head = strategies.head_beside(strategy(row), str(row["head"]))
    return ", ".join(str(part) for part in (*parts, "" if head == "logreg" else head) if part)


def baseline(rows: Sequence[Row]) -> float | None:
    """Accuracy of the global embedding alone, on all train images: of the best trained head, over its seeds; None where
    nobody measured it."""
    found = defaultdict(list)
    for row in rows:
        if strategy(row) == strategies.GLOBAL_LINEAR and not row.get("shots"):
            found[row["head"]].append(float(row["accuracy"]))
    return max((sum(several) / len(several) for several in found.values()), default=None)


def tables(rows: Sequence[Row]) -> list[Table]:
    """Every table that ``rows`` have something for."""
    best_first = sorted(rows, key=lambda row: (str(row["dataset"]), -row["accuracy"]))
    made = [comparison(rows), over_k(rows), oracle(rows), every_result(best_first, "All results", strategies.COST)]
    return [table for table in made if table.rows]


def every_result(rows: Sequence[Row], title: str = "", costs: Sequence[Column] = strategies.COST[:1]) -> Table:
    """One line a result, in the order of ``rows``, with as much of its cost as the columns ``costs`` are."""
    lines = [
        {
            **row,
            "strategy": strategy(row),
            "target": strategies.target_name(row["target"]),
            "shots": row.get("shots") or "",
            "eval_split": strategies.measured_on(row.get("eval_split")),
            "seed": "" if row.get("seed") in (None, -1) else row["seed"],
            "accuracy": measured(row),
            "macs": strategies.gmac(row),
        }
        for row in rows
    ]
    marked = [i for i, row in enumerate(rows) if is_oracle(row["target"])]
    notes = [*strategies.bounds(rows), *strategies.costs(rows), *strategies.fixed_epochs(rows)]
    columns = [
        *strategies.columns("strategy", *IDENTITY),
        *ACCURACY,
        *costs,
        strategies.measured_images(rows),
        *MEASURED,
    ]
    return Table("results", title, columns, lines, notes, ONCE, ["accuracy"], marked)


def comparison(rows: Sequence[Row]) -> Table:
    """Table 1: baselines, then every scorer with its pseudo-label, one column a data set, at one k. Of one data set
    with one trained global probe, also the gain over that."""
    k = _usual_k(rows)
    made = _pivot(
        "comparison",
        f"Top-1 accuracy, k = {k}",
        [row for row in rows if not is_oracle(row["target"]) and kept(str(row["pool"])) in (None, k)],
        ("regions", "target", "strategy"),
    )
    alone = [line for line in made.rows if line["strategy"] == strategies.GLOBAL_LINEAR]
    if len(made.best) != 1 or len(alone) != 1:
        return made
    (dataset,) = made.best
    lines = [{**line, "gain": line[dataset].value - alone[0][dataset].value} for line in made.rows]
    gain = Column("gain", f"against {strategies.GLOBAL_LINEAR}", "difference")
    return replace(made, columns=[*made.columns, gain], rows=lines)


def over_k(rows: Sequence[Row]) -> Table:
    """Tables 3 and 4: accuracy over k, for what was measured at more than one."""
    by_run = defaultdict(set)
    for row in rows:
        by_run[_run(row)].add(kept(str(row["pool"])))
    several = [r for r in rows if kept(str(r["pool"])) and len(by_run[_run(r)]) > 1 and not is_oracle(r["target"])]
    return _pivot("over-k", "Top-1 accuracy over k", several, ("regions", "strategy", "target", "k"))


def oracle(rows: Sequence[Row]) -> Table:
    """Table 2: accuracy with true labels, and what pseudo-labels lose against it."""
    k = _usual_k([row for row in rows if is_oracle(row["target"])])
    at_k = sorted((row for row in rows if kept(str(row["pool"])) == k), key=_paper_order)
    pseudo = {(_alike(row), row["target"]): row["accuracy"] for row in at_k}
    true = [row for row in at_k if is_oracle(row["target"])]
    found = []
    for row in true:
        line = _line(row, ("regions", "strategy"))
        found.append((line, f"{row['dataset']} true", measured(row)))
        for target in ("global", "local"):
            if (_alike(row), target) in pseudo:
                found.append((line, f"{row['dataset']} {target}", pseudo[_alike(row), target] - row["accuracy"]))
    columns = strategies.columns(*SETTINGS, "regions", "strategy")
    datasets = sorted({str(row["dataset"]) for row in true})
    for name in datasets:
        before = f"{name}: " if len(datasets) > 1 else ""
        columns.append(Column(f"{name} true", f"{before}true", "accuracy"))
        columns += [Column(f"{name} {t}", f"{before}Δ {t}", "difference") for t in ("global", "local")]
    title = f"True labels against pseudo-labels, k = {k}"
    return Table("oracle", title, columns, _merged(found), [strategies.UPPER_BOUND], SETTINGS)


def _alike(row: Row) -> tuple:
    """Everything that was compared but the target."""
    return tuple(str(row.get(key)) for key in IDENTITY if key != "target")


def _pivot(name: str, title: str, rows: Sequence[Row], keys: Sequence[str]) -> Table:
    """``rows`` with one column a data set, several seeds of one setting as their mean."""
    found = [(_line(r, keys), f"{r['dataset']} top-1", measured(r)) for r in sorted(rows, key=_paper_order)]
    datasets = sorted({str(row["dataset"]) for row in rows})
    of_datasets = [Column(f"{dataset} top-1", dataset, "accuracy") for dataset in datasets]
    columns = [*strategies.columns(*SETTINGS, *keys), *of_datasets]
    return Table(name, title, columns, _merged(found), once=SETTINGS, best=[column.key for column in of_datasets])


def _line(row: Row, keys: Sequence[str]) -> dict[str, Any]:
    """What names a line: its settings and, of the rest, ``keys``."""
    name = strategy(row)
    rest = {"regions": row["regions"] or "-", "target": strategies.target_name(row["target"]), "strategy": name}
    rest["k"] = kept(str(row["pool"]))
    settings = {key: row.get(key) or "" for key in SETTINGS}
    settings["eval_split"] = strategies.measured_on(row.get("eval_split"))
    settings["head"] = strategies.head_beside(name, settings["head"])
    return settings | {key: rest[key] for key in keys}


def _merged(found: Sequence[tuple[dict[str, Any], str, Measured | float]]) -> list[dict[str, Any]]:
    """Each line once, with the mean of what was found for it in each column."""
    lines: dict[tuple, dict[str, Any]] = {}
    cells: dict[tuple, dict[str, list]] = {}
    for line, column, value in found:
        key = tuple(line.values())
        lines.setdefault(key, line)
        cells.setdefault(key, defaultdict(list))[column].append(value)
    return [line | {column: _mean(values) for column, values in cells[key].items()} for key, line in lines.items()]


def _mean(values: Sequence[Any]) -> Measured | float:
    """The mean over seeds, and of the ends of their intervals where all have one."""
    n = len(values)
    if not isinstance(values[0], Measured):
        return sum(values) / n
    lows, highs = [v.low for v in values if v.low is not None], [v.high for v in values if v.high is not None]
    ends = (sum(lows) / n, sum(highs) / n) if len(lows) == len(highs) == n else (None, None)
    return Measured(sum(v.value for v in values) / n, *ends)


def _paper_order(row: Row) -> tuple:
    targets = ["", "global", "local", "oracle"]
    name = strategy(row)
    place = next((i for i, known in enumerate(strategies.ORDER) if name.startswith(known)), len(strategies.ORDER))
    target = targets.index(row["target"]) if row["target"] in targets else len(targets)
    settings = tuple(str(v or "") for v in _line(row, ()).values())
    k = kept(str(row["pool"]))
    return (settings, str(row["regions"]), target, place, name, k if isinstance(k, int) else math.inf)


def _run(row: Row) -> tuple:
    """What a row is at any k."""
    return (strategy(row), *(str(row.get(key) or "") for key in IDENTITY if key not in ("pool", "seed")))


def _usual_k(rows: Sequence[Row]) -> int | str:
    """The paper's k where anything was measured at it, else the most frequent."""
    found = Counter(k for row in rows if (k := kept(str(row["pool"]))))
    return K if K in found or not found else found.most_common(1)[0][0]

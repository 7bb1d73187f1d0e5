"""Rows of results in the shape of the paper's tables: Table 1 (comparison), 2 (oracle), 3 and 4 (over k)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fgscore import specs
from fgscore.report.documents import Change, Estimate, Short, Table
from fgscore.tables import STRATEGIES

Row = Mapping[str, Any]
EMBEDDINGS, NOT_HERE = "embeddings", "not in this cache"  # a column of the report's own, and what it says
SETTINGS = ("encoder", "prompt", "features", "crops", "shots", "head", EMBEDDINGS)
IDENTITY = ("dataset", "regions", "scorer", "target", "pool", *SETTINGS)
HEADINGS = {
    "dataset": "data set",
    "regions": "regions",
    "candidate": "candidate",
    "target": "pseudo-label",
    "strategy": "scoring strategy",
    "scorer": "scorer",
    "pool": "pooling",
    "accuracy": "top-1",
    "per_class": "per class",
    "n_test": "test images",
    "without_regions": "without regions",
    "k": "k",
}
BOUNDS = (("ci_low", "ci_high"), ("low", "high"))
PAPER_K = "5"
UPPER_BOUND = "Target oracle reads the labels of test images: an upper bound."


def estimate(row: Row) -> Estimate:
    """Accuracy of a row, with its interval where the row has one."""
    for low, high in BOUNDS:
        if row.get(low) is not None and row.get(high) is not None:
            return Estimate(float(row["accuracy"]), float(row[low]), float(row[high]))
    return Estimate(float(row["accuracy"]))


def k_of(row: Row) -> str:
    """How many regions a row pools: '5', 'all', or nothing for poolings without k."""
    pooling = specs.parse(str(row["pool"]))
    return str(pooling.params.get("k", PAPER_K)) if pooling.name == "topk" else ""


def strategy(row: Row) -> str:
    """The paper's name of what a row does, with the parameters that were written out."""
    if not row["scorer"]:
        head = specs.parse(str(row["head"])).name
        names = {"zeroshot": "Zero-shot"} if row["pool"] == "none" else {}
        plain = "Global linear" if row["pool"] == "none" else STRATEGIES.get(row["pool"], str(row["pool"]))
        return names.get(head, plain)
    scorer = specs.parse(str(row["scorer"]))
    rest = str(row["scorer"])[len(scorer.name) :]
    return STRATEGIES.get(scorer.name, scorer.name) + (f" {rest}" if rest else "")


def describe(row: Row) -> str:
    """A result in a line: ``Soft negative margin, global, k = 5, random_crop``."""
    k = k_of(row)
    extra = [f"{key} {row[key]}" for key in ("crops", "shots") if row.get(key)]
    extra += [f"seed {row['seed']}"] if (row.get("seed") or 0) > 0 else []
    extra += [f"embeddings {row[EMBEDDINGS]}"] if row.get(EMBEDDINGS) else []
    parts = [strategy(row), row["target"], f"k = {k}" if k else "", str(row["regions"]).partition("(")[0], *extra]
    head = row["head"] if row["head"] not in ("logreg", "zeroshot") else ""
    return ", ".join(str(part) for part in (*parts, head) if part)


def baseline(rows: Sequence[Row]) -> float | None:
    """Accuracy of the global embedding alone, on all train images: of the best trained head, over its seeds; None where
    nobody measured it."""
    found = defaultdict(list)
    for row in rows:
        if strategy(row) == "Global linear" and not row.get("shots"):
            found[row["head"]].append(float(row["accuracy"]))
    return max((sum(several) / len(several) for several in found.values()), default=None)


def short(components: Iterable[str]) -> dict[str, str]:
    """Component to the shortest text that tells it from the others: its name, or all of it."""
    names = {c: c.partition("(")[0] for c in components if c}
    shared = Counter(names.values())
    return {c: name if shared[name] == 1 else c for c, name in names.items()} | {"": "-"}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Every table that ``rows`` have something for."""
    made = [comparison(rows), over_k(rows), oracle(rows), every_result(rows)]
    return [table for table in made if table.rows]


def every_result(rows: Sequence[Row]) -> Table:
    """One line a result; columns on which all agree are said once, below."""
    rows = [{**row, "seed": "" if row.get("seed") in (None, -1) else str(row["seed"])} for row in rows]
    said, varying = _split(rows, (*IDENTITY, "seed"))
    measured = ("accuracy", "per_class", "n_test", "without_regions")
    keys = [*varying, *(k for k in measured if any(r.get(k) for r in rows))]
    columns = {k: HEADINGS.get(k, k) for k in keys}
    candidates = short({str(r["regions"]) for r in rows})
    lines = []
    for row in sorted(rows, key=lambda r: (str(r["dataset"]), -r["accuracy"])):
        numbers = {"accuracy": estimate(row), "per_class": Estimate(row["per_class"])}
        target = f"{row['target']} (upper bound)" if _is_oracle(row) else row["target"]
        regions = Short(candidates[row["regions"]].strip("-"), row["regions"])
        lines.append({**row, **numbers, "regions": regions, "target": target, "marked": _is_oracle(row)})
    return Table("results", "All results", columns, lines, said, ["accuracy"])


def comparison(rows: Sequence[Row]) -> Table:
    """Table 1: baselines, then every scorer with its pseudo-label, one column a data set, at one k."""
    k = _usual_k(rows)
    kept = [r for r in rows if not _is_oracle(r) and k_of(r) in ("", k)]
    return _pivot("comparison", f"Top-1 accuracy, k = {k}", kept, ("candidate", "target", "strategy"))


def over_k(rows: Sequence[Row]) -> Table:
    """Tables 3 and 4: accuracy over k, for what was measured at more than one."""
    by_run = defaultdict(set)
    for row in rows:
        by_run[_run(row)].add(k_of(row))
    kept = [r for r in rows if k_of(r) and len(by_run[_run(r)]) > 1 and not _is_oracle(r)]
    return _pivot("over-k", "Top-1 accuracy over k", kept, ("candidate", "strategy", "target", "k"))


def oracle(rows: Sequence[Row]) -> Table:
    """Table 2: accuracy with true labels, and what pseudo-labels lose against it."""
    k = _usual_k([r for r in rows if _is_oracle(r)])
    kept = sorted((r for r in rows if k_of(r) == k), key=_paper_order)
    candidates = short({str(r["regions"]) for r in rows})
    note, varying = _split([r for r in kept if _is_oracle(r)], SETTINGS)
    pseudo = {(_alike(r), r["target"]): r["accuracy"] for r in kept}
    lines: dict[tuple, dict[str, Any]] = {}
    found: dict[tuple, dict[str, list[Estimate]]] = {}
    for row in (r for r in kept if _is_oracle(r)):
        said = {v: row.get(v) or "" for v in varying}
        said |= {"candidate": candidates[row["regions"]], "strategy": strategy(row)}
        key = tuple(said.values())
        lines.setdefault(key, said)
        cells = found.setdefault(key, {})
        cells.setdefault(f"{row['dataset']} true", []).append(estimate(row))
        for target in ("global", "local"):
            if (_alike(row), target) in pseudo:
                loss = Estimate(pseudo[_alike(row), target] - row["accuracy"])
                cells.setdefault(f"{row['dataset']} {target}", []).append(loss)
    for key, cells in found.items():
        means = {name: _mean(several) for name, several in cells.items()}
        lines[key] |= {n: e if n.endswith(" true") else Change(e.value) for n, e in means.items()}
    datasets = sorted({str(r["dataset"]) for r in kept if _is_oracle(r)})
    columns = {**{v: HEADINGS.get(v, v) for v in varying}, "candidate": "candidate", "strategy": "scoring strategy"}
    for name in datasets:
        before = f"{name}: " if len(datasets) > 1 else ""
        columns |= {f"{name} true": f"{before}true", f"{name} global": f"{before}Δ global"}
        columns |= {f"{name} local": f"{before}Δ local"}
    title = f"True labels against pseudo-labels, k = {k}"
    return Table("oracle", title, columns, list(lines.values()), f"{UPPER_BOUND} {note}".strip())


def _alike(row: Row) -> tuple:
    """Everything that was compared but the target."""
    return tuple(str(row.get(k)) for k in (*IDENTITY, "seed") if k != "target")


def _pivot(name: str, title: str, rows: Sequence[Row], keys: tuple[str, ...]) -> Table:
    """``rows`` with one column a data set, several seeds of one setting as their mean."""
    rows = sorted(rows, key=_paper_order)
    candidates = short({str(r["regions"]) for r in rows})
    settings = [r for r in rows if strategy(r) != "Zero-shot"]  # a head of its own by nature
    note, varying = _split(settings, SETTINGS)
    cells: dict[tuple, dict[str, list[Estimate]]] = {}
    for row in rows:
        said = {"candidate": candidates[row["regions"]], "target": row["target"] or "-"}
        said |= {"strategy": strategy(row), "k": k_of(row)}
        settings_here = ["" if strategy(row) == "Zero-shot" and v == "head" else row.get(v) or "" for v in varying]
        line = cells.setdefault((*settings_here, *(said[k] for k in keys)), {})
        line.setdefault(str(row["dataset"]), []).append(estimate(row))
    datasets = sorted({str(r["dataset"]) for r in rows})
    columns = {k: HEADINGS.get(k, k) for k in (*varying, *keys)} | {d: d for d in datasets}
    lines = [
        dict(zip((*varying, *keys), key, strict=True)) | {d: _mean(found) for d, found in line.items()}
        for key, line in cells.items()
    ]
    return Table(name, title, columns, lines, note, datasets)


def _mean(found: Sequence[Estimate]) -> Estimate:
    """The mean over seeds, and of the ends of their intervals."""
    n = len(found)
    lows, highs = [e.low for e in found if e.low is not None], [e.high for e in found if e.high is not None]
    ends = (sum(lows) / n, sum(highs) / n) if len(lows) == len(highs) == n else (None, None)
    return Estimate(sum(e.value for e in found) / n, *ends)


def _split(rows: Sequence[Row], keys: Sequence[str]) -> tuple[str, list[str]]:
    """What all ``rows`` agree on, as a sentence, and the keys on which they differ."""
    varying = [k for k in keys if len({str(r.get(k) or "") for r in rows}) > 1]
    said = [f"{HEADINGS.get(k, k)} {rows[0][k]}" for k in keys if rows and k not in varying and rows[0].get(k)]
    return (f"Everywhere: {', '.join(said)}." if said else ""), varying


def _paper_order(row: Row) -> tuple:
    targets = ["", "global", "local", "oracle"]
    names = ["Zero-shot", "Global linear", *list(STRATEGIES.values())[2:]]
    name = strategy(row)
    place = next((i for i, known in enumerate(names) if name.startswith(known)), len(names))
    target = targets.index(row["target"]) if row["target"] in targets else len(targets)
    settings = tuple("" if k == "head" and name == names[0] else str(row.get(k) or "") for k in SETTINGS)
    k = k_of(row)
    return (settings, str(row["regions"]), target, place, name, int(k) if k.isdigit() else 1 << 30)


def _run(row: Row) -> tuple:
    """What a row is at any k."""
    pooling = specs.parse(str(row["pool"]))
    rest = {k: v for k, v in pooling.params.items() if k != "k"}
    return (pooling.name, str(rest), *(str(row.get(k) or "") for k in IDENTITY if k != "pool"))


def _usual_k(rows: Sequence[Row]) -> str:
    """The paper's k where anything was measured at it, else the most frequent."""
    found = Counter(k for r in rows if (k := k_of(r)))
    return PAPER_K if PAPER_K in found or not found else found.most_common(1)[0][0]


def _is_oracle(row: Row) -> bool:
    return row["target"] == "oracle"

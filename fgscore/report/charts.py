"""Which plots a report has, and their numbers: accuracy over k, gains class by class, agreement of scorers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fgscore.evaluate.results import Result, read_predictions
from fgscore.report import plots, study, views
from fgscore.report.documents import Estimate
from fgscore.report.plots import Agreement, Gains, Line, Plot
from fgscore.report.views import Sources

K = int(study.PAPER_K)


def charts(results: Sequence[Result], found: Sources) -> list[Plot]:
    """Every plot that there is something for."""
    made = [_over_k([result.to_json() for result in results]), *_gains(results, found), _agreement(found)]
    return [plot for plot in made if plot]


def _over_k(rows: Sequence[Mapping[str, Any]]) -> Plot | None:
    """From the cells of the table of the same name, so that the two agree."""
    table = study.over_k(rows)
    datasets = list(table.best)
    settings = [k for k in table.columns if k not in (*datasets, "k", "candidate", "strategy", "target")]
    cells: dict[tuple[str, str, str], list[tuple[str, Estimate]]] = {}
    baselines: dict[tuple[str, str], float] = {}
    for dataset in datasets:
        for cell in (cell for cell in table.rows if dataset in cell):
            panel = f"{dataset}: {cell['candidate']}" if len(datasets) > 1 else cell["candidate"]
            scorer = ", ".join([cell["strategy"], *(str(cell[k]) for k in settings if cell[k])])
            cells.setdefault((panel, scorer, cell["target"].strip("-")), []).append((cell["k"], cell[dataset]))
            alike = [k for k in settings if k in ("head", "prompt")]
            own = [r for r in rows if r["dataset"] == dataset and all((r.get(k) or "") == cell[k] for k in alike)]
            alone = study.baseline(own)
            baselines |= {} if alone is None else {(panel, scorer): alone}
    lines = [Line(*key, [k for k, _ in own], [estimate for _, estimate in own]) for key, own in cells.items()]
    return plots.accuracy_over_k(lines, baselines) if lines else None


def _gains(results: Sequence[Result], found: Sources) -> list[Plot]:
    """One plot a data set: its best label-free result that pools regions, against the global embedding alone."""
    made = []
    for dataset, several in found.by_dataset.items():
        bundle = several[0].bundle
        here = [r for r in results if r.dataset == dataset and r.more.get(study.EMBEDDINGS) != study.NOT_HERE]
        own = [r for r in here if not r.is_oracle]
        best = max((r for r in own if r.regions), key=lambda r: r.accuracy, default=None)
        against = next((r for r in own if best and _is_baseline(r, best)), None)
        if best is None or against is None:
            continue
        names = bundle.index.class_names
        one, other = (_by_class(result, len(names)) for result in (best, against))
        if one is None or other is None:
            continue
        measured = np.flatnonzero(~np.isnan(one) & ~np.isnan(other))
        gains = Gains([names[i] for i in measured], (one - other)[measured])
        what = f"the best label-free result ({dataset}: {study.describe(best.to_json())})"
        plot = plots.class_gains(gains, what, "the global embedding alone")
        several_sets = len(found.by_dataset) > 1
        made.append(replace(plot, name=f"{plot.name}-{bundle.index_artefact.path.name}") if several_sets else plot)
    return made


def _by_class(result: Result, n_classes: int) -> np.ndarray | None:
    found = read_predictions(result.place) if result.place else None
    return found.by_class(n_classes) if found else None


def _is_baseline(result: Result, best: Result) -> bool:
    same = [(r.head, r.prompt, r.shots, r.seed) for r in (result, best)]
    return result.pool == "none" and same[0] == same[1]


def _agreement(found: Sources) -> Plot | None:
    made = []
    for dataset, several in found.by_dataset.items():
        for source in several:
            panel = f"{dataset}: {source.label}" if len(found.by_dataset) > 1 else source.label
            names, shared, chance = views.agreement(source, K)
            if len(names) > 1:
                made.append(Agreement(panel, names, shared, chance))
    return plots.agreement(made, K) if made else None

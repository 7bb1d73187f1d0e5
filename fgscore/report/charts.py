"""Which plots a report has, and their numbers: accuracy over k, gains class by class, agreement of scorers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fgscore.evaluate import strategies
from fgscore.evaluate.results import Result, read_predictions
from fgscore.report import plots, study, views
from fgscore.report.cost_plot import accuracy_over_cost, points
from fgscore.report.plots import Agreement, Curve, Gains, Plot
from fgscore.report.views import Sources
from fgscore.tables import Measured


def charts(results: Sequence[Result], found: Sources) -> list[Plot]:
    """Every plot that there is something for."""
    made = [_over_k([result.to_json() for result in results])]
    made += [accuracy_over_cost(points(results)), *_gains(results, found), _agreement(found)]
    return [plot for plot in made if plot]


def _over_k(rows: Sequence[Mapping[str, Any]]) -> Plot | None:
    """From the cells of the table of the same name, so that the two agree."""
    table = study.over_k(rows)
    (regions,) = strategies.columns("regions")
    settings = [column for column in table.shown if column.key in study.SETTINGS]
    cells: dict[tuple[str, str, str], list[tuple[str, Measured]]] = {}
    baselines: dict[tuple[str, str], float] = {}
    for column in (column for column in table.columns if column.key in table.best):
        dataset = column.heading
        for cell in (cell for cell in table.rows if column.key in cell):
            panel = table.text(cell, regions)
            panel = f"{dataset}: {panel}" if len(table.best) > 1 else panel
            scorer = ", ".join([cell["strategy"], *(table.text(cell, c) for c in settings if cell[c.key])])
            line = (panel, scorer, cell["target"].strip("-"))
            cells.setdefault(line, []).append((str(cell["k"]), cell[column.key]))
            alike = [c.key for c in settings if c.key in ("head", "prompt")]
            own = [r for r in rows if r["dataset"] == dataset and all((r.get(k) or "") == cell[k] for k in alike)]
            alone = study.baseline(own)
            baselines |= {} if alone is None else {(panel, scorer): alone}
    lines = [Curve(*key, [k for k, _ in own], [measured for _, measured in own]) for key, own in cells.items()]
    return plots.accuracy_over_k(lines, baselines) if lines else None


def _gains(results: Sequence[Result], found: Sources) -> list[Plot]:
    """One plot a data set: its best label-free result that pools regions, against that of the global embedding."""
    made = []
    for dataset, several in found.by_dataset.items():
        bundle = several[0].bundle
        here = [r for r in results if r.dataset == dataset and r.more.get(study.EMBEDDINGS) != study.NOT_HERE]
        own = [r for r in here if not r.is_oracle]
        best = max((r for r in own if r.regions), key=lambda r: r.accuracy, default=None)
        against = next((r for r in own if best and _is_baseline(r, best)), None)
        if best is None or against is None:
            continue
        index = bundle.index
        one, other = (_by_class(result, len(index.class_names)) for result in (best, against))
        if one is None or other is None:
            continue
        measured = np.flatnonzero(~np.isnan(one) & ~np.isnan(other))
        gains = Gains([str(index.class_named(i)) for i in measured.tolist()], (one - other)[measured])
        what = f"the best label-free result ({dataset}: {study.describe(best.to_json())})"
        plot = plots.class_gains(gains, what, study.describe(against.to_json()))
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
            names, shared, chance = views.agreement(source, strategies.K)
            if len(names) > 1:
                made.append(Agreement(panel, names, shared, chance))
    return plots.agreement(made, strategies.K) if made else None

"""fgscore diagnose: what lies behind an accuracy."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import _options as o
from . import _run


def diagnose(
    subject: o.Subject = None,
    scorer: o.Scorer = ["all"],  # noqa: B006 (Typer copies it)
    target: o.Target = [o.TARGET],  # noqa: B006
    k: o.K_ = None,
    head: o.Head = [o.HEAD],  # noqa: B006
    top: Annotated[int, typer.Option("--top", min=1, help="Confused pairs and worst classes to show.")] = 5,
    eval_split: o.EvalSplit = "test",
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: o.Encoder = None,
    prompt: o.Prompt = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Say how good pseudo-labels are, how scorers agree, what sizes they like, which classes and images change.

    Scores and results that are missing are computed.

    Example: fgscore diagnose demo
    Example: fgscore diagnose cub --scorer soft_margin --scorer entropy --k 5 --head logreg --json
    """
    from fgscore.evaluate.probe import probe
    from fgscore.study import diagnose as library
    from fgscore.study import grid

    chosen, modes, pools = _run.scorers(scorer), _run.targets(target), _run.poolings(["topk"], k)
    plan = grid.Plan([grid.fixed(one) for one in _run.heads(head, [0])], eval_split=eval_split)
    found: dict[str, list[Any]] = {"pseudo_labels": [], "scorers": [], "agreement": [], "results": []}
    with _run.Bars() as bars:
        cached = _run.bundles(data, _run.subject(subject, dataset, False), regions, encoder, prompt)
        asked = []
        for runs in _run.scored(cached, chosen, modes, "diagnose"):
            family = grid.Family((runs[0].bundle,))
            lines = grid.own_lines(family, [run.scorer for run in runs], modes, pools, plan, standing=False)
            asked.append((runs, lines))
        usable = {id(line) for line in _run.with_needs([line for _, lines in asked for line in lines])}
        for runs, lines in asked:
            lines = [line for line in lines if id(line) in usable]
            if not lines:
                continue
            _run.without_labels(runs)
            rows = library.of_regions(runs[0].bundle, runs, pools, bars)
            for key, made in rows.items():
                found[key] += made
            probe([run for line in lines for run in (*line.runs, *line.whole.runs)], bars)
            found["results"] += [_result(line, top) for line in lines]

    def show() -> None:
        from fgscore import terminal
        from fgscore.study import diagnose_tables

        terminal.show(*diagnose_tables.tables(found))

    _run.emit(found, json, show)


def _result(line: Any, top: int) -> dict[str, Any]:
    from fgscore.study import diagnose as library

    run = line.runs[0]
    row = library.flips(run, line.whole.runs[0]) if line.baseline else run.labels()
    confusions = library.confusions(run, top)
    regions = line.runs[0].bundle.labels["regions"]  # the global embedding too is listed with its bundle
    return {**row, "regions": regions, "pairs": confusions["pairs"], "classes": confusions["classes"], "top": top}


if __name__ == "__main__":
    _run.main(diagnose)

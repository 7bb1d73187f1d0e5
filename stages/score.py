"""fgscore score: score cached regions."""

from __future__ import annotations

from typing import Any

from . import _next, _run
from . import _options as o

SHOWN = 8


def score(
    subject: o.Subject = None,
    scorer: o.Scorer = [o.SCORER],  # noqa: B006 (Typer copies it)
    target: o.Target = [o.TARGET],  # noqa: B006
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: o.Encoder = None,
    prompt: o.Prompt = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Score every cached region, on the CPU and without the images. What is left out matches everything cached.

    Example: fgscore score --scorer entropy
    Example: fgscore score --scorer all --target global --target local --dataset cars
    Example: fgscore score --scorer "./mine.py:myscore(alpha=2)"
    """
    from fgscore.evaluate.score import score as run_scores

    chosen, modes = _run.scorers(scorer), _run.targets(target)
    rows, name = [], _run.subject(subject, dataset, False)
    with _run.Bars() as bars:
        found = _run.bundles(data, name, regions, encoder, prompt)
        for runs in _run.scored(found, chosen, modes, "score"):
            bundle = runs[0].bundle
            for run, summary in zip(runs, run_scores(runs, bars), strict=True):
                rows.append(
                    {
                        **bundle.labels,
                        "scorer": run.scorer.canonical,
                        "target": run.target_text,
                        "computed": summary.computed,
                        "reused": summary.reused,
                        "images": summary.images or "",
                        "scores": summary.regions or "",
                        "seconds": summary.seconds,
                    }
                )
        by_text, step = _by_text(found), _without_labels(found)

    def show() -> None:
        from fgscore import terminal
        from fgscore.evaluate import strategies
        from fgscore.tables import Column, Table

        columns = [
            *strategies.columns("dataset", "regions", "encoder", "prompt", "scorer", "target"),
            Column("computed", "shards made", "count"),
            Column("reused", "already there", "count"),
            Column("images", "images", "count"),
            Column("scores", "scores", "count"),
            Column("seconds", "time", "seconds"),
        ]
        marked = [{**row, "target": strategies.target_name(row["target"])} for row in rows]
        terminal.show(Table("scores", "", columns, marked, once=("dataset", "encoder", "prompt")))
        for one in by_text:
            classes = ", ".join(f"{name} {n}" for name, n in list(one["classes"].items())[:SHOWN])
            more = f" and {len(one['classes']) - SHOWN} more" if len(one["classes"]) > SHOWN else ""
            print(terminal.visible(f"{one['dataset']}: images without a label by the nearest text: {classes}{more}"))
        print()
        where = {"regions": regions, "encoder": encoder, "prompt": prompt}
        _next.step(step or _next.meant("probe", name, scorer=scorer, target=target, **where))

    _run.emit({"scores": rows, "by_text": by_text}, json, show)


def _without_labels(found: list[Any]) -> str:
    """What to run next where no probe can be measured on any of ``found``; empty where one can."""
    from fgscore.evaluate.probe import without_labels
    from fgscore.labels import unmeasurable

    if all(unmeasurable(bundle.index.labels, bundle.index.split) for bundle in found):
        return without_labels(next((bundle for bundle in found if bundle.text), found[0]))
    return ""


def _by_text(found: list[Any]) -> list[dict[str, Any]]:
    """Of each of ``found`` with text, how many images without a label are nearest to each class."""
    from fgscore.evaluate.zeroshot import counted

    distinct = {bundle.family: bundle for bundle in found if bundle.text}.values()
    named = ("dataset", "encoder", "prompt")
    return [
        {**{key: bundle.labels[key] for key in named}, "classes": classes}
        for bundle in distinct
        if (classes := counted(bundle))
    ]


if __name__ == "__main__":
    _run.main(score)

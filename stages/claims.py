"""fgscore claims: the paper's findings as tests over your results."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import _next, _run
from . import _options as o


def claims(
    subject: o.Subject = None,
    margin: Annotated[float, typer.Option("--margin", help="Points within which two accuracies are equal.")] = 1.0,
    head: Annotated[
        list[str] | None,
        typer.Option("--head", help="A head; all that have results where left out. Repeatable.", show_default=False),
    ] = None,
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="Encoder.", show_default=False)] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="Prompt.", show_default=False)] = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Say of each finding of the paper whether your results support it, contradict it or leave it open.

    Only results that are there count; what is missing is named with the command that makes it.

    Example: fgscore claims
    Example: fgscore claims cub --head logreg --margin 0.5
    """
    from fgscore.evaluate import current
    from fgscore.study.claims import verdicts

    name, share = _run.subject(subject, dataset, False), margin / 100
    store = _run.store(data)
    rows = verdicts(store, name, regions or (), encoder, prompt, head or (), share)
    for line in current.notes(current.standings(store, name)):
        _run.note(line)

    def show() -> None:
        from fgscore import tables
        from fgscore.study import paper_verdicts

        for title, group in _groups(rows):
            tables.show(paper_verdicts.verdict_rows(group), paper_verdicts.COLUMNS, title)
            print()
        for line in paper_verdicts.caption(share):
            print(tables.visible(line))
        for command in dict.fromkeys(row["next"] for row in rows if row["next"]):
            _next.step(command, "Missing results. Next")

    _run.emit({"claims": [{**row, "next": _next.here(row["next"])} for row in rows]}, json, show)


def _groups(rows: list[Any]) -> list[tuple[str, list[Any]]]:
    """The claims of one data set, or of all together, under one head, with a title."""
    groups: dict[tuple[str, ...], list[Any]] = {}
    for row in rows:
        key = (row["dataset"], *row["regions"], row["encoder"], row["prompt"], row["head"])
        groups.setdefault(key, []).append(row)
    titles = []
    for group in groups.values():
        row = group[0]
        name = f"all together: {', '.join(row['datasets'])}" if row["dataset"] == "all" else row["dataset"]
        of = ", ".join(text.partition("(")[0] if text.startswith("sam(") else text for text in row["regions"])
        name += f", {of}" if of else ""
        titles.append((f"{name}; head {row['head']}, encoder {row['encoder']}, prompt {row['prompt']}", group))
    return titles


if __name__ == "__main__":
    _run.main(claims)

"""fgscore claims: the paper's findings as tests over your results."""

from __future__ import annotations

from typing import Annotated

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

    Only results that are there count, with all their draws of crops and seeds of the head; what is missing is named
    with the command that makes it.

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
        from fgscore import terminal
        from fgscore.study import claims_tables

        terminal.show(*claims_tables.tables(rows))
        for command in dict.fromkeys(row["next"] for row in rows if row["next"]):
            _next.step(command, "Missing results. Next")
        for command in dict.fromkeys(row["more"] for row in rows if row["more"]):
            _next.step(command, "Too few draws for a word. Next")

    told = [{**row, "next": _next.here(row["next"]), "more": _next.here(row["more"])} for row in rows]
    _run.emit({"claims": told}, json, show)


if __name__ == "__main__":
    _run.main(claims)

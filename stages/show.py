"""fgscore show: one image with its regions and the best of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _options as o
from . import _run


def show(
    image_id: Annotated[str, typer.Argument(help="The image, as the index names it.")],
    scorer: Annotated[str, typer.Option("--scorer", help='Scorer, as "entropy(tau=50)" or ./mine.py:myscore.')] = (
        o.SCORER
    ),
    target: Annotated[str, typer.Option("--target", help="Class to score against: global, local, oracle.")] = o.TARGET,
    k: Annotated[str, typer.Option("--k", help="Regions kept, or all.")] = o.K,
    out: Annotated[
        Path | None, typer.Option("--out", help="Figure to write, .png or .svg; IMAGE_ID.png where left out.")
    ] = None,
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: o.Encoder = None,
    prompt: o.Prompt = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Draw one image, all its regions, and the best of them with their scores, weights and pseudo-labels.

    Example: fgscore show test/crow/12.jpg --scorer entropy --k 3 --out crow.svg
    """
    from fgscore.pooling import Pooling
    from fgscore.report.figure import facts
    from fgscore.report.show import show as draw
    from fgscore.scorers import Scorer
    from fgscore.store.paths import slug

    (mode,) = _run.targets([target])
    kept = Pooling.bind(f"topk(k={k})").k
    chosen = Scorer.bind(scorer)
    scored = _run.scored(_run.bundles(data, dataset, regions, encoder, prompt), [chosen], [mode], "show")
    found = [runs[0].bundle for runs in scored]
    path = out or Path(f"{slug(image_id)}.png")
    shown = draw(found, image_id, chosen, mode, kept, path)

    def say() -> None:
        from fgscore import terminal
        from fgscore.tables import Column, Table

        rows = [
            {"regions": row.generator, "rank": i + 1, **vars(kept)}
            for row in shown.rows
            for i, kept in enumerate(row.best)
        ]
        columns = [
            Column("regions", "regions"),
            Column("rank", "rank", "count"),
            Column("score", "score", "number"),
            Column("weight", "weight", "share"),
            Column("target", "scored as"),
        ]
        terminal.show(Table("best", f"{shown.image_id}, {shown.label or 'no label'}", columns, rows))
        print(f"\nWritten: {path}")

    _run.emit({**facts(shown), "file": str(path)}, json, say)


if __name__ == "__main__":
    _run.main(show)

"""fgscore export: write artefacts as files that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _options as o
from . import _run

One = Annotated[str | None, typer.Option(show_default=False, help="Only what agrees with this component.")]


def export(
    subject: o.Subject = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="index, regions, region_embeddings, globals, text, scores, features, predictions or masks; all of "
            "the store's kinds where left out. Repeatable.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="parquet, npz or safetensors; masks are COCO JSON.")] = "npz",
    to: Annotated[Path, typer.Option("--to", help="Folder to write into.")] = Path("export"),
    dataset: o.Dataset = None,
    regions: One = None,
    encoder: One = None,
    scorer: One = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Write artefacts as Parquet, .npz or safetensors, one file each, and masks as COCO JSON.

    `fgscore import` reads what this writes, exactly.

    Example: fgscore export cars --kind globals --kind text --format parquet --to ./shared
    Example: fgscore export cars --kind masks --regions sam
    """
    from fgscore.exchange.export import ARTEFACTS, Chosen
    from fgscore.exchange.export import export as run_export

    chosen = Chosen(_run.subject(subject, dataset, False), tuple(kind or ARTEFACTS), regions, encoder, scorer)
    with _run.Bars() as bars:
        rows = run_export(_run.store(data), chosen, to, format, bars)

    def show() -> None:
        from fgscore import terminal
        from fgscore.evaluate import strategies
        from fgscore.tables import Column, Table

        columns = [Column("kind", "kind"), *strategies.columns("pool", "scorer", "target", "regions", "head")]
        columns += [Column("rows", "rows", "count"), Column("bytes", "size", "bytes"), Column("file", "file")]
        terminal.show(Table("files", "", columns, rows))

    _run.emit({"files": rows}, json, show)


if __name__ == "__main__":
    _run.main(export)

"""fgscore report: tables, plots and one page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _options as o
from . import _run

LARGE = 25_000_000  # bytes; a page beyond this is slow to open and to send


def report(
    subject: o.Subject = None,
    dataset: o.Dataset = None,
    scorer: Annotated[
        list[str] | None,
        typer.Option("--scorer", help="Look at these scorers only. Repeatable.", show_default=False),
    ] = None,
    images: Annotated[int, typer.Option("--images", min=0, help="Test images that the gallery shows.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Chooses other images for the gallery; no number moves.")] = 0,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw plots, which needs matplotlib.")] = True,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write into; <data>/results/report where left out.")
    ] = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Write the results as tables (Markdown, CSV, LaTeX), plots (SVG, PNG) and one page, report.html, with a gallery.

    Reads the cache and computes nothing. The page is one file and opens without a network.

    Example: fgscore report
    Example: fgscore report cub --images 500 --scorer soft_margin --scorer entropy --out ./report
    """
    from fgscore.report.build import FOLDER, Options
    from fgscore.report.build import report as write_report
    from fgscore.tables import text

    store = _run.store(data)
    folder = out or store.layout.results / FOLDER
    options = Options(_run.subject(subject, dataset, False), tuple(scorer or ()), images, seed, plots)
    with _run.Bars() as bars:
        made = write_report(store, folder, options, progress=bars)
    size = made["files"][-1]["bytes"]
    if size > LARGE:
        made["notes"].append(f"report.html is {text(size, 'bytes')}; fewer --images make it smaller.")

    for line in made["notes"]:
        _run.note(line)

    def show() -> None:
        from fgscore import terminal
        from fgscore.tables import Column, Table

        terminal.show(Table("files", "", [Column("file", "file"), Column("bytes", "size", "bytes")], made["files"]))
        print(f"\nOpen in a browser: {folder / 'report.html'}")

    _run.emit(made, json, show)


if __name__ == "__main__":
    _run.main(report)

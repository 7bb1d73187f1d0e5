"""Results and store as tables, plots and one page: `fgscore report`. Reads the cache and computes nothing anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fgscore
from fgscore.errors import NoLabels, NothingCached, UnknownName, quoted
from fgscore.evaluate import current
from fgscore.evaluate.costs import Costs
from fgscore.evaluate.current import Standing, State
from fgscore.evaluate.results import Result
from fgscore.machine.progress import Progress, silent
from fgscore.report import documents, gallery, page, plots, study, views
from fgscore.report import provenance as origin
from fgscore.report.charts import charts
from fgscore.report.page import Page, Picture
from fgscore.report.plots import Plot
from fgscore.report.views import Sources
from fgscore.store import files
from fgscore.store import index as index_store
from fgscore.store.bundle import without_copies
from fgscore.store.cache import Store
from fgscore.store.match import dataset_key, nothing_cached
from fgscore.study import claims_tables, sweep_tables
from fgscore.study.claims import compared, verdicts
from fgscore.tables import Table
from fgscore.upkeep.status import after_embedding

IMAGES, SEED = 200, 0
FOLDER = "report"  # within the results
WRITERS = {"md": documents.markdown, "csv": documents.comma_separated, "tex": documents.latex}


@dataclass(frozen=True)
class Options:
    """What to report on: a data set or all, scorers to look at (all where empty), how many images the gallery shows and
    the seed of their choice, whether plots are drawn."""

    dataset: str | None = None
    scorers: Sequence[str] = ()
    images: int = IMAGES
    seed: int = SEED
    plots: bool = True


def report(
    store: Store,
    folder: Path,
    options: Options,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write tables (Markdown, CSV, LaTeX), plots (SVG, PNG) and ``report.html`` into ``folder``.

    Returns the files with their sizes, and notes about what was left out: results that are stale, see
    :mod:`fgscore.evaluate.current`, among them. Raises :class:`NothingCached` where there are neither results nor
    scores.
    """
    documents.templates()  # without which there is no page: said before any work is done, not after
    if options.plots:
        plots.check()
    every = current.standings(store, options.dataset)
    standings = without_copies(every, lambda s: s.result.dataset, lambda s: s.result.setting, options.dataset)
    found = views.sources(store, options.dataset, options.scorers)
    if not standings and not found.by_dataset:
        asked = options.scorers and found.notes
        raise NothingCached(" ".join(found.notes)) if asked else _nothing(store, options.dataset)
    results = _marked(standings, Costs(store))
    rows = [result.to_json() for result in results]
    tables = study.tables(rows)
    claims, against = _decided(store, options.dataset)
    decided = claims_tables.table(claims) if claims else None
    tables += against
    written = [*tables, *([decided] if decided else [])]
    for table in written:
        for suffix, write in WRITERS.items():
            files.publish(folder / f"{table.name}.{suffix}", write(table).encode())
    pictures = []
    drawn = charts(results, found) if options.plots else []
    for done, plot in enumerate(drawn):
        progress("report: plots", done + 1, len(drawn))
        pictures.append(_publish(plot, folder))
    sets, notes = _galleries(store, found, results, options, progress)
    notes = [*current.notes(standings), *notes]
    content = Page(
        title="fgscore: results" + (f" on {options.dataset}" if options.dataset else ""),
        summary=_summary(rows, found),
        version=fgscore.__version__,
        tables=tables,
        pictures=pictures,
        claims=decided,
        sets=sets,
        gallery_note=_gallery_note(sets),
        provenance=origin.tables(store, found, rows),
        notes=notes,
    )
    files.publish(folder / "report.html", page.render(content).encode())
    return {"files": _written(folder, written, drawn), "notes": notes, "images": sum(len(s["images"]) for s in sets)}


def _marked(standings: Sequence[Standing], costs: Costs) -> list[Result]:
    """The results that are shown, with their cost. ``embeddings``, one more column, says of those that are alone that
    what they were made from is not here, and tells apart those that agree in all that was compared: by the artefact's
    folder."""
    shown = [standing for standing in standings if standing.state != State.STALE]
    named = Counter(standing.result.compared for standing in shown if standing.embeddings)

    def mark(standing: Standing) -> str:
        if standing.embeddings is None:
            return study.NOT_HERE
        return standing.embeddings.path.name if named[standing.result.compared] > 1 else ""

    return [replace(s.result, more={**s.result.more, study.EMBEDDINGS: mark(s)}, cost=s.cost(costs)) for s in shown]


def _decided(store: Store, dataset: str | None) -> tuple[list[dict[str, Any]], list[Table]]:
    """The paper's findings that the results in the cache say something about, and its tables, each row against its
    baseline, as far as there are results."""
    try:
        found = [row for row in verdicts(store, dataset) if row["verdict"] != "missing"]
        rows = compared(store, dataset)
    except (NothingCached, UnknownName, NoLabels):  # results whose embeddings are elsewhere, or none can be
        return [], []
    return found, sweep_tables.tables(rows) if any(row["against"] for row in rows) else []


def _nothing(store: Store, dataset: str | None) -> NothingCached:
    """What is missing: embeddings, or but scores and results."""
    if not any(True for _ in store.artefacts("globals", dataset_key(dataset))):
        return nothing_cached(store, dataset, None, None, None)
    where = f" of {dataset}" if dataset else ""
    command = f"fgscore probe{f' {quoted(dataset)}' if dataset else ''}"
    indexes = list(store.artefacts("index", dataset_key(dataset)))
    if not any(index_store.has_labels(index) for index in indexes):
        command = after_embedding(store, indexes[0].dataset)
    return NothingCached(f"expected results or scores{where} in {store.layout.root}, found none; run `{command}`")


def _publish(plot: Plot, folder: Path) -> Picture:
    """The plot as files; the page gets a dark one beside."""
    light = plot.render("svg")
    files.publish(folder / f"{plot.name}.svg", light)
    files.publish(folder / f"{plot.name}.png", plot.render("png"))
    return Picture(plot.name, plot.caption, plot.caption, light, plot.render("svg", "dark"))


def _written(folder: Path, tables: Sequence[Table], drawn: Sequence[Plot]) -> list[dict[str, Any]]:
    names = [f"{table.name}.{suffix}" for table in tables for suffix in WRITERS]
    names += [f"{plot.name}.{suffix}" for plot in drawn for suffix in ("svg", "png")]
    return [{"file": str(folder / n), "bytes": (folder / n).stat().st_size} for n in [*names, "report.html"]]


def _summary(rows: Sequence[Mapping[str, Any]], found: Sources) -> str:
    datasets = sorted({str(row["dataset"]) for row in rows} | set(found.by_dataset))
    scored = sum(len(source.views) for several in found.by_dataset.values() for source in several)
    return f"{len(rows)} results and {scored} sets of scores; data sets: {', '.join(datasets)}."


def _galleries(
    store: Store, found: Sources, results: Sequence[Result], options: Options, progress: Progress
) -> tuple[list[dict], list[str]]:
    """The galleries, which share the number of images between them, and notes on what is not shown."""
    notes, shown = list(found.notes), {}
    for dataset, several in found.by_dataset.items():
        bundle = several[0].bundle
        small = gallery.thumbnails(store, bundle.index_artefact)
        if small:
            shown[dataset] = (several, small)
        else:
            way_out = bundle.way_out(bundle.labels["regions"])
            notes.append(f"No gallery of {dataset}: the cache holds no thumbnails; {way_out}.")
    sets = []
    for done, (dataset, (several, small)) in enumerate(shown.items()):
        own = [result for result in results if result.dataset == dataset]
        if share := options.images // len(shown):
            sets.append(gallery.pack(several, small, own, share, options.seed))
        progress("report: gallery", done + 1, len(shown))
    return [one for one in sets if one["images"]], notes


def _gallery_note(sets: Sequence[Mapping[str, Any]]) -> str:
    counts = ", ".join(f"{len(one['images'])} {one['of']} of {one['name']}" for one in sets)
    return f"{counts}, drawn evenly over classes. Weights are the softmax of the scores kept, at temperature 1."

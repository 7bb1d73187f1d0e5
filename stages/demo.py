"""fgscore demo: the whole of it on a drawn data set, offline, in a few minutes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import _extract, _next, _run, _streams
from . import _options as o

NOTICE = (
    "A drawn set of 24 kinds of one bird, and two small models trained for it: the real code on a small job.\n"
    "Its numbers say nothing about real birds, or about CLIP and SAM."
)


def demo(
    device: o.Device = "auto",
    batch_size: o.BatchSize = 0,
    workers: o.Workers = 0,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Draw a small data set, extract regions and embeddings, score, probe, and print the paper's kind of table.

    Everything is offline and ships with fgscore. Run again, it recomputes nothing.

    Example: fgscore demo
    """
    from fgscore.evaluate.probe import probe
    from fgscore.extract.extraction import Extraction
    from fgscore.extract.index import make_index
    from fgscore.study import grid

    times: dict[str, float] = {}
    how = _extract.runtime(data, device, batch_size, workers)
    chosen = _extract.components(data, "demo", None, None, None, how)
    store = _run.store(data)
    encoder = chosen.encoders[0]
    if not json:
        with _streams.unread(sys.stdout):
            print(NOTICE + "\n")
    with _run.Bars() as bars:
        with timed(times, "draw and index"):
            run = Extraction(store, make_index(store, "demo", progress=bars), how, bars)
        with timed(times, "thumbnails"):
            run.fill([run.thumbnails()])
        with timed(times, "globals and text"):
            run.fill([run.globals(encoder)])
            run.text(encoder, chosen.prompts[0])
        for generator in chosen.generators:
            with timed(times, f"{generator.maker.name}: regions"):
                (artefact,) = run.fill([run.regions(generator)])
            with timed(times, f"{generator.maker.name}: embeddings"):
                run.fill([run.region_embeddings(encoder, artefact)])
        bundles = [
            bundle
            for generator in chosen.generators
            for bundle in _run.bundles(
                data, "demo", [generator.maker.canonical], [encoder.maker.canonical], chosen.prompts
            )
        ]
        with timed(times, "score, pool and probe"):
            (family,) = grid.families(bundles)
            lines = grid.table_one(family)
            rows = [result.to_json() for result in probe([run for line in lines for run in line.runs], bars)]
    computed = sum(s.computed for s in run.summaries) + sum(not row["cached"] for row in rows)

    def show() -> None:
        from fgscore import terminal
        from fgscore.report import study
        from fgscore.tables import Column, Table

        columns = [Column("stage", "stage"), Column("seconds", "time", "seconds")]
        spent = Table("spent", "", columns, [{"stage": stage, "seconds": s} for stage, s in times.items()])
        terminal.show(study.comparison(rows), spent)
        if not computed:
            print("\nEverything was there already: nothing was recomputed.")
        print()
        _next.step('fgscore probe demo --scorer "entropy(tau=10)" --k 1 --k 5 --k all')
        _next.step("fgscore report demo", "Then")

    artefacts = [s.to_json() for s in run.summaries]
    _run.emit({"results": rows, "seconds": times, "artefacts": artefacts, "computed": computed}, json, show)


@contextmanager
def timed(times: dict[str, float], stage: str) -> Iterator[None]:
    """Add the seconds of the block to ``times``."""
    start = time.perf_counter()
    yield
    times[stage] = round(time.perf_counter() - start, 1)


if __name__ == "__main__":
    _run.main(demo)

"""fgscore compact: few large files in place of many small ones."""

from __future__ import annotations

from . import _options as o
from . import _run


def compact(subject: o.Subject = None, dataset: o.Dataset = None, data: o.Data = o.DATA, json: o.Json = False) -> None:
    """Merge the shards of complete artefacts into large files; the content, and all that reads it, stays the same.

    Not while something writes to the store. New photos make ordinary shards, which the next call merges.

    Example: fgscore compact cub
    """
    from fgscore.upkeep.compact import compact as run_compact

    name = _run.subject(subject, dataset, False)
    with _run.Bars() as bars:
        done = run_compact(_run.store(data), name, bars)

    def show() -> None:
        from fgscore import terminal
        from fgscore.tables import Column, Table

        columns = [
            Column("label", "artefact"),
            Column("packed", "shards packed", "count"),
            Column("before", "files before", "count"),
            Column("after", "files now", "count"),
            Column("skipped", "left as it is"),
        ]
        terminal.show(Table("compacted", "", columns, [one.to_json() for one in done]))

    _run.emit({"artefacts": [one.to_json() for one in done]}, json, show)


if __name__ == "__main__":
    _run.main(compact)

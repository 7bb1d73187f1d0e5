"""fgscore status: what the cache holds and what to do next."""

from __future__ import annotations

from typing import Any

from . import _next, _run
from . import _options as o


def status(subject: o.Subject = None, dataset: o.Dataset = None, data: o.Data = o.DATA, json: o.Json = False) -> None:
    """Show what the cache holds: shards done of planned, failures, size, time, and the next command; and the jobs of a
    cluster that are at work on it.

    A data set is complete where all that was begun is done. Exit 1 where there is nothing.

    Example: fgscore status cars
    """
    from fgscore.execute.cluster import status as jobs_status
    from fgscore.upkeep.status import by_dataset
    from fgscore.upkeep.status import status as read_status

    name = _run.subject(subject, dataset, False)
    store = _run.store(data)
    rows = read_status(store, name)
    datasets, jobs = by_dataset(store, rows), jobs_status(store, name)

    def show() -> None:
        from fgscore import terminal
        from fgscore.tables import Column, Table

        columns = [
            Column("dataset", "data set"),
            Column("kind", "kind"),
            Column("artefact", "artefact"),
            Column("shards", "shards"),
            Column("images", "images", "count"),
            Column("regions", "regions", "count"),
            Column("failed", "failed", "count"),
            Column("bytes", "size", "bytes"),
            Column("seconds", "time", "seconds"),
            Column("state", "state"),
        ]
        said = [
            {**row, "state": _next.inside(row["state"]), **{k: row.get(k) or None for k in ("regions", "failed")}}
            for row in rows
        ]
        terminal.show(Table("status", "", columns, said, once=("dataset", "state")))
        if jobs:
            print()
            _show_jobs(jobs)
        print()
        for row in datasets:
            print(f"{row['dataset']}: {row['state']}{row['note'] and '; ' + row['note']}")
            if row["next"]:
                _next.step(row["next"])

    there = [[{**row, "next": _next.here(row["next"])} for row in several] for several in (rows, datasets)]
    _run.emit({"artefacts": there[0], "datasets": there[1], "jobs": jobs}, json, show)


def _show_jobs(jobs: list[dict[str, Any]]) -> None:
    """Shards that jobs of a cluster have done and left, and the last lines of the logs of those that failed."""
    from fgscore import terminal
    from fgscore.tables import Column, Table
    from fgscore.terminal import visible

    counts = ("jobs", "in the queue", "done", "running", "waiting", "failed", "unknown")
    columns = [Column("dataset", "data set"), Column("job", "job"), *(Column(key, key, "count") for key in counts)]
    terminal.show(Table("jobs", "", columns, [{**row, "unknown": row["unknown"] or None} for row in jobs]))
    for row in jobs:
        for job, lines in row["logs"].items():
            print(visible(f"job {job} ended early; its log:"))
            for line in lines:
                print(visible(f"  {line}"))
    if any(row["failed"] for row in jobs):
        print("The same extract again does what these left.")


if __name__ == "__main__":
    _run.main(status)

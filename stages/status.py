"""fgscore status: what the cache holds and what to do next."""

from __future__ import annotations

from typing import Any

from . import _options as o
from . import _run


def status(subject: o.Subject = None, dataset: o.Dataset = None, data: o.Data = o.DATA, json: o.Json = False) -> None:
    """Show what the cache holds: shards done of planned, failures, size, time, and the next command; and the jobs of a
    cluster that are at work on it.

    Example: fgscore status cars
    """
    from fgscore.pipeline.cluster import status as jobs_status
    from fgscore.pipeline.status import status as read_status

    name = _run.subject(subject, dataset, False)
    rows = read_status(_run.store(data), name)
    jobs = jobs_status(_run.store(data), name)

    def show() -> None:
        from fgscore.report import tables

        shown = [
            {
                **row,
                "bytes": tables.size(row.get("bytes", 0)),
                "regions": row.get("regions") or "",
                "failed": row.get("failed") or "",
            }
            for row in rows
        ]
        keys = ("dataset", "kind", "artefact", "shards", "images", "regions", "failed", "bytes", "seconds", "next")
        tables.show(shown, {key: {"dataset": "data set", "bytes": "size"}.get(key, key) for key in keys})
        if jobs:
            print()
            _show_jobs(jobs)

    _run.emit({"artefacts": rows, "jobs": jobs}, json, show)


def _show_jobs(jobs: list[dict[str, Any]]) -> None:
    """Shards that jobs of a cluster have done and left, and the last lines of the logs of those that failed."""
    from fgscore.report import tables

    keys = ("dataset", "job", "jobs", "in the queue", "done", "running", "waiting", "failed", "unknown")
    shown = [key for key in keys if key != "unknown" or any(row[key] for row in jobs)]
    tables.show(jobs, {key: {"dataset": "data set"}.get(key, key) for key in shown})
    for row in jobs:
        for job, lines in row["logs"].items():
            print(f"job {job} ended early; its log:")
            for line in lines:
                print(f"  {line}")
    if any(row["failed"] for row in jobs):
        print("The same extract again does what these left.")


if __name__ == "__main__":
    _run.main(status)

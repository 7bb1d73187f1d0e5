"""fgscore status: what the cache holds and what to do next."""

from __future__ import annotations

from . import _options as o
from . import _run


def status(subject: o.Subject = None, dataset: o.Dataset = None, data: o.Data = o.DATA, json: o.Json = False) -> None:
    """Show what the cache holds: shards done of planned, failures, size, time, and the next command.

    Example: fgscore status cars
    """
    from fgscore.pipeline.status import status as read_status

    name = _run.subject(subject, dataset, False)
    rows = read_status(_run.store(data), name)

    def show() -> None:
        from fgscore.report import tables

        if not rows:
            of = f" of {name}" if name else ""
            print(f"Nothing{of} is cached under {data / 'cache'}. Next: fgscore extract {name or 'demo'}")
            return
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

    _run.emit({"artefacts": rows}, json, show)


if __name__ == "__main__":
    _run.main(status)

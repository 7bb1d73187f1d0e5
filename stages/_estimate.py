"""How an estimate is shown, by `doctor` and by `extract --dry-run`."""

from __future__ import annotations

from typing import Any

import typer

from . import _run


def table(expected: list[Any], workers: int = 1) -> None:
    """Images, time and bytes that are left of each artefact, and in all."""
    from fgscore import terminal
    from fgscore.tables import Column, Table, text

    columns = [
        Column("label", "artefact"),
        Column("images", "images left", "count"),
        Column("rate", "images/s", "number"),
        Column("seconds", "time", "seconds"),
        Column("bytes", "size", "bytes"),
        Column("macs", "GMAC", "macs"),
    ]
    rows = [{**vars(one), "rate": one.images / one.seconds if one.seconds else None} for one in expected]
    terminal.show(Table("expected", "", columns, rows))
    seconds, size = (sum(getattr(one, name) for one in expected) for name in ("seconds", "bytes"))
    shared = f", {text(seconds / workers, 'seconds')} with {workers} that share it" if workers > 1 else ""
    macs = sum(one.macs or 0.0 for one in expected)
    gmac = f"; {text(macs, 'macs')} GMAC" if macs else ""
    print(f"In all {text(seconds, 'seconds')} on this device{shared}; {text(size, 'bytes')}{gmac}")


def show(store: Any, expected: list[Any], workers: int, as_json: bool) -> None:
    """Print the estimate and whether it fits; exit 1 where it does not."""
    from fgscore.execute import doctor

    space = doctor.space(store.layout, sum(one.bytes for one in expected))

    def both() -> None:
        table(expected, workers)
        print(f"{space.state}: {space.found}")

    _run.emit({"expected": [one.to_json() for one in expected], "space": vars(space)}, as_json, both)
    if space.state == doctor.FAULT:
        raise typer.Exit(1)

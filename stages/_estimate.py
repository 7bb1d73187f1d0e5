"""How an estimate is shown, by `doctor` and by `extract --dry-run`."""

from __future__ import annotations

from typing import Any

import typer

from . import _run


def table(expected: list[Any], workers: int = 1) -> None:
    """Images, time and bytes that are left of each artefact, and in all."""
    from fgscore import tables

    rows = [
        {
            "artefact": one.label,
            "images": one.images,
            "rate": f"{one.images / one.seconds:.3g}" if one.seconds else "",
            "hours": f"{one.seconds / 3600:.3f}",
            "size": tables.size(one.bytes),
        }
        for one in expected
    ]
    tables.show(rows, {"artefact": "artefact", "images": "images left", "rate": "images/s", "hours": "hours",
                       "size": "size"})  # fmt: skip
    hours = sum(one.seconds for one in expected) / 3600
    shared = f", {hours / workers:.2f} h with {workers} that share it" if workers > 1 else ""
    print(f"In all {hours:.2f} h on this device{shared}; {tables.size(sum(one.bytes for one in expected))}")


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

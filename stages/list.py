"""fgscore list: the components there are, with their parameters."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fgscore.errors import unknown

from . import _options as o
from . import _run

KINDS = ("scorers", "datasets", "regions", "encoders")


def list_components(
    kind: Annotated[str, typer.Argument(help="scorers, datasets, regions or encoders.")],
    json: o.Json = False,
) -> None:
    """List scorers, data sets, region generators or encoders, with parameters and one line each.

    Example: fgscore list scorers
    """
    rows = _describe(kind)

    def show() -> None:
        from fgscore.report import tables

        tables.show(rows, {"name": "name", "parameters": "parameters", "doc": ""})

    _run.emit({kind: rows}, json, show)


def _describe(kind: str) -> list[dict[str, Any]]:
    from fgscore import plugins, scorers

    if kind not in KINDS:
        raise unknown("kind of component", kind, KINDS)
    names = {"datasets": "data set", "regions": "region generator", "encoders": "encoder"}
    rows = scorers.describe() if kind == "scorers" else plugins.describe(names[kind])
    return [{**row, "parameters": ", ".join(f"{k}={v!r}" for k, v in row["parameters"].items())} for row in rows]


if __name__ == "__main__":
    _run.main(list_components)

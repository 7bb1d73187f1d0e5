"""fgscore list: the components there are, with their parameters."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from fgscore.errors import unknown

from . import _next, _run
from . import _options as o

KINDS = {
    "datasets": "photos with their labels and splits: the argument of most commands",
    "regions": "what cuts regions out of photos: --regions",
    "encoders": "what embeds photos, regions and class names: --encoder",
    "prompts": "what is said of a class to its encoder: --prompt",
    "scorers": "what says how good a region is: --scorer",
    "targets": "the class that a region is scored against: --target",
    "poolings": "what makes one feature vector of the regions of a photo: --pool",
    "heads": "what learns classes from features: --head",
}
# words rather than components: they have no parameters
WORDS = {
    "prompts": {
        "plain": "a photo of a {}, as in the paper",
        "typed": "a photo of a {}, a type of bird. (or whatever the data set's classes are)",
        "clip": "the ensemble that CLIP's authors publish for the data set",
        "a picture of a {}.": "any template of your own",
        "./templates.txt": "several, one a line",
        "./descriptions.json": "sentences about each class, by its name",
    },
    "targets": {
        "global": "the zero-shot class of the whole photo",
        "local": "the zero-shot class of the region itself",
        "oracle": "the true label: an upper bound, which reads the labels of test images",
    },
}


def list_components(
    kind: Annotated[
        str | None,
        typer.Argument(help=f"{', '.join(KINDS)}; these kinds themselves where left out.", show_default=False),
    ] = None,
    json: o.Json = False,
) -> None:
    """List the kinds of components, or all of one kind, with parameters and one line each.

    Example: fgscore list
    Example: fgscore list scorers
    """
    rows = [{"name": name, "doc": doc} for name, doc in KINDS.items()] if kind is None else _describe(kind)

    def show() -> None:
        from fgscore import terminal
        from fgscore.tables import Column, Table

        columns = [Column("name", "name"), Column("parameters", "parameters"), Column("doc", "")]
        terminal.show(Table("components", "", columns, rows))
        if kind is None:
            print()
            _next.step("fgscore list scorers", "For example")

    _run.emit({kind or "kinds": rows}, json, show)


def _describe(kind: str) -> list[dict[str, Any]]:
    from fgscore import plugins, probe, scorers
    from fgscore import pooling as aggregate

    if kind not in KINDS:
        raise unknown("kind of component", kind, KINDS)
    if kind in WORDS:
        return [{"name": name, "parameters": "", "doc": doc} for name, doc in WORDS[kind].items()]
    functions = {"scorers": scorers.SCORERS, "poolings": aggregate.POOLINGS, "heads": probe.HEADS}.get(kind)
    own = next((name for name, listed in plugins.KINDS.items() if listed == kind), "")
    rows = plugins.describe(own) if functions is None else [_function(*one) for one in functions.items()]
    return [{**row, "parameters": ", ".join(f"{k}={v!r}" for k, v in row["parameters"].items())} for row in rows]


def _function(name: str, function: Any) -> dict[str, Any]:
    from fgscore import specs

    doc = (inspect.getdoc(function) or "").partition("\n")[0]
    return {"name": name, "parameters": specs.tunables(function), "doc": doc}


if __name__ == "__main__":
    _run.main(list_components)

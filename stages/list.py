"""fgscore list: the components there are, with their parameters."""

from __future__ import annotations

from inspect import Parameter
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
        "photo": "a photo of a {}. as CLIP's authors write it: the default of extract",
        "plain": "a photo of a {}, as in the paper, comma included",
        "typed": "a photo of a {}, a type of bird. (or whatever the data set's classes are)",
        "clip": "the ensemble that CLIP's authors publish for the data set",
        "a picture of a {}.": "any template of your own",
        "./templates.txt": "several, one a line",
        "./descriptions.json": "sentences about each class, by its name",
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
    from fgscore.components import described, kind_named

    if kind not in KINDS:
        raise unknown("kind of component", kind, KINDS)
    if kind in WORDS:
        return [{"name": name, "parameters": "", "doc": doc} for name, doc in WORDS[kind].items()]
    rows = described(kind_named(kind))
    return [{**row, "parameters": ", ".join(_written(*one) for one in row["parameters"].items())} for row in rows]


def _written(name: str, default: Any) -> str:
    return f"{name}=..." if default is Parameter.empty else f"{name}={default!r}"


if __name__ == "__main__":
    _run.main(list_components)

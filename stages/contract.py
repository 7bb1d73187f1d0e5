"""fgscore contract: whether a component keeps to what all of its kind must."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fgscore.errors import LISTED, quoted

from . import _next, _run
from . import _options as o

KINDS = "dataset, generator, encoder, scorer, target, pooling, head"


def contract(
    component: Annotated[str, typer.Argument(help="As an option takes it: ./mine.py:dino, or one of ours.")],
    kind: Annotated[
        str | None,
        typer.Option("--kind", help=f"{KINDS}; left out, what the function itself declares.", show_default=False),
    ] = None,
    root: o.Root = None,
    device: o.Device = "auto",
    json: o.Json = False,
) -> None:
    """Try a component of your own on small random inputs: a tick for each law that it keeps to, or what breaks it.

    Which laws there are follows from what it declares. Exit 1 where one is broken.

    Example: fgscore contract entropy --kind scorer
    Example: fgscore contract ./mine.py:forest --kind head
    """
    from fgscore.components import kind_declared, kind_named
    from fgscore.contract import Given, check
    from fgscore.terminal import visible

    bound = (kind_named(kind) if kind else kind_declared(component)).bind(component)
    given = Given(device=device, root=root)
    tried: list[Any] = []
    for verdict in check(bound, given):
        tried.append(verdict)
        if not json:
            print(visible(f"{'✗' if verdict.counterexample else '✓'} {verdict.law}"), flush=True)
        if verdict.counterexample:
            break
    broken = next((one for one in tried if one.counterexample), None)

    def show() -> None:
        if broken:
            print("\n" + visible(f"{bound.kind} {bound.canonical}: {broken.counterexample}"))
        else:
            print("\n" + visible(f"{bound.kind} {bound.canonical} keeps to all {len(tried)}."))
            _next.step(f"fgscore list {LISTED[bound.kind]}" if bound.is_ours else _use(bound.kind, component))

    laws = [{"law": one.law, "broken": one.counterexample} for one in tried]
    _run.emit({"component": bound.canonical, "kind": bound.kind, "laws": laws}, json, show)
    if broken:
        raise typer.Exit(1)


def _use(kind: str, component: str) -> str:
    """The command that uses a component of ``kind``."""
    commands = {
        "data set": "extract {}",
        "region generator": "extract demo --regions {}",
        "encoder": "extract demo --encoder {}",
        "scorer": "score --scorer {}",
        "target": "score --target {}",
        "pooling": "probe --pool {}",
        "head": "probe --head {}",
    }
    return f"fgscore {commands[kind].format(quoted(component))}"


if __name__ == "__main__":
    _run.main(contract)

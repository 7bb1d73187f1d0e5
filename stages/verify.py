"""fgscore verify, repair and prune: what is wrong with the store, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import _next, _run
from . import _options as o


def verify(data: o.Data = o.DATA, json: o.Json = False) -> None:
    """Read the whole store, and every result, and name all that is damaged or stale. Exit 1 where something is.

    Example: fgscore verify
    """
    from fgscore.upkeep.verify import all_results
    from fgscore.upkeep.verify import verify as run_verify

    store = _run.store(data)
    with _run.Bars() as bars:
        problems = run_verify(store, bars)
    faults = [p for p in problems if p.severity != "unfinished"]
    measured = len(all_results(store))

    def show() -> None:
        _list(problems, store)
        unfinished = len(problems) - len(faults)
        if unfinished:
            print(f"{unfinished} unfinished: the same command goes on where it stopped.")
        if measured:
            print(f"{measured} results read, with their predictions.")
        print(f"{len(faults)} faults." if faults else "The store is sound.")
        damaged = any(p.severity == "damaged" for p in faults)
        _steps(["fgscore repair"] if damaged else _remade(store, problems))

    _run.emit({"problems": [p.to_json(store.layout) for p in problems], "results": measured}, json, show)
    if faults:
        raise typer.Exit(1)


def repair(data: o.Data = o.DATA, json: o.Json = False) -> None:
    """Move damaged and stale files aside, never deleting any; the next extract makes exactly those anew.

    Example: fgscore repair
    """
    from fgscore.upkeep.verify import ASIDE
    from fgscore.upkeep.verify import repair as run_repair

    store = _run.store(data)
    with _run.Bars() as bars:
        mended = run_repair(store, bars)

    def show() -> None:
        _list(mended, store)
        if mended:
            folders = [root for root in (store.layout.cache, store.layout.results) if _of(mended, root)]
            print(f"Moved to {' and '.join(str(root / ASIDE) for root in folders)}.")
            _steps(_remade(store, mended) or ["fgscore status"] * bool(_of(mended, store.layout.cache)))
            if _of(mended, store.layout.results):
                print("Results that were moved: the same probe or sweep as before computes them anew.")
        else:
            print("Nothing to repair.")

    _run.emit({"repaired": [p.to_json(store.layout) for p in mended]}, json, show)


def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed.")] = False,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """List what nothing in the store refers to any more; remove it only with --yes.

    Example: fgscore prune --yes
    """
    from fgscore.upkeep import prune as library

    store = _run.store(data)
    found = library.prune(store) if yes else library.unused(store)
    rows: list[dict[str, Any]] = [
        {"path": i.path.relative_to(store.layout.cache).as_posix(), "why": i.why, "bytes": i.bytes} for i in found
    ]

    def show() -> None:
        from fgscore import terminal
        from fgscore.tables import Column, Table

        columns = [Column("path", "path"), Column("why", "why"), Column("bytes", "size", "bytes")]
        terminal.show(Table("unused", "", columns, rows))
        if rows and not yes:
            _next.step("fgscore prune --yes")
        else:
            print("Removed." if rows else "Nothing to prune.")

    _run.emit({"removed" if yes else "unused": rows}, json, show)


def _remade(store: Any, problems: list[Any]) -> list[str]:
    """The commands that make anew what ``problems`` are about."""
    from fgscore.upkeep.status import remake_all

    return remake_all(store, [problem.paths[0] for problem in _of(problems, store.layout.cache)])


def _of(problems: list[Any], root: Path) -> list[Any]:
    """Those of files below ``root``."""
    return [problem for problem in problems if problem.paths[0].is_relative_to(root)]


def _steps(commands: list[str]) -> None:
    for command, word in zip(commands, ["Next", *["Then"] * len(commands)], strict=False):
        _next.step(command, word)


def _list(problems: list[Any], store: Any) -> None:
    from fgscore.terminal import visible
    from fgscore.upkeep.verify import shown

    for problem in problems:
        where = shown(store.layout, problem.paths[0])
        print(visible(f"{problem.severity}: {where}: {_next.inside(problem.what)}"))


if __name__ == "__main__":
    _run.main(verify)

"""fgscore sweep: the paper's tables, or a grid of your own, from the cache."""

from __future__ import annotations

from functools import cache, partial
from typing import Annotated, Any

import typer

from fgscore.errors import UsageError

from . import _cluster, _features, _next, _run
from . import _options as o

SELECT = ("val",)


def sweep(
    subject: o.Subject = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", help="A table of the paper, 1 to 4, or all. Repeatable.", show_default=False),
    ] = None,
    scorer: o.Scorer = [o.SCORER],  # noqa: B006 (Typer copies it)
    target: o.Target = [o.TARGET],  # noqa: B006
    pool: o.Pool = [o.POOL],  # noqa: B006
    k: o.K_ = None,
    head: o.Head = [o.HEAD],  # noqa: B006
    seed: Annotated[
        list[int] | None,
        typer.Option(
            "--seed",
            help="Moves the training of heads that start at random, as adamw, the same in every draw of crops; the "
            "first also which images --shots takes and --select val holds out. With --head-seeds the first of them; "
            "repeatable without.",
            show_default=False,
        ),
    ] = None,
    head_seeds: Annotated[
        int, typer.Option("--head-seeds", min=1, max=100, help="N seeds for each draw, of heads that start at random.")
    ] = 1,
    shots: o.Shots = None,
    n_regions: Annotated[
        int | None,
        typer.Option("--n-regions", min=1, help="Use so many of the cached crops an image.", show_default=False),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            "--draws",
            "--resamples",
            min=1,
            help="Draws of crops in a row: cached seeds, or disjoint blocks of --n-regions; every cached seed where "
            "left out.",
            show_default=False,
        ),
    ] = None,
    select: Annotated[
        str | None,
        typer.Option("--select", help="val: choose k and hyper-parameters on validation images.", show_default=False),
    ] = None,
    features: o.Features = "unit",
    eval_split: o.EvalSplit = "test",
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: o.Encoder = None,
    prompt: o.Prompt = None,
    executor: o.Executor = None,
    jobs: o.Jobs = None,
    slurm: o.Slurm = None,
    wait: o.Wait = False,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Compute the paper's tables, or any grid, with controls in each, intervals and tests.

    What is scored is compared with the mean of the same regions, the mean with the global embedding twice. --draws 3
    and --head-seeds 3 make what a verdict needs.

    Each result is kept as soon as it is there: the same command goes on where it stopped. A list in a component, as
    in entropy(tau=[10,50]), stands for one of each.

    Example: fgscore sweep demo --table 1
    Example: fgscore sweep --table all --head adamw --draws 3 --head-seeds 3
    Example: fgscore sweep cub --scorer "entropy(tau=[10,50,100], lam=[0.1,0.5])" --k 1 --k 5 --select val
    Example: fgscore sweep cub --regions random_crop --n-regions 32 --draws 5
    Example: fgscore sweep --table all --executor slurm --jobs 8 --slurm time=01:00:00 --wait
    """
    from fgscore.study import compare, grid, selection
    from fgscore.study.draws import Draws

    if select is not None and select not in SELECT:
        raise UsageError(f"--select: expected val, found {select!r}")
    if select and executor:
        raise UsageError("--select val chooses here, from what is there; leave out --executor, or --select")
    array = _cluster.wanted(executor, jobs, slurm, wait)
    seeds = _seeds(seed, head_seeds)
    plan = grid.Plan(
        _heads(head), seeds, shots or (None,), _features.rows(features), Draws(draws, n_regions), eval_split
    )
    tables = _tables(table)
    if tables and (scorer, target, pool, k) != ([o.SCORER], [o.TARGET], [o.POOL], None):
        raise UsageError("--table brings its own scorers, targets, pooling and k; leave out --table, or the others")
    with _run.Bars() as bars:
        found = _run.bundles(data, _run.subject(subject, dataset, False), regions, encoder, prompt)
        lines, missing = [], {}
        for family in grid.families(found):
            if tables:
                made, absent = grid.paper_lines(family, tables, plan)
                missing.update({(family.whole.dataset, generator): family.whole for generator in absent})
            else:
                made = _own(family, scorer, target, pool, k, plan)
            lines += made
        lines = _run.with_needs(lines)
        _run.without_labels([line.runs[0] for line in lines])
        if array and (detached := _cluster.sweep(_run.store(data), lines, array, bars)):
            detached.show(json)
            return
        chosen, candidates = selection.choose(lines, bars) if select else (lines, [])
        rows = compare.compare(chosen, bars)
    skipped = [_skipped(*one, regions) for one in missing.items()]

    def show() -> None:
        _show(rows, candidates, skipped)

    _run.emit({"results": rows, "selection": candidates, "skipped": skipped}, json, show)


def _seeds(seed: list[int] | None, head_seeds: int) -> Any:
    from fgscore.study.draws import Seeds

    named = tuple(dict.fromkeys(seed or ()))
    if head_seeds == 1:
        return Seeds(named=named)
    if len(named) > 1:
        several = " ".join(f"--seed {one}" for one in named)
        raise UsageError(f"expected one --seed, the first of those that --head-seeds counts, found {several}")
    return Seeds(head_seeds, first=named[0] if named else 0)


def _heads(names: list[str]) -> list[Any]:
    """Each head by its seed, of one that has none always the same."""
    from fgscore import specs

    texts = dict.fromkeys(text for name in names for text in specs.expand(name))
    _run.heads(list(texts), [0])  # refused before anything is looked up
    return [cache(partial(_head, text)) for text in texts]


def _head(text: str, seed: int) -> Any:
    return _run.heads([text], [seed])[0]


def _tables(names: list[str] | None) -> list[int]:
    """The tables asked for, in order; none where a grid of one's own is."""
    from fgscore.study.grid import TABLES

    known = {str(n): [n] for n in TABLES} | {"all": list(TABLES)}
    for name in names or ():
        if name not in known:
            raise UsageError(f"--table: expected 1, 2, 3, 4 or all, found {name!r}")
    return list(dict.fromkeys(n for name in names or () for n in known[name]))


def _own(family: Any, scorer: list[str], target: list[str], pool: list[str], k: list[str] | None, plan: Any) -> Any:
    from fgscore import specs
    from fgscore.study.grid import own_lines

    chosen = _run.scorers([text for name in scorer for text in specs.expand(name)])
    poolings = _run.poolings([text for name in pool for text in specs.expand(name)], k)
    targets = _run.targets([text for name in target for text in specs.expand(name)])
    return own_lines(family, chosen, targets, poolings, plan)


def _skipped(key: tuple[str, str], whole: Any, asked: list[str] | None) -> str:
    dataset, generator = key
    if asked and not any(text.startswith(generator) for text in asked):
        return f"{dataset}: rows of {generator} left out, as --regions asks"
    return f"{dataset}: no regions of {generator} are cached; {whole.way_out(generator)} for its rows"


def _show(rows: list[Any], candidates: list[Any], skipped: list[str]) -> None:
    from fgscore import terminal
    from fgscore.study import sweep_tables

    terminal.show(sweep_tables.candidates(candidates))
    if candidates:
        print()
    terminal.show(*sweep_tables.tables(rows))
    for line in map(_next.inside, skipped):
        print(terminal.visible(line))
    known = sum(row["computed"] == 0 for row in rows)
    if known:
        print(f"{known} of {len(rows)} lines were known already.")


if __name__ == "__main__":
    _run.main(sweep)

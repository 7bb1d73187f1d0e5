"""fgscore compare: any two settings on the same images."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from fgscore.errors import UsageError, quoted

from . import _features, _next, _run
from . import _options as o

OWN = ("dataset", "subject", "save_probe", "data", "json", "help")  # options of probe that are no part of a setting
REFUSED: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")  # Typer's own, or click's
ONE = 'each setting is one argument in the words of `fgscore probe`, as "--scorer soft_margin --k 5"'


def compare(
    subject: Annotated[str, typer.Argument(help="The data set.", autocompletion=o.named("datasets"))],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B",
            help='Two settings in probe\'s words: "--scorer soft_margin --k 5" "--pool self".',
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the images that A alone, or B alone, has right, as CSV.", show_default=False),
    ] = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Say how much two settings differ on the same images, how sure that is, and which images tell them apart.

    What neither setting names is held equal, one comparison for each regions, encoder and prompt that both have; what
    one names and the other does not takes probe's default there. What has not been probed is probed first; all draws
    of crops and seeds of the head that have been are used.

    Example: fgscore compare demo "--scorer soft_margin --k 5" "--pool self"
    Example: fgscore compare demo "--scorer soft_margin" "--scorer shuffled" --out images.csv
    Example: fgscore compare cub "--regions random_crop" "--regions sam"
    """
    from fgscore.study import pairing

    if out and not out.parent.is_dir():
        raise UsageError(f"--out: expected a folder at {out.parent}, found none")
    a, b = _two(settings or [], subject)
    with _run.Bars() as bars:
        sides = [_setting(name, text, data, subject) for name, text in (("A", a), ("B", b))]
        _check(*sides)
        found = pairing.compare(sides[0], sides[1], bars)
    if out:
        from fgscore.report.documents import comma_separated
        from fgscore.store import files
        from fgscore.study.pairing_tables import told_apart

        files.publish(out, comma_separated(told_apart(found)).encode())

    def show() -> None:
        from fgscore import terminal
        from fgscore.study import pairing_tables

        terminal.show(*pairing_tables.tables(found))
        if out:
            print(f"\nImages: {terminal.visible(str(out))}")
        else:
            print()
            _next.step(f"fgscore compare {quoted(subject)} {quoted(a)} {quoted(b)} --out images.csv", "Which images")
            _next.step(f"fgscore report {quoted(subject)}", 'Look at them, in the gallery\'s "against those of"')

    _run.emit({"comparisons": [pairing.to_json(one) for one in found]}, json, show)


def _two(settings: list[str], subject: str) -> list[str]:
    """The two settings; raises :class:`UsageError`, with a line that works, where there are fewer or more."""
    if len(settings) != 2:
        found = f"{len(settings)} arguments: {' '.join(map(quoted, settings))}" if settings else "none"
        line = f'fgscore compare {quoted(subject)} "--scorer soft_margin" "--pool self"'
        raise UsageError(f"expected two settings, found {found}; {ONE}; try `{line}`")
    return settings


def _setting(name: str, text: str, data: Path, dataset: str) -> Any:
    """The setting that ``text`` says; every fault is told with the argument that it is in."""
    from fgscore.study.pairing import NAMED, Setting

    given, named = _parsed(name, text)
    one = {key: given[key][0] for key in ("scorer", "target", "pool", "head")}
    if pool_alone := "k" not in named and "pool" in named and one["pool"].strip() != "topk":
        given["k"] = None
    scorers, targets = _run.scorers([one["scorer"]]), _run.targets([one["target"]])
    poolings = _run.poolings([one["pool"]], given["k"])
    if pool_alone and not poolings[0].needs_scores and (lost := {"scorer", "target"} & named):
        raise UsageError(f"{name}: --pool {one['pool']} takes no scores, found --{min(lost)}; leave it out")
    seed = given["seed"] if "seed" in named else None
    bundles = _run.bundles(data, dataset, *(given[key] for key in NAMED))
    return Setting(
        text, bundles, frozenset(NAMED) & named, scorers[0], targets[0], poolings[0],
        partial(_head, one["head"]), seed, (given["shots"] or [None])[0], _features.rows(given["features"]),
        given["eval_split"],
    )  # fmt: skip


def _head(text: str, seed: int) -> Any:
    return _run.heads([text], [seed])[0]


def _check(*sides: Any) -> None:
    """Raises where a side has only regions that it lacks, or lacks the text or labels it needs."""
    for side in sides:
        usable = _features.usable(list(side.bundles), [side.pooling])
        groups = [group for group in side.groups() if group[0] in usable]
        _run.with_needs([side.run(group[0], side.seed or 0) for group in groups])


def _parsed(name: str, text: str) -> tuple[dict[str, Any], set[str]]:
    """The options of ``text`` with probe's defaults, and the names of those that were written."""
    from ._commands import command

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{name}: {error} in {text!r}; {ONE}") from None
    if not words or not words[0].startswith("-"):
        raise UsageError(f"{name}: expected options, found {text!r}; {ONE}")
    try:
        context = command("probe").make_context(f"setting {name}", list(words))
    except REFUSED as refused:
        raise UsageError(f"{name}: {refused.format_message().rstrip('.')}; {ONE}") from None
    written = {key for key in context.params if _is_written(context, key)}
    if wrong := sorted(written & set(OWN)):
        word = "a data set" if wrong[0] == "subject" else f"--{wrong[0].replace('_', '-')}"
        raise UsageError(f"{name}: {word} is none of a setting, found {text!r}; {ONE}")
    for key in written:
        value = context.params[key]
        if isinstance(value, list | tuple) and len(value) > 1:
            raise UsageError(f"{name}: expected one --{key}, found {len(value)}; compare them two by two")
    if list(context.params["scorer"]) == ["all"]:
        raise UsageError(f"{name}: expected one --scorer, found all; compare them two by two")
    return dict(context.params), written


def _is_written(context: Any, key: str) -> bool:
    source = context.get_parameter_source(key)
    return source is not None and source.name == "COMMANDLINE"


if __name__ == "__main__":
    _run.main(compare, ignore_unknown_options=True)

"""What every command shares: errors as one line, exit codes, progress bars, JSON."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import typer

from fgscore import tables
from fgscore.errors import Faults, FgscoreError, UsageError, quoted

from . import _next, _streams
from . import _options as o

# Before torch is loaded: threads that wait for long by spinning make a run ten times slower on a machine it shares, and
# threads that do not spin at all make it half as fast on one of its own.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

INTERRUPTED, QUARANTINED = 130, 3
HELP = {"help_option_names": ["--help", "-h"]}


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with every error turned into one line on stderr and an exit code; a traceback with --debug."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        _next.begin(kwargs)
        _hear()
        with warnings.catch_warnings():  # each command says its own, once
            warnings.filterwarnings("ignore", module=r"PIL\.")  # of photos; what cannot be used is quarantined
            warnings.simplefilter("ignore", DeprecationWarning)  # of libraries: not for whoever runs a command
            warnings.showwarning = lambda message, *_: _say(_next.inside(f"warning: {message}"))
            return _answered(function, *args, **kwargs)

    # \b keeps Typer from running the examples together as one paragraph
    run.__doc__ = (function.__doc__ or "").replace("\n\n    Example:", "\n\n    \b\n    Example:")
    return run


def _answered(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on where this one stopped")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if os.environ.get("FGSCORE_DEBUG"):
            raise
        first, *more = _lines(error)
        for line in (f"error: {first}", *more):
            _say(_next.inside(line))
        raise typer.Exit(getattr(error, "exit_code", 1)) from None


class _Said(logging.Handler):
    """What the library notes, such as a question to the network, as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        _say(_next.inside(record.getMessage()))


def _hear() -> None:
    log = logging.getLogger("fgscore")
    log.setLevel(logging.INFO)
    if not any(isinstance(handler, _Said) for handler in log.handlers):
        log.addHandler(_Said())


def _lines(error: Exception) -> list[str]:
    """What is said of an error: one line, or one for each of several faults."""
    if isinstance(error, Faults):
        return [error.summary, *(f"  {what}: {_line(one)}" for what, one in error.faults)]
    return [_line(error)]


def _line(error: Exception) -> str:
    if isinstance(error, FgscoreError):
        return str(error).replace("\n", " ")
    if isinstance(error, OSError) and error.strerror:
        where = f" at {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}; nothing half-written is left, run the same command again once that is mended"
    if isinstance(error, MemoryError):
        return "out of memory; nothing half-written is left, run the same command again where there is more"
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}; the same command with --debug shows where"


def _say(line: str) -> None:
    from fgscore.terminal import visible

    with _streams.unread(sys.stderr):
        print(visible(line), file=sys.stderr)


def note(line: str) -> None:
    """A line on stderr beside the result, its commands as they work here."""
    _say(_next.inside(f"note: {line}"))


def main(function: Callable[..., Any], **settings: bool) -> None:
    """Run one command as a program of its own: ``python -m stages.score``; ``settings`` are more of Typer's."""
    _streams.open_all()
    _next.begin_program()
    app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={**HELP, **settings})
    app.command()(guarded(function))
    app()


def subject(positional: str | None, option: str | None, required: bool = True) -> str | None:
    """The data set from either place; raises :class:`UsageError` where both differ or, if required, none is given."""
    if positional and option and positional != option:
        raise UsageError(f"expected one data set, found {positional!r} and --dataset {option!r}")
    if required and not (positional or option):
        raise UsageError("expected a data set, found none; for example `fgscore extract demo`")
    return positional or option


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids asking the model hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def store(data: Path) -> Any:
    """The store under the data folder."""
    from fgscore.store.cache import Store
    from fgscore.store.paths import Layout

    return Store(Layout(data))


def bundles(
    data: Path,
    dataset: str | None,
    regions: list[str] | None,
    encoder: list[str] | None,
    prompt: list[str] | None,
) -> list[Any]:
    """Everything cached that agrees with the options, each combination once."""
    from fgscore.store import match

    opened = store(data)
    found: dict[Any, Any] = {}
    for r in regions or [None]:  # type: ignore[list-item]
        for e in encoder or [None]:  # type: ignore[list-item]
            for p in prompt or [None]:  # type: ignore[list-item]
                for bundle in match.bundles(opened, dataset, r, e, p):
                    found.setdefault(tuple(a.path for a in bundle.artefacts), bundle)
    return list(found.values())


def with_regions(bundles: list[Any], needed_by: str) -> list[Any]:
    """Those of ``bundles`` that have regions; a line about each that has none. Raises :class:`NothingCached` where
    none is left."""
    from fgscore.errors import NothingCached
    from fgscore.store.bundle import RegionBundle

    kept = [b for b in bundles if isinstance(b, RegionBundle)]
    for bundle in bundles:
        if bundle not in kept:
            _say(f"skipped {bundle.dataset} by {bundle.labels['encoder']}: no regions, which {needed_by} needs")
    if not kept:
        raise NothingCached(
            f"{needed_by} needs regions, found whole images alone of {bundles[0].dataset}; "
            f"{bundles[0].way_out()}, or `fgscore probe {quoted(bundles[0].asked)} --pool none`"
        )
    return kept


def by_bundle(runs: list[Any]) -> list[list[Any]]:
    """``runs`` that share a bundle, together."""
    groups: dict[int, list[Any]] = {}
    for run in runs:
        groups.setdefault(id(run.bundle), []).append(run)
    return list(groups.values())


def scored(bundles: list[Any], scorers: list[Any], targets: list[Any], needed_by: str) -> list[list[Any]]:
    """Runs of ``scorers`` against ``targets`` for each of ``bundles`` that has what they need, those of a bundle
    together; see :func:`with_regions` and :func:`with_needs`."""
    from fgscore.evaluate.score import runs_for

    found = with_regions(bundles, needed_by)
    return by_bundle(with_needs([run for bundle in found for run in runs_for(bundle, scorers, targets)]))


def with_needs(runs: list[Any]) -> list[Any]:
    """Those of ``runs``, of any kind, that have the class text and the labels they need; a line about what is left
    out. Raises :class:`NoText` or :class:`NoLabels` where none is left."""
    lacking = {id(run): lack for run in runs if (lack := run.lacks())}
    kept = [run for run in runs if id(run) not in lacking]
    if lacking and not kept:
        raise next(iter(lacking.values()))
    for line in dict.fromkeys(f"skipped: {lack}" for lack in lacking.values()):
        _say(_next.inside(line))
    return kept


def without_labels(runs: list[Any]) -> None:
    """A line on stderr for each data set of ``runs`` that has images without a label: a probe leaves them out."""
    said = {run.bundle.dataset: run.bundle.unlabelled() for run in runs}
    for name, of in said.items():
        if of:
            note(f"{name}: {of}; those take no part")


def told_apart(bound: list[Any]) -> list[Any]:
    """``bound`` itself; raises :class:`UsageError` where two components have one name in every table, as they stand in
    two files of one name, or are given two."""
    seen: dict[str, Any] = {}
    for one in bound:
        if seen.setdefault(one.canonical, one).identity != one.identity:
            raise UsageError(
                f"two {one.kind}s are called {one.canonical}, and no table would tell them apart; give their files "
                "different names, or run the command once for each"
            )
    return bound


def scorers(names: list[str]) -> list[Any]:
    """The scorers named; 'all' stands for every built-in one but the controls."""
    from fgscore.scorers import Scorer

    texts = [t for name in names for t in (Scorer.informed() if name == "all" else [name])]
    return told_apart([Scorer.bind(text) for text in dict.fromkeys(texts)])


def targets(names: list[str]) -> list[Any]:
    """The targets named; the oracle is announced for what it is."""
    from fgscore.targets import Target

    bound = [Target.bind(name) for name in dict.fromkeys(names)]
    if any(target.reads_labels for target in bound):
        _say("note: target oracle reads the labels of test images; its results are upper bounds")
    return told_apart(bound)


def poolings(pools: list[str], ks: list[str] | None) -> list[Any]:
    """Every pooling named; ``--k`` values go to topk, each giving one."""
    from fgscore.pooling import Pooling

    for k in ks or ():
        if "," in k:
            several = " ".join(f"--k {one.strip()}" for one in k.split(","))
            raise UsageError(f"expected one number or all, found --k {k}; several are given as {several}")
    made = []
    for pool in dict.fromkeys(pools):
        if pool.strip() == "topk":
            made += [Pooling.bind(f"topk(k={k})") for k in dict.fromkeys(ks or [o.K])]
        elif ks and not any(p.strip() == "topk" for p in pools):
            raise UsageError(
                f'--k is for --pool topk, found --pool {pool}; write --pool "topk(k=...)" or leave out --k'
            )
        else:
            made.append(Pooling.bind(pool))
    return told_apart(made)


def heads(names: list[str], seeds: list[int]) -> list[Any]:
    """Every head named with every seed; a seed goes to those that have one. Raises :class:`UsageError` where a head
    says its own as well."""
    from fgscore import specs
    from fgscore.heads import Head

    made: dict[Any, Any] = {}
    for text in names:
        head, spec = Head.bind(text), specs.parse(text)
        for seed in dict.fromkeys(seeds) if head.seed is not None else [0]:
            if seed and "seed" in spec.params:
                raise UsageError(f"expected the seed once, found --seed {seed} and --head {text!r}")
            one = Head.bind(specs.text(spec.name, {**spec.params, "seed": seed})) if seed else head
            made.setdefault(one.identity, one)
    return told_apart(list(made.values()))


def emit(content: Mapping[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    """One JSON object, or what ``show`` prints. Who reads no further does not change the exit code."""
    with _streams.unread(sys.stdout):
        if as_json:
            print(json.dumps(content, indent=1, allow_nan=False, default=str))
        else:
            show()


class Bars(AbstractContextManager["Bars"]):
    """Progress bars on stderr, one a label, with rate and time left. Off a terminal, as in a job's log: a line a
    minute, and one when a label ends."""

    def __enter__(self) -> Bars:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from fgscore.machine.progress import Lines

        self._tasks: dict[str, Any] = {}
        self._lines = Lines(_say)
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """A line above the bars."""
        line = _next.inside(line)
        if self._console.is_terminal:
            from fgscore.terminal import visible

            self._progress.console.print(visible(line), markup=False, highlight=False)
        else:
            _say(line)

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show ``done`` of ``total`` for ``label``."""
        if label not in self._tasks:
            from fgscore.terminal import visible

            self._tasks[label] = self._progress.add_task(visible(label), total=total, rate="")
        task = self._progress.tasks[self._tasks[label]]
        speed = f"{tables.text(task.speed, 'number')}/s" if task.speed else ""
        self._progress.update(self._tasks[label], completed=done, total=total, rate=speed)
        if not self._console.is_terminal:
            self._lines(label, done, total)

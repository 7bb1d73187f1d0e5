"""Every command by name: where it lies and its line in ``fgscore --help``, so that only the one asked for is
imported."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from . import _streams

# name: (module:function, the first sentence of its help; a test compares it with the command's own)
COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": (
        "demo:demo",
        "Draw a small data set, extract regions and embeddings, score, probe, and print the paper's kind of table.",
    ),
    "download": (
        "download:download",
        "Download and unpack the official files; checksums are checked, a download that broke off goes on.",
    ),
    "check": (
        "check:check",
        "Look at what is there: layout, counts by split, files that cannot be read, what is missing, the next command.",
    ),
    "doctor": (
        "doctor:doctor",
        "Check device, disk and cluster; with a data set, also weights, memory for a batch, time and space of its "
        "extract.",
    ),
    "extract": (
        "extract:extract",
        "Index, thumbnails, regions (random crops, then SAM masks) and all embeddings: what needs photos or a GPU, "
        "once.",
    ),
    "index": (
        "index:index",
        "List, check and hash the photos of a data set: the first artefact, parent of all others.",
    ),
    "regions": ("regions:regions", "Generate regions (random crops, SAM masks) of every photo and store them."),
    "embed": (
        "embed:embed",
        "Embed whole photos, class names and regions; regions and thumbnails that are not there yet are made first.",
    ),
    "score": ("score:score", "Score every cached region, on the CPU and without the images."),
    "aggregate": ("aggregate:aggregate", "Pool scored regions into [global; local] features and store them."),
    "probe": (
        "probe:probe",
        "Fit a head on pooled features, print top-1 and mean per-class accuracy on the test images.",
    ),
    "sweep": (
        "sweep:sweep",
        "Compute the paper's tables, or any grid, with intervals and tests against the global embedding alone.",
    ),
    "claims": (
        "claims:claims",
        "Say of each finding of the paper whether your results support it, contradict it or leave it open.",
    ),
    "locate": (
        "locate:locate",
        "Say how much of the top k lies on the annotated object (boxes of cub, cars, aircraft) or part (pets, demo).",
    ),
    "diagnose": (
        "diagnose:diagnose",
        "Say how good pseudo-labels are, how scorers agree, what sizes they like, which classes and images change.",
    ),
    "predict": (
        "predict:predict",
        "Class of new photos by a saved probe: the same regions, embeddings, scores and pooling as in training.",
    ),
    "import": (
        "import_:import_embeddings",
        "Take global, region and text embeddings from files, so that score, aggregate and probe work on them.",
    ),
    "report": (
        "report:report",
        "Write the results as tables (Markdown, CSV, LaTeX), plots (SVG, PNG) and one page, report.html, with a "
        "gallery.",
    ),
    "show": (
        "show:show",
        "Draw one image, all its regions, and the best of them with their scores, weights and pseudo-labels.",
    ),
    "export": (
        "export:export",
        "Write artefacts as Parquet, .npz or safetensors, one file each, and masks as COCO JSON.",
    ),
    "status": (
        "status:status",
        "Show what the cache holds: shards done of planned, failures, size, time, and the next command; and the jobs "
        "of a cluster that are at work on it.",
    ),
    "verify": ("verify:verify", "Read the whole store, and every result, and name all that is damaged or stale."),
    "repair": (
        "verify:repair",
        "Move damaged and stale files aside, never deleting any; the next extract makes exactly those anew.",
    ),
    "prune": ("verify:prune", "List what nothing in the store refers to any more; remove it only with --yes."),
    "compact": (
        "compact:compact",
        "Merge the shards of complete artefacts into large files; the content, and all that reads it, stays the same.",
    ),
    "list": (
        "list:list_components",
        "List the kinds of components, or all of one kind, with parameters and one line each.",
    ),
    "contract": (
        "contract:contract",
        "Try a component of your own on small random inputs: a tick for each law that it keeps to, or what breaks it.",
    ),
}


def function(name: str) -> Any:
    """The function behind a command; imports its module."""
    module, _, found = COMMANDS[name][0].partition(":")
    return getattr(import_module(f".{module}", __package__), found)


@cache
def command(name: str) -> Any:
    """A command in full, as Typer makes it of its function."""
    from ._run import HELP, guarded

    app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=HELP)
    app.command(name)(guarded(function(name)))
    return typer.main.get_command(app)


@contextmanager
def _help_unread() -> Iterator[None]:
    """Who reads no further of a help text ends the program, as a signal would."""
    try:
        yield
    except BrokenPipeError:
        _streams.mute(sys.stdout)
        raise typer.Exit(128 + 13) from None


class Commands(TyperGroup):
    """All commands: listed by name and line alone, made when one is asked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=line) for name, (_, line) in COMMANDS.items()}

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Parse the line."""
        with _help_unread():
            return super().make_context(*args, **more)

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """--debug counts wherever it stands."""
        ctx.meta[__name__] = args
        return super().parse_args(ctx, sorted(args, key=lambda arg: arg != "--debug"))

    def invoke(self, ctx: Any) -> Any:
        """Run; several values in one are told apart from a wrong one."""
        try:
            with _help_unread():
                return super().invoke(ctx)
        except typer.BadParameter as error:
            several = any(re.fullmatch(r"\d+(,\d+)+", arg) for arg in ctx.meta[__name__])
            if several and getattr(error.param, "multiple", False):
                error.message = f"{error.message.rstrip('.')}; several are given by repeating the option."
            raise

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command in full; None for a name that there is not."""
        return command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of ``fgscore --help``."""
        TyperGroup(name=self.name, commands=dict(self.commands)).format_commands(ctx, formatter)

"""Every command by name and where it lies, so that only the one asked for is imported."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from . import _streams

# name: module:function; its line in `fgscore --help` is the first sentence of that function's own help
COMMANDS: Mapping[str, str] = {
    "demo": "demo:demo",
    "download": "download:download",
    "check": "check:check",
    "doctor": "doctor:doctor",
    "extract": "extract:extract",
    "index": "index:index",
    "regions": "regions:regions",
    "embed": "embed:embed",
    "score": "score:score",
    "aggregate": "aggregate:aggregate",
    "probe": "probe:probe",
    "sweep": "sweep:sweep",
    "compare": "compare:compare",
    "claims": "claims:claims",
    "locate": "locate:locate",
    "diagnose": "diagnose:diagnose",
    "predict": "predict:predict",
    "import": "import_:import_embeddings",
    "report": "report:report",
    "show": "show:show",
    "export": "export:export",
    "status": "status:status",
    "verify": "verify:verify",
    "repair": "verify:repair",
    "prune": "verify:prune",
    "compact": "compact:compact",
    "list": "list:list_components",
    "contract": "contract:contract",
}

WITH_OPTIONS = ("compare",)  # whose arguments may look like options: "--pool self"


def function(name: str) -> Any:
    """The function behind a command; imports its module."""
    module, _, found = COMMANDS[name].partition(":")
    return getattr(import_module(f".{module}", __package__), found)


def line(name: str) -> str:
    """The first paragraph of a command's help, found in its source: parsing that would take as long as all the rest."""
    module, _, found = COMMANDS[name].partition(":")
    source = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    own = source[source.index(f"def {found}(") :].split('"""', 2)[1]
    return " ".join(own.partition("\n\n")[0].split())


@cache
def command(name: str) -> Any:
    """A command in full, as Typer makes it of its function."""
    from ._run import HELP, guarded

    settings = {**HELP, "ignore_unknown_options": name in WITH_OPTIONS}
    app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=settings)
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
        self.commands = {name: TyperCommand(name) for name in COMMANDS}

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
        listed = {name: TyperCommand(name, help=line(name)) for name in COMMANDS}
        TyperGroup(name=self.name, commands=listed).format_commands(ctx, formatter)  # type: ignore[arg-type]

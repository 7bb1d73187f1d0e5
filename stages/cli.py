"""fgscore: the command line. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from . import _next, _streams
from ._commands import Commands
from ._run import HELP


class Program(typer.Typer):
    """The commands as a program of its own, whatever became of the standard streams."""

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Run the command line."""
        _streams.open_all()
        _next.begin_program()
        return super().__call__(*args, **more)


app = Program(
    name="fgscore",
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=HELP,
    help="Score, pool and probe CLIP embeddings of image regions: extract once on a GPU, score for ever on a laptop.",
)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; anywhere on the line.")
    ] = False,
) -> None:
    """Options of every command."""
    if version:
        from fgscore import __version__

        print(__version__)
        raise typer.Exit
    if debug:
        os.environ["FGSCORE_DEBUG"] = "1"


if __name__ == "__main__":
    app()

"""fgscore: the command line. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ._commands import Commands

app = typer.Typer(
    name="fgscore",
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Score, pool and probe CLIP embeddings of image regions: extract once on a GPU, score for ever on a laptop.",
)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
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

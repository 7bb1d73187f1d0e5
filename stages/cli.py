"""fgscore: the command line. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from . import (
    aggregate,
    check,
    claims,
    compact,
    demo,
    diagnose,
    doctor,
    download,
    embed,
    export,
    extract,
    import_,
    index,
    locate,
    predict,
    probe,
    regions,
    report,
    score,
    show,
    status,
    sweep,
    verify,
)
from . import list as list_stage
from ._run import guarded

app = typer.Typer(
    name="fgscore",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Score, pool and probe CLIP embeddings of image regions: extract once on a GPU, score for ever on a laptop.",
)

COMMANDS = {
    "demo": demo.demo,
    "download": download.download,
    "check": check.check,
    "doctor": doctor.doctor,
    "extract": extract.extract,
    "index": index.index,
    "regions": regions.regions,
    "embed": embed.embed,
    "score": score.score,
    "aggregate": aggregate.aggregate,
    "probe": probe.probe,
    "sweep": sweep.sweep,
    "claims": claims.claims,
    "locate": locate.locate,
    "diagnose": diagnose.diagnose,
    "predict": predict.predict,
    "import": import_.import_embeddings,
    "report": report.report,
    "show": show.show,
    "export": export.export,
    "status": status.status,
    "verify": verify.verify,
    "repair": verify.repair,
    "prune": verify.prune,
    "compact": compact.compact,
    "list": list_stage.list_components,
}
for name, function in COMMANDS.items():
    app.command(name)(guarded(function))


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

"""Options that mean the same in every command; each default has its one home here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

F = TypeVar("F", bound=Callable[..., Any])


def options_of(command: Callable[..., Any], without: Collection[str] = ()) -> Callable[[F], F]:
    """A decorator that gives a function the options of ``command``, but for those ``without``."""

    def take(function: F) -> F:
        signature = inspect.signature(command, eval_str=True)
        kept = [p for name, p in signature.parameters.items() if name not in without]
        vars(function)["__signature__"] = signature.replace(parameters=kept)
        function.__annotations__ = {p.name: p.annotation for p in kept}
        return function

    return take


def named(plural: str) -> Callable[[str], list[str]]:
    """What a shell completes to: the names of the components of a kind; an error would only disturb the typing."""

    def complete(incomplete: str) -> list[str]:
        from fgscore.components import kind_named

        try:
            return [name for name in kind_named(plural).names() if name.startswith(incomplete)]
        except Exception:
            return []

    return complete


SCORER = "soft_margin"
TARGET = "global"
POOL = "topk"
K = "5"
HEAD = "logreg"

Subject = Annotated[
    str | None,
    typer.Argument(help="The data set, as for --dataset.", show_default=False, autocompletion=named("datasets")),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="A data set: cub, cars, demo, or \"folder(name='mine')\".",
        show_default=False,
        autocompletion=named("datasets"),
    ),
]
Regions = Annotated[
    list[str] | None,
    typer.Option(
        "--regions",
        help='Region generator, as "random_crop(n=64)" or ./mine.py:grid. Repeatable.',
        show_default=False,
        autocompletion=named("regions"),
    ),
]
Encoder = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder",
        help="Encoder, as \"clip(model='DIR')\" or ./mine.py:dino. Repeatable.",
        show_default=False,
        autocompletion=named("encoders"),
    ),
]
Prompt = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        help="photo, plain, typed, clip, a template with {}, ./mine.txt or ./descriptions.json. Repeatable.",
        show_default=False,
    ),
]
Scorer = Annotated[
    list[str],
    typer.Option(
        "--scorer",
        help='Scorer, as "entropy(tau=50)" or ./mine.py:myscore; or all but the controls, as all. Repeatable.',
        autocompletion=named("scorers"),
    ),
]
Target = Annotated[
    list[str],
    typer.Option(
        "--target",
        help="Class to score against: global, local, oracle (reads labels) or ./mine.py:mine. Repeatable.",
        autocompletion=named("targets"),
    ),
]
Pool = Annotated[
    list[str],
    typer.Option(
        "--pool", help="none, self, mean, topk or ./mine.py:mine. Repeatable.", autocompletion=named("poolings")
    ),
]
K_ = Annotated[
    list[str] | None,
    typer.Option("--k", help=f"Regions kept by topk, or all ({K} where left out). Repeatable.", show_default=False),
]
Features = Annotated[str, typer.Option("--features", help="Sum unit or raw region embeddings.")]
Head = Annotated[
    list[str],
    typer.Option(
        "--head",
        help='logreg, "logreg(C=100)", adamw, zeroshot, anchored or ./mine.py:forest. Repeatable.',
        autocompletion=named("heads"),
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        help="Moves the training of heads that start at random, as adamw, and which images --shots takes.",
    ),
]
Shots = Annotated[
    list[int] | None,
    typer.Option(
        "--shots", min=1, help="Train on N images a class; all where left out. Repeatable.", show_default=False
    ),
]

EvalSplit = Annotated[
    Literal["test", "val"],
    typer.Option("--eval-split", help="Images to measure on: test, or val where there are no test images."),
]
Data = Annotated[
    Path,
    typer.Option("--data", envvar="FGSCORE_DATA", help="Folder of raw/, models/, cache/ and results/."),
]
DATA = Path("data")
Root = Annotated[
    Path | None,
    typer.Option("--root", help="Where the photos lie; <data>/raw/<dataset> where left out.", show_default=False),
]
Partial = Annotated[bool, typer.Option("--partial", help="Accept a copy that lacks photos.")]
Force = Annotated[bool, typer.Option("--force", help="Accept photos of your own that the validation refuses.")]
Protocol = Annotated[
    str | None,
    typer.Option("--protocol", help="Splits: official, or coop where there is one.", show_default=False),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="Take the first N photos of each class and split.", show_default=False),
]
Classes = Annotated[
    str | None,
    typer.Option(
        "--classes",
        help="A file of class names, one a line, in place of the data set's; kept until others, or own, are given.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
Devices = Annotated[
    str | None,
    typer.Option("--devices", help="Several devices, a process each: 0,1,2,3 or cpu,cpu.", show_default=False),
]
Executor = Annotated[
    str | None, typer.Option("--executor", help="slurm: as jobs of a cluster, see --jobs.", show_default=False)
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Jobs that share the shards (with --executor).", show_default="1")
]
Slurm = Annotated[
    list[str] | None,
    typer.Option(
        "--slurm",
        help="An option of sbatch: partition=gpu, gres=gpu:1, time=04:00:00, a flag as requeue=true. Repeatable.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Index the photos and estimate hours and GB from 32 of them; no more.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the jobs until they end (with --executor).")]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=0, help="Images or regions in one forward pass; 0 chooses.")
]
Profile = Annotated[bool, typer.Option("--profile", help="Print where the time went: decode, resize, forward, write.")]
Workers = Annotated[int, typer.Option("--workers", min=0, help="Threads that decode photos; 0 chooses.")]
Implementation = Annotated[
    str,
    typer.Option(
        "--implementation",
        help="exact, our own code, or upstream, that of the libraries, slower; same results within rounding.",
    ),
]
Thumbnails = Annotated[bool, typer.Option("--thumbnails/--no-thumbnails", help="Keep small copies to look at.")]
ThumbnailSize = Annotated[
    int | None,
    typer.Option("--thumbnail-size", min=16, help="Longest side of these, in pixels.", show_default="256"),
]
AllowFailures = Annotated[bool, typer.Option("--allow-failures", help="Exit 0 though pictures were left out.")]
AllowEqualText = Annotated[
    bool, typer.Option("--allow-equal-text", help="Go on though two classes have one text embedding.")
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try quarantined images again, just those.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]

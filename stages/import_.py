"""fgscore import: take embeddings that someone else computed into the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _extract, _next, _run
from . import _options as o


def import_embeddings(
    dataset: Annotated[str, typer.Argument(help="The data set to keep them under, as for --dataset later.")],
    files: Annotated[list[Path], typer.Argument(help=".npz, .parquet or .safetensors files.")],
    array: Annotated[
        list[str] | None,
        typer.Option(
            "--array",
            help="NAME=KEY or NAME:SPLIT=KEY where the files use other names, as globals:test=val. Repeatable.",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[str, typer.Option("--encoder", help="What to call the encoder later.")] = "imported",
    regions: Annotated[str, typer.Option("--regions", help="What to call the regions later.")] = "imported",
    prompt: Annotated[str, typer.Option("--prompt", help="What to call the prompt later.")] = "imported",
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Take global, region and text embeddings from files, so that score, aggregate and probe work on them.

    Arrays are named image_ids, labels, split, class_names, globals, offsets, regions, boxes_xyxy, text, logit_scale;
    the README's format section says what each is. Files without labels join the data set's index in the cache.

    Example: fgscore import mine embeddings.npz --encoder "open_clip(model='ViT-L-14')"
    Example: fgscore import mine a.npz --array globals:train=x --array labels:train=y --array globals:test=xt
    """
    from fgscore.exchange.import_ import Names, import_files
    from fgscore.upkeep.status import after_embedding

    store = _run.store(data)
    with _run.Bars() as bars:
        summaries = import_files(
            store,
            dataset,
            files,
            sources=array or [],
            names=Names(encoder, regions, prompt),
            progress=bars,
        )
    step = after_embedding(store, dataset) or _next.meant("status", dataset)
    _extract.finish(summaries, json, True, step)


if __name__ == "__main__":
    _run.main(import_embeddings)

"""fgscore import: take embeddings that someone else computed into the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _extract, _next, _run
from . import _options as o


def import_embeddings(
    dataset: Annotated[str, typer.Argument(help="The data set to keep them under, as for --dataset later.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            help=".npz, .npy, .parquet, .safetensors, .pt, .pth, .h5, .hdf5, .csv or .tsv files, or folders of them."
        ),
    ],
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
    the README's format section says what each is. Where none is, what others call them is found: an embedding column,
    img_emb_0.npy beside metadata_0.parquet, features_train.pt and targets_train.pt, test_f.pt and keys_16shots.pt.
    What is passed over, rounded or made up is said in a line each.

    Labels are whole numbers, or names; an empty cell is none. Class names go by position. Files without labels join the
    data set's index in the cache; where there is none, their images have no label. A split may stand in the name of a
    file: x_train.npz, x_test.npz. Nothing is loaded from a pickle; .pt and .pth need torch.

    Example: fgscore import mine embeddings.npz --encoder "open_clip(model='ViT-L-14')"
    Example: fgscore import mine a.npz --array globals:train=x --array labels:train=y --array globals:test=xt
    Example: fgscore import mine clip_features/features_*.pt clip_features/targets_*.pt
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
            say=bars.say,
        )
    step = after_embedding(store, dataset) or _next.meant("status", dataset)
    _extract.finish(summaries, json, True, step)


if __name__ == "__main__":
    _run.main(import_embeddings)

"""fgscore predict: a saved probe on new photos, or the nearest text for images in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fgscore.errors import UsageError, quoted

from . import _extract, _run
from . import _options as o


def predict(
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Photos; with --dataset ids of its images, all where left out.", show_default=False),
    ] = None,
    probe: Annotated[
        Path | None, typer.Option("--probe", help="What probe --save-probe wrote.", show_default=False)
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="In place of a probe: images in the store, by text.", show_default=False),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Classes to show of each photo.")] = 3,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", help="Where the encoder's weights lie: \"clip(model='DIR')\".", show_default=False),
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option("--regions", help="Where the generator's weights lie.", show_default=False),
    ] = None,
    scorer: Annotated[
        str | None, typer.Option("--scorer", help="The scorer, where it is in a file of yours.", show_default=False)
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="With --dataset, the prompt of the text.", show_default=False)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Use what you name though the probe was made with something else.")
    ] = False,
    device: o.Device = "auto",
    batch_size: o.BatchSize = 0,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Class of new photos by a saved probe, or of the images of a data set by the text of its classes, without labels.

    New photos go through the same regions, embeddings, scores and pooling as in training. Images in the store need
    neither photos nor weights: the class is that of the nearest text to the whole image. Exit 3 where some photos
    cannot be read.

    Example: fgscore predict --probe birds.safetensors a.jpg b.jpg
    Example: fgscore predict --dataset demo --top 1
    """
    _check_call(probe, dataset, {"regions": regions, "scorer": scorer, "force": force}, {"prompt": prompt})
    if dataset is not None:
        rows = _by_text(data, dataset, encoder, prompt, images or [], top)
    elif not images:
        raise UsageError(f"expected photos, found none; `fgscore predict --probe {quoted(str(probe))} PHOTO...`")
    else:
        how = _extract.runtime(data, device, batch_size, 0)
        assert probe is not None
        rows = _by_probe(probe, how, (encoder, regions, scorer, force), [Path(image) for image in images], top)

    def show() -> None:
        from fgscore import terminal
        from fgscore.evaluate import strategies
        from fgscore.tables import Column, Table

        settings = strategies.columns("dataset", "encoder", "prompt") if dataset else []
        columns = [
            *settings,
            Column("image", "photo"),
            Column("class_name", "class"),
            Column("probability", "probability", "number"),
            Column("error", ""),
        ]
        lines = [line for row in rows for line in _lines(row)]
        terminal.show(Table("predictions", "", columns, lines, once=tuple(column.key for column in settings)))

    _run.emit({"predictions": rows}, json, show)
    if any("error" in row for row in rows):
        raise typer.Exit(_run.QUARANTINED)


def _check_call(probe: Path | None, dataset: str | None, of_probe: dict[str, Any], of_dataset: dict[str, Any]) -> None:
    """Raises :class:`UsageError` unless a probe or a data set is named, with options of its own alone."""
    if (probe is None) == (dataset is None):
        found = "neither" if probe is None else "both"
        raise UsageError(
            f"expected --probe FILE and photos, or --dataset NAME of images in the store, found {found}; for example "
            "`fgscore predict --dataset demo`"
        )
    one, other, idle = ("--dataset", "--probe", of_probe) if dataset else ("--probe", "--dataset", of_dataset)
    if given := next((name for name, value in idle.items() if value), None):
        raise UsageError(f"--{given} is for predict {other}, found {one}; leave it out")


def _by_probe(
    probe: Path, how: Any, named: tuple[str | None, str | None, str | None, bool], images: list[Path], top: int
) -> list[dict[str, Any]]:
    """Classes of photos by a saved probe; ``named`` are encoder, generator and scorer, and whether others will do."""
    from fgscore.evaluate.predict import Predictor
    from fgscore.evaluate.predict import predict as run_predict
    from fgscore.evaluate.saved import load

    opened, rows = load(probe), []
    with _run.Bars() as bars:
        for row in run_predict(Predictor(opened, how, *named, bars), images, top):
            rows.append(row)
            bars("predict", len(rows), len(images))
    return rows


def _by_text(
    data: Path, dataset: str, encoder: str | None, prompt: str | None, image_ids: list[str], top: int
) -> list[dict[str, Any]]:
    """Classes of images in the store by text: of every encoder and prompt that there is and that was not left out."""
    from fgscore.evaluate.zeroshot import predict as run_predict

    found = _run.bundles(data, dataset, None, [encoder] if encoder else None, [prompt] if prompt else None)
    distinct = {bundle.family: bundle for bundle in found}.values()
    if not (with_text := [bundle for bundle in distinct if bundle.text]):
        raise found[0].no_text("predict --dataset", "--probe with a probe that was trained")
    return [
        {key: bundle.labels[key] for key in ("dataset", "encoder", "prompt")} | row
        for bundle in with_text
        for row in run_predict(bundle, top, image_ids)
    ]


def _lines(row: dict[str, Any]) -> list[dict[str, Any]]:
    """One line a class; the photo is named on the first."""
    if "error" in row:
        return [row]
    where = {key: value for key, value in row.items() if key in ("dataset", "encoder", "prompt")}
    return [{**where, **one, "image": "" if i else row["image"]} for i, one in enumerate(row["classes"])]


if __name__ == "__main__":
    _run.main(predict)

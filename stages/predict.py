"""fgscore predict: a saved probe on new photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import _extract, _run
from . import _options as o


def predict(
    images: Annotated[list[Path], typer.Argument(help="Photos.")],
    probe: Annotated[Path, typer.Option("--probe", help="What probe --save-probe wrote.")],
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
    force: Annotated[
        bool, typer.Option("--force", help="Use what you name though the probe was made with something else.")
    ] = False,
    device: o.Device = "auto",
    batch_size: o.BatchSize = 0,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Class of new photos by a saved probe: the same regions, embeddings, scores and pooling as in training.

    Exit 3 where some photos cannot be read.

    Example: fgscore predict --probe birds.safetensors a.jpg b.jpg
    """
    from fgscore.evaluate.predict import Predictor
    from fgscore.evaluate.predict import predict as run_predict
    from fgscore.evaluate.saved import load

    how = _extract.runtime(data, device, batch_size, 0)
    opened, rows = load(probe), []
    with _run.Bars() as bars:
        predictor = Predictor(opened, how, encoder, regions, scorer, force, bars)
        for row in run_predict(predictor, images, top):
            rows.append(row)
            bars("predict", len(rows), len(images))

    def show() -> None:
        from fgscore import terminal
        from fgscore.tables import Column, Table

        columns = [
            Column("image", "photo"),
            Column("class_name", "class"),
            Column("probability", "probability", "number"),
            Column("error", ""),
        ]
        terminal.show(Table("predictions", "", columns, [line for row in rows for line in _lines(row)]))

    _run.emit({"predictions": rows}, json, show)
    if any("error" in row for row in rows):
        raise typer.Exit(_run.QUARANTINED)


def _lines(row: dict[str, Any]) -> list[dict[str, Any]]:
    """One line a class; the photo is named on the first."""
    if "error" in row:
        return [row]
    return [{**one, "image": "" if i else row["image"]} for i, one in enumerate(row["classes"])]


if __name__ == "__main__":
    _run.main(predict)

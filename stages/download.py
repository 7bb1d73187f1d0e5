"""fgscore download: get the official files of a data set, or SAM's weights."""

from __future__ import annotations

from typing import Annotated

import typer

from fgscore.errors import quoted

from . import _next, _run
from . import _options as o


def download(
    what: Annotated[
        str,
        typer.Argument(
            help="cub, flowers, pets, aircraft, sam, \"sam(checkpoint='vit_l')\", sam2, clip, or \"clip(model='...')\"."
        ),
    ],
    root: o.Root = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Download and unpack the official files; checksums are checked, a download that broke off goes on.

    Stanford Cars has no host any more: `fgscore download cars` prints what to fetch and where to put it. Models of the
    hub go into its local cache (HF_HOME), so that a node without a network finds them there.

    Example: fgscore download cub
    Example: fgscore download "sam(checkpoint='vit_b')"
    Example: fgscore download "clip(model='openai/clip-vit-large-patch14')"
    """
    from fgscore.acquire.download import download as run_download
    from fgscore.acquire.download import instructions, is_dataset
    from fgscore.store.paths import Layout

    layout = Layout(data)
    text = instructions(layout, what, root)

    def show_instructions() -> None:
        print(text)
        _next.step(f"fgscore check {quoted(what)}")

    if text is not None:
        _run.emit({"instructions": text}, json, show_instructions)
        return
    with _run.Bars() as bars:
        rows = run_download(layout, what, root=root, offline=_run.offline(), progress=bars)

    def show() -> None:
        from fgscore import terminal
        from fgscore.tables import Column, Table

        columns = [Column("file", "file"), Column("state", ""), Column("sha256", "sha256")]
        terminal.show(Table("files", "", columns, rows))
        for folder in dict.fromkeys(row["folder"] for row in rows):
            print(f"in {folder}")
        print()
        _next.step(f"fgscore check {quoted(what)}" if is_dataset(what) else "fgscore doctor")

    _run.emit({"files": rows}, json, show)


if __name__ == "__main__":
    _run.main(download)

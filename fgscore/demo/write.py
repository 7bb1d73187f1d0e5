"""Write the drawn data set to a folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from PIL import Image

from fgscore import regular
from fgscore.demo.draw import draw, image_rng
from fgscore.demo.kinds import GROUPS, KINDS, Kind, phrases
from fgscore.demo.parts import FRAME, Frame
from fgscore.machine.threads import processors, threads_ahead

_RECIPE, _DESCRIPTIONS = "drawing.json", "descriptions.json"


def write_dataset(
    root: Path,
    *,
    train: int = 10,
    test: int = 10,
    seed: int = 0,
    size: tuple[int, int] = FRAME.size,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw ``train`` and ``test`` images of each of the 24 kinds, of ``size`` (width, height), into ``root``.

    ``root/{train,test}/<slug>/<NNN>.jpg`` are the images, ``root/parts/{train,test}/<slug>/<NNN>.png`` their
    label maps (values: ``fgscore.demo.parts.PART_NAMES``); ``root/classes.json`` maps each slug to its class
    ``name`` and ``group`` of siblings, ``root/descriptions.json`` each name to sentences. The folder appears
    whole or not at all; a complete one is left as it is. ``progress`` is called with the number of images
    done, and of all.

    Raises ``FileExistsError`` where ``root`` holds something else, or a set of other numbers, size or seed.
    """
    frame = Frame(*size)
    of_size = {} if frame == FRAME else {"width": frame.width, "height": frame.height}
    recipe = {"train": train, "test": test, "seed": seed, **of_size}
    if _is_complete(root, recipe):
        if not (root / _DESCRIPTIONS).exists():  # drawn by a version that wrote none
            _write_json(root / _DESCRIPTIONS, descriptions())
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    building = root.with_name(f"{root.name}.{uuid4().hex}.partial")
    try:
        _fill(building, recipe, frame, progress or (lambda done, total: None))
        _publish(building, root, recipe)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def descriptions() -> dict[str, list[str]]:
    """Class name to what can be said of the kind: a sentence a part, and one of all."""
    return {k.name: [*(f"a photo of a {part} bird." for part in phrases(k).values()), f"a photo of a {k.name}."]
            for k in KINDS}  # fmt: skip


def _is_complete(root: Path, recipe: dict[str, int]) -> bool:
    if not root.exists() or not any(root.iterdir()):
        return False
    found = root / _RECIPE
    if not found.is_file():
        raise FileExistsError(f"{root}: wanted a new or empty folder for the demo's images, found others")
    written = json.loads(regular.read(found))
    if written != recipe:
        raise FileExistsError(f"{root}: wanted images of {recipe}, found {written}; name another folder")
    return True


def _fill(folder: Path, recipe: dict[str, int], frame: Frame, progress: Callable[[int, int], None]) -> None:
    jobs = list(_jobs(recipe["train"], recipe["test"]))
    folder.mkdir()
    for split, kind in dict.fromkeys((split, kind) for split, kind, _ in jobs):
        for place in (folder, folder / "parts"):
            (place / split / kind.slug).mkdir(parents=True)
    # Pillow and NumPy let others run while they work; closing waits for what was begun
    drawn = threads_ahead(lambda job: _write_image(folder, *job, recipe["seed"], frame), jobs, processors())
    with closing(drawn):
        for done, _ in enumerate(drawn, 1):
            progress(done, len(jobs))
    classes = {kind.slug: {"name": kind.name, "group": group} for kind, group in zip(KINDS, GROUPS, strict=True)}
    _write_json(folder / "classes.json", classes)
    _write_json(folder / _DESCRIPTIONS, descriptions())
    _write_json(folder / _RECIPE, recipe)


def _jobs(train: int, test: int) -> Iterator[tuple[str, Kind, int]]:
    for split, count in (("train", train), ("test", test)):
        for kind in KINDS:
            for j in range(count):
                yield split, kind, j


def _write_image(folder: Path, split: str, kind: Kind, j: int, seed: int, frame: Frame) -> None:
    drawing = draw(kind, image_rng(seed, split, kind, j), frame)
    Image.fromarray(drawing.image).save(folder / split / kind.slug / f"{j:03d}.jpg", quality=95)
    Image.fromarray(drawing.parts).save(folder / "parts" / split / kind.slug / f"{j:03d}.png")


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8", newline="\n")


def _publish(building: Path, root: Path, recipe: dict[str, int]) -> None:
    """Move the finished folder into place, unless someone else was quicker."""
    if root.exists() and not any(root.iterdir()):
        root.rmdir()
    try:
        os.rename(building, root)
    except OSError:
        if not (root.exists() and _is_complete(root, recipe)):
            raise

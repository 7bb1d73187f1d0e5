"""FGVC-Aircraft: 10,000 photos of 100 variants (70 families, 30 manufacturers); for non-commercial research.

``fgvc-aircraft-2013b/data/`` from https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/. The bottom 20 pixels of every
photo are a banner with the photographer's name: it is cut off before anything else sees the photo.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fgscore.datasets import DataSet, Download, Listing, Photo, first_folder, read_lines
from fgscore.errors import DataError

EXPECTED = {"train": 3334, "val": 3333, "test": 3333}
BANNER = 20
WHERE = "run `fgscore download aircraft`"
DOWNLOADS = (
    Download(
        "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
        "fgvc-aircraft-2013b.tar.gz",
        "md5:d4acdd33327262359767eeaa97a4f732",
        2_750_000_000,  # about; the host publishes no size
    ),
)
LISTS = {"variant": "variants.txt", "family": "families.txt", "manufacturer": "manufacturers.txt"}

# Official name -> name for prompts, without the slash. Part of version 1: a change raises the version.
NAMES = {
    "F-16A/B": "F-16AB",
    "F/A-18": "FA-18",
}


@DataSet.declares(noun="aircraft", downloads=DOWNLOADS)
def aircraft(
    root: Path, /, *, level: Literal["variant", "family", "manufacturer"] = "variant", maker: bool = False
) -> Listing:
    """FGVC-Aircraft: 10,000 photos of 100 variants (70 families, 30 manufacturers); for non-commercial research.

    Read from the lists of one ``level``. A label is the place of its name in variants.txt, families.txt or
    manufacturers.txt; the id is the file's number, a string with its leading zeros.

    ``maker`` puts the manufacturer before names that do not begin with it, such as 707-320. Raises :class:`DataError`
    where a list is missing or the lists disagree.
    """
    folder = first_folder(
        root, "data", "fgvc-aircraft-2013b", "fgvc-aircraft-2013b/data", marker="images_box.txt", where=WHERE
    )
    names = [" ".join(line).strip() for line in read_lines(folder / LISTS[level], WHERE)]
    boxes = dict(read_lines(folder / "images_box.txt", WHERE))
    label_of = {name: i for i, name in enumerate(names)}
    try:
        photos = [
            Photo(number, f"images/{number}.jpg", label_of[name], split, _box(boxes.get(number)))
            for split in EXPECTED
            for number, name in read_lines(folder / f"images_{level}_{split}.txt", WHERE)
        ]
    except (KeyError, ValueError) as error:
        raise DataError(f"the lists in {folder} disagree at {error}; {WHERE}") from error
    makers = _makers(folder, photos) if maker else {}
    shown = tuple(clean(name, makers.get(label, "")) for label, name in enumerate(names))
    return Listing(folder, shown, photos, EXPECTED, banner=BANNER, where=WHERE)


def clean(name: str, maker: str = "") -> str:
    """A class name as it reads in a prompt, after its ``maker`` where it does not begin with it."""
    plain = NAMES.get(name, name)
    return plain if plain.startswith(maker) else f"{maker} {plain}"


def _makers(folder: Path, photos: list[Photo]) -> dict[int, str]:
    """Label to manufacturer, joined through the photos: the lists of names are not parallel."""
    made_by = {
        n: name for split in EXPECTED for n, name in read_lines(folder / f"images_manufacturer_{split}.txt", WHERE)
    }
    return {p.label: made_by[p.image_id] for p in photos if p.image_id in made_by}


def _box(line: str | None) -> tuple[float, float, float, float] | None:
    """Official corners are 1-based and inclusive; ours are 0-based, right and bottom exclusive."""
    if line is None:
        return None
    x0, y0, x1, y1 = (float(v) for v in line.split())
    return x0 - 1, y0 - 1, x1, y1

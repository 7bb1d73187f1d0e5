"""Oxford-IIIT Pet: 37 breeds of cat and dog, 7,349 photos (https://www.robots.ox.ac.uk/~vgg/data/pets/).

``images/`` and ``annotations/{trainval,test}.txt``. The folder holds more photos than the lists, so the lists decide.
The head boxes in ``annotations/xmls/``, which most photos of trainval have, are kept as object boxes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from fgscore import regular
from fgscore.datasets import DataSet, Download, Listing, Photo, first_folder, read_lines
from fgscore.datasets._coop import resplit
from fgscore.errors import DataError

EXPECTED = {
    "official": {"train": 3680, "test": 3669},
    "coop": {"train": 2944, "val": 736, "test": 3669},
}
HOST = "https://thor.robots.ox.ac.uk/~vgg/data/pets/"
WHERE = "run `fgscore download pets`"
DOWNLOADS = (
    Download(
        HOST + "annotations.tar.gz",
        "annotations.tar.gz",
        "sha256:52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
        19_173_078,
    ),
    Download(
        HOST + "images.tar.gz",
        "images.tar.gz",
        "sha256:67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
        791_918_971,
    ),
)
COOP = "split_zhou_OxfordPets.json"
BOX_TAG = re.compile(r"<(xmin|ymin|xmax|ymax)>\s*(\d+)")


@DataSet.declares(noun="pet", downloads=DOWNLOADS, boxes="head")
def pets(root: Path, /, *, protocol: Literal["official", "coop"] = "official") -> Listing:
    """Oxford-IIIT Pet: 37 breeds of cat and dog, 7,349 photos (https://www.robots.ox.ac.uk/~vgg/data/pets/).

    Read from trainval.txt and test.txt (name, class 1 to 37, species, breed). Labels are the official class less one
    and take their names from the files listed under them, never from a place in another list; the id is the file's
    stem.

    ``protocol='coop'`` takes the splits of CoOp's ``split_zhou_OxfordPets.json``. Raises :class:`DataError` where a
    list is missing or the lists disagree.
    """
    folder = first_folder(root, "oxford-iiit-pet", "pets", marker="annotations", where=WHERE)
    with_box = _names(folder / "annotations" / "xmls")
    breeds: dict[int, str] = {}
    photos = []
    for split, file in (("train", "trainval.txt"), ("test", "test.txt")):
        for stem, rest in read_lines(folder / "annotations" / file, WHERE):
            label = _label(rest, folder / "annotations" / file)
            breed = stem.rpartition("_")[0].replace("_", " ")
            if breeds.setdefault(label, breed) != breed:
                raise DataError(
                    f"the lists in {folder} call class {label + 1} both {breeds[label]} and {breed}; {WHERE}"
                )
            box = _box(folder / "annotations" / "xmls" / f"{stem}.xml") if f"{stem}.xml" in with_box else None
            photos.append(Photo(stem, f"images/{stem}.jpg", label, split, box))
    if sorted(breeds) != list(range(len(breeds))):
        raise DataError(f"expected classes 1 to {len(breeds)} in the lists in {folder}, found a gap; {WHERE}")
    if protocol == "coop":
        photos = resplit(photos, folder, COOP, "images/")
    return Listing(folder, tuple(breeds[i] for i in range(len(breeds))), photos, EXPECTED[protocol], where=WHERE)


def _names(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()


def _label(rest: str, path: Path) -> int:
    try:
        return int(rest.split()[0]) - 1
    except (ValueError, IndexError):
        raise DataError(f"expected a name and three numbers a line in {path}, found {rest!r}; {WHERE}") from None


def _box(path: Path) -> tuple[float, float, float, float] | None:
    """The four numbers are all that is wanted: no XML parser meets a file from elsewhere. 1-based and inclusive."""
    found = {tag: float(value) for tag, value in BOX_TAG.findall(regular.read(path).decode("utf-8", "replace"))}
    if len(found) < 4:
        return None
    return found["xmin"] - 1, found["ymin"] - 1, found["xmax"], found["ymax"]

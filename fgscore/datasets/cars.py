"""Stanford Cars: 196 makes and models, 16,185 photos, in either official packaging.

``cars_train/``, ``cars_test/`` and ``devkit/`` (file numbers restart in each split, so ids carry the folder), or
``car_ims/`` and ``cars_annos.mat``. Copies with doubled folders (``cars_train/cars_train``, ``car_devkit/devkit``) and
test labels inside or beside the devkit are read too. The original host is gone: there is no download.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fgscore.datasets import DataSet, Listing, Photo, first_folder
from fgscore.datasets._coop import resplit
from fgscore.datasets._mat import read_mat
from fgscore.errors import DataError

EXPECTED = {
    "official": {"train": 8144, "test": 8041},
    "coop": {"train": 6509, "val": 1635, "test": 8041},
}
WHERE = "`fgscore download cars` says what goes there and where copies are"
INSTRUCTIONS = """\
The original host of Stanford Cars is gone, so there is nothing to download from. Put together in {root}:

  cars_train/                        8,144 photos, 00001.jpg to 08144.jpg
  cars_test/                         8,041 photos, 00001.jpg to 08041.jpg
  devkit/                            cars_meta.mat and cars_train_annos.mat, from car_devkit.tgz
  cars_test_annos_withlabels.mat     the labels of the test photos, beside devkit/ or in it

Copies: Kaggle jessicali9530/stanford-cars-dataset holds the photos (its doubled folders are read as they are); the
devkit and the test labels are linked from https://github.com/pytorch/vision/issues/7545. The other official packaging,
car_ims/ with cars_annos.mat, is read as well. SHA-256 of the official files:

  cars_train.tgz                     512b227b30e2f0a8aab9e09485786ab4479582073a144998da74d64b801fd288
  cars_test.tgz                      bffea656d6f425cba3c91c6d83336e4c5f86c6cffd8975b0f375d3a10da8e243
  car_devkit.tgz                     b97deb463af7d58b6bfaa18b2a4de9829f0f79e8ce663dfa9261bf7810e9accd
  cars_test_annos_withlabels.mat     790f75be8ea34eeded134cc559332baf23e30e91367e9ddca97d26ed9b895f05
"""
TEST_LABELS = "cars_test_annos_withlabels.mat"
COOP = "split_zhou_StanfordCars.json"

# Official name -> name for prompts. Part of version 1: a change raises the version.
NAMES = {
    "Ram C/V Cargo Van Minivan 2012": "Ram CV Cargo Van Minivan 2012",
}


@DataSet.declares(noun="car", instructions=INSTRUCTIONS)
def cars(root: Path, /, *, protocol: Literal["official", "coop"] = "official", year_first: bool = False) -> Listing:
    """Stanford Cars: 196 makes and models, 16,185 photos, in either official packaging.

    Read from the official .mat lists. Labels are the official class less one; the id is folder and file, as in
    ``cars_train/00001.jpg``.

    ``protocol='coop'`` takes the splits of CoOp's ``split_zhou_StanfordCars.json``; ``year_first`` moves the year to
    the front of a class name, as CoOp does. Where the labels of the test photos are missing, those of train are listed
    and what lacks is said. Raises :class:`DataError` that says which other list is missing.
    """
    folder, names, photos = _one_folder(root) or _two_folders(root)
    lacking = f"expected the labels of the test photos in {folder / TEST_LABELS}, found none"
    is_whole = any(photo.split == "test" for photo in photos)
    if protocol == "coop" and not is_whole:
        raise DataError(f"{lacking}; {WHERE}")
    if protocol == "coop":
        photos = resplit(photos, folder, COOP)
    names = tuple(clean(name, year_first) for name in names)
    return Listing(folder, names, photos, EXPECTED[protocol], where=WHERE, lacking=() if is_whole else (lacking,))


def clean(name: str, year_first: bool = False) -> str:
    """A class name as it reads in a prompt: maker, model, body, year, as CLIP keeps them, or the year first."""
    plain = NAMES.get(name, name)
    rest, _, year = plain.rpartition(" ")
    return f"{year} {rest}" if year_first and year.isdigit() else plain


def _two_folders(root: Path) -> tuple[Path, tuple[str, ...], list[Photo]]:
    folder = first_folder(root, "stanford_cars", marker="cars_train", where=WHERE)
    devkit = next(
        (d for d in (folder / "devkit", folder / "devkit" / "devkit", folder / "car_devkit" / "devkit") if _is_kit(d)),
        folder / "devkit",
    )
    labels = next((p for p in (folder / TEST_LABELS, devkit / TEST_LABELS) if os.path.lexists(p)), None)
    names = read_mat(devkit / "cars_meta.mat", ("class_names",), WHERE)["class_names"]
    photos = _photos(folder, devkit / "cars_train_annos.mat", "cars_train", "train")
    if labels is not None:  # which the usual copies lack
        photos += _photos(folder, labels, "cars_test", "test")
    return folder, tuple(str(name) for name in names), photos


def _is_kit(folder: Path) -> bool:
    return (folder / "cars_meta.mat").is_file()


def _photos(folder: Path, annotations: Path, images: str, split: str) -> list[Photo]:
    doubled = folder / images / images
    prefix = f"{images}/{images}" if doubled.is_dir() else images
    return [
        Photo(f"{images}/{a['fname']}", f"{prefix}/{a['fname']}", int(a["class"]) - 1, split, _box(a))
        for a in np.atleast_1d(read_mat(annotations, ("annotations",), WHERE)["annotations"])
    ]


def _one_folder(root: Path) -> tuple[Path, tuple[str, ...], list[Photo]] | None:
    folder = next((f for f in (root, root / "stanford_cars") if (f / "cars_annos.mat").is_file()), None)
    if folder is None:
        return None
    contents = read_mat(folder / "cars_annos.mat", ("annotations", "class_names"), WHERE)
    doubled = "car_ims/" if (folder / "car_ims" / "car_ims").is_dir() else ""
    photos = [
        Photo(
            str(a["relative_im_path"]),
            f"{doubled}{a['relative_im_path']}",
            int(a["class"]) - 1,
            "test" if int(a["test"]) else "train",
            _box(a),
        )
        for a in np.atleast_1d(contents["annotations"])
    ]
    return folder, tuple(str(name) for name in contents["class_names"]), photos


def _box(annotation: Any) -> tuple[float, float, float, float]:
    """Official corners are 1-based and inclusive; ours are 0-based, right and bottom exclusive."""
    x0, y0, x1, y1 = (float(annotation[f"bbox_{c}"]) for c in ("x1", "y1", "x2", "y2"))
    return x0 - 1, y0 - 1, x1, y1

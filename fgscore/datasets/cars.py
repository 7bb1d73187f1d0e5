"""Stanford Cars: 196 makes and models, 16,185 photos, in either official packaging.

``cars_train/``, ``cars_test/`` and ``devkit/`` (file numbers restart in each split, so ids carry the folder), or
``car_ims/`` and ``cars_annos.mat``. Copies with doubled folders (``cars_train/cars_train``) and test labels inside or
beside the devkit are read too. The original host is gone: there is no download.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fgscore.datasets import Listing, Photo, first_folder
from fgscore.errors import DataError

VERSION = 1
EXPECTED = {"train": 8144, "test": 8041}
WHERE = (
    "put cars_train/, cars_test/, devkit/ and cars_test_annos_withlabels.mat there (the original host is gone; "
    "torchvision issue 7545 lists where copies are)"
)
TEST_LABELS = "cars_test_annos_withlabels.mat"

# Official name -> name for prompts. Part of version 1: a change raises VERSION.
NAMES = {
    "Ram C/V Cargo Van Minivan 2012": "Ram CV Cargo Van Minivan 2012",
}


def load(root: Path, /) -> Listing:
    """Read the official .mat lists. Labels are the official class less one; the id is folder and file, as in
    ``cars_train/00001.jpg``. Raises :class:`DataError` that says which list is missing."""
    if (folder := _one_folder_packaging(root)) is not None:
        return _load_one_folder(folder)
    folder = first_folder(root, "stanford_cars", marker="devkit")
    train = _annotations(folder / "devkit" / "cars_train_annos.mat")
    test = _annotations(_first_file(folder / TEST_LABELS, folder / "devkit" / TEST_LABELS))
    photos = _photos(folder, train, "cars_train", "train") + _photos(folder, test, "cars_test", "test")
    return Listing(folder, _class_names(folder / "devkit" / "cars_meta.mat"), photos, EXPECTED, where=WHERE)


def clean(name: str) -> str:
    """A class name as it reads in a prompt: maker, model, body, year, as CLIP keeps them."""
    return NAMES.get(name, name)


def _photos(folder: Path, annotations: Any, images: str, split: str) -> list[Photo]:
    doubled = folder / images / images
    prefix = f"{images}/{images}" if doubled.is_dir() else images
    return [
        Photo(f"{images}/{a['fname']}", f"{prefix}/{a['fname']}", int(a["class"]) - 1, split, _box(a))
        for a in annotations
    ]


def _one_folder_packaging(root: Path) -> Path | None:
    for folder in (root, root / "stanford_cars"):
        if (folder / "cars_annos.mat").is_file():
            return folder
    return None


def _load_one_folder(folder: Path) -> Listing:
    contents = _read_mat(folder / "cars_annos.mat")
    photos = [
        Photo(
            str(a["relative_im_path"]),
            str(a["relative_im_path"]),
            int(a["class"]) - 1,
            "test" if int(a["test"]) else "train",
            _box(a),
        )
        for a in np.atleast_1d(contents["annotations"])
    ]
    names = tuple(clean(str(name)) for name in contents["class_names"])
    return Listing(folder, names, photos, EXPECTED, where=WHERE)


def _first_file(*paths: Path) -> Path:
    return next((path for path in paths if path.is_file()), paths[0])


def _annotations(path: Path) -> Any:
    return np.atleast_1d(_read_mat(path)["annotations"])


def _class_names(path: Path) -> tuple[str, ...]:
    return tuple(clean(str(name)) for name in _read_mat(path)["class_names"])


def _read_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        return dict(loadmat(path, squeeze_me=True))
    except FileNotFoundError:
        raise DataError(f"expected the list {path}, found none; {WHERE}") from None
    except Exception as error:  # scipy raises whatever a damaged file makes it meet
        raise DataError(f"expected a MATLAB list in {path}, found something else ({error})") from error


def _box(annotation: Any) -> tuple[float, float, float, float]:
    """Official corners are 1-based and inclusive; ours are 0-based, right and bottom exclusive."""
    x0, y0, x1, y1 = (float(annotation[f"bbox_{c}"]) for c in ("x1", "y1", "x2", "y2"))
    return x0 - 1, y0 - 1, x1, y1

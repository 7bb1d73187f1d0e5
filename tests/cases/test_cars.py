"""Lists that an official data set lacks: what is missing is said to be missing, and the rest can be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgscore.datasets import DataSet, cars, present
from fgscore.errors import DataError
from fgscore.extract.index import make_index
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

TINY = {"train": 6, "test": 4}
WHOLE = {"train": 6, "val": 5, "test": 4}
LABELS = "cars_test_annos_withlabels.mat"


@pytest.fixture
def copy(tmp_path: Path, layouts: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The usual copy of Stanford Cars: all but the labels of its test photos."""
    monkeypatch.setitem(cars.EXPECTED, "official", TINY)
    folder: Path = layouts.cars(tmp_path / "cars", TINY, 4)
    (folder / LABELS).unlink()
    return folder


def test_cars_without_labels_of_test_says_so_and_where_they_are(copy: Path) -> None:
    with pytest.raises(DataError, match=rf"{LABELS}, found none; `fgscore download cars` .* with --partial"):
        present(cars.cars(copy), partial=False)


def test_its_labelled_photos_can_be_used(copy: Path, data: Path) -> None:
    made = make_index(Store(Layout(data)), "cars", root=copy, partial=True).index
    assert set(made.split.tolist()) == {"train"} and len(made) == 6
    assert made.notes["partial"] == {"expected": 10, "found": 6}


def test_check_names_the_list_and_the_command_that_goes_on(copy: Path, run: Callable[..., Any]) -> None:
    checked = run("check", "cars", "--root", copy)
    assert checked.code == 1 and f"{LABELS}, found none" in checked.out and "something else" not in checked.out
    assert f"Or: fgscore index cars --root {copy} --partial" in checked.out.replace(" -m fgscore", "")


def test_splits_that_need_the_labels_are_refused(copy: Path) -> None:
    with pytest.raises(DataError, match=rf"{LABELS}, found none"):
        cars.cars(copy, protocol="coop")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cars", "devkit/cars_meta.mat"),
        ("cars", "devkit/cars_train_annos.mat"),
        ("cub", "classes.txt"),
        ("cub", "image_class_labels.txt"),
        ("cub", "bounding_boxes.txt"),
        ("aircraft", "variants.txt"),
        ("aircraft", "images_variant_val.txt"),
        ("flowers", "imagelabels.mat"),
        ("pets", "annotations/test.txt"),
    ],
)
def test_a_list_that_is_missing_is_found_none(tmp_path: Path, layouts: Any, name: str, file: str) -> None:
    folder = vars(layouts)[name](tmp_path, WHOLE if name in ("aircraft", "flowers") else TINY, 3)
    (folder / file).unlink()
    with pytest.raises(DataError, match=rf"expected the list .*{file}, found none; .*`fgscore download {name}`"):
        DataSet.bind(name).listing(tmp_path)


def test_a_list_that_is_a_folder_is_something_else(tmp_path: Path, layouts: Any) -> None:
    folder = layouts.cub(tmp_path, TINY, 3)
    (folder / "classes.txt").unlink()
    (folder / "classes.txt").mkdir()
    with pytest.raises(DataError, match=r"classes.txt, found something else \(a folder, not a file\)"):
        DataSet.bind("cub").listing(tmp_path)

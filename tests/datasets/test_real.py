"""Real photos and lists, where FGSCORE_REAL_DATA names them: cut copies of CUB and Stanford Cars."""

import shutil

import numpy as np
import pytest

from fgscore.datasets import cars, cub, present
from fgscore.errors import DataError
from fgscore.extract.index import make_index
from fgscore.store.cache import Store
from fgscore.store.paths import Layout


@pytest.fixture
def store(tmp_path):
    return Store(Layout(tmp_path))


def test_cub_subset_needs_partial(real, store):
    with pytest.raises(DataError, match=r"expected 11788 photos \(5994 train, 5794 test\).*found 239"):
        make_index(store, "cub", root=real / "cub")
    index = make_index(store, "cub", root=real / "cub", partial=True).index
    assert len(index) == 239 and index.notes == {"partial": {"expected": 11788, "found": 239}}
    assert len(index.class_names) == 10 and "Brewer's Blackbird" in index.class_names
    assert np.all(index.boxes_xyxy[:, 2:] <= index.sizes_wh) and np.all(index.boxes_xyxy >= 0)


def test_full_lists_of_cub_meet_the_published_counts(real, tmp_path):
    shutil.copytree(real / "cub" / "annotations_full", tmp_path / "lists")
    listing = cub.cub(tmp_path / "lists")
    assert {s: sum(p.split == s for p in listing.photos) for s in cub.EXPECTED} == dict(cub.EXPECTED)
    assert len(listing.class_names) == len(set(listing.class_names)) == 200
    assert set(cub.NAMES.values()) <= set(listing.class_names)  # every name that is mended occurs


def test_cars_photos_need_partial(real, store):
    with pytest.raises(DataError, match=r"expected 16185 photos \(8144 train, 8041 test\).*found 365"):
        make_index(store, "cars", root=real / "cars")
    index = make_index(store, "cars", root=real / "cars", partial=True).index
    assert len(index) == 365 and len(np.unique(index.labels)) == 20
    assert np.all(index.boxes_xyxy[:, 2:] <= index.sizes_wh)


def test_full_lists_of_cars_meet_the_published_counts(real):
    listing = cars.cars(real / "cars")
    assert {s: sum(p.split == s for p in listing.photos) for s in ("train", "test")} == cars.EXPECTED["official"]
    assert len(set(listing.class_names)) == 196 and not [n for n in listing.class_names if "/" in n]
    with pytest.raises(DataError):
        present(listing, partial=False)

"""Copies of the official layouts at full size, 53,511 tiny photos: the published counts are met, and indexed."""

import numpy as np
import pytest

from fgscore.datasets import aircraft, cars, cub, flowers, pets, present
from fgscore.extract.index import make_index
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

DATA_SETS = {
    "cub": (cub, cub.EXPECTED, 200),
    "cars": (cars, cars.EXPECTED["official"], 196),
    "flowers": (flowers, flowers.EXPECTED["official"], 102),
    "pets": (pets, pets.EXPECTED["official"], 37),
    "aircraft": (aircraft, aircraft.EXPECTED, 100),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA_SETS)
def test_the_published_counts(name, tmp_path, layouts):
    module, counts, classes = DATA_SETS[name]
    getattr(layouts, name)(tmp_path / "raw", counts, classes)
    listing, notes = present(vars(module)[name](tmp_path / "raw"), partial=False)
    assert notes == {} and len(listing.class_names) == classes

    made = make_index(Store(Layout(tmp_path / "data")), name, root=tmp_path / "raw")
    assert {s: int(np.sum(made.index.split == s)) for s in counts} == dict(counts)
    assert len(np.unique(made.index.labels)) == classes
    assert (made.index.sizes_wh > 0).all()


def test_together_they_are_53511():
    assert sum(sum(counts.values()) for _, counts, _ in DATA_SETS.values()) == 53_511


def test_coop_counts_are_those_of_the_official_photos():
    for name in ("cars", "flowers", "pets"):
        module = DATA_SETS[name][0]
        assert sum(module.EXPECTED["coop"].values()) == sum(module.EXPECTED["official"].values())

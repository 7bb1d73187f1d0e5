"""Laws of data sets: what reads the lists of a folder of photos."""

from __future__ import annotations

from fgscore.contract import Broken, Given, law
from fgscore.datasets import DataSet, Listing, present
from fgscore.labels import UNLABELLED
from fgscore.types import SPLITS


def _listing(dataset: DataSet, given: Given) -> Listing:
    if given.root is None:
        raise Broken("a data set is tried on photos: name their folder with --root DIR")
    dataset.make_photos(given.root, lambda done, total: None)
    return dataset.listing(given.root)


@law(DataSet)
def photos_are_listed(dataset: DataSet, given: Given) -> None:
    """Photos are listed, each by an id of its own."""
    photos = _listing(dataset, given).photos
    ids = [photo.image_id for photo in photos]
    if not ids:
        raise Broken(f"expected photos in {given.root}, found none listed")
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise Broken(f"{twice!r} is the id of {ids.count(twice)} photos")


@law(DataSet)
def photos_are_there(dataset: DataSet, given: Given) -> None:
    """Every photo is a file below the root, by a relative path."""
    present(_listing(dataset, given), partial=False)


@law(DataSet)
def labels_are_classes(dataset: DataSet, given: Given) -> None:
    """Every label is a class, or -1 for none, no class is named twice, and splits are train, val or test."""
    listing = _listing(dataset, given)
    for photo in listing.photos:
        if not UNLABELLED <= photo.label < len(listing.class_names):
            raise Broken(f"{photo.image_id}: label {photo.label}, of {len(listing.class_names)} classes")
        if photo.split not in SPLITS:
            raise Broken(f"{photo.image_id}: split {photo.split!r}, expected one of {', '.join(SPLITS)}")
    names = listing.class_names
    if len(set(names)) < len(names):
        raise Broken(f"{next(name for name in names if names.count(name) > 1)!r} names two classes")


@law(DataSet)
def listings_are_repeatable(dataset: DataSet, given: Given) -> None:
    """The same folder gives the same listing once more."""
    if list(_listing(dataset, given).photos) != list(_listing(dataset, given).photos):
        raise Broken("the second listing of the same folder differs from the first")

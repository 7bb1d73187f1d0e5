"""List, check and hash the photos of a data set: the index, parent of everything else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import datasets
from fgscore.datasets import DataSet
from fgscore.datasets._validate import check_contents, check_listing
from fgscore.errors import DataError, StoreError
from fgscore.extract import classes as class_lists
from fgscore.labels import without
from fgscore.machine.packages import check_package
from fgscore.machine.progress import Progress, Summary, silent
from fgscore.store import index as index_store
from fgscore.store import manifest, shards
from fgscore.store.cache import Store
from fgscore.store.manifest import Artefact
from fgscore.store.paths import check_name
from fgscore.types import ImageIndex

PASSED_OVER = "passed_over"  # of an index's notes: the files that are no photos of it, by reason
_log = logging.getLogger("fgscore")


@dataclass(frozen=True)
class Indexed:
    """An index in the store, and where its photos lie on this machine. ``noun`` is what the classes are kinds of, such
    as 'bird'; None where the data set does not say. ``account`` is of the files there that are no photos of it,
    ``remarks`` what a user should know of how they were read."""

    artefact: Artefact
    index: ImageIndex
    root: Path
    summary: Summary
    noun: str | None = None
    account: datasets.Account = datasets.Account()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Photos:
    """Which photos are meant: those under ``root``, or under the data folder's own place for the data set.

    ``limit`` takes the first so many of each class and split; ``partial`` accepts a copy that lacks some, ``force``
    photos of the user's own that :mod:`fgscore.datasets._validate` finds fault with, and notes what it found.
    ``classes`` is a file of class names in place of the data set's own, see :mod:`fgscore.extract.classes`.
    """

    root: Path | None = None
    partial: bool = False
    force: bool = False
    limit: int | None = None
    classes: str | None = None


@dataclass(frozen=True)
class Listed:
    """The photos of a data set as its lists name them, all there; nothing of them is read yet."""

    dataset: DataSet
    photos: Photos
    listing: datasets.Listing
    notes: Mapping[str, Any]
    findings: list[str]

    @property
    def key(self) -> str:
        """The name that the data set is kept under."""
        return self.dataset.key

    @property
    def recipe(self) -> manifest.Recipe:
        """The recipe of their index."""
        return _recipe(self.dataset, self.photos)


def _recipe(dataset: DataSet, photos: Photos) -> manifest.Recipe:
    return index_store.recipe(dataset.canonical, dataset.stored, dataset.version, photos.limit)


def list_photos(store: Store, dataset: str | DataSet, photos: Photos = Photos(), progress: Progress = silent) -> Listed:
    """Find the photos; those of a data set that makes its own are made.

    Raises :class:`DataError` where photos are missing and ``partial`` does not allow it, where the user's own are at
    fault and ``force`` does not, or where their classes are not those that were given.
    """
    chosen = DataSet.of(dataset) if isinstance(dataset, str) else dataset
    key = check_name(chosen.key, "the name of a data set")
    root = photos.root or store.layout.raw(key)
    check_package("PIL", "reading photos")
    if chosen.prepare:
        with chosen.blamed("expected photos that it can prepare"):
            chosen.make_photos(root, lambda done, total: progress(f"{key}: draw", done, total))
    listing, notes = datasets.present(chosen.listing(root), photos.partial)
    listing, findings = check_listing(listing, photos.force) if chosen.is_looked_at else (listing, [])
    of_account = {PASSED_OVER: listing.account.by_reason()} if listing.account else {}
    notes = {**notes, **chosen.notes, **of_account}
    earlier = _earlier(store, store.find("index", key, _recipe(chosen, photos).digest))
    if names := class_lists.given(photos.classes, earlier):
        listing, notes = names.applied(listing), {**notes, **names.notes}
    return Listed(chosen, photos, datasets.limited(listing, photos.limit), notes, findings)


def make_index(
    store: Store,
    dataset: str | DataSet,
    *,
    root: Path | None = None,
    partial: bool = False,
    force: bool = False,
    limit: int | None = None,
    classes: str | None = None,
    progress: Progress = silent,
) -> Indexed:
    """List the :class:`Photos`, then index them; raises as :func:`list_photos` and :func:`index_listed` do."""
    listed = list_photos(store, dataset, Photos(root, partial, force, limit, classes), progress)
    return index_listed(store, listed, progress)


def index_listed(store: Store, listed: Listed, progress: Progress = silent) -> Indexed:
    """Hash the listed photos and read their headers: the index, in the store.

    An index that exists already keeps its order and its shards; new photos follow. Raises :class:`DataError` where the
    user's own photos are at fault and ``force`` does not allow it, or where the cache holds an index of altogether
    different photos under the same name.
    """
    shards.check_writing()  # what the photos are hashed for
    key, dataset, listing, force = listed.key, listed.dataset, listed.listing, listed.photos.force
    findings = list(listed.findings)
    recipe = listed.recipe
    artefact = store.find("index", key, recipe.digest)
    earlier = _earlier(store, artefact)
    index = datasets.build_index(
        key,
        listing,
        listed.notes,
        lambda ids: index_store.assign_shards(ids, earlier),
        lambda done, total: progress(f"{key}: index", done, total),
    )
    if earlier is not None and not set(earlier.image_ids.tolist()) & set(index.image_ids.tolist()):
        raise DataError(
            f"the cache knows {key!r} as {len(earlier)} other photos, such as {earlier.image_ids[0]}; index these "
            f"under a name of their own: --dataset \"folder(name='mine')\""
        )
    findings += check_contents(index, force) if dataset.is_looked_at else []
    if said := without(index.labels, index.image_ids):
        _log.info("%s: %s", key, said)
    if findings:
        index = replace(index, notes={**index.notes, "forced": findings})
    unchanged = artefact is not None and earlier is not None and _same(earlier, index)
    if artefact is None or not unchanged:
        artefact = index_store.write(store.layout, index, recipe)
    failures = [{"image_id": image_id, "reason": reason}
                for image_id, reason in datasets.unreadable(index, listing.root)]  # fmt: skip
    summary = Summary(artefact.label, "index", int(not unchanged), int(unchanged), len(index), failures=failures)
    return Indexed(artefact, index, listing.root, summary, dataset.noun, listing.account, listing.remarks)


def _earlier(store: Store, artefact: Artefact | None) -> ImageIndex | None:
    """The index made before; a damaged one is made anew."""
    if artefact is None:
        return None
    try:
        return index_store.read(artefact)
    except StoreError:
        return None


def _same(a: ImageIndex, b: ImageIndex) -> bool:
    return (
        a.images_digest() == b.images_digest()
        and a.labels_digest() == b.labels_digest()
        and np.array_equal(a.paths, b.paths)
        and np.array_equal(a.shard, b.shard)
        and np.array_equal(a.boxes_xyxy, b.boxes_xyxy, equal_nan=True)
        and dict(a.notes) == dict(b.notes)
    )

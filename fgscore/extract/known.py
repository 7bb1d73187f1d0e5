"""What generators are told beside an image, and which cached regions a name stands for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from fgscore import specs
from fgscore.datasets import Listing
from fgscore.errors import NothingCached, UsageError, quoted
from fgscore.extract.parts import GeneratorPart
from fgscore.regions import Known
from fgscore.store import manifest, match, records
from fgscore.store.cache import INDEX_ROLES, Store
from fgscore.types import ImageIndex, RegionBatch

SHARDS = 4  # of a parent, in memory at one time


def of_listing(generator: GeneratorPart, listing: Listing) -> Known:
    """What ``generator`` asks for of photos that are listed and not read yet."""
    photos = listing.photos
    boxes = np.array([photo.box_xyxy or (np.nan,) * 4 for photo in photos], np.float32).reshape(-1, 4)
    ids, paths = (np.array([getattr(photo, name) for photo in photos], np.str_) for name in ("image_id", "path"))
    return _asked(generator, Known(ids, np.zeros((len(photos), 2), np.int32), listing.root, paths, boxes))


def of_index(generator: GeneratorPart, index: ImageIndex, root: Path, parent: ParentRegions | None = None) -> Known:
    """What ``generator`` asks for of the images of ``index``."""
    known = Known(index.image_ids, index.sizes_wh, root, index.paths, index.boxes_xyxy)
    return _asked(generator, replace(known, regions=parent, masked=parent is not None and parent.masked))


def _asked(generator: GeneratorPart, known: Known) -> Known:
    asks = generator.made.asks
    paths, boxes = known.paths if "paths" in asks else None, known.boxes_xyxy if "boxes" in asks else None
    return replace(known, paths=paths, boxes_xyxy=boxes)


class ParentRegions:
    """``(image_id)`` to the regions of that image, of an artefact of ``index``: a record of the image alone."""

    def __init__(self, store: Store, artefact: manifest.Artefact, index: ImageIndex) -> None:
        self._store, self._artefact, self._index = store, artefact, index
        self._read: OrderedDict[int, RegionBatch] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def masked(self) -> bool:
        """Whether they have masks."""
        numbers = sorted(self._artefact.published())
        return bool(numbers) and "mask_counts" in self._artefact.shapes(numbers[0])

    def ids(self, number: int) -> np.ndarray:
        """(N,): the images that have regions in shard ``number``, or were found to have none."""
        return self._shard(number).image_ids

    def __call__(self, image_id: str) -> RegionBatch:
        row = int(records.places(self._index.image_ids, [image_id])[0])
        return records.take(self._shard(int(self._index.shard[row])), [image_id])

    def _shard(self, number: int) -> RegionBatch:
        with self._lock:  # several shards may be in the making
            if number not in self._read:
                self._read[number] = self._store.read(self._artefact, number)
                if len(self._read) > SHARDS:
                    self._read.popitem(last=False)
            return self._read[number]


def makes(generator: GeneratorPart, regions: str) -> bool:
    """Whether what ``generator`` makes agrees with what is written."""
    maker = generator.maker
    stored = manifest.Recipe("regions", maker.canonical, maker.stored, extra={"source": maker.source.sha256})
    return match.matches(stored, specs.parse(regions))


def is_cached(store: Store, dataset: str, regions: str) -> bool:
    """Whether any cached regions of ``dataset`` agree with what is written."""
    spec = specs.parse(regions)
    return any(match.matches(artefact.recipe, spec) for artefact in store.artefacts("regions", dataset))


def cached(store: Store, dataset: str, index_digest: str, regions: str, but: str = "") -> manifest.Artefact:
    """The one artefact of regions of that index which agrees with what is written; one whose component is ``but`` is
    passed over. Raises :class:`NothingCached` for none and :class:`UsageError` for several, with what there is."""
    spec = specs.parse(regions)
    of_index = [a for a in store.artefacts("regions", dataset) if a.recipe.parents["images"] == index_digest]
    held = [artefact for artefact in of_index if artefact.recipe.component != but]
    found = [artefact for artefact in held if match.matches(artefact.recipe, spec)]
    if len(found) == 1:
        return found[0]
    if not found:
        there = ", ".join(artefact.recipe.component for artefact in held) or "none"
        raise NothingCached(
            f"expected cached regions of {dataset} by {regions}, found {there}; "
            f"run `fgscore regions {quoted(dataset)} --regions {quoted(regions)}` first"
        )
    names = [artefact.recipe.component for artefact in found]
    which = "name one of them in full"
    if len(set(names)) == 1:
        names = [artefact.path.name for artefact in found]
        which = "they are of one name and other content: make those that are meant under a name of their own"
    raise UsageError(f"{regions} is {len(found)} of the cached regions of {dataset}: {', '.join(names)}; {which}")


def parent_of(store: Store, index: manifest.Artefact, generator: GeneratorPart) -> manifest.Artefact | None:
    """The cached regions that ``generator`` makes its own of; None for one without a parent. Raises as
    :func:`cached`."""
    parent = generator.made.parent
    if parent is None:
        return None
    return cached(store, index.dataset, index.recipe.digest, parent, generator.maker.canonical)


def copy_some(
    store: Store, artefact: manifest.Artefact, numbers: Collection[int], sample: Store, index: ImageIndex
) -> None:
    """Publish in ``sample`` the regions that shards ``numbers`` of ``artefact`` have of ``index``, a few of its images
    as one shard."""
    for role in set(artefact.recipe.parents) - set(INDEX_ROLES):
        copy_some(store, store.parent(artefact, role), numbers, sample, index)
    batches = [store.read(artefact, number) for number in sorted({*numbers} & artefact.published())]
    if batches:
        joined = records.concat([records.take(b, np.intersect1d(b.image_ids, index.image_ids)) for b in batches])
        there = records.places(joined.image_ids, index.image_ids)
        made = manifest.plan(sample.layout, artefact.dataset, artefact.recipe, {0: len(index)})
        made.publish(0, records.at(joined, there[there >= 0]), sample.parents_now(made, 0))

"""How long an extraction will take and how large it will be, from a timed sample of its images."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fgscore.errors import NothingCached
from fgscore.extract import known
from fgscore.extract.extraction import extract
from fgscore.extract.index import Indexed
from fgscore.extract.parts import Parts
from fgscore.machine.macs import Macs
from fgscore.machine.progress import Progress, Summary, silent
from fgscore.runtime import Runtime
from fgscore.store import index as index_store
from fgscore.store import manifest, schema
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

SAMPLE = 32
COLUMNS = ("image_ids", "paths", "labels", "split", "sizes_wh", "sha256", "orientation", "boxes_xyxy")


@dataclass(frozen=True)
class Expected:
    """What is left of one artefact: ``images`` (1 for a text), seconds on this device, bytes on disk, and multiply-
    accumulates, None where they are not known."""

    label: str
    images: int
    seconds: float
    bytes: float
    macs: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {"artefact": self.label, "images": self.images, "seconds": round(self.seconds, 4),
                "bytes": round(self.bytes), "macs": self.macs}  # fmt: skip


def estimate(
    store: Store,
    indexed: Indexed,
    parts: Parts,
    runtime: Runtime,
    thumbnail_size: int | None,
    progress: Progress = silent,
) -> list[Expected]:
    """What :func:`extract` with the same arguments has left to do.

    :data:`SAMPLE` images, spread evenly over the index, are extracted into a temporary folder, after one that loads the
    models and warms the device. Nothing is written to ``store``.
    """
    rows = np.unique(np.linspace(0, len(indexed.index) - 1, SAMPLE).round().astype(int))
    with tempfile.TemporaryDirectory(prefix="fgscore-") as folder:
        for name, chosen in (("warm", rows[:1]), ("timed", rows)):
            sample = Store(Layout(Path(folder) / name))
            some = _some(sample, indexed, chosen)
            _copy_regions(store, indexed, parts, chosen, sample, some)
            say = progress if name == "timed" else silent
            summaries = extract(sample, some, parts, runtime, say, thumbnail_size=thumbnail_size, allow_equal_text=True)
        return [_expected(store, sample, indexed, one) for one in summaries if one.kind != "index"]


def _some(sample: Store, indexed: Indexed, rows: np.ndarray) -> Indexed:
    """The same index with a few of its images, as one shard."""
    columns: dict[str, Any] = {name: getattr(indexed.index, name)[rows] for name in COLUMNS}
    index = replace(indexed.index, shard=np.zeros(len(rows), np.int32), **columns)
    artefact = index_store.write(sample.layout, index, indexed.artefact.recipe)
    return Indexed(artefact, index, indexed.root, indexed.summary, indexed.noun)


def _copy_regions(store: Store, indexed: Indexed, parts: Parts, rows: np.ndarray, sample: Store, some: Indexed) -> None:
    """Give the sample those cached regions that others are made of, or that are to be embedded."""
    parents = {str(g.made.parent): g.maker.canonical for g in parts.generators if g.made.parent is not None}
    index = indexed.artefact
    for text, but in {**parents, **dict.fromkeys(parts.cached, "")}.items():
        with suppress(NothingCached):  # it is made in this very run
            artefact = known.cached(store, index.dataset, index.recipe.digest, text, but)
            known.copy_some(store, artefact, set(indexed.index.shard[rows].tolist()), sample, some.index)


def _expected(store: Store, sample: Store, indexed: Indexed, summary: Summary) -> Expected:
    """From the seconds and bytes of the sample; recipes are the same in both stores, and so are labels."""
    made = manifest.load(sample.layout.cache / summary.label)
    sidecars = [sidecar for number in made.shard_sizes if (sidecar := made.sidecar(number))]
    size = sum(sidecar["file_bytes"] for sidecar in sidecars)
    counts = [Macs.read(sidecar["provenance"].get("macs")) for sidecar in sidecars]
    macs = next((count for count in counts if count), None)
    units = sum(made.shard_sizes.values())
    whole = {n: rows.stop - rows.start for n, rows in indexed.index.shards.items()}
    planned = whole if summary.kind not in schema.OF_CLASSES else made.shard_sizes
    folder = store.layout.cache / summary.label
    there = manifest.load(folder).published() if (folder / manifest.PLAN).exists() else set()
    left = sum(images for number, images in planned.items() if number not in there)
    taken = macs.of(summary.regions / max(1, summary.images)) * left if macs else None
    return Expected(summary.label, left, summary.seconds / units * left, size / units * left, taken)


def free_bytes(layout: Layout) -> int:
    """Room where the store is, or will be."""
    folder = next(path for path in (layout.cache, *layout.cache.absolute().parents) if path.exists())
    return shutil.disk_usage(folder).free

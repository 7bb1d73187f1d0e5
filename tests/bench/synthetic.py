"""A store of any size with class-structured embeddings, written shard by shard: what the laptop half is timed on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fgscore.store import index as index_store
from fgscore.store import manifest
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.types import EmbeddingShard, GlobalShard, ImageIndex, RegionBatch, TextBank

ENCODER, GENERATOR = "synthetic", "synthetic_crops"
ASIDE = "aside-"


@dataclass(frozen=True)
class Size:
    """Images, regions an image, classes, width. CUB-200-2011 with 32 crops and ViT-B/32 where left out."""

    images: int = 11_788
    regions: int = 32
    classes: int = 200
    dim: int = 512


class Drawn:
    """Embeddings as CLIP's are: all in one cone, most variance in few directions, classes close to each other, a region
    its image and more noise.

    The noise is such that a linear probe of the whole images is right for about 0.6 of them.
    """

    CONE, NOISE, REGION, TEXT = 2.0, 4.7, 3.0, 0.4

    def __init__(self, size: Size, seed: int = 0) -> None:
        self.size = size
        rng = np.random.default_rng(seed)
        spectrum = np.arange(1, size.dim + 1) ** -0.5
        self._scale = self._unit(spectrum).astype(np.float32)
        self._cone = self.CONE * self._unit(rng.standard_normal(size.dim)).astype(np.float32)
        self.classes = self._rows(rng, size.classes)
        text = self._cone + self.classes + self.TEXT * self._rows(rng, size.classes)
        self.text = self._unit(text).astype(np.float32)

    @staticmethod
    def _unit(rows: np.ndarray) -> np.ndarray:
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    def _rows(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """(n, d) float32 of length about 1."""
        return rng.standard_normal((n, self.size.dim), np.float32) * self._scale

    def shard(self, number: int, labels: np.ndarray, generator: str = GENERATOR) -> tuple[np.ndarray, np.ndarray]:
        """(N, d) images and (N * M, d) regions of one shard, float16 unit rows; other regions for each generator."""
        rng = np.random.default_rng([number, 1])
        images = self._cone + self.classes[labels] + self.NOISE * self._rows(rng, len(labels))
        rng = np.random.default_rng([number, *generator.encode()])
        spread = np.repeat(images, self.size.regions, axis=0)
        regions = spread + self.REGION * self._rows(rng, len(spread))
        return self._unit(images).astype(np.float16), self._unit(regions).astype(np.float16)


def make_index(size: Size) -> ImageIndex:
    """Every class in turn; of each five images two are for training, one for validation, two for testing."""
    n = size.images
    rows = np.arange(n)
    split = np.array(["train", "test", "train", "test", "val"])[rows // size.classes % 5]
    return ImageIndex(
        dataset="synthetic",
        image_ids=np.array([f"{i:08d}" for i in rows]),
        paths=np.array([f"{i:08d}.jpg" for i in rows]),
        labels=rows % size.classes,
        split=split,
        class_names=tuple(f"class {i:04d}" for i in range(size.classes)),
        sizes_wh=np.full((n, 2), 320),
        sha256=np.array([f"{i:064x}" for i in rows]),
        orientation=np.ones(n),
        shard=rows // index_store.IMAGES_PER_SHARD,
        boxes_xyxy=np.full((n, 4), np.nan),
        banner=0,
        notes={},
    )


def make_store(folder: Path, size: Size, regions: bool = True, generator: str = GENERATOR) -> Store:
    """The store under ``folder``; one of the same size that is there already is used again, and a second generator's
    regions join it."""
    store = Store(Layout(folder))
    index, drawn = make_index(size), Drawn(size)
    indexed = index_store.write(store.layout, index, index_store.recipe("synthetic", vars(size), 1, None))
    parents = {"images": indexed.recipe.digest}
    numbers = {n: rows.stop - rows.start for n, rows in index.shards.items()}

    def plan(kind: str, component: str, parents: dict[str, str], **extra: object) -> manifest.Artefact:
        recipe = manifest.Recipe(kind, component, {}, parents=parents, extra=extra)
        return manifest.plan(store.layout, "synthetic", recipe, {0: 1} if kind == "text" else numbers)

    text = plan("text", ENCODER, {"names": parents["images"]}, prompt="plain", templates=["{}"])
    bank = TextBank(index.class_names, ("{}",), drawn.text, 100.0)
    if not text.is_current(0, store.parents_now(text, 0)):
        text.publish(0, bank, store.parents_now(text, 0))
    text.finish()
    made = [plan("globals", ENCODER, parents)]
    if regions:
        made.append(plan("regions", generator, parents))
        made.append(plan("region_embeddings", ENCODER, {"regions": made[1].recipe.digest, **parents}))
    for number, rows in index.shards.items():
        if all(a.content(number) for a in made):
            continue
        for artefact, record in zip(made, _records(drawn, number, index, rows, generator), strict=False):
            artefact.publish(number, record, store.parents_now(artefact, number))
    for artefact in made:
        artefact.finish()
    return Store(store.layout)


def _records(
    drawn: Drawn, number: int, index: ImageIndex, rows: slice, generator: str
) -> tuple[GlobalShard, RegionBatch, EmbeddingShard]:
    ids = index.image_ids[rows]
    images, regions = drawn.shard(number, index.labels[rows], generator)
    r, ones = len(regions), np.ones(len(regions), np.float32)
    offsets = np.arange(len(ids) + 1) * drawn.size.regions
    boxes = np.tile(np.array([0, 0, 160, 160], np.int32), (r, 1))
    return (
        GlobalShard(ids, images, np.ones(len(ids), np.float32)),
        RegionBatch(ids, offsets, boxes, ones / 4, ones * np.nan, ones * np.nan),
        EmbeddingShard(ids, offsets, regions, ones),
    )


def named(size: Size) -> str:
    """A folder for the store of a size; another one where what is drawn changes."""
    return "-".join(str(v) for v in (*vars(size).values(), Drawn.NOISE))


def put_aside(folder: Path, *kinds: str) -> None:
    """Take artefacts out of the cache without removing them."""
    for kind in kinds:
        made = folder / "cache" / "synthetic" / kind
        if made.exists():
            made.rename(folder / f"{ASIDE}{kind}-{time.monotonic_ns()}")

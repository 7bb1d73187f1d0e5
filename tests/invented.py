"""A cache of invented embeddings in which some regions tell the class: for everything that starts from the cache."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.store import index as index_store
from fgscore.store import manifest
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.types import EmbeddingShard, GlobalShard, ImageIndex, MaskRLE, RegionBatch, TextBank

CLASSES, TRAIN, TEST, WIDTH, CROPS, SIDE = 5, 6, 12, 12, 12, 40
OBJECT = (10.0, 10.0, 30.0, 30.0)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _hash(name: str, number: int) -> str:
    return hashlib.sha256(f"{name}/{number}".encode()).hexdigest()


def invent(
    layout: Layout, name: str, seed: int, val: int = 0, component: str = "", crop_seeds: int = 1, of_cub: int = 0
) -> None:
    """One data set ``name`` with crops, of ``crop_seeds`` seeds, and masks: 12 crops an image, 0 to 6 masks; a region
    embeds its class the more clearly, the more of it lies on the object. The first ``of_cub`` photos are, by their
    hashes, photos of cub."""
    rng = np.random.default_rng(seed)
    store = Store(layout)
    labels = np.repeat(np.arange(CLASSES), TRAIN + val + TEST)
    split = np.tile(np.repeat(["train", "val", "test"], [TRAIN, val, TEST]), CLASSES)
    n = len(labels)
    ids = np.array([f"{name}/{i:03d}" for i in range(n)])
    cone, centres = 2 * rng.standard_normal(WIDTH), rng.standard_normal((CLASSES, WIDTH))
    index = ImageIndex(
        name,
        ids,
        ids,
        labels,
        split,
        tuple(f"kind {c}" for c in range(CLASSES)),
        np.full((n, 2), SIDE),
        np.array([_hash("cub" if i < of_cub else name, i) for i in range(n)]),
        np.ones(n),
        np.arange(n) // 32,
        np.tile(np.array(OBJECT, np.float32), (n, 1)),
    )
    component = component or f"folder(name={name!r})"
    indexed = index_store.write(layout, index, index_store.recipe(component, {"name": name}, 1, None))
    parent = {"images": indexed.recipe.digest}
    sizes = {number: rows.stop - rows.start for number, rows in index.shards.items()}
    encoder = {"dim": WIDTH, "seed": 0}

    def publish(recipe: manifest.Recipe, records: dict[int, Any]) -> manifest.Artefact:
        planned = {0: 1} if recipe.kind == "text" else sizes
        artefact = manifest.plan(layout, name, recipe, planned)
        for number, record in records.items():
            artefact.publish(number, record, store.parents_now(artefact, number))
        artefact.finish()
        return artefact

    text = unit(cone + centres + 0.9 * rng.standard_normal(centres.shape)).astype(np.float32)
    bank = TextBank(index.class_names, ("a photo of a {},",), text, 30.0)
    publish(
        manifest.Recipe("text", "fake", encoder, parents={"names": parent["images"]}, extra={"prompt": "plain"}),
        {0: bank},
    )
    whole = unit(cone + 0.5 * centres[labels] + 1.1 * rng.standard_normal((n, WIDTH)))
    publish(
        manifest.Recipe("globals", "fake", encoder, parents=parent),
        {i: GlobalShard(ids[rows], whole[rows], np.ones(rows.stop - rows.start)) for i, rows in index.shards.items()},
    )
    more: list[tuple[str, dict[str, Any]]] = [("random_crop", {"n": CROPS, "seed": s}) for s in range(1, crop_seeds)]
    for generator, params in [("random_crop", {"n": CROPS}), ("sam", {"checkpoint": "demo", "n": 6}), *more]:
        batches, embedded = {}, {}
        for number, rows in index.shards.items():
            batch = regions_of(ids[rows], generator, rng)
            on = overlap(batch)
            owner = np.repeat(labels[rows], np.diff(batch.offsets))
            f = unit(cone + (0.2 + 1.2 * on[:, None]) * centres[owner] + rng.standard_normal((len(on), WIDTH)))
            batches[number] = batch
            embedded[number] = EmbeddingShard(ids[rows], batch.offsets, f, 5 + rng.random(len(on)))
        text_of = f"{generator}({', '.join(f'{k}={v!r}' for k, v in params.items())})"
        made = publish(manifest.Recipe("regions", text_of, params, parents=parent), batches)
        both = {"regions": made.recipe.digest, **parent}
        publish(manifest.Recipe("region_embeddings", "fake", encoder, parents=both), embedded)


def regions_of(ids: np.ndarray, generator: str, rng: np.random.Generator) -> RegionBatch:
    counts = np.full(len(ids), CROPS) if generator == "random_crop" else rng.integers(0, 7, len(ids))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    corner, size = rng.integers(0, 24, (offsets[-1], 2)), rng.integers(6, 16, (offsets[-1], 2))
    boxes = np.concatenate([corner, corner + size], axis=1)
    area, nan = size.prod(axis=1) / SIDE**2, np.full(offsets[-1], np.nan)
    masks = None if generator == "random_crop" else rle(boxes, len(ids))
    return RegionBatch(ids, offsets, boxes, area, nan, nan, masks)


def rle(boxes: np.ndarray, n: int) -> MaskRLE:
    """Masks that fill their boxes."""
    runs = []
    for x0, y0, x1, y1 in boxes.tolist():
        flat = np.zeros((SIDE, SIDE), bool)
        flat[y0:y1, x0:x1] = True
        column_major = np.concatenate([[0], flat.T.ravel()])  # runs start with background, if none of it
        changes = np.flatnonzero(np.diff(column_major))
        runs.append(np.diff(np.concatenate([[0], changes, [SIDE * SIDE]])))
    counts = np.concatenate([np.zeros(0, np.int64), *runs])
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in runs])]).astype(np.int64)
    return MaskRLE(counts, offsets, np.full((n, 2), SIDE))


def overlap(batch: RegionBatch) -> np.ndarray:
    """(R,) share of each box inside the object."""
    low, high = np.maximum(batch.boxes_xyxy[:, :2], OBJECT[:2]), np.minimum(batch.boxes_xyxy[:, 2:], OBJECT[2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    return inside / (batch.boxes_xyxy[:, 2:] - batch.boxes_xyxy[:, :2]).prod(axis=1)


@pytest.fixture(scope="session")
def _invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("invented")
    for i, name in enumerate(("cub", "pets")):
        invent(Layout(folder), name, seed=i)
    return folder


@pytest.fixture
def study(_invented: Path, data: Path) -> Store:
    """A cache of two small data sets, called cub and pets, each with crops and masks of the encoder `fake`."""
    shutil.copytree(_invented, data)
    return Store(Layout(data))


@pytest.fixture
def invent_into() -> Callable[..., None]:
    """``invent_into(layout, name, seed, val=0, component="", crop_seeds=1, of_cub=0)`` adds one more."""
    return invent

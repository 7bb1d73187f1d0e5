"""How the store under v1/ was made, once: six drawn photos, the fake encoder, crops and hand-made masks.

    python tests/data/archive/make_v1.py DIR

writes such a store to DIR/cache. The committed copy is never made anew: it stands for the stores that users of schema 1
have, and ``tests/store/test_archive.py`` checks that they stay readable and keep their numbers. A new schema gets a
script and a folder of its own. Thumbnails, a later kind of the same schema, were added to the store that was there.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from fgscore import ragged
from fgscore.evaluate.features import FeatureRun, aggregate_features
from fgscore.evaluate.score import runs_for
from fgscore.extract.extraction import Component, Extraction
from fgscore.extract.index import make_index
from fgscore.pooling import Pooling
from fgscore.runtime import Runtime
from fgscore.scorers import Scorer
from fgscore.store import index as index_store
from fgscore.store import manifest, match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.targets import Target
from fgscore.types import MaskRLE, RegionBatch

CLASSES = ("Brewer's_Sparrow", "Käfer")
WIDTH, HEIGHT = 24, 16


def draw(root: Path) -> None:
    """Two train photos and a test photo of each class: a bright square that stands elsewhere in each."""
    for c, name in enumerate(CLASSES):
        for i, split in enumerate(("train", "train", "test")):
            pixels = np.full((HEIGHT, WIDTH, 3), (40 * i, 90, 160 - 60 * c), np.uint8)
            pixels[2 + 3 * i : 8 + 3 * i, 3 + 8 * c : 9 + 8 * c] = (250, 200 - 90 * c, 30)
            path = root / split / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def masks(image_ids: list[str], first: int) -> RegionBatch:
    """By turns two masks, none and one: the left half, the top left quarter."""
    counts = [(2, 0, 1)[(first + i) % 3] for i in range(len(image_ids))]
    half, quarter = np.zeros((HEIGHT, WIDTH), bool), np.zeros((HEIGHT, WIDTH), bool)
    half[:, : WIDTH // 2], quarter[: HEIGHT // 2, : WIDTH // 2] = True, True
    kept = [mask for m in counts for mask in (half, quarter)[:m]]
    runs = [run_lengths(mask) for mask in kept]
    boxes = [(0, 0, WIDTH // 2, HEIGHT if mask is half else HEIGHT // 2) for mask in kept]
    return RegionBatch(
        image_ids=np.array(image_ids, np.str_),
        offsets=ragged.from_lengths(np.array(counts)),
        boxes_xyxy=np.array(boxes, np.int32).reshape(-1, 4),
        area=np.array([mask.mean() for mask in kept]),
        predicted_iou=np.linspace(0.9, 0.8, len(kept)),
        stability=np.full(len(kept), 0.95),
        masks=MaskRLE(
            counts=np.array([n for r in runs for n in r], np.uint32),
            offsets=ragged.from_lengths(np.array([len(r) for r in runs], np.int64)),
            size_hw=np.tile(np.array([HEIGHT, WIDTH], np.int32), (len(image_ids), 1)),
        ),
    )


def run_lengths(mask: np.ndarray) -> list[int]:
    """Column-major runs that start with background."""
    flat = mask.T.ravel()
    ends = [*np.flatnonzero(np.diff(flat)) + 1, len(flat)]
    return ([0] if flat[0] else []) + np.diff([0, *ends]).tolist()


def make(folder: Path) -> None:
    """Write the store to ``folder/cache``, in shards of four images."""
    index_store.IMAGES_PER_SHARD = 4
    store, runtime = Store(Layout(folder)), Runtime()
    with tempfile.TemporaryDirectory() as photos:
        draw(Path(photos))
        run = Extraction(store, make_index(store, "folder(name='archive')", root=Path(photos)), runtime)
        encoder = Component("encoder", "fake(dim=8)", runtime)
        run.globals(encoder)
        run.text(encoder, "plain")
        run.region_embeddings(encoder, run.regions(Component("region generator", "random_crop(n=3)", runtime)))
        run.region_embeddings(encoder, by_hand(store, run))
        run.thumbnails(16)
    for bundle in match.bundles(store):
        assert isinstance(bundle, RegionBundle)
        scored = runs_for(bundle, [Scorer.bind("entropy(tau=5)")], [Target.bind("global")])
        aggregate_features([FeatureRun(bundle, Pooling.bind("topk(k=2)"), s) for s in scored])


def by_hand(store: Store, run: Extraction) -> manifest.Artefact:
    """The artefact of the hand-made masks."""
    index = run.indexed.index
    recipe = manifest.Recipe("regions", "by_hand", parents={"images": run.indexed.artefact.recipe.digest})
    sizes = {n: rows.stop - rows.start for n, rows in index.shards.items()}
    artefact = manifest.plan(store.layout, "archive", recipe, sizes)
    for number, rows in index.shards.items():
        record = masks(index.image_ids[rows].tolist(), rows.start)
        artefact.publish(number, record, store.parents_now(artefact, number))
    artefact.finish()
    return artefact


if __name__ == "__main__":
    make(Path(sys.argv[1]))

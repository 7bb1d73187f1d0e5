"""The GPU half: thumbnails, regions, global, text and region embeddings, shard by shard into the store.

A shard that is there and was made from the same parents is left alone, so that an interrupted run goes on where it
stopped and new photos cost only themselves. Batches never cross a shard: its content does not depend on its neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fgscore import encoders, ragged, regions, timing
from fgscore.errors import BadImage
from fgscore.pipeline import thumbnails
from fgscore.pipeline.batches import Batches
from fgscore.pipeline.components import Component, Components, equal_text
from fgscore.pipeline.fill import Failure, Filler, Made, Share, Task
from fgscore.pipeline.index import Indexed
from fgscore.pipeline.photos import Photos
from fgscore.pipeline.progress import Progress, Summary, silent
from fgscore.store import manifest, match
from fgscore.store.match import Store
from fgscore.types import EmbeddingShard, GlobalShard, RegionBatch, Runs, Runtime

log = logging.getLogger("fgscore")
Cut = tuple[np.ndarray, np.ndarray, np.ndarray | Runs | None]  # image, box_xyxy, mask
SHARDS_ON_GPU = 3


class Extraction:
    """One data set's passes. Each returns its artefact; ``summaries`` grows by one."""

    def __init__(
        self,
        store: Store,
        indexed: Indexed,
        runtime: Runtime,
        progress: Progress = silent,
        retry_failed: bool = False,
        share: Share = Share(),  # noqa: B008 (frozen)
    ) -> None:
        self.store, self.indexed, self.index, self.runtime = store, indexed, indexed.index, runtime
        self.photos = Photos(indexed.index, indexed.root, runtime.workers)
        self._batches: dict[str, Batches] = {}
        self.summaries: list[Summary] = [indexed.summary]
        self._filler = Filler(store, indexed.artefact.dataset, indexed.index, runtime, progress, retry_failed, share)

    def thumbnails(self, size: int = thumbnails.SIZE) -> manifest.Artefact:
        """Small copies to look at, the longest side ``size`` pixels."""

        def make(task: Task) -> Made:
            ids: list[str] = []
            failures: list[Failure] = []
            made = [thumbnails.shrink(image, size) for _, image in self._images(task, ids, failures)]
            return Made(thumbnails.batch(ids, made), failures, {})

        return self._fill(thumbnails.recipe(size, self._index_digest), make)

    def regions(self, generator: Component) -> manifest.Artefact:
        """Boxes, and masks where the generator makes them."""

        def make(task: Task) -> Made:
            ids: list[str] = []
            failures: list[Failure] = []
            n, area_min, area_max = (generator.params[k] for k in ("n", "area_min", "area_max"))
            found = []
            for row, image in self._images(task, ids, failures):
                proposals = generator.loaded(image, str(self.index.image_ids[row]))
                with timing.spent("select"):
                    found.append(regions.select(proposals, n, area_min, area_max))  # type: ignore[arg-type]
            return Made(regions.batch(ids, found, generator.bound.module.MASKS), failures, generator.facts)

        return self._fill(generator.recipe("regions", {"images": self._index_digest}), make, by=generator)

    def globals(self, encoder: Component) -> manifest.Artefact:
        """Embeddings of whole images."""

        def make(task: Task) -> Made:
            ids: list[str] = []
            failures: list[Failure] = []
            images = (image for _, image in self._images(task, ids, failures))
            raw, facts = self._embed(encoder, encoder.loaded.embed_images, images)
            rows, norms = encoders.unit(raw, ids)
            return Made(GlobalShard(np.array(ids, np.str_), rows, norms), failures, facts)

        return self._fill(encoder.recipe("globals", {"images": self._index_digest}), make, by=encoder)

    def text(self, encoder: Component, prompt: str, allow_equal: bool = False) -> manifest.Artefact | None:
        """Embeddings of the class names in the templates of ``prompt``; None for an encoder that reads no text.

        Raises :class:`DataError` where two classes come out equal, unless ``allow_equal``: that, or a store of before
        that holds such, is a warning.
        """
        prompts = encoders.prompt_set(prompt, self.indexed.noun)
        recipe = encoder.recipe("text", {"names": self._index_digest}, **prompts.recipe())
        begun = self.store.find("text", self.indexed.artefact.dataset, recipe.digest)
        if begun is None and not isinstance(encoder.loaded, encoders.ReadsText):
            return None

        def make(task: Task) -> Made:
            bank = encoders.embed_text(encoder.loaded, self.index.class_names, prompts)
            if not allow_equal and (equal := bank.equal_classes()):
                raise equal_text(encoder, prompts.label, equal)
            return Made(bank, [], encoder.facts)

        artefact = self._fill(recipe, make, {0: 1})
        if artefact.content(0) is not None:
            match.warn_of_equal(self.store.read(artefact, 0), artefact)
        return artefact

    def region_embeddings(self, encoder: Component, made_from: manifest.Artefact) -> manifest.Artefact:
        """Embeddings of the regions of the artefact ``made_from``."""
        parents = {"regions": made_from.recipe.digest, "images": self._index_digest}

        def make(task: Task) -> Made:
            batch = self.store.read(made_from, task.number)
            ids: list[str] = []
            counts: list[int] = []
            failures: list[Failure] = []
            as_runs = bool(getattr(encoder.loaded, "takes_runs", False))
            cuts = self._cuts(task, batch, ids, counts, failures, as_runs)
            raw, facts = self._embed(encoder, encoder.loaded.embed_regions, cuts)
            rows, norms = encoders.unit(raw, f"a region of shard {task.number}")
            offsets = ragged.from_lengths(np.array(counts, np.int64))
            return Made(EmbeddingShard(np.array(ids, np.str_), offsets, rows, norms), failures, facts)

        return self._fill(encoder.recipe("region_embeddings", parents), make, by=encoder)

    def _cuts(
        self,
        task: Task,
        batch: RegionBatch,
        ids: list[str],
        counts: list[int],
        failures: list[Failure],
        as_runs: bool,
    ) -> Iterator[Cut]:
        """Every region of the task's images; ``ids``, ``counts`` and ``failures`` grow as it goes."""
        position = {image_id: i for i, image_id in enumerate(batch.image_ids.tolist())}
        for row, image in self._images(task, ids, failures):
            image_id = str(self.index.image_ids[row])
            if image_id not in position:
                ids.pop()
                failures.append(self._failure(row, BadImage("has no regions record")))
                continue
            i = position[image_id]
            start, stop = (int(v) for v in batch.offsets[i : i + 2])
            counts.append(stop - start)
            for r in range(start, stop):
                runs = None if batch.masks is None else batch.masks.runs(r, i)
                yield image, batch.boxes_xyxy[r], runs if runs is None or as_runs else runs.decode()

    def _embed(
        self, encoder: Component, embed: Callable[[list], np.ndarray], items: Iterator
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """(R, d) raw embeddings of ``items``, in batches, and how they were made."""
        batches = self._batches.setdefault(
            encoder.text, Batches(self.runtime.batch_size, str(getattr(encoder.loaded, "device", "cpu")))
        )
        raw = batches.embed(embed, items, encoder.loaded.dim)
        return raw, {**encoder.facts, "batch_size": batches.size}

    def _images(self, task: Task, ids: list[str], failures: list[Failure]) -> Iterator[tuple[int, np.ndarray]]:
        """Rows and pixels of the task's images; ids of those that can be decoded, failures of the others."""
        read = self.photos.read_all(task.rows)
        while True:
            with timing.spent("decode"):
                row, image = next(read, (-1, None))
            if image is None:
                return
            if isinstance(image, BadImage):
                failures.append(self._failure(row, image))
            else:
                ids.append(str(self.index.image_ids[row]))
                yield row, image
            task.tick()

    def _failure(self, row: int, error: BadImage) -> Failure:
        return {"image_id": str(self.index.image_ids[row]), "reason": str(error)}

    def _fill(
        self,
        recipe: manifest.Recipe,
        make: Callable[[Task], Made],
        sizes: Mapping[int, int] | None = None,
        by: Component | None = None,
    ) -> manifest.Artefact:
        own = {n: rows.stop - rows.start for n, rows in self.index.shards.items()}

        def at_a_time() -> int:
            shards = _at_a_time(by.loaded) if by else 1
            self.photos.in_processes = shards > 1
            return shards

        artefact, summary = self._filler.fill(recipe, make, own if sizes is None else sizes, at_a_time)
        self.summaries.append(summary)
        return artefact

    @property
    def _index_digest(self) -> str:
        return self.indexed.artefact.recipe.digest


def _at_a_time(component: Any) -> int:
    """Shards in the making at one time: several where a GPU would wait for one, and the component can take it."""
    on_gpu = str(getattr(component, "device", "cpu")).startswith("cuda")
    return SHARDS_ON_GPU if on_gpu and getattr(component, "thread_safe", False) else 1


def extract(
    store: Store,
    indexed: Indexed,
    components: Components,
    runtime: Runtime,
    progress: Progress = silent,
    retry_failed: bool = False,
    thumbnail_size: int | None = thumbnails.SIZE,
    share: Share = Share(),  # noqa: B008 (frozen)
    allow_equal_text: bool = False,
) -> list[Summary]:
    """Everything for one data set: text, which shows what is wrong before any image is touched, globals, thumbnails
    (none with None), then crops, masks last."""
    run = Extraction(store, indexed, runtime, progress, retry_failed, share)
    for encoder in components.encoders:
        if None in [run.text(encoder, prompt, allow_equal_text) for prompt in components.prompts]:
            log.info("%s reads no text: none is stored, and no prompt applies to it", encoder.text)
    for encoder in components.encoders:
        run.globals(encoder)
    if thumbnail_size:
        run.thumbnails(thumbnail_size)
    for generator in sorted(components.generators, key=lambda g: bool(g.bound.module.MASKS)):
        artefact = run.regions(generator)
        for encoder in components.encoders:
            run.region_embeddings(encoder, artefact)
    return run.summaries

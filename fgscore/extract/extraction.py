"""The GPU half: thumbnails, regions, global, text and region embeddings, shard by shard into the store.

A shard that is there and was made from the same parents is left alone, so that an interrupted run goes on where it
stopped and new photos cost only themselves. Batches never cross a shard: its content does not depend on its neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from fgscore import encoders, regions
from fgscore.encoders import ImageRegions
from fgscore.errors import BadImage
from fgscore.extract import known, thumbnails
from fgscore.extract.fill import Failure, Filler, Made, Pass, Share, Task
from fgscore.extract.index import Indexed
from fgscore.extract.part import Part
from fgscore.extract.parts import EncoderPart, GeneratorPart, Parts, equal_text
from fgscore.extract.photos import Photos
from fgscore.machine import timing
from fgscore.machine.macs import Macs
from fgscore.machine.progress import Progress, Summary, silent
from fgscore.models import Model
from fgscore.runtime import Runtime
from fgscore.store import manifest, records
from fgscore.store.bundle import warn_of_equal
from fgscore.store.cache import Store
from fgscore.types import Descriptions, EmbeddingShard, GlobalShard, RegionBatch, TextBank

log = logging.getLogger("fgscore")
SHARDS_ON_GPU = 3


class _Images:
    """Ids and pixels of a task's images, (H, W, 3) uint8, to go through once: then ``ids`` are those of the images that
    were given, and ``failures`` say why the others were not. Only those that are ``known`` are given, all with None."""

    def __init__(self, photos: Photos, task: Task, known: np.ndarray | None = None) -> None:
        self._photos, self._task = photos, task
        self._known = None if known is None else set(known.tolist())
        self.ids: list[str] = []
        self.failures: list[Failure] = []

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        read = self._photos.read_all(self._task.rows, self._task.kept)
        while True:
            with timing.spent("decode"):
                row, image = next(read, (-1, None))
            if image is None:
                return
            image_id = str(self._photos.index.image_ids[row])
            if self._known is not None and image_id not in self._known and not isinstance(image, BadImage):
                image = BadImage("has no regions record")
            if isinstance(image, BadImage):
                self.failures.append({"image_id": image_id, "reason": str(image)})
            else:
                self.ids.append(image_id)
                yield image_id, image
            self._task.tick()

    def refuse(self, image_id: str, reason: str) -> None:
        """Count the image that was given last among the failures."""
        self.ids.remove(image_id)
        self.failures.append({"image_id": image_id, "reason": reason})


def _with_regions(images: _Images, batch: RegionBatch) -> Iterator[ImageRegions]:
    """Each of ``images`` with the regions that ``batch`` has of it, which knows them all."""
    for image_id, image in images:
        own = records.take(batch, [image_id])
        masks = own.masks
        runs = None if masks is None else [masks.runs(region, 0) for region in range(len(own.boxes_xyxy))]
        yield ImageRegions(image, own.boxes_xyxy, runs, own.mirrored)


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
        self.summaries: list[Summary] = [indexed.summary]
        self._filler = Filler(store, indexed.artefact.dataset, indexed.index, runtime, progress, retry_failed, share)

    def fill(self, passes: Sequence[Pass]) -> list[manifest.Artefact]:
        """Their artefacts, brought up to date; see :meth:`Filler.fill`."""
        self.summaries += self._filler.fill(passes)
        return [one.artefact for one in passes]

    def thumbnails(self, size: int = thumbnails.SIZE) -> Pass:
        """Small copies to look at, the longest side ``size`` pixels."""

        def make(task: Task) -> Made:
            images = _Images(self.photos, task)
            made = [thumbnails.shrink(image, size) for _, image in images]
            return Made(thumbnails.batch(images.ids, made), images.failures, {})

        return self._pass(thumbnails.recipe(size, self._index_digest), make)

    def regions(self, generator: GeneratorPart) -> Pass:
        """Boxes, and masks where the generator makes them, of what it asks to know beside the photos; the regions of a
        parent, where it has one, are to be there."""
        made, index = generator.made, self.indexed.artefact
        parent = known.parent_of(self.store, index, generator)
        of_parent = known.ParentRegions(self.store, parent, self.index) if parent else None
        generator.meet(known.of_index(generator, self.index, self.indexed.root, of_parent))

        def make(task: Task) -> Made:
            images = _Images(self.photos, task, of_parent.ids(task.number) if of_parent else None)
            found = []
            for image_id, image in images:
                try:
                    found.append(generator.propose(image, image_id))
                except BadImage as error:
                    images.refuse(image_id, str(error))
            batch = regions.batch(images.ids, found, made.masks, made.mirrors)
            return Made(batch, images.failures, _facts(generator, generator.macs))

        parents = dict.fromkeys(("images", *made.asks), self._index_digest)
        recipe = generator.recipe("regions", parents | ({"regions": parent.recipe.digest} if parent else {}))
        return self._pass(recipe, make, by=generator)

    def cached(self, text: str) -> manifest.Artefact:
        """The regions that are in the cache under that name. Raises as :func:`fgscore.extract.known.cached`."""
        return known.cached(self.store, self.indexed.artefact.dataset, self._index_digest, text)

    def globals(self, encoder: EncoderPart) -> Pass:
        """Embeddings of whole images; those that came with regions are taken as they are."""
        recipe = self._of_whole(encoder)

        def make(task: Task) -> Made:
            images = _Images(self.photos, task)
            found = dict(task.kept.whole.get(recipe.digest, {})) if task.kept else {}
            lacking: list[str] = []

            def others() -> Iterator[np.ndarray]:
                for image_id, image in images:
                    if image_id not in found:
                        lacking.append(image_id)
                        yield image

            rest = encoder.images(others())
            found |= dict(zip(lacking, rest, strict=True))
            raw = np.array([found[image_id] for image_id in images.ids], np.float32).reshape(-1, encoder.made.dim)
            rows, norms = encoder.unit(raw, images.ids)
            facts = {**_facts(encoder, encoder.macs_of_whole), "batch_size": encoder.made.batches.size}
            return Made(GlobalShard(np.array(images.ids, np.str_), rows, norms), images.failures, facts)

        return self._pass(recipe, make, by=encoder)

    def _of_whole(self, encoder: EncoderPart) -> manifest.Recipe:
        return encoder.recipe("globals", {"images": self._index_digest})

    def text(self, encoder: EncoderPart, prompt: str, allow_equal: bool = False) -> manifest.Artefact | None:
        """Embeddings of the class names in the templates of ``prompt``, and beside them, where it says more than one
        text of a class, those of every text; None where there are no classes, and for an encoder that reads no text.

        Raises :class:`DataError` where two classes come out equal, unless ``allow_equal``: that, or a store of before
        that holds such, is a warning.
        """
        prompts = encoders.prompt_set(prompt, self.indexed.noun)
        recipe = encoder.recipe("text", {"names": self._index_digest}, **prompts.recipe())
        begun = self.store.find("text", self.indexed.artefact.dataset, recipe.digest)
        if not self.index.class_names or (begun is None and not encoder.made.reads_text):
            return None

        @cache
        def sentences() -> tuple[TextBank, Callable[[], Descriptions]]:
            return encoder.sentences(self.index.class_names, prompts)

        def make(task: Task) -> Made:
            bank, _ = sentences()
            if not allow_equal and (equal := bank.equal_classes()):
                raise equal_text(encoder, prompts.label, equal)
            return Made(bank, [], encoder.facts)

        (artefact,) = self.fill([self._pass(recipe, make, {0: 1})])
        if artefact.content(0) is not None:
            warn_of_equal(self.store.read(artefact, 0), artefact)
        if any(len(prompts.texts(name)) > 1 for name in self.index.class_names):
            every = replace(recipe, kind="descriptions")
            self.fill([self._pass(every, lambda task: Made(sentences()[1](), [], encoder.facts), {0: 1})])
        return artefact

    def region_embeddings(self, encoder: EncoderPart, made_from: manifest.Artefact) -> Pass:
        """Embeddings of the regions of the artefact ``made_from``."""
        parents = {"regions": made_from.recipe.digest, "images": self._index_digest}

        def make(task: Task) -> Made:
            batch = self.store.read(made_from, task.number)
            images = _Images(self.photos, task, batch.image_ids)
            given = _with_regions(images, batch)
            if task.kept and encoder.made.at_once:
                raw, whole = encoder.regions_and_whole(given)
                task.kept.whole[self._of_whole(encoder).digest] = dict(zip(images.ids, whole, strict=True))
            else:
                raw = encoder.regions(given)
            rows, norms = encoder.unit(raw, f"a region of shard {task.number}")
            embedded = records.take(batch, images.ids)
            shard = EmbeddingShard(embedded.image_ids, embedded.offsets, rows, norms)
            facts = {**_facts(encoder, encoder.macs), "batch_size": encoder.made.batches.size}
            unseen = encoder.made.unseen
            return Made(shard, images.failures, facts | ({"unseen": unseen} if unseen else {}))

        return self._pass(encoder.recipe("region_embeddings", parents), make, by=encoder)

    def embedded(self, generator: GeneratorPart, by: Sequence[EncoderPart]) -> list[Pass]:
        """Its regions, and their embeddings by each encoder."""
        made = self.regions(generator)
        return [made, *(self.region_embeddings(encoder, made.artefact) for encoder in by)]

    def _pass(
        self,
        recipe: manifest.Recipe,
        make: Callable[[Task], Made],
        sizes: Mapping[int, int] | None = None,
        by: Part[Any] | None = None,
    ) -> Pass:
        of_index = {n: rows.stop - rows.start for n, rows in self.index.shards.items()}
        own = of_index if sizes is None else sizes

        def at_a_time() -> int:
            shards = _at_a_time(by.loaded) if by else 1
            if by:
                by.macs  # noqa: B018 (counted once, before the clock of a shard runs)
            self.photos.in_processes = shards > 1
            return shards

        return Pass(self._filler.plan(recipe, own), make, own, at_a_time)

    @property
    def _index_digest(self) -> str:
        return self.indexed.artefact.recipe.digest


def _facts(part: Part[Any], macs: Macs | None) -> dict[str, Any]:
    return {**part.facts, "macs": vars(macs) if macs else None}


def _at_a_time(model: Model) -> int:
    """Shards in the making at one time: several where a GPU would wait for one, and the model can take it."""
    return SHARDS_ON_GPU if str(model.device).startswith("cuda") and model.thread_safe else 1


def extract(
    store: Store,
    indexed: Indexed,
    parts: Parts,
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
    if not indexed.index.class_names:
        log.info(
            "%s has no class names, so no text is stored; give some with --classes names.txt", indexed.index.dataset
        )
    for encoder in parts.encoders if indexed.index.class_names else ():
        if None in [run.text(encoder, prompt, allow_equal_text) for prompt in parts.prompts]:
            log.info("%s reads no text: none is stored, and no prompt applies to it", encoder.text)
    first = [run.globals(encoder) for encoder in parts.encoders if not encoder.made.at_once]
    first += [run.thumbnails(thumbnail_size)] if thumbnail_size else []
    for text in parts.cached:
        first += [run.region_embeddings(encoder, run.cached(text)) for encoder in parts.encoders]
    later = [part for part in parts.generators if part.made.parent is not None or part.made.masks]
    for part in (part for part in parts.generators if part not in later):
        first += run.embedded(part, parts.encoders)
    first += [run.globals(encoder) for encoder in parts.encoders if encoder.made.at_once]  # which came with the regions
    run.fill(first)
    for part in sorted(later, key=lambda part: (part.made.parent is not None, bool(part.made.masks))):  # parents first
        run.fill(run.embedded(part, parts.encoders))
    return run.summaries

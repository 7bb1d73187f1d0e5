"""The GPU half: regions, global, text and region embeddings of every image, shard by shard into the store.

A shard that is there and was made from the same parents is left alone, so that an interrupted run goes on where it
stopped and new photos cost only themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fgscore import encoders, plugins, regions, specs
from fgscore.errors import BadImage
from fgscore.pipeline.index import Indexed
from fgscore.pipeline.photos import Photos
from fgscore.pipeline.progress import Clock, Progress, Summary, provenance, silent
from fgscore.store import manifest
from fgscore.store.match import Store
from fgscore.types import EmbeddingShard, GlobalShard, RegionBatch, Runtime

Failure = dict[str, str]


@dataclass(frozen=True)
class Made:
    """The record of one shard and the images that are not in it."""

    record: Any
    failures: list[Failure]


class Component:
    """A plugin bound to a runtime: its recipe is known at once, its model is loaded when first needed."""

    def __init__(self, kind: str, text: str, runtime: Runtime) -> None:
        self.bound, self.runtime = plugins.bind(kind, text), runtime
        self.params = dict(self.bound.params)

    @cached_property
    def weights(self) -> str | None:
        """What identifies the weights; raises :class:`MissingWeights`."""
        weights = getattr(self.bound.module, "weights", None)
        return weights(self.runtime, self.params) if weights else None

    @cached_property
    def loaded(self) -> Any:
        """The generator or encoder itself."""
        return self.bound.module.load(self.runtime, **self.params)

    def check(self) -> None:
        """What would stop a run, before it starts: packages, weights, values that exclude each other."""
        plugins.check_installed(self.bound)
        if getattr(self.bound.module, "MASKS", None) is not None:
            regions.check_area(*(self.params[k] for k in ("area_min", "area_max", "n")))  # type: ignore[arg-type]
        if self.weights is None:  # nothing heavy to load, and loading looks at the parameters
            _ = self.loaded

    def recipe(self, kind: str, parents: Mapping[str, str], **extra: Any) -> manifest.Recipe:
        """The recipe of an artefact of ``kind``, which may depend on some of the parameters only."""
        keys = getattr(self.bound.module, "PARAMETERS", {}).get(kind, tuple(self.params))
        stored = getattr(self.bound.module, "resolve", dict)(self.params)
        params = {k: v for k, v in stored.items() if k in keys}
        component = specs.canonical(self.bound.name, params, specs.tunables(self.bound.module.load))
        return manifest.Recipe(kind, component, params, self.bound.version, self.weights, dict(parents), extra)


class Extraction:
    """One data set's passes. Each pass returns the artefact and a :class:`Summary`."""

    def __init__(self, store: Store, indexed: Indexed, runtime: Runtime, progress: Progress = silent) -> None:
        self.store, self.indexed, self.runtime, self.progress = store, indexed, runtime, progress
        self.photos = Photos(indexed.index, indexed.root, runtime.workers or 2)
        self.summaries: list[Summary] = [indexed.summary]

    def regions(self, generator: Component) -> manifest.Artefact:
        """Boxes, and masks where the generator makes them."""
        recipe = generator.recipe("regions", {"images": self._index_digest})
        limits: Any = [generator.params[k] for k in ("n", "area_min", "area_max")]

        def make(artefact: manifest.Artefact, number: int) -> Made:
            ids, found, failures = [], [], []
            for row, image in self._shard_images(artefact, number):
                if isinstance(image, BadImage):
                    failures.append(self._failure(row, image))
                    continue
                image_id = str(self.indexed.index.image_ids[row])
                ids.append(image_id)
                found.append(regions.select(generator.loaded(image, image_id), *limits))
            return Made(regions.batch(ids, found, generator.bound.module.MASKS), failures)

        return self._fill(recipe, make, self._shard_sizes)

    def globals(self, encoder: Component) -> manifest.Artefact:
        """Embeddings of whole images."""
        recipe = encoder.recipe("globals", {"images": self._index_digest})

        def make(artefact: manifest.Artefact, number: int) -> Made:
            ids: list[str] = []
            failures: list[Failure] = []

            def images() -> Iterator[np.ndarray]:
                for row, image in self._shard_images(artefact, number):
                    if isinstance(image, BadImage):
                        failures.append(self._failure(row, image))
                    else:
                        ids.append(str(self.indexed.index.image_ids[row]))
                        yield image

            model = encoder.loaded
            blocks = encoders.batched(images(), self.runtime.batch_size)
            raw = [np.zeros((0, model.dim), np.float32), *(model.embed_images(block) for block in blocks)]
            rows, norms = encoders.unit(np.concatenate(raw), ids)
            return Made(GlobalShard(np.array(ids, np.str_), rows, norms), failures)

        return self._fill(recipe, make, self._shard_sizes)

    def text(self, encoder: Component, prompt: str) -> manifest.Artefact:
        """Embeddings of the class names in the templates of ``prompt``."""
        prompts = encoders.prompt_set(prompt, self.indexed.noun)
        recipe = encoder.recipe("text", {"names": self._index_digest}, **prompts.recipe())

        def make(artefact: manifest.Artefact, number: int) -> Made:
            return Made(encoders.embed_text(encoder.loaded, self.indexed.index.class_names, prompts), [])

        return self._fill(recipe, make, {0: 1})

    def region_embeddings(self, encoder: Component, regions_artefact: manifest.Artefact) -> manifest.Artefact:
        """Embeddings of the regions of ``regions_artefact``."""
        parents = {"regions": regions_artefact.recipe.digest, "images": self._index_digest}
        recipe = encoder.recipe("region_embeddings", parents)

        def make(artefact: manifest.Artefact, number: int) -> Made:
            return self._embed_regions(encoder, self.store.read(regions_artefact, number), artefact, number)

        return self._fill(recipe, make, self._shard_sizes)

    def _embed_regions(self, encoder: Component, batch: RegionBatch, artefact: manifest.Artefact, number: int) -> Made:
        position = {image_id: i for i, image_id in enumerate(batch.image_ids.tolist())}
        ids: list[str] = []
        counts: list[int] = []
        failures: list[Failure] = []

        def cuts() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
            for row, image in self._shard_images(artefact, number):
                image_id = str(self.indexed.index.image_ids[row])
                if isinstance(image, BadImage) or image_id not in position:
                    reason = image if isinstance(image, BadImage) else BadImage("has no regions record")
                    failures.append(self._failure(row, reason))
                    continue
                i = position[image_id]
                start, stop = (int(v) for v in batch.offsets[i : i + 2])
                ids.append(image_id)
                counts.append(stop - start)
                for r in range(start, stop):
                    mask = None if batch.masks is None else batch.masks.decode(r, i)
                    yield image, batch.boxes_xyxy[r], mask

        model = encoder.loaded
        blocks = encoders.batched(cuts(), self.runtime.batch_size)
        raw = [np.zeros((0, model.dim), np.float32), *(model.embed_regions(block) for block in blocks)]
        offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        rows, norms = encoders.unit(np.concatenate(raw), f"a region of shard {number}")
        return Made(EmbeddingShard(np.array(ids, np.str_), offsets, rows, norms), failures)

    def _fill(
        self,
        recipe: manifest.Recipe,
        make: Callable[[manifest.Artefact, int], Made],
        sizes: Mapping[int, int],
    ) -> manifest.Artefact:
        """Compute every shard that is not current, one at a time; the manifest last."""
        artefact = manifest.plan(self.store.layout, self.indexed.artefact.dataset, recipe, sizes)
        summary = Summary(artefact.label, recipe.kind)
        self.summaries.append(summary)
        clock = Clock()
        total = sum(sizes.values())
        done = 0
        self.progress(artefact.label, done, total)
        self._label, self._total = artefact.label, total
        for number, size in sizes.items():
            parents = self.store.parents_now(artefact, number)
            self._done = done
            if artefact.is_current(number, parents):
                summary.reused += 1
            else:
                self._compute(artefact, number, parents, make, size)
                summary.computed += 1
            self._count(summary, artefact, number)
            done += size
            self.progress(artefact.label, done, total)
        artefact.finish()
        summary.seconds = clock.seconds()
        return artefact

    def _compute(
        self,
        artefact: manifest.Artefact,
        number: int,
        parents: Mapping[str, str],
        make: Callable[[manifest.Artefact, int], Made],
        size: int,
    ) -> None:
        clock = Clock()
        made = make(artefact, number)
        facts = provenance(clock.seconds(), size, device=self.runtime.device, batch_size=self.runtime.batch_size)
        artefact.publish(number, made.record, parents, made.failures, facts)

    def _count(self, summary: Summary, artefact: manifest.Artefact, number: int) -> None:
        sidecar = artefact.sidecar(number)
        if sidecar:
            summary.images += sidecar["counts"].get("images", 0)
            summary.regions += sidecar["counts"].get("regions", 0)
            summary.failures += sidecar["failures"]

    def _shard_images(self, artefact: manifest.Artefact, number: int) -> Iterator[tuple[int, np.ndarray | BadImage]]:
        rows = self.indexed.index.shards[number]
        for i, item in enumerate(self.photos.read_all(range(rows.start, rows.stop)), 1):
            yield item
            self.progress(self._label, self._done + i, self._total)

    def _failure(self, row: int, error: BadImage) -> Failure:
        return {"image_id": str(self.indexed.index.image_ids[row]), "reason": str(error)}

    @property
    def _index_digest(self) -> str:
        return self.indexed.artefact.recipe.digest

    @property
    def _shard_sizes(self) -> dict[int, int]:
        return {n: rows.stop - rows.start for n, rows in self.indexed.index.shards.items()}


@dataclass(frozen=True)
class Components:
    """Generators and encoders of a run, each checked when made: packages and weights that are missing show at once,
    not hours into the run."""

    generators: list[Component]
    encoders: list[Component]
    prompts: list[str]

    @classmethod
    def check(
        cls,
        regions: list[str],
        encoders_: list[str],
        prompts: list[str],
        runtime: Runtime,
        noun: str | None = None,
    ) -> Components:
        """Parse, bind and check every component; nothing is loaded. ``noun`` is what the classes are kinds of."""
        made = cls(
            [Component("region generator", text, runtime) for text in dict.fromkeys(regions)],
            [Component("encoder", text, runtime) for text in dict.fromkeys(encoders_)],
            list(dict.fromkeys(prompts)),
        )
        for prompt in made.prompts:
            encoders.prompt_set(prompt, noun)
        for component in (*made.encoders, *made.generators):
            component.check()
        return made


def extract(
    store: Store, indexed: Indexed, components: Components, runtime: Runtime, progress: Progress = silent
) -> list[Summary]:
    """Everything for one data set: globals and text, then crops, masks last."""
    run = Extraction(store, indexed, runtime, progress)
    for prompt in components.prompts:  # said before the long passes, not after
        encoders.prompt_set(prompt, indexed.noun).check(indexed.index.class_names)
    for encoder in components.encoders:
        run.globals(encoder)
        for prompt in components.prompts:
            run.text(encoder, prompt)
    for generator in sorted(components.generators, key=lambda g: bool(g.bound.module.MASKS)):
        artefact = run.regions(generator)
        for encoder in components.encoders:
            run.region_embeddings(encoder, artefact)
    return run.summaries

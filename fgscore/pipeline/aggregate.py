"""Pool scored regions into one feature vector an image, as a cached artefact or straight into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from fgscore import aggregate
from fgscore.aggregate import Pooling
from fgscore.pipeline.progress import Clock, Progress, Summary, provenance, silent
from fgscore.pipeline.score import Block, ScoreRun, check_complete, read_block, score
from fgscore.store import manifest
from fgscore.store.match import Bundle, RegionBundle
from fgscore.types import FeatureShard

Rows = Literal["unit", "raw"]


@dataclass(frozen=True)
class FeatureRun:
    """One pooling of one bundle; ``scores`` says by what, None for poolings without scores; ``rows`` whether unit or
    raw region embeddings are summed (the paper leaves it open). Only pooling 'none' does without regions."""

    bundle: Bundle
    pooling: Pooling
    scores: ScoreRun | None = None
    rows: Rows = "unit"

    def __post_init__(self) -> None:
        if self.pooling.name != "none" and not isinstance(self.bundle, RegionBundle):
            raise ValueError(f"pooling {self.pooling.name!r} needs regions, found {self.bundle.globals.label} alone")

    @cached_property
    def recipe(self) -> manifest.Recipe:
        """The recipe of these features."""
        roles = ("globals",) if self.pooling.name == "none" else ("region_embeddings", "globals")
        parents = {role: getattr(self.bundle, role).recipe.digest for role in roles}
        if self.scores:
            parents["scores"] = self.scores.recipe.digest
        extra = {} if self.rows == "unit" else {"features": self.rows}
        pooling = self.pooling
        return manifest.Recipe("features", pooling.canonical, dict(pooling.params), parents=parents, extra=extra)

    @cached_property
    def artefact(self) -> manifest.Artefact:
        """The artefact, planned on disk."""
        sizes = self.bundle.globals.shard_sizes
        return manifest.plan(self.bundle.store.layout, self.bundle.index_artefact.dataset, self.recipe, sizes)

    def compute(self, number: int, block: Block | None = None) -> FeatureShard:
        """Features of one shard, from cached scores."""
        store = self.bundle.store
        if not isinstance(self.bundle, RegionBundle) or self.pooling.name == "none":
            whole = store.read(self.bundle.globals, number)
            features, n_pooled = aggregate.pool(self.pooling, whole.globals[:0], np.zeros(1, np.int64), whole.globals)
            return FeatureShard(whole.image_ids, features, n_pooled)
        block = block or read_block(self.bundle, number)
        regions = block.inputs.regions
        if self.rows == "raw":
            regions = regions * block.norms[:, None]
        scored = store.read(self.scores.artefact, number).scores if self.scores else None
        features, n_pooled = aggregate.pool(self.pooling, regions, block.inputs.offsets, block.inputs.globals, scored)
        return FeatureShard(block.image_ids, features, n_pooled)


def prepare(runs: list[FeatureRun], progress: Progress = silent) -> list[Summary]:
    """Make sure that the scores behind ``runs``, which share a bundle, are there."""
    check_complete(runs[0].bundle)
    needed = list({id(run.scores): run.scores for run in runs if run.scores}.values())
    return score(needed, progress) if needed else []


def aggregate_features(runs: list[FeatureRun], progress: Progress = silent) -> list[Summary]:
    """Write the features of ``runs``, which share a bundle, to the store."""
    summaries = prepare(runs, progress)
    own = [Summary(run.artefact.label, "features") for run in runs]
    sizes = runs[0].bundle.globals.shard_sizes
    done, total = 0, sum(sizes.values())
    for number, size in sizes.items():
        block: Block | None = None
        for run, summary in zip(runs, own, strict=True):
            parents = run.bundle.store.parents_now(run.artefact, number)
            if run.artefact.is_current(number, parents):
                summary.reused += 1
                continue
            clock = Clock()
            if isinstance(run.bundle, RegionBundle) and run.pooling.name != "none":
                block = block or read_block(run.bundle, number)
            record = run.compute(number, block)
            run.artefact.publish(number, record, parents, provenance=provenance(clock.seconds(), size))
            summary.computed += 1
            summary.images += len(record.image_ids)
            summary.seconds += clock.seconds()
        done += size
        progress(f"{runs[0].bundle.dataset}: aggregate", done, total)
    for run in runs:
        run.artefact.finish()
    return summaries + own


def matrix(run: FeatureRun) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of all images of a run, from the cache where they are there.

    Returns (features, rows, n_pooled): (N, D) float32, (N,) int64 rows of the index, (N,) int32.
    """
    records = list(_records(run))
    row_of = {image_id: row for row, image_id in enumerate(run.bundle.index.image_ids.tolist())}
    rows = [row_of[i] for record in records for i in record.image_ids.tolist()]
    features = np.concatenate([r.features for r in records])
    return features, np.array(rows, np.int64), np.concatenate([r.n_pooled for r in records])


def _records(run: FeatureRun) -> Iterator[FeatureShard]:
    store = run.bundle.store
    cached = store.find("features", run.bundle.index_artefact.dataset, run.recipe.digest)
    for number in run.bundle.globals.shard_sizes:
        if cached and cached.is_current(number, store.parents_now(cached, number)):
            yield cached.read(number)
        else:
            yield run.compute(number)

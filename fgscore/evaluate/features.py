"""Pool scored regions into one feature vector an image, as a cached artefact or straight into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from fgscore import ragged
from fgscore.errors import DataError
from fgscore.evaluate.score import Block, ScoreRun, check_complete, read_block, score
from fgscore.machine.progress import Clock, Progress, Summary, provenance, silent
from fgscore.machine.threads import ahead, processors
from fgscore.pooling import Pooling
from fgscore.store import manifest, records, shards
from fgscore.store.bundle import Bundle, RegionBundle
from fgscore.types import FeatureShard, ImageIndex, ScoreShard

Rows = Literal["unit", "raw"]
RAW_VERSION = (
    2  # since 2 an image without regions, beside raw rows, is pooled as its own raw embedding, not as a unit row
)


@dataclass(frozen=True)
class FeatureRun:
    """One pooling of one bundle; ``scores`` says by what, None for poolings without scores; ``rows`` whether unit or
    raw region embeddings are summed (the paper leaves it open). ``crops`` (start, stop) leaves in only those of each
    image's cached regions: another draw where crops are random. Poolings of whole images do without regions."""

    bundle: Bundle
    pooling: Pooling
    scores: ScoreRun | None = None
    rows: Rows = "unit"
    crops: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.pooling.needs_regions and not isinstance(self.bundle, RegionBundle):
            raise ValueError(f"pooling {self.pooling.name!r} needs regions, found {self.bundle.globals.label} alone")

    def lacks(self) -> DataError | None:
        """What to raise where the scores need text or labels and the bundle has none."""
        return self.scores.lacks() if self.scores else None

    @cached_property
    def recipe(self) -> manifest.Recipe:
        """The recipe of these features."""
        roles = ("region_embeddings", "globals") if self.pooling.needs_regions else ("globals",)
        parents = {role: getattr(self.bundle, role).recipe.digest for role in roles}
        if self.scores:
            parents["scores"] = self.scores.recipe.digest
        extra: dict[str, object] = {} if self.rows == "unit" else {"features": self.rows}
        if self.rows == "raw" and self.pooling.needs_regions:
            extra["raw_version"] = RAW_VERSION
        if self.crops:
            extra["crops"] = list(self.crops)
        pooling = self.pooling
        if pooling.source.sha256:
            extra["source"] = pooling.source.sha256
        if files := pooling.files:
            extra["files"] = files
        return manifest.Recipe("features", pooling.canonical, pooling.stored, pooling.version, None, parents, extra)

    @property
    def is_ours(self) -> bool:
        """Whether all that takes part is: what others compute is computed anew each time."""
        return self.pooling.is_ours and (self.scores is None or self.scores.is_ours)

    @property
    def is_kept(self) -> bool:
        """Whether the features may go to the store: not those of a Python object."""
        return not self.pooling.source.is_object and (self.scores is None or self.scores.is_kept)

    @cached_property
    def artefact(self) -> manifest.Artefact:
        """The artefact, planned on disk."""
        sizes = self.bundle.globals.shard_sizes
        return manifest.plan(self.bundle.store.layout, self.bundle.index_artefact.dataset, self.recipe, sizes)

    def compute(self, number: int, block: Block | None = None, scored: ScoreShard | None = None) -> FeatureShard:
        """Features of one shard, from cached scores. ``block`` and ``scored`` where the caller has read them."""
        if not isinstance(self.bundle, RegionBundle) or not self.pooling.needs_regions:
            whole = self.bundle.store.read(self.bundle.globals, number)
            features, n_pooled = self.pooling(whole.globals[:0], np.zeros(1, np.int64), whole.globals)
            return FeatureShard(whole.image_ids, features, n_pooled)
        block = block or read_block(self.bundle, number)
        regions = block.inputs.regions
        instead = None
        if self.rows == "raw":
            regions, instead = regions * block.norms[:, None], block.inputs.globals * block.global_norms[:, None]
        features, n_pooled = self._pool(number, block, regions, block.inputs.globals, scored, instead)
        return FeatureShard(block.image_ids, features, n_pooled)

    def votes(self, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """(N, C) float32: for each image the weighted mean of what ``of`` finds in its pooled regions, of the whole
        image where it has none: (n, C) in unit rows (n, d)."""
        if not isinstance(self.bundle, RegionBundle) or not self.pooling.needs_regions:
            raise ValueError("votes need pooled regions, found whole images")
        votes = []
        for number in self.bundle.globals.shard_sizes:
            block = read_block(self.bundle, number)
            of_regions, of_images = of(block.inputs.regions), of(block.inputs.globals)
            votes.append(self._pool(number, block, of_regions, of_images)[0][:, of_images.shape[1] :])
        return np.concatenate(votes)

    def _pool(
        self,
        number: int,
        block: Block,
        rows: np.ndarray,
        whole: np.ndarray,
        scored: ScoreShard | None = None,
        instead: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """``rows``, one a region, pooled by this run's weights beside ``whole``, one an image, which stands in for the
        regions of an image that has none, unless ``instead`` does."""
        scores, offsets = None, block.inputs.offsets
        if self.scores:
            scores = (scored or self.scores.shard(number, block)).scores
        if self.crops:
            kept, offsets = ragged.window(offsets, *self.crops)
            rows, scores = rows[kept], None if scores is None else scores[kept]
        return self.pooling(rows, offsets, whole, scores, instead)


def prepare(runs: list[FeatureRun], progress: Progress = silent) -> list[Summary]:
    """Make sure that the scores behind ``runs``, which share a bundle, are there."""
    check_complete(runs[0].bundle)
    kept = (run.scores for run in runs if run.scores and run.scores.is_kept)
    needed = list({scores.recipe.digest: scores for scores in kept}.values())
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
            if run.is_ours and run.artefact.is_current(number, parents):
                summary.reused += 1
                continue
            shards.check_writing()
            clock = Clock()
            if isinstance(run.bundle, RegionBundle) and run.pooling.needs_regions:
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


class Matrix(NamedTuple):
    """Features of all images of a run: ``features`` (N, D) float32, ``rows`` (N,) int64 rows of the index,
    ``n_pooled`` (N,) int32."""

    features: np.ndarray
    rows: np.ndarray
    n_pooled: np.ndarray


def matrix(run: FeatureRun) -> Matrix:
    """Features of all images of a run, from the cache where they are there."""
    return matrices([run])[0]


def matrices(runs: Sequence[FeatureRun]) -> list[Matrix]:
    """Features of all images for each of ``runs``, which share a bundle: every shard of embeddings, and of each
    scorer's scores, is read once for all of them."""
    bundle = runs[0].bundle
    index, sizes = bundle.index, bundle.globals.shard_sizes  # read before the threads
    made = ahead(lambda number: _shard_features(runs, number), sizes, processors())
    columns = zip(*(features for _, features in made), strict=True)
    return [_joined(dict(zip(sizes, shards, strict=True)), index) for shards in columns]


def _joined(shards: Mapping[int, FeatureShard], index: ImageIndex) -> Matrix:
    """The features of ``shards``, by number, one after another."""
    rows = [records.rows(index, number, shard.image_ids) for number, shard in shards.items()]
    columns = ([s.features for s in shards.values()], rows, [s.n_pooled for s in shards.values()])
    return Matrix(*map(np.concatenate, columns))


def _shard_features(runs: Sequence[FeatureRun], number: int) -> list[FeatureShard]:
    block: Block | None = None
    scored: dict[str, ScoreShard] = {}
    made = []
    for run in runs:
        store = run.bundle.store
        cached = run.is_ours and store.find("features", run.bundle.index_artefact.dataset, run.recipe.digest)
        if cached and cached.is_current(number, store.parents_now(cached, number)):
            made.append(cached.read(number))
            continue
        if isinstance(run.bundle, RegionBundle) and run.pooling.needs_regions:
            block = block or read_block(run.bundle, number)
        if run.scores and run.scores.recipe.digest not in scored:
            scored[run.scores.recipe.digest] = run.scores.shard(number, block)
        made.append(run.compute(number, block, scored.get(run.scores.recipe.digest) if run.scores else None))
    return made

"""Score cached regions: each shard is read once, and every scorer and target gets its scores from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fgscore import ragged, targets
from fgscore.errors import StoreError
from fgscore.pipeline.progress import Clock, Progress, Summary, provenance, silent
from fgscore.scorers import Scorer
from fgscore.store import manifest
from fgscore.store.match import Bundle, RegionBundle
from fgscore.types import RegionBatch, ScoreInputs, ScoreShard


@dataclass(frozen=True, eq=False)
class Block:
    """One shard's images that have both a global and region embeddings, in the order of the index.

    ``image_ids`` (N,), ``rows`` (N,) their rows in the index, ``norms`` (R,) of the region embeddings.
    """

    image_ids: np.ndarray
    rows: np.ndarray
    inputs: ScoreInputs
    norms: np.ndarray


def read_block(bundle: RegionBundle, number: int) -> Block:
    """Shard ``number`` of a bundle as scorers see it."""
    store = bundle.store
    embedded = store.read(bundle.region_embeddings, number)
    whole = store.read(bundle.globals, number)
    place = {image_id: i for i, image_id in enumerate(whole.image_ids.tolist())}
    keep = np.array([i for i, image_id in enumerate(embedded.image_ids.tolist()) if image_id in place], np.int64)
    ids = embedded.image_ids[keep]
    elements, offsets = ragged.take(embedded.offsets, keep)
    shard_rows = bundle.index.shards[number]
    row_of = {image_id: shard_rows.start + i for i, image_id in enumerate(bundle.index.image_ids[shard_rows].tolist())}

    def read_regions() -> RegionBatch:
        batch = store.read(bundle.regions, number)
        at = {image_id: i for i, image_id in enumerate(batch.image_ids.tolist())}
        kept, new = ragged.take(batch.offsets, np.array([at[i] for i in ids.tolist()], np.int64))
        columns = (batch.boxes_xyxy, batch.area, batch.predicted_iou, batch.stability)
        return RegionBatch(ids, new, *(c[kept] for c in columns))

    inputs = ScoreInputs(
        offsets=offsets,
        regions=embedded.regions[elements],
        globals=whole.globals[[place[i] for i in ids.tolist()]],
        text=bundle.text_bank.text,
        logit_scale=bundle.text_bank.logit_scale,
        read_regions=read_regions,
    )
    rows = np.array([row_of[i] for i in ids.tolist()], np.int64)
    return Block(ids, rows, inputs, embedded.norms[elements])


@dataclass(frozen=True)
class ScoreRun:
    """One scorer against one target on one bundle; ``target`` is None for a scorer that has none."""

    bundle: RegionBundle
    scorer: Scorer
    target: str | None

    @property
    def label(self) -> str:
        """``entropy, target global``."""
        return self.scorer.canonical + (f", target {self.target}" if self.target else "")

    @cached_property
    def recipe(self) -> manifest.Recipe:
        """The recipe of these scores."""
        roles = ("region_embeddings", "globals", "text") if self.target else ("region_embeddings", "globals")
        parents = {role: getattr(self.bundle, role).recipe.digest for role in roles}
        if self.target == "oracle":
            parents["labels"] = self.bundle.index_artefact.recipe.digest
        return manifest.Recipe(
            "scores",
            self.scorer.canonical,
            dict(self.scorer.params),
            weights=self.scorer.sha256,
            parents=parents,
            extra={"target": self.target} if self.target else {},
        )

    @cached_property
    def artefact(self) -> manifest.Artefact:
        """The artefact, planned on disk."""
        sizes = self.bundle.region_embeddings.shard_sizes
        return manifest.plan(self.bundle.store.layout, self.bundle.index_artefact.dataset, self.recipe, sizes)

    def compute(self, block: Block) -> ScoreShard:
        """Scores of one block."""
        target = np.full(len(block.inputs.regions), -1)
        if self.target:
            labels = self.bundle.index.labels[block.rows] if self.target == "oracle" else None
            target = targets.resolve(block.inputs, self.target, labels=labels)
        scores = self.scorer(block.inputs, target)
        return ScoreShard(block.image_ids, block.inputs.offsets, scores, target.astype(np.int32))


def runs_for(bundle: RegionBundle, scorers: Sequence[Scorer], modes: Sequence[str]) -> list[ScoreRun]:
    """One run for every scorer and target; a scorer without a target gives one."""
    return [
        ScoreRun(bundle, scorer, mode) for scorer in scorers for mode in (modes if scorer.needs_target else (None,))
    ]


def score(runs: Sequence[ScoreRun], progress: Progress = silent) -> list[Summary]:
    """Bring all ``runs``, which share a bundle, up to date. A user's own scorer is always computed anew."""
    bundle = runs[0].bundle
    check_complete(bundle)
    summaries = [Summary(run.artefact.label, "scores") for run in runs]
    sizes = bundle.region_embeddings.shard_sizes
    label, total, done = f"{bundle.dataset}: score", sum(sizes.values()), 0
    for number, size in sizes.items():
        _score_shard(runs, summaries, number)
        done += size
        progress(label, done, total)
    for run in runs:
        run.artefact.finish()
    return summaries


def _score_shard(runs: Sequence[ScoreRun], summaries: Sequence[Summary], number: int) -> None:
    block: Block | None = None
    for run, summary in zip(runs, summaries, strict=True):
        parents = run.bundle.store.parents_now(run.artefact, number)
        if run.scorer.sha256 is None and run.artefact.is_current(number, parents):
            summary.reused += 1
            continue
        clock = Clock()
        block = block or read_block(run.bundle, number)
        record = run.compute(block)
        facts = provenance(clock.seconds(), len(block.rows))
        run.artefact.publish(number, record, parents, provenance=facts)
        summary.computed += 1
        summary.images += len(block.rows)
        summary.regions += len(record.scores)
        summary.seconds += clock.seconds()


def check_complete(bundle: Bundle) -> None:
    """Raises :class:`StoreError` where an artefact of the bundle has not been finished."""
    for artefact in bundle.artefacts:
        missing = [n for n in artefact.shard_sizes if artefact.sidecar(n) is None]
        if missing:
            raise StoreError(
                f"{artefact.label}: {len(missing)} of {len(artefact.shard_sizes)} shards are missing; "
                f"run the same extract again to finish it"
            )


def blocks(bundle: RegionBundle) -> Iterator[tuple[int, Block]]:
    """Every shard of a bundle."""
    for number in bundle.region_embeddings.shard_sizes:
        yield number, read_block(bundle, number)

"""Score cached regions: each shard is read once, and every scorer and target gets its scores from it.

A shard is scored in parts of whole images small enough that the cosines with all classes stay in the processor's cache;
no (R, C) matrix of a whole shard is ever made. Several shards are scored at a time, each by one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Protocol

import numpy as np

from fgscore import ragged
from fgscore.errors import DataError, NoLabels, NoText, StoreError
from fgscore.inputs import ScoreInputs, image_keys, unnamed
from fgscore.machine.lazy import lazy
from fgscore.machine.progress import Clock, Progress, Summary, provenance, silent
from fgscore.machine.threads import ahead, processors
from fgscore.scorers import Scorer
from fgscore.store import manifest, records, shards
from fgscore.store.bundle import Bundle, RegionBundle
from fgscore.targets import Target
from fgscore.types import RegionBatch, ScoreShard, TextBank

PART = 1 << 18  # cosines in one part: a megabyte
DEFAULT_TARGET = "global"


@dataclass(frozen=True, eq=False)
class Block:
    """One shard's images that have both a global and region embeddings, in the order of the index.

    ``image_ids`` (N,), ``rows`` (N,) their rows in the index; ``offsets`` (N+1,), ``regions`` (R, d) float16 unit rows
    and ``norms`` (R,) of the region embeddings; ``globals`` (N, d) float16 unit rows, ``global_norms`` (N,);
    ``read_regions`` gives the regions' geometry.
    """

    image_ids: np.ndarray
    rows: np.ndarray
    offsets: np.ndarray
    regions: np.ndarray
    norms: np.ndarray
    globals: np.ndarray
    global_norms: np.ndarray
    bank: TextBank | None
    read_regions: Callable[[], RegionBatch]

    @lazy
    def inputs(self) -> ScoreInputs:
        """The whole block as scorers see it."""
        return self._inputs(0, len(self.image_ids))

    def parts(self) -> Iterator[tuple[slice, ScoreInputs]]:
        """The block in parts of whole images: (images, inputs). Where they are cut depends on the block alone, so that
        scores are the same to the last bit on any number of threads."""
        most = max(1, PART // (self.regions.shape[1] if self.bank is None else len(self.bank.text)))
        start = 0
        while start < len(self.image_ids):
            stop = int(np.searchsorted(self.offsets, self.offsets[start] + most, "right")) - 1
            stop = min(max(stop, start + 1), len(self.image_ids))
            yield slice(start, stop), self._inputs(start, stop)
            start = stop

    def _inputs(self, start: int, stop: int) -> ScoreInputs:
        images = slice(start, stop)
        elements, offsets = ragged.span(self.offsets, images)
        return ScoreInputs(
            offsets=offsets,
            regions=self.regions[elements],
            globals=self.globals[images],
            text=None if self.bank is None else self.bank.text,
            logit_scale=None if self.bank is None else self.bank.logit_scale,
            read_regions=lambda: unnamed(records.at(self.read_regions(), images)),
            image_keys=image_keys(self.image_ids[images]),
        )


def read_block(bundle: RegionBundle, number: int) -> Block:
    """Shard ``number`` of a bundle as scorers see it."""
    store = bundle.store
    # some image may have failed in one of them
    embedded, whole, _ = records.align(store.read(bundle.region_embeddings, number), store.read(bundle.globals, number))
    ids = embedded.image_ids

    @cache
    def read_regions() -> RegionBatch:
        return records.take(replace(store.read(bundle.regions, number), masks=None), ids)

    return Block(
        image_ids=ids,
        rows=records.rows(bundle.index, number, ids),
        offsets=embedded.offsets,
        regions=embedded.regions,
        norms=embedded.norms,
        globals=whole.globals,
        global_norms=whole.norms,
        bank=bundle.text_bank,
        read_regions=read_regions,
    )


@dataclass(frozen=True)
class ScoreRun:
    """One scorer against one target on one bundle; ``target`` is None for a scorer that has none, and for any on a
    bundle without text."""

    bundle: RegionBundle
    scorer: Scorer
    target: Target | None

    @property
    def target_text(self) -> str:
        """The target as results and tables keep it, '' for none."""
        return self.target.canonical if self.target else ""

    @property
    def label(self) -> str:
        """``entropy, target global``."""
        return self.scorer.canonical + (f", target {self.target_text}" if self.target else "")

    @cached_property
    def recipe(self) -> manifest.Recipe:
        """The recipe of these scores."""
        roles = ("region_embeddings", "globals", *(("text",) if self.target and self.bundle.text else ()))
        parents = {role: getattr(self.bundle, role).recipe.digest for role in roles}
        extra: dict[str, object] = {"target": self.target.canonical} if self.target else {}
        if self.target and self.target.reads_labels:
            parents["labels"] = self.bundle.index_artefact.recipe.digest
        if self.target and self.target.content:
            extra["target_source"] = self.target.content
        if files := self.scorer.files:
            extra["files"] = files
        return manifest.Recipe(
            "scores",
            self.scorer.canonical,
            self.scorer.stored,
            self.scorer.version,
            weights=self.scorer.source.sha256,
            parents=parents,
            extra=extra,
        )

    @cached_property
    def artefact(self) -> manifest.Artefact:
        """The artefact, planned on disk."""
        sizes = self.bundle.region_embeddings.shard_sizes
        return manifest.plan(self.bundle.store.layout, self.bundle.index_artefact.dataset, self.recipe, sizes)

    def resolve(self, inputs: ScoreInputs, rows: np.ndarray) -> np.ndarray:
        """(R,) the class that each region is scored against, -1 for a scorer that has none; ``rows`` (N,) of the
        index."""
        if self.target is None:
            return np.full(len(inputs.regions), -1)
        return self.target(inputs, self.bundle.index.labels[rows] if self.target.reads_labels else None)

    @property
    def is_ours(self) -> bool:
        """Whether scorer and target are: what others compute is computed anew each time."""
        return self.scorer.is_ours and (self.target is None or self.target.is_ours)

    @property
    def is_kept(self) -> bool:
        """Whether the scores go to the store: not those of a Python object."""
        return not any(part and part.source.is_object for part in (self.scorer, self.target))

    def shard(self, number: int, block: Block | None = None) -> ScoreShard:
        """The scores of one shard: those in the store, or computed where none are kept."""
        if self.is_kept:
            return self.bundle.store.read(self.artefact, number)
        return compute([self], block or read_block(self.bundle, number))[0]

    def lacks(self) -> DataError | None:
        """What to raise where scorer or target lack text, or the target lacks labels, before anything is scored."""
        if self.target and self.target.reads_labels and (said := self.bundle.unlabelled()):
            asked = (
                f"target {self.target.canonical} reads the label of every photo, and of {self.bundle.dataset} {said}"
            )
            return NoLabels(f"{asked}; use --target global")
        if self.bundle.text is not None:
            return None
        if self.scorer.needs_text:
            return self._no_text()
        if self.target is None:
            return None
        return self.bundle.no_text(f"target {self.target.canonical}", "the command without --target")

    def scores(self, inputs: ScoreInputs, target: np.ndarray) -> np.ndarray:
        """(R,) float32; raises :class:`NoText` by the scorer's name where it comes to need text and there is none."""
        try:
            return self.scorer(inputs, target)
        except NoText as error:
            raise self._no_text() from error

    def _no_text(self) -> NoText:
        return self.bundle.no_text(f"scorer {self.scorer.canonical}", "--scorer region_global")


def compute(runs: Sequence[ScoreRun], block: Block) -> list[ScoreShard]:
    """Scores of one block for each of ``runs``, which share what the scorers have in common; a user's own scorer is
    given a copy, and changes nothing for another."""
    r = len(block.regions)
    scores, classes = np.zeros((len(runs), r), np.float32), np.full((len(runs), r), -1, np.int32)
    own = sum(not run.is_ours for run in runs)
    for images, inputs in block.parts():
        if own > 1 and inputs.has_text:
            inputs.region_text  # noqa: B018 (computed once, copied for each)
        part, _ = ragged.span(block.offsets, images)
        resolved: dict[object, np.ndarray] = {}
        for i, run in enumerate(runs):
            target = run.target and run.target.identity
            if target not in resolved:
                resolved[target] = run.resolve(inputs, block.rows[images])
            classes[i, part] = resolved[target]
            scores[i, part] = run.scores(inputs, resolved[target])
    return [ScoreShard(block.image_ids, block.offsets, *of) for of in zip(scores, classes, strict=True)]


def runs_for(bundle: RegionBundle, scorers: Sequence[Scorer], targets: Sequence[Target]) -> list[ScoreRun]:
    """One run for every scorer and target; a scorer without a target gives one. See :func:`target_of`."""
    return [
        ScoreRun(bundle, scorer, target)
        for scorer in scorers
        for target in _distinct(target_of(bundle, scorer, target) for target in targets)
    ]


def _distinct(targets: Iterable[Target | None]) -> Iterable[Target | None]:
    return {target and target.identity: target for target in targets}.values()


def target_of(bundle: Bundle, scorer: Scorer, target: Target) -> Target | None:
    """``target`` where the scorer has one. Without text there is none: the default counts as left out, and any other is
    refused by :meth:`ScoreRun.lacks`."""
    left_out = bundle.text is None and target.canonical == DEFAULT_TARGET
    return target if scorer.needs_target and not left_out else None


def score(runs: Sequence[ScoreRun], progress: Progress = silent, threads: int | None = None) -> list[Summary]:
    """Bring all ``runs``, which share a bundle, up to date, built-in scorers first: what a user's own scorer does, or
    fails to do, is no concern of theirs. It is always computed anew, by one thread, as it need not be safe for more;
    they have ``threads``, the number of processors where left out."""
    bundle = runs[0].bundle
    check_complete(bundle)
    check_needs(runs)
    summaries = [Summary(run.artefact.label, "scores") for run in runs]
    sizes = bundle.region_embeddings.shard_sizes
    own = [i for i, run in enumerate(runs) if not run.is_ours]
    groups = [([i for i in range(len(runs)) if i not in own], threads or processors()), (own, 1)]
    groups = [(group, at_a_time) for group, at_a_time in groups if group]
    label, total, done = f"{bundle.dataset}: score", len(groups) * sum(sizes.values()), 0
    bundle.text_bank, bundle.index.shards  # noqa: B018 (read once, before the threads)
    for group, at_a_time in groups:
        together = [runs[i] for i in group]
        for number, facts in ahead(partial(_score_shard, together), sizes, at_a_time):
            for i, counts in zip(group, facts, strict=True):
                _count(summaries[i], counts)
            done += sizes[number]
            progress(label, done, total)
        for run in together:
            run.artefact.finish()
    return summaries


Counts = tuple[int, int, float]  # images, scores, seconds


def _score_shard(runs: Sequence[ScoreRun], number: int) -> list[Counts | None]:
    """What was computed for each run; None where its scores were there already."""
    clock = Clock()
    parents = runs[0].bundle.store.parents_of([run.artefact for run in runs], number)
    due = [i for i, run in enumerate(runs) if not (run.is_ours and run.artefact.is_current(number, parents[i]))]
    counts: list[Counts | None] = [None] * len(runs)
    if not due:
        return counts
    shards.check_writing()
    block = read_block(runs[0].bundle, number)
    scored = compute([runs[i] for i in due], block)
    seconds = clock.seconds() / len(due)
    for i, record in zip(due, scored, strict=True):
        clock = Clock()
        runs[i].artefact.publish(number, record, parents[i], provenance=provenance(seconds, len(block.rows)))
        counts[i] = (len(block.rows), len(record.scores), seconds + clock.seconds())
    return counts


def _count(summary: Summary, counts: Counts | None) -> None:
    if counts is None:
        summary.reused += 1
        return
    images, scores, seconds = counts
    summary.computed += 1
    summary.images += images
    summary.regions += scores
    summary.seconds += seconds


class Needs(Protocol):
    """A run that may need what its bundle lacks: text, or labels."""

    def lacks(self) -> DataError | None:
        """What to raise where it does."""


def check_needs(runs: Iterable[Needs]) -> None:
    """Raises :class:`NoText` or :class:`NoLabels`, by name, for the first of ``runs`` that lacks what it needs."""
    for run in runs:
        if lack := run.lacks():
            raise lack


def check_complete(bundle: Bundle) -> None:
    """Raises :class:`StoreError` where an artefact of the bundle has not been finished."""
    for artefact in bundle.artefacts:
        if missing := set(artefact.shard_sizes) - artefact.published():
            raise StoreError(
                f"{artefact.label}: {len(missing)} of {len(artefact.shard_sizes)} shards are missing; "
                f"run the same extract again to finish it"
            )


def blocks(bundle: RegionBundle) -> Iterator[tuple[int, Block]]:
    """Every shard of a bundle."""
    for number in bundle.region_embeddings.shard_sizes:
        yield number, read_block(bundle, number)

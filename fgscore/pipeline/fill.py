"""Compute the shards of an artefact that are missing or stale, one at a time, and publish each whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fgscore.pipeline.merge import merge
from fgscore.pipeline.progress import Clock, Progress, Summary, provenance
from fgscore.store import manifest
from fgscore.store.match import Store
from fgscore.types import ImageIndex, Runtime

Failure = dict[str, str]


@dataclass(frozen=True)
class Task:
    """One shard to make: ``rows`` are the images of the index, all of the shard's or those to be tried again;
    ``tick`` is to be called after each."""

    number: int
    rows: list[int]
    tick: Callable[[], None]


@dataclass(frozen=True)
class Made:
    """The record of a task, the images that are not in it and why, and how it was made."""

    record: Any
    failures: list[Failure]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Share:
    """What one of ``world`` workers does: the shards whose number leaves ``rank``, none in a ``world`` of 0. The same
    shard of every artefact is one worker's, so that none waits for another."""

    rank: int = 0
    world: int = 1

    def of(self, sizes: Mapping[int, int]) -> dict[int, int]:
        """The shards that are this worker's."""
        return {number: size for number, size in sizes.items() if self.world and number % self.world == self.rank}


NOTHING = Share(0, 0)  # plans every artefact and makes no shard


@dataclass
class Filler:
    """Fills artefacts of one index, those shards that are this worker's ``share``. With ``retry_failed``, images that
    failed before are tried again, just those."""

    store: Store
    dataset: str
    index: ImageIndex
    runtime: Runtime
    progress: Progress
    retry_failed: bool = False
    share: Share = Share()

    def fill(
        self, recipe: manifest.Recipe, make: Callable[[Task], Made], sizes: Mapping[int, int]
    ) -> tuple[manifest.Artefact, Summary]:
        """The artefact of ``recipe`` with all of ``sizes`` (shard number to images) current, or this worker's share of
        them; the manifest last, by whoever sees all complete."""
        artefact = manifest.plan(self.store.layout, self.dataset, recipe, sizes)
        summary = Summary(artefact.label, recipe.kind)
        own = self.share.of(sizes)
        clock, done, total = Clock(), 0, sum(own.values())
        self.progress(artefact.label, 0, total)
        for number, size in own.items():
            made = self._shard(artefact, number, make, done, total)
            summary.add(made, artefact.sidecar(number))
            done += size
            self.progress(artefact.label, done, total)
        artefact.finish()
        summary.seconds = clock.seconds()
        return artefact, summary

    def _shard(
        self, artefact: manifest.Artefact, number: int, make: Callable[[Task], Made], done: int, total: int
    ) -> bool:
        """Bring one shard up to date; whether there was anything to do."""
        parents = self.store.parents_now(artefact, number)
        current = artefact.is_current(number, parents)
        rows = list(range(*self.index.shards[number].indices(len(self.index)))) if number in self.index.shards else []
        failed = self._failed(artefact, number) if current else set()
        if current and not (self.retry_failed and failed):
            return False
        if current:
            rows = [row for row in rows if self.index.image_ids[row] in failed]
        ticks = iter(range(done + 1, total + 1))
        clock = Clock()
        made = make(Task(number, rows, lambda: self.progress(artefact.label, next(ticks, total), total)))
        record = made.record
        if current:
            record = merge(artefact.read(number), record, self.index.image_ids[self.index.shards[number]].tolist())
        facts = provenance(clock.seconds(), len(rows), batch_size=self.runtime.batch_size, **made.facts)
        artefact.publish(number, record, parents, made.failures, facts)
        return True

    def _failed(self, artefact: manifest.Artefact, number: int) -> set[str]:
        sidecar = artefact.sidecar(number) or {"failures": []}
        return {failure["image_id"] for failure in sidecar["failures"]}

"""Compute the shards of an artefact that are missing or stale, and publish each whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fgscore.machine import timing
from fgscore.machine.progress import Clock, Progress, Summary, provenance
from fgscore.machine.threads import threads_ahead
from fgscore.runtime import Runtime
from fgscore.store import manifest, records, shards
from fgscore.store.cache import Store
from fgscore.types import ImageIndex

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


@dataclass(frozen=True)
class _Due:
    """What is to be computed of a shard from these ``parents``: ``rows`` of the index are all of it, or, with
    ``adding``, those that are added to what is there."""

    rows: list[int]
    parents: dict[str, str]
    adding: bool


class _Count:
    """Images done of an artefact, counted by several threads."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._progress, self._label, self._total = progress, label, total
        self._lock = threading.Lock()
        self._done: dict[int | None, int] = {}
        progress(label, 0, total)

    def add(self, images: int, shard: int | None = None) -> None:
        """Count ``images`` more, of ``shard``."""
        with self._lock:
            self._done[shard] = self._done.get(shard, 0) + images
            self._progress(self._label, sum(self._done.values()), self._total)

    def done_of(self, shard: int) -> int:
        """Images counted for ``shard``."""
        return self._done.get(shard, 0)


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
        self,
        recipe: manifest.Recipe,
        make: Callable[[Task], Made],
        sizes: Mapping[int, int],
        at_a_time: Callable[[], int] = lambda: 1,
    ) -> tuple[manifest.Artefact, Summary]:
        """The artefact of ``recipe`` with all of ``sizes`` (shard number to images) current, or this worker's share of
        them; the manifest last, by whoever sees all complete. ``at_a_time`` shards are made by threads: while one waits
        for photos or the disk, another keeps a GPU busy; it is asked where there is something to make."""
        artefact = manifest.plan(self.store.layout, self.dataset, recipe, sizes)
        summary = Summary(artefact.label, recipe.kind)
        own = self.share.of(sizes)
        clock, count = Clock(), _Count(self.progress, artefact.label, sum(own.values()))
        due = []
        for number, size in own.items():
            if self._due(artefact, number):
                due.append(number)
                continue
            summary.add(False, artefact.sidecar(number))
            count.add(size)
        if due:
            shards.check_writing()

        def one(number: int) -> dict[str, float] | None:
            return self._shard(artefact, number, make, count, own[number])

        for number, spent in self._each(one, due, at_a_time):
            summary.add(spent is not None, artefact.sidecar(number), spent)
        artefact.finish()
        summary.seconds = clock.seconds()
        return artefact, summary

    @staticmethod
    def _each(
        one: Callable[[int], dict[str, float] | None], due: Sequence[int], at_a_time: Callable[[], int]
    ) -> Iterator[tuple[int, dict[str, float] | None]]:
        """Each of the shards that are ``due`` and where its seconds went, once it is published."""
        threads = min(at_a_time(), len(due)) if due else 1
        if threads > 1:
            return threads_ahead(one, due, threads)
        return ((number, one(number)) for number in due)  # in this thread, which Ctrl-C reaches at once

    def _due(self, artefact: manifest.Artefact, number: int) -> _Due | None:
        """What is to be computed of a shard; None where it is current."""
        parents = self.store.parents_now(artefact, number)
        shard = self.index.shards.get(number, slice(0))
        rows = list(range(*shard.indices(len(self.index))))
        if not artefact.is_current(number, parents):
            return _Due(rows, parents, adding=False)
        failed = self._failed(artefact, number) if self.retry_failed else set()
        again = [row for row in rows if self.index.image_ids[row] in failed]
        return _Due(again, parents, adding=True) if again else None

    def _shard(
        self, artefact: manifest.Artefact, number: int, make: Callable[[Task], Made], count: _Count, size: int
    ) -> dict[str, float] | None:
        """Bring one shard up to date; where its seconds went, None where another worker has done it meanwhile."""
        due = self._due(artefact, number)
        if due is None:
            count.add(size, number)
            return None
        rows = due.rows
        clock = Clock()
        with timing.collect() as spent:
            made = make(Task(number, rows, lambda: count.add(1, number)))
            record = made.record
            if due.adding:
                record = self._in_order(records.concat([artefact.read(number), record]), number)
            rounded = {name: round(seconds, 4) for name, seconds in spent.items()}
            facts = provenance(clock.seconds(), len(rows), spent=rounded, **made.facts)
            with timing.spent("write"):
                artefact.publish(number, record, due.parents, made.failures, facts)
        spent["other"] = max(0.0, clock.seconds() - sum(spent.values()))
        count.add(size - count.done_of(number), number)
        return spent

    def _in_order(self, record: Any, number: int) -> Any:
        """The images of shard ``number``, as far as ``record`` has them, in the order of the index."""
        where = records.places(record.image_ids, self.index.image_ids[self.index.shards[number]])
        return records.at(record, where[where >= 0])

    def _failed(self, artefact: manifest.Artefact, number: int) -> set[str]:
        sidecar = artefact.sidecar(number) or {"failures": []}
        return {failure["image_id"] for failure in sidecar["failures"]}

"""Compute the shards of artefacts that are missing or stale, and publish each whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fgscore.errors import StoreError
from fgscore.extract.photos import Kept
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
    ``tick`` is to be called after each. ``kept``: pixels that other artefacts of the shard share."""

    number: int
    rows: list[int]
    tick: Callable[[], None]
    kept: Kept | None = None


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


@dataclass(frozen=True)
class Pass:
    """How one artefact comes about: ``make`` is given each of its shards, of ``sizes`` (number to images).
    ``at_a_time`` shards are made by threads: while one waits for photos or the disk, another keeps a GPU busy; it is
    asked where there is something to make."""

    artefact: manifest.Artefact
    make: Callable[[Task], Made]
    sizes: Mapping[int, int]
    at_a_time: Callable[[], int] = lambda: 1


class _Filling:
    """A pass on its way: this worker's ``own`` shards, those done counted."""

    def __init__(self, one: Pass, own: Mapping[int, int], progress: Progress) -> None:
        self.made, self.artefact, self.own = one, one.artefact, own
        self.summary = Summary(one.artefact.label, one.artefact.recipe.kind)
        self.count = _Count(progress, one.artefact.label, sum(own.values()))

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the seconds of the block."""
        clock = Clock()
        yield
        self.summary.seconds += clock.seconds()


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

    def plan(self, recipe: manifest.Recipe, sizes: Mapping[int, int]) -> manifest.Artefact:
        """The artefact of ``recipe``, as far as it is there."""
        return manifest.plan(self.store.layout, self.dataset, recipe, sizes)

    def fill(self, passes: Sequence[Pass]) -> list[Summary]:
        """Bring all shards of the artefacts of ``passes`` up to date, or this worker's share of them; each manifest
        last, by whoever sees all complete. Shard by shard, so that its photos are decoded once for all of them; where
        several shards are made at a time, which a GPU needs, artefact by artefact. One that another is made from
        comes before it."""
        fillings = [_Filling(one, self.share.of(one.sizes), self.progress) for one in passes]
        due = [filling for filling in fillings if any(self._may_be_due(filling, number) for number in filling.own)]
        if due:
            shards.check_writing()
        if max((filling.made.at_a_time() for filling in due), default=1) > 1:
            for filling in fillings:
                self._by_threads(filling)
        else:
            for number in sorted({number for filling in fillings for number in filling.own}):
                kept = Kept() if len(due) > 1 else None
                for filling in (filling for filling in fillings if number in filling.own):
                    with filling.timed():
                        filling.summary.add(*self._shard(filling, number, kept))
        for filling in fillings:
            filling.artefact.finish()
        return [filling.summary for filling in fillings]

    def _by_threads(self, filling: _Filling) -> None:
        with filling.timed():
            due = [number for number in filling.own if self._may_be_due(filling, number)]
            for number in (number for number in filling.own if number not in due):
                filling.summary.add(*self._shard(filling, number))
            threads = min(filling.made.at_a_time(), len(due)) if due else 1
            if threads == 1:  # in this thread, which Ctrl-C reaches at once
                for number in due:
                    filling.summary.add(*self._shard(filling, number))
                return
            for _, done in threads_ahead(lambda number: self._shard(filling, number), due, threads):
                filling.summary.add(*done)

    def _may_be_due(self, filling: _Filling, number: int) -> bool:
        try:
            return self._due(filling.artefact, number) is not None
        except StoreError:  # what it is made from is not there yet; else it is said when its turn comes
            return True

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
        self, filling: _Filling, number: int, kept: Kept | None = None
    ) -> tuple[bool, dict[str, Any] | None, dict[str, float] | None]:
        """Bring one shard up to date: whether it was computed, its sidecar, and where its seconds went."""
        artefact, count, size = filling.artefact, filling.count, filling.own[number]
        due = self._due(artefact, number)
        if due is None:
            count.add(size, number)
            return False, artefact.sidecar(number), None
        rows = due.rows
        clock = Clock()
        with timing.collect() as spent:
            made = filling.made.make(Task(number, rows, lambda: count.add(1, number), kept))
            record = made.record
            if due.adding:
                record = self._in_order(records.concat([artefact.read(number), record]), number)
            rounded = {name: round(seconds, 4) for name, seconds in spent.items()}
            facts = provenance(clock.seconds(), len(rows), spent=rounded, **made.facts)
            with timing.spent("write"):
                artefact.publish(number, record, due.parents, made.failures, facts)
        spent["other"] = max(0.0, clock.seconds() - sum(spent.values()))
        count.add(size - count.done_of(number), number)
        return True, artefact.sidecar(number), spent

    def _in_order(self, record: Any, number: int) -> Any:
        """The images of shard ``number``, as far as ``record`` has them, in the order of the index."""
        where = records.places(record.image_ids, self.index.image_ids[self.index.shards[number]])
        return records.at(record, where[where >= 0])

    def _failed(self, artefact: manifest.Artefact, number: int) -> set[str]:
        sidecar = artefact.sidecar(number) or {"failures": []}
        return {failure["image_id"] for failure in sidecar["failures"]}

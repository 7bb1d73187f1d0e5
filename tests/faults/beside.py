"""Two commands on one store at once, many times over: whatever the order of their steps, every shard is still there."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import Bench, Count  # type: ignore[import-not-found]

from fgscore.errors import FgscoreError
from fgscore.store import packs, shards
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.upkeep.compact import compact
from fgscore.upkeep.prune import prune
from fgscore.upkeep.verify import repair, verify

Work = Callable[[Store], Any]
SLOW = 0.002  # seconds that a flush takes here, as on a slow disk: the steps of a command then lie further apart


def compact_beside_prune(bench: Bench, trials: int) -> Count:
    """Two `compact`, one after the other, while `prune --yes` runs again and again."""
    return _beside("compact beside prune --yes, again and again", bench, trials, [_twice(compact)], [prune, prune])


def two_at_once(bench: Bench, trials: int) -> Count:
    """Two of each of `compact`, `repair` and `prune --yes`."""
    count = Count("two compact, two repair, two prune at once")
    for name, work in (("compact", compact), ("repair", repair), ("prune", prune)):
        one = _beside(name, bench, trials, [work, work], [])
        count.tried, count.survived = count.tried + one.tried, count.survived + one.survived
        count.lost += [f"{name} {where}" for where in one.lost]
    return count


def readers_beside_compact(bench: Bench, trials: int) -> Count:
    """Every shard is read, and all is verified, while `compact` moves them."""
    return _beside("readers beside compact", bench, trials, [_twice(compact), _read, _sound], [])


def held(data: Path) -> dict[str, str]:
    """Shard to the digest of the arrays that are read from it."""
    packs.forget()
    store = Store(Layout(data))
    return {
        f"{artefact.label}/{number}": shards.content_digest(artefact.arrays(number))
        for kind in ("thumbnails", "regions", "region_embeddings", "globals", "text")
        for artefact in store.artefacts(kind)
        for number in artefact.shard_sizes
    }


def _beside(what: str, bench: Bench, trials: int, works: list[Work], again: list[Work]) -> Count:
    """``works`` at once, each in a process of its own, beside those that run ``again`` and again until they end."""
    count, before = Count(what), held(bench.folder / "clean")
    for trial in range(trials):
        data = bench.folder / "beside"
        shutil.copytree(bench.folder / "clean", data)
        failed = _at_once(data, works, again)
        try:
            same, faults = held(data) == before, [p.what for p in verify(Store(Layout(data)))]
        except FgscoreError as error:
            same, faults = False, [str(error)]
        count.note(same and not faults and not failed, f"trial {trial}: {[*failed, *faults][:3]}"[:400])
        shutil.rmtree(data)
    return count


def _at_once(data: Path, works: list[Work], again: list[Work]) -> list[str]:
    """What the processes failed with."""
    context = multiprocessing.get_context("fork")
    said, over = context.SimpleQueue(), context.Event()
    ends = [context.Process(target=_run, args=(data, work, said, None)) for work in works]
    goes_on = [context.Process(target=_run, args=(data, work, said, over)) for work in again]
    for process in (*goes_on, *ends):
        process.start()
    for process in ends:
        process.join(60)
    over.set()
    for process in goes_on:
        process.join(60)
    failed = [f"still running: {p.name}" for p in (*ends, *goes_on) if p.is_alive()]
    for process in (*ends, *goes_on):
        process.kill()
    while not said.empty():
        failed.append(said.get())
    return failed


def _run(data: Path, work: Work, said: Any, over: Any) -> None:
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        fsync(descriptor)
        time.sleep(SLOW)

    os.fsync = slow
    try:
        while True:
            work(Store(Layout(data)))
            if over is None or over.is_set():
                return
    except BaseException as error:
        said.put(f"{getattr(work, '__name__', 'work')}: {type(error).__name__}: {error}")


def _twice(work: Work) -> Work:
    def twice(store: Store) -> None:
        for _ in range(2):
            work(store)

    return twice


def _read(store: Store) -> None:
    for _ in range(3):
        held(store.layout.root)


def _sound(store: Store) -> None:
    for _ in range(3):
        if problems := verify(store):
            raise AssertionError(f"verify: {problems[0].paths[0].name}: {problems[0].what}")

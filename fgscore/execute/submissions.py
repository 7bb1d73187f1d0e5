"""What was submitted to a cluster, as kept with its logs, and which shards of it are there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fgscore import regular
from fgscore.errors import StoreError, UsageError
from fgscore.extract.fill import Share
from fgscore.store import files, manifest, paths
from fgscore.store.cache import Store

RECORD = "submission.json"

Key = tuple[str, int]  # label of an artefact, number of a shard


@dataclass(frozen=True)
class Submission:
    """One array in the queue or out of it; ``jobs`` maps a rank to the id of its job."""

    folder: Path
    dataset: str
    artefacts: tuple[str, ...]  # labels
    world: int
    jobs: Mapping[int, str]

    @property
    def id(self) -> str:
        """The array's id."""
        return next(iter(self.jobs.values())).partition("_")[0]

    def log(self, rank: int) -> Path:
        """Standard error of one job."""
        return self.folder / f"{self.jobs[rank]}_0_log.err"

    def shards(self, rank: int, shards: Shards) -> Iterator[Key]:
        """Those of ``shards`` that one of its jobs makes."""
        share = Share(rank, self.world)
        for artefact in shards.artefacts:
            if artefact.label in self.artefacts:
                yield from ((artefact.label, number) for number in share.of(artefact.shard_sizes))

    def keep(self) -> Submission:
        """Write it beside its logs."""
        jobs = {str(rank): job for rank, job in self.jobs.items()}
        content = {"dataset": self.dataset, "artefacts": list(self.artefacts), "world": self.world, "jobs": jobs}
        files.write_sealed(self.folder / RECORD, content)
        return self


class Shards:
    """The shards of some artefacts, and which of them are there and current."""

    def __init__(self, store: Store, labels: Sequence[str]) -> None:
        self._store = store
        self.artefacts = [manifest.load(store.layout.cache / label) for label in labels]
        self.planned = {(a.label, number) for a in self.artefacts for number in a.shard_sizes}
        self.done: set[Key] = set()

    def look(self) -> None:
        """Bring ``done`` up to date; a shard once done is not looked at again."""
        for artefact in self.artefacts:
            for number in artefact.published():
                if (artefact.label, number) not in self.done and self._current(artefact, number):
                    self.done.add((artefact.label, number))

    def _current(self, artefact: manifest.Artefact, number: int) -> bool:
        try:
            return artefact.is_current(number, self._store.parents_now(artefact, number))
        except StoreError:
            return False

    @property
    def left(self) -> set[Key]:
        """Those that are not there yet."""
        return self.planned - self.done

    def failed_before(self) -> set[Key]:
        """Those without some of their images."""
        sidecars = {(a.label, n): a.sidecar(n) for a in self.artefacts for n in a.shard_sizes}
        return {key for key, sidecar in sidecars.items() if sidecar and sidecar["failures"]}


def private(layout: paths.Layout) -> Path:
    """The folder of logs, which nobody but the user may read or write: job files in it are run. Raises
    :class:`UsageError` where it is another user's."""
    folder = layout.logs
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix":
        if folder.stat().st_uid != os.getuid():
            raise UsageError(f"expected a folder of your own at {folder}, found another user's; name one with --data")
        folder.chmod(0o700)
    return folder


def kept(store: Store, dataset: str | None = None) -> list[Submission]:
    """Every submission whose record is among the user's logs, the oldest first; one that is damaged is left out."""
    found = []
    for path in store.layout.logs.glob(f"*/{RECORD}"):
        try:
            content = files.read_sealed(path)
            jobs = {int(rank): str(job) for rank, job in content["jobs"].items()}
            one = Submission(path.parent, content["dataset"], tuple(content["artefacts"]), content["world"], jobs)
        except (StoreError, KeyError, TypeError, ValueError, AttributeError):
            continue
        if dataset in (None, one.dataset):
            found.append(one)
    return sorted(found, key=lambda one: (len(one.id), one.id))


def tail(path: Path, count: int = 3) -> list[str]:
    """The last lines of a job's log, those of srun left out where there are others: they say no more."""
    try:
        with regular.opened(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith("srun: ")]
    return (own or lines)[-count:]

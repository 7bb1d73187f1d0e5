"""A sweep as jobs of a cluster: rank r of an array computes the results i with ``i % world == r`` of those missing.

Each result is a file of its own, so that jobs need nothing of each other; what is done is decided by these files, then
by the queue.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fgscore.errors import FgscoreError, StoreError, UsageError
from fgscore.evaluate.features import prepare
from fgscore.evaluate.probe import ProbeRun, probe
from fgscore.execute import cluster, slurm
from fgscore.execute.submissions import private, tail
from fgscore.machine.progress import Lines, Progress
from fgscore.store.cache import Store


@dataclass(frozen=True)
class Part:
    """What one job does; submitit calls it, and ``checkpoint`` when the job's time is over."""

    runs: tuple[ProbeRun, ...]

    def __call__(self) -> None:
        """Compute the results that are not there; the log's last line says why it ended early."""
        try:
            probe(self.runs, Lines(cluster.log))
        except FgscoreError as error:
            cluster.log(f"error: {error}")
            raise SystemExit(1) from None

    def checkpoint(self) -> object:
        """The same again: results that are kept are left alone."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass(frozen=True)
class Sweep:
    """Results that were missing, and the jobs that compute them; no jobs where none was."""

    runs: tuple[ProbeRun, ...]
    jobs: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def left(self) -> list[ProbeRun]:
        """Those that are not there yet."""
        return [run for run in self.runs if not run.known()]


def submit(store: Store, runs: Sequence[ProbeRun], jobs: int, options: slurm.Options, progress: Progress) -> Sweep:
    """Submit an array of at most ``jobs`` jobs for those of ``runs`` without a result. The scores that they share are
    brought up to date here, as that takes seconds. Raises :class:`UsageError` for a user's own scorer, whose results
    are never taken for current."""
    distinct = list({run.digest: run for run in runs}.values())
    if any(run.is_own for run in distinct):
        raise UsageError("a scorer of your own is computed anew each time, not by jobs; leave out --executor")
    todo = [run for run in distinct if not run.known()]
    if not todo:
        return Sweep(())
    for run in todo:
        run.head.check_installed()
    by_bundle: dict[int, list[ProbeRun]] = {}
    for run in todo:
        by_bundle.setdefault(id(run.bundle), []).append(run)
    for group in by_bundle.values():
        prepare([run.features for run in group], progress)
    world = min(jobs, len(todo))
    folder = private(store.layout) / f"sweep-{secrets.token_hex(4)}"
    parts = [Part(tuple(todo[rank::world])) for rank in range(world)]
    return Sweep(tuple(todo), tuple(slurm.submit(folder, "fgscore-sweep", parts, options)), folder)


def follow(sweep: Sweep, progress: Progress, say: Callable[[str], None]) -> None:
    """Until every job has left the queue. Raises :class:`StoreError` where results are missing then."""
    label, gone, left = f"sweep: {len(sweep.jobs)} jobs", 0, sweep.left
    while True:
        queued = slurm.queue()
        left = [run for run in left if not run.known()]
        progress(label, len(sweep.runs) - len(left), len(sweep.runs))
        # a network file system may show a result some seconds after its writer has left the queue
        gone = gone + 1 if queued is not None and not set(sweep.jobs) & set(queued) else 0
        if gone and (not left or gone > 2):
            break
        time.sleep(cluster.POLL)
    if not left:
        return
    for job in sweep.jobs:
        if lines := tail(sweep.folder / f"{job}_0_log.err") if sweep.folder else []:
            say(f"job {job}: {lines[-1]}")
    raise StoreError(
        f"{len(left)} of {len(sweep.runs)} results are not there, see above and the logs in {sweep.folder}; what is "
        "done is kept: run the same command again"
    )

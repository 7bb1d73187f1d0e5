"""One extraction as jobs of a cluster: rank r of an array takes the shards i with ``i % world == r``.

What is done is decided by the shards that are published, then by the queue: clusters differ in what they remember of
jobs that ended. Nothing is locked, and a shard that two jobs make is the same shard.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fgscore.errors import FgscoreError, StoreError
from fgscore.execute import slurm
from fgscore.execute.jobs import Job
from fgscore.execute.submissions import Key, Shards, Submission, kept, private, tail
from fgscore.extract.fill import NOTHING, Share
from fgscore.machine.progress import Lines, Progress, Summary
from fgscore.store import manifest
from fgscore.store.cache import Store
from fgscore.terminal import visible

POLL = 10.0  # seconds between two looks at the store and the queue
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")


@dataclass(frozen=True)
class Rank:
    """What one job does; submitit calls it, and ``checkpoint`` when the job's time is over."""

    job: Job
    share: Share

    def __call__(self) -> None:
        """Make the shards of this rank that are not there; the log's last line says why it ended early."""
        try:
            self.job.run(self.share, Lines(log))
        except FgscoreError as error:
            log(f"error: {error}")
            raise SystemExit(1) from None

    def checkpoint(self) -> Any:
        """The same again: what is published is left alone."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def log(line: str) -> None:
    """A line in the job's own log."""
    print(visible(line), file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Run:
    """An extraction on the cluster: its artefacts, what was there before, and the submissions that do the rest, the
    newest last; ``submitted`` says whether that one is of this call."""

    shards: Shards
    before: frozenset[Key]
    submissions: tuple[Submission, ...]
    submitted: bool


def submit(store: Store, job: Job, jobs: int, options: slurm.Options) -> Run:
    """Plan every artefact, then submit an array of at most ``jobs`` jobs for the shards that are missing and that no
    earlier job in the queue will make. Nothing is submitted where none is."""
    labels = [s.label for s in job.run(NOTHING) if s.kind != "index"]
    shards = Shards(store, labels)
    shards.look()
    before = frozenset(shards.done - (shards.failed_before() if job.retry_failed else set()))
    queued = slurm.queue() or {}
    earlier = [s for s in kept(store) if set(s.jobs.values()) & set(queued) and set(s.artefacts) & set(labels)]
    covered = {key for s in earlier for rank, id_ in s.jobs.items() if id_ in queued for key in s.shards(rank, shards)}
    todo = shards.planned - before - covered
    if not todo:
        return Run(shards, before, tuple(earlier), False)
    world = min(jobs, 1 + max(number for _, number in shards.planned))
    ranks = sorted({number % world for _, number in todo})
    dataset = labels[0].partition("/")[0]
    folder = private(store.layout) / f"{dataset}-{secrets.token_hex(4)}"
    tasks = [Rank(job, Share(rank, world)) for rank in ranks]
    ids = slurm.submit(folder, f"fgscore-{dataset}", tasks, options)
    made = Submission(folder, dataset, tuple(labels), world, dict(zip(ranks, ids, strict=True)))
    return Run(shards, before, (*earlier, made.keep()), True)


def follow(run: Run, progress: Progress, say: Callable[[str], None]) -> list[Summary]:
    """Until every job has left the queue. Returns what became of each artefact; raises :class:`StoreError` where
    shards are missing then."""
    label, gone = f"{run.submissions[-1].dataset}: {len(run.submissions[-1].jobs)} jobs", 0
    total = len(run.shards.planned)
    while True:
        queued = slurm.queue()
        run.shards.look()
        progress(label, total - len(run.shards.left), total)
        ours = {job for s in run.submissions for job in s.jobs.values()}
        # a network file system may show a shard some seconds after its writer has left the queue
        gone = gone + 1 if queued is not None and not ours & set(queued) else 0
        if gone and (not run.shards.left or gone > 2):
            break
        time.sleep(POLL)
    if run.shards.left:
        raise StoreError(_unfinished(run, say))
    for artefact in run.shards.artefacts:
        artefact.finish()
    return summaries(run)


def _unfinished(run: Run, say: Callable[[str], None]) -> str:
    """One line about all that is missing; one to ``say`` about each job that left some of it."""
    for submission in run.submissions:
        for rank, job in submission.jobs.items():
            left = len(set(submission.shards(rank, run.shards)) & run.shards.left)
            if left:
                lines = tail(submission.log(rank))
                say(f"job {job} left {left} shards undone: {lines[-1] if lines else 'nothing in its log'}")
    count, total = len(run.shards.left), len(run.shards.planned)
    return (
        f"{count} of {total} shards are not done, see above and the logs in {run.submissions[-1].folder}; "
        "what is done is kept: run the same command again"
    )


def summaries(run: Run) -> list[Summary]:
    """What became of each artefact: shards that were there before count as reused."""
    made = []
    for artefact in run.shards.artefacts:
        summary = Summary(artefact.label, artefact.recipe.kind)
        for number in artefact.shard_sizes:
            sidecar = artefact.sidecar(number)
            computed = (artefact.label, number) not in run.before
            summary.add(computed, sidecar)
            summary.seconds += sidecar["provenance"].get("seconds", 0) if computed and sidecar else 0
        made.append(summary)
    return made


def status(store: Store, dataset: str | None = None) -> list[dict[str, Any]]:
    """One row for each submission that waits or runs, or that left shards undone which no other job will make.

    Shards are ``done``, ``running`` (left to a job that runs), ``waiting`` (to one that waits) or ``failed`` (to one
    that is gone); the last lines of the logs of jobs that failed are under ``logs``. Where the cluster does not answer,
    what is not done is ``unknown``.
    """
    found = [one for one in kept(store, dataset) if _planned(store, one)]
    if not found:
        return []
    queued = slurm.queue()
    rows: list[dict[str, Any]] = []
    covered: set[Key] = set()
    for one in reversed(found):  # a later submission takes over what an earlier one left
        in_queue = {rank: (queued or {})[job] for rank, job in one.jobs.items() if job in (queued or {})}
        with suppress(StoreError):  # a damaged artefact is named by what shows the store
            shards = Shards(store, one.artefacts)
            if not in_queue and all(a.published() == set(a.shard_sizes) for a in shards.artefacts):
                continue
            shards.look()
            row = _row(one, shards, in_queue, covered, queued is not None)
            if in_queue or row["failed"] or row["unknown"]:
                rows.append(row)
    return rows[::-1]


def _planned(store: Store, one: Submission) -> bool:
    return all((store.layout.cache / label / manifest.PLAN).exists() for label in one.artefacts)


def _row(
    one: Submission, shards: Shards, in_queue: Mapping[int, str], covered: set[Key], answered: bool
) -> dict[str, Any]:
    counts, logs = {"done": 0, "running": 0, "waiting": 0, "failed": 0, "unknown": 0}, {}
    for rank, job in one.jobs.items():
        own = set(one.shards(rank, shards))
        left = own & shards.left - covered
        counts["done"] += len(own & shards.done)
        if rank in in_queue:
            counts["waiting" if in_queue[rank] in WAITING else "running"] += len(left)
        elif left:
            counts["failed" if answered else "unknown"] += len(left)
            logs[job] = tail(one.log(rank)) if answered else []
        covered |= left
    return {"dataset": one.dataset, "job": one.id, "jobs": len(one.jobs), "in the queue": len(in_queue),
            **counts, "logs": {job: lines for job, lines in logs.items() if lines}}  # fmt: skip

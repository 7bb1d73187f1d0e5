"""One extraction on several devices of this machine: a process for each, the shards shared out among them.

Each has as many threads as a process of its own would have: sums over another number of threads round differently, and
the store would not be that of one process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from fgscore.errors import FgscoreError, StoreError, UsageError
from fgscore.execute.jobs import Job
from fgscore.extract.fill import Share
from fgscore.machine.progress import Progress, Summary


def parse(text: str) -> list[str]:
    """``0,1`` as cuda:0 and cuda:1, ``cpu,cpu`` as it stands. Raises :class:`UsageError` for an empty list."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"expected devices such as 0,1,2,3 or cpu,cpu, found {text!r}")
    return [f"cuda:{name}" if name.isdecimal() else name for name in names]


@dataclass
class _Worker:
    device: str
    process: SpawnProcess
    pipe: Connection
    summaries: list[Summary] | None = None
    reason: str = ""
    done: dict[str, tuple[int, int]] = field(default_factory=dict)  # label to images done and in all


def run(job: Job, devices: Sequence[str], progress: Progress, say: Any = print) -> list[Summary]:
    """Carry out ``job`` with one process a device. Returns what became of each artefact, all workers together.

    A worker that dies is told by ``say``, and the others do its shards once they are through with their own. An error
    that any worker would meet ends them all and is raised; so is :class:`StoreError` where every worker died.
    """
    rounds: list[list[Summary]] = []
    while devices:
        workers = _round(job, devices, progress)
        rounds.append(_merged([w.summaries for w in workers if w.summaries is not None]))
        dead = [w for w in workers if w.summaries is None]
        if not dead:
            return _total(rounds)
        devices = [w.device for w in workers if w.summaries is not None]
        for worker in dead:
            rest = "the others do its shards" if devices else "none is left"
            say(f"the worker on {worker.device} ended early ({worker.reason}); {rest}")
    raise StoreError("every worker ended early, see above; what is done is kept: run the same command again")


def _round(job: Job, devices: Sequence[str], progress: Progress) -> list[_Worker]:
    context = multiprocessing.get_context("spawn")
    workers = []
    try:
        for rank, device in enumerate(devices):
            receive, send = context.Pipe(duplex=False)
            share = Share(rank, len(devices))
            process = context.Process(target=_work, args=(job.on(device), share, send), daemon=True)
            process.start()
            send.close()  # the child's end alone is left: its death closes the pipe
            workers.append(_Worker(device, process, receive))
        _follow(workers, progress)
        return workers
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _follow(workers: Sequence[_Worker], progress: Progress) -> None:
    """Until every worker is through; raises what a worker met that all would meet."""
    pipes: dict[Any, _Worker] = {worker.pipe: worker for worker in workers}
    while pipes:
        for pipe in wait(list(pipes)):
            worker = pipes[pipe]
            try:
                kind, content = worker.pipe.recv()
            except EOFError:
                del pipes[pipe]
                worker.process.join()
                worker.reason = worker.reason or _exit(worker.process.exitcode)
                continue
            if kind == "progress":
                label, done, total = content
                worker.done[label] = done, total
                counts = [w.done.get(label) for w in workers if label in w.done or w.pipe in pipes]
                if None not in counts:  # else the sum would look like the whole before it is
                    progress(label, *(sum(column) for column in zip(*counts, strict=True)))
            elif kind == "error":
                raise content
            else:
                setattr(worker, kind, content)


def _exit(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _work(job: Job, share: Share, pipe: Connection) -> None:
    """A worker's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    if job.runtime.device == "cpu":  # more threads than processors: none may spin while it waits
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.pop("GOMP_SPINCOUNT", None)
    try:
        summaries = job.run(share, lambda *counts: pipe.send(("progress", counts)))
        pipe.send(("summaries", summaries))
    except FgscoreError as error:
        pipe.send(("error", error))
    except BrokenPipeError:  # the parent is gone
        raise SystemExit(1) from None
    except Exception as error:  # a device's own trouble, such as no memory left on it
        pipe.send(("reason", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"))
        raise SystemExit(1) from None


def _total(rounds: Sequence[list[Summary]]) -> list[Summary]:
    """The last round saw everything; what earlier ones computed, it found there."""
    earlier = {one.label: one for one in _merged(rounds[:-1])}
    for one in rounds[-1]:
        if one.label in earlier and one.kind != "index":
            one.computed += earlier[one.label].computed
            one.reused -= earlier[one.label].computed
            one.seconds += earlier[one.label].seconds
    return rounds[-1]


def _merged(parts: Sequence[Sequence[Summary]]) -> list[Summary]:
    """One summary an artefact, of what all workers did; the index once."""
    merged: dict[str, Summary] = {}
    for summaries in parts:
        for one in summaries:
            if one.label not in merged or one.kind == "index":
                merged[one.label] = one
                continue
            so_far = merged[one.label]
            for name in ("computed", "reused", "images", "regions"):
                setattr(so_far, name, getattr(so_far, name) + getattr(one, name))
            so_far.failures += one.failures
            so_far.seconds = max(so_far.seconds, one.seconds)
    return list(merged.values())

"""Options of a run on a cluster, and what is said of its jobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgscore.errors import quoted

from . import _next, _run


@dataclass(frozen=True)
class Array:
    """What ``--executor slurm`` was asked for."""

    jobs: int
    options: dict[str, str]
    wait: bool


def wanted(
    executor: str | None, jobs: int | None, options: list[str] | None, wait: bool, devices: str | None = None
) -> Array | None:
    """The array that the options ask for, None without ``--executor``. Raises :class:`UsageError` for options that do
    not go together, and where this machine cannot submit."""
    from fgscore.errors import UsageError
    from fgscore.execute import slurm

    if executor is None:
        given = {"--jobs": jobs is not None, "--slurm": bool(options), "--wait": wait}
        for option in (name for name, there in given.items() if there):
            raise UsageError(f"{option} is for jobs of a cluster, found no --executor; add --executor slurm")
        return None
    if executor != "slurm":
        raise UsageError(f"expected --executor slurm, found {executor!r}")
    if devices is not None:
        raise UsageError("expected --executor or --devices, found both; a job has one device, ask for more --jobs")
    array = Array(jobs or 1, slurm.parse(options or []), wait)
    slurm.check()
    return array


@dataclass(frozen=True)
class Detached:
    """Jobs that go on without us."""

    run: Any

    def show(self, as_json: bool) -> None:
        """Print the jobs' ids and how to follow them."""
        last, shards = self.run.submissions[-1], self.run.shards
        ids = [job for s in self.run.submissions for job in s.jobs.values()]
        arrays = ",".join(dict.fromkeys(s.id for s in self.run.submissions))

        def show() -> None:
            if self.run.submitted:
                print(f"Submitted {_count(last.jobs)} as {last.id}. Logs: {_shown(last.folder)}")
            else:
                print(f"Nothing was submitted: what is missing is left to jobs in the queue ({arrays}).")
            print(f"Shards there: {len(shards.done)} of {len(shards.planned)}")
            _next.step(f"fgscore status {quoted(last.dataset)}", "Follow")
            print(f"Or the same command with --wait; end: scancel {arrays}")

        content = {"submitted": last.id if self.run.submitted else None, "jobs": ids, "logs": str(last.folder),
                   "done": len(shards.done), "shards": len(shards.planned)}  # fmt: skip
        _run.emit(content, as_json, show)


def run(store: Any, job: Any, array: Array, bars: Any) -> list[Any] | Detached:
    """Submit what is missing. Returns what became of each artefact once the jobs have ended, or where there was nothing
    to do; :class:`Detached` without ``--wait``."""
    from fgscore.execute import cluster

    made = cluster.submit(store, job, array.jobs, array.options)
    if not made.submissions:
        return cluster.summaries(made)
    if not array.wait:
        return Detached(made)
    last = made.submissions[-1]
    if made.submitted:
        bars.say(f"submitted {_count(last.jobs)} as {last.id}; logs in {_shown(last.folder)}")
    return cluster.follow(made, bars, bars.say)


@dataclass(frozen=True)
class DetachedSweep:
    """Jobs of a sweep that go on without us."""

    made: Any

    def show(self, as_json: bool) -> None:
        """Print the jobs' ids and how to follow them."""
        array = self.made.jobs[0].partition("_")[0]

        def show() -> None:
            print(f"Submitted {_count(self.made.jobs)} as {array} for {len(self.made.runs)} results.")
            print(f"Logs: {_shown(self.made.folder)}")
            print(
                f"Follow: squeue --me; the same command, once they have ended, prints the tables; end: scancel {array}"
            )

        content = {"submitted": array, "jobs": self.made.jobs, "logs": str(self.made.folder),
                   "results": len(self.made.runs)}  # fmt: skip
        _run.emit(content, as_json, show)


def sweep(store: Any, lines: list[Any], array: Array, bars: Any) -> DetachedSweep | None:
    """Have jobs compute the results of ``lines`` that are missing. Returns None once all are there."""
    from fgscore.execute import cluster_sweep

    runs = [run for line in lines for run in line.needed]
    made = cluster_sweep.submit(store, runs, array.jobs, array.options, bars)
    if not made.jobs:
        return None
    if not array.wait:
        return DetachedSweep(made)
    assert made.folder is not None  # where there are jobs, there is one
    bars.say(f"submitted {_count(made.jobs)} as {made.jobs[0].partition('_')[0]}; logs in {_shown(made.folder)}")
    cluster_sweep.follow(made, bars, bars.say)
    return None


def _count(jobs: Any) -> str:
    return f"{len(jobs)} job{'s' if len(jobs) != 1 else ''}"


def _shown(folder: Path) -> str:
    """Relative to where the user is, where it lies below."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)

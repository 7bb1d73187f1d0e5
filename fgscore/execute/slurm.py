"""A Slurm cluster: what may be asked of it, the submission of a job array through submitit, and the queue.

submitit keeps the jobs as pickles in the folder it is given; that folder has to be the user's own.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fgscore.errors import DataError, UsageError
from fgscore.machine.packages import check_package

Options = Mapping[str, str]

FIXED = ("array", "chdir", "error", "nodes", "ntasks", "ntasks_per_node", "open_mode", "output", "signal")
TIME = "04:00:00"  # where none is asked for: a job that needs longer is queued again
REQUEUES = 1000  # times that a job may run out of its time


def parse(texts: Sequence[str]) -> dict[str, str]:
    """``partition=gpu`` and the like as options of sbatch, by their long names with '_'. Raises :class:`UsageError`."""
    options = {}
    for text in texts:
        key, _, value = text.partition("=")
        key, value = key.strip().lstrip("-").replace("-", "_"), value.strip()
        if not re.fullmatch(r"[a-z][a-z0-9_]*", key) or not value or not value.isprintable():
            raise UsageError(f"expected --slurm key=value, such as --slurm partition=gpu, found {text!r}")
        if key in FIXED:
            raise UsageError(f"--slurm {key}=... is set by fgscore itself; leave it out")
        options[key] = value
    minutes(options.get("time", TIME))
    return options


def minutes(text: str) -> int:
    """A time limit as sbatch takes it, in minutes, rounded up: ``90``, ``4:30`` (minutes and seconds), ``4:00:00``,
    ``2-12``, ``2-12:30``, ``2-12:30:00``. Raises :class:`UsageError`."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if found:
        days, *rest = found.groups()
        places = [int(part) for part in rest if part is not None]
        if days is None and len(places) < 3:
            places.insert(0, 0)  # without days it begins with minutes, unless there are hours, minutes and seconds
        hours, mins, seconds = [*places, 0, 0][:3]
        whole = math.ceil(((int(days or 0) * 24 + hours) * 60 + mins) + seconds / 60)
        if whole:
            return whole
    raise UsageError(f"expected a time limit such as 04:00:00 or 2-00:00:00, found {text!r}")


def check() -> None:
    """Raises :class:`MissingExtra` without submitit, :class:`UsageError` on a machine without Slurm."""
    check_package("submitit", "--executor slurm", "slurm")
    for program in ("sbatch", "srun", "squeue"):
        if shutil.which(program) is None:
            raise UsageError(f"expected a machine that submits to Slurm, found no {program}; try --devices instead")


def submit(folder: Path, name: str, tasks: Sequence[Callable[[], None]], options: Options) -> list[str]:
    """One job for each of ``tasks``, all in one array, with their logs in ``folder``. Returns the jobs' ids.

    A task with a method ``checkpoint`` is queued again when its time is over. Raises :class:`DataError` where sbatch
    refuses.
    """
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    logging.getLogger("submitit").setLevel(logging.CRITICAL)  # it logs to stdout, which is for results
    more = {key: True if value == "true" else value for key, value in options.items() if key != "time"}
    cores = options.get("cpus_per_task")
    executor = submitit.SlurmExecutor(folder, max_num_timeout=REQUEUES)
    executor.update_parameters(
        job_name=name,
        time=minutes(options.get("time", TIME)),
        wckey=None,
        srun_args=[f"--cpus-per-task={cores}"] if cores else [],  # which srun does not take over from sbatch
        additional_parameters=more,
    )
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), executor.batch():
            jobs = [executor.submit(task) for task in tasks]
    except (FailedJobError, FailedSubmissionError, subprocess.SubprocessError) as error:
        reasons = [line.removeprefix("sbatch: error: ").rstrip() for line in said.getvalue().splitlines()]
        reason = "; ".join(filter(None, reasons)) or str(error).partition("\n")[0]
        raise DataError(f"sbatch did not take the jobs: {reason}; see --slurm key=value") from error
    return [str(job.job_id) for job in jobs]


def queue() -> dict[str, str] | None:
    """Ids of the user's jobs that wait or run, with their state (``PENDING``, ``RUNNING`` ...), without those that have
    ended and are cleared away. None where the cluster does not answer."""
    command = ["squeue", "--me", "--array", "--noheader", "--format=%i %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    states = dict(line.split()[:2] for line in done.stdout.splitlines() if line.strip())
    return {job: state for job, state in states.items() if state != "COMPLETING"}

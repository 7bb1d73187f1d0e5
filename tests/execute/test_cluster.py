"""What is asked of a cluster, and what is made of its answers: without one, jobs are run or dropped by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fgscore.errors import UsageError
from fgscore.execute import cluster, slurm
from fgscore.execute.jobs import Job
from fgscore.extract.fill import NOTHING, Share
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Run = Callable[..., Any]
SHARDS = 4 * 3 + 1  # globals, thumbnails, regions and their embeddings in three shards each; text in one


@dataclass
class Pretended:
    """A cluster that does nothing by itself: ``queued`` is its queue, ``tasks`` what the jobs would do."""

    queued: dict[str, str] | None = field(default_factory=dict)
    tasks: dict[str, Any] = field(default_factory=dict)
    count: int = 0

    def submit(self, folder: Path, name: str, tasks: list[Any], options: Any) -> list[str]:
        self.count += 1
        folder.mkdir()
        ids = [f"{self.count}_{i}" for i in range(len(tasks))] if len(tasks) > 1 else [str(self.count)]
        self.tasks |= dict(zip(ids, tasks, strict=True))
        assert self.queued is not None
        self.queued |= dict.fromkeys(ids, "PENDING")
        return ids

    def do(self, job: str) -> None:
        self.tasks[job]()
        self.end(job)

    def end(self, job: str) -> None:
        assert self.queued is not None
        del self.queued[job]


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    made = Pretended()
    monkeypatch.setattr(slurm, "submit", made.submit)
    monkeypatch.setattr(slurm, "queue", lambda: made.queued and dict(made.queued))
    monkeypatch.setattr(slurm, "check", lambda: None)
    monkeypatch.setattr(cluster, "POLL", 0)
    return made


@pytest.fixture
def call_extract(run: Run, photos: Path, small_shards: int) -> Run:
    """``call_extract("--jobs", 2)`` on ten photos in shards of 4, 4 and 2."""
    options = ("folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=4)", "--executor", "slurm")
    return lambda *more: run("extract", *options, *more)


def test_only_ranks_with_something_left_to_do_are_submitted(
    pretended: Pretended, call_extract: Run, run: Run, data: Path
) -> None:
    first = call_extract("--jobs", 3, "--json").json
    assert first == {**first, "submitted": "1", "jobs": ["1_0", "1_1", "1_2"], "done": 0, "shards": SHARDS}
    for job in ("1_0", "1_2"):
        pretended.do(job)
    pretended.end("1_1")  # killed before it began
    (row,) = run("status", "--json").json["jobs"]
    assert (row["done"], row["failed"]) == (SHARDS - 4, 4)
    assert call_extract("--jobs", 3, "--json").json["jobs"] == ["2"]
    assert pretended.tasks["2"].share == Share(1, 3)
    pretended.do("2")
    assert run("status", "--json").json["jobs"] == []
    assert call_extract("--json").json["computed"] == 0
    assert run("verify").code == 0


def test_what_a_job_in_the_queue_will_do_is_not_submitted_again(
    pretended: Pretended, call_extract: Run, run: Run
) -> None:
    call_extract("--jobs", 2)
    again = call_extract("--jobs", 3)
    assert "Nothing was submitted" in again.out and "(1)" in again.out and pretended.count == 1
    pretended.end("1_0")
    assert call_extract("--jobs", 2, "--json").json["jobs"] == ["1_0", "1_1", "2"]
    assert pretended.tasks["2"].share == Share(0, 2)
    assert [(r["job"], r["waiting"], r["failed"]) for r in run("status", "--json").json["jobs"]] == [
        ("1", 4, 0),
        ("2", 9, 0),
    ]


def test_jobs_of_another_data_set_are_not_followed(
    pretended: Pretended, call_extract: Run, run: Run, photos: Path
) -> None:
    other = ("--root", photos, "--encoder", "fake", "--regions", "random_crop(n=4)", "--executor", "slurm")
    assert run("extract", "folder(name='other')", *other).code == 0
    assert call_extract("--json").json["jobs"] == ["2"]


def test_more_jobs_than_shards_are_not_submitted(pretended: Pretended, call_extract: Run) -> None:
    assert len(call_extract("--jobs", 50, "--json").json["jobs"]) == 3


def test_status_tells_what_runs_from_what_waits_and_what_is_unknown(
    pretended: Pretended, call_extract: Run, run: Run
) -> None:
    def counts() -> tuple[int, ...]:
        (row,) = run("status", "folder", "--json").json["jobs"]
        return tuple(row[key] for key in ("done", "running", "waiting", "failed", "unknown"))

    call_extract("--jobs", 2)
    assert pretended.queued is not None
    pretended.queued["1_1"] = "RUNNING"
    assert counts() == (0, 4, 9, 0, 0)
    pretended.do("1_0")
    assert counts() == (9, 4, 0, 0, 0)
    assert run("status", "cub", "--json").code == 1
    pretended.queued = None
    assert counts() == (9, 0, 0, 0, 4)
    assert "unknown" in run("status").out


def test_following_ends_with_the_queue_and_names_what_is_missing(
    pretended: Pretended, call_extract: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(seconds: float) -> None:
        if "1_0" in (pretended.queued or {}):
            pretended.do("1_0")
        else:
            pretended.queued = {}

    monkeypatch.setattr(cluster.time, "sleep", work)
    result = call_extract("--jobs", 2, "--wait")
    assert result.code == 1
    assert "job 1_1 left 4 shards undone: nothing in its log" in result.err
    assert "4 of 13 shards are not done" in result.err and "run the same command again" in result.err


def test_a_queue_that_does_not_answer_is_asked_again(
    pretended: Pretended, call_extract: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    def work(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            pretended.queued, pretended.kept = None, pretended.queued  # type: ignore[attr-defined]
        elif len(waits) == 6:
            pretended.queued = pretended.kept  # type: ignore[attr-defined]
            pretended.do("1")

    monkeypatch.setattr(cluster.time, "sleep", work)
    result = call_extract("--wait", "--json")
    assert result.code == 0 and result.json["computed"] == SHARDS + 1, result.err
    assert len(waits) == 6


def test_failed_images_are_tried_again_by_jobs(
    pretended: Pretended, call_extract: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fgscore.errors import BadImage
    from fgscore.extract.photos import Photos

    whole = Photos.read

    def read(self: Photos, row: int) -> Any:
        if row == 5:
            raise BadImage("for once")
        return whole(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Photos, "read", read)
        call_extract("--jobs", 3)
        for job in ("1_0", "1_1", "1_2"):
            pretended.do(job)
    assert call_extract("--jobs", 3, "--json").code == 3, "told, and nothing is submitted"
    assert call_extract("--jobs", 3, "--retry-failed", "--json").json["jobs"] == ["2"]
    assert pretended.tasks["2"].share == Share(1, 3)
    pretended.do("2")
    assert call_extract("--json").code == 0


def test_a_plan_makes_no_shard(photos: Path, tmp_path: Path, small_shards: int) -> None:
    from fgscore.extract.index import make_index
    from fgscore.extract.parts import Parts
    from fgscore.runtime import Runtime

    store, runtime = Store(Layout(tmp_path)), Runtime()
    indexed = make_index(store, "folder", root=photos)
    parts = Parts.of(["random_crop(n=4)"], ["fake"], ["plain"], runtime)
    Job.of(store, indexed, parts, runtime).run(NOTHING)
    assert len(list(tmp_path.glob("cache/folder/*/*/plan.json"))) == 5
    assert not list(tmp_path.glob("cache/*/*/*/shard-*"))


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90),
        ("4:30", 5),
        ("4:00:00", 240),
        ("00:00:01", 1),
        ("2-12", 60 * 60),
        ("2-12:30", 60 * 60 + 30),
        ("1-00:00:30", 24 * 60 + 1),
    ],
)
def test_times_are_read_as_sbatch_reads_them(text: str, minutes: int) -> None:
    assert slurm.minutes(text) == minutes


def test_options_of_sbatch() -> None:
    given = ["partition=gpu", "--gres=gpu:1", "cpus-per-task=8", "comment=a=b c"]
    assert slurm.parse(given) == {"partition": "gpu", "gres": "gpu:1", "cpus_per_task": "8", "comment": "a=b c"}


@pytest.mark.parametrize(
    "text", ["partition", "=gpu", "partition=", "a b=c", "comment=a\nrm", "array=0-9", "time=soon", "time=0", "time=1-"]
)
def test_malformed_options_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected|set by fgscore"):
        slurm.parse([text])


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--jobs", "3"), "--jobs is for jobs of a cluster, found no --executor; add --executor slurm"),
        (("--wait",), "--wait is for jobs of a cluster"),
        (("--slurm", "partition=gpu"), "--slurm is for jobs of a cluster"),
        (("--executor", "condor"), "expected --executor slurm, found 'condor'"),
        (("--executor", "slurm", "--devices", "cpu,cpu"), "expected --executor or --devices, found both"),
        (("--executor", "slurm", "--slurm", "partition"), "expected --slurm key=value"),
    ],
)
def test_calls_that_make_no_sense_end_in_one_line(args: tuple[str, ...], line: str, run: Run, photos: Path) -> None:
    result = run("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop", *args)
    assert result.code == 2 and line in result.message


def test_without_submitit_the_line_installs_it(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    result = run("extract", "folder", "--root", photos, "--executor", "slurm")
    assert result.code == 2 and "pip install 'fgscore[slurm]'" in result.message


def test_a_machine_without_slurm_is_told_so(run: Run, photos: Path, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("extract", "folder", "--root", photos, "--executor", "slurm")
    assert result.code == 2 and "found no sbatch" in result.message


@pytest.mark.skipif(sys.platform == "win32", reason="needs owners of files")
def test_logs_in_another_users_folder_are_refused(
    pretended: Pretended, call_extract: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "logs").mkdir(parents=True, mode=0o777)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    result = call_extract()
    assert result.code == 2 and "another user's" in result.message


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    from fgscore.execute.submissions import tail

    path = tmp_path / "log"
    assert tail(path) == []
    path.write_text("".join(f"line {i}\n" for i in range(5000)) + "error: it\n\nsrun: error: n1: exit code 1\n")
    assert tail(path) == ["line 4998", "line 4999", "error: it"]
    path.write_text("srun: error: alone\n")
    assert tail(path) == ["srun: error: alone"]


def test_a_damaged_record_of_a_submission_is_left_out(
    pretended: Pretended, call_extract: Run, run: Run, data: Path
) -> None:
    call_extract()
    (path,) = data.glob("logs/*/submission.json")
    path.write_text("{}")
    assert run("status", "--json").json["jobs"] == []


def test_a_damaged_artefact_is_named_by_status_all_the_same(
    pretended: Pretended, call_extract: Run, run: Run, data: Path
) -> None:
    call_extract()
    (path,) = data.glob("cache/folder/globals/*/plan.json")
    path.write_text("{}")
    result = run("status")
    assert result.code == 0 and "damaged" in result.out


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--select", "val"), "--select val chooses here"),
        (("--scorer", "./mine.py:own"), "leave out --executor"),
    ],
)
def test_sweeps_that_jobs_cannot_do_end_in_one_line(
    more: tuple[str, ...], line: str, extract: Run, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def own(inputs, target, /):\n    return inputs.region_global\n")
    monkeypatch.setattr(slurm, "check", lambda: None)
    result = run("sweep", "folder", "--executor", "slurm", *more)
    assert result.code == 2 and line in result.message

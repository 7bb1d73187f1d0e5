"""Extraction as jobs of a real Slurm: the same store as by one process, whatever becomes of the jobs."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgscore.store.cache import Store
from fgscore.store.paths import Layout

pytestmark = pytest.mark.xdist_group("slurm")  # one Slurm at a time

KINDS = ("globals", "text", "thumbnails", "regions", "region_embeddings")
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, draw: Callable[..., None]) -> Path:
    """Photos of two classes, 24 in all: six shards of four."""
    root = tmp_path_factory.mktemp("many")
    for c, name in enumerate(("blue_jay", "crow")):
        for i in range(12):
            draw(root / ("train" if i < 9 else "test") / name / f"{i:02d}.png", seed=100 * c + i)
    return root


@pytest.fixture
def photos(many: Path, tmp_path: Path) -> Path:
    return shutil.copytree(many, tmp_path / "photos")


@pytest.fixture
def command(photos: Path, small_shards: int) -> tuple[str, ...]:
    return ("extract", "folder", "--root", str(photos), "--encoder", "fake", "--regions", "random_crop(n=4)", "--json")


@pytest.fixture
def alone(command: tuple[str, ...], run: Run, tmp_path: Path) -> dict[str, str]:
    """Content digests of a run by one process."""
    assert run(*command, data=tmp_path / "alone").code == 0
    return digests(tmp_path / "alone")


def digests(data: Path) -> dict[str, str]:
    found = {a.label: a.manifest() for kind in KINDS for a in Store(Layout(data)).artefacts(kind)}
    assert len(found) == len(KINDS)
    return {label: content["content_digest"] if content else "unfinished" for label, content in found.items()}


def published(data: Path, kind: str) -> set[int]:
    return {int(path.stem.removeprefix("shard-")) for path in data.glob(f"cache/folder/{kind}/*/shard-*.json")}


def others_are_through(data: Path) -> bool:
    """Whether ranks 0 and 2 of three have made their shards, and rank 1 its first of everything."""
    return published(data, "region_embeddings") == {0, 1, 2, 3, 5}


WAITS = """
import builtins, os, time

opened = builtins.open


def open(file, *args, **kwargs):
    while isinstance(file, (str, os.PathLike)) and os.path.exists(os.fspath(file) + ".stuck"):
        time.sleep(0.05)
    return opened(file, *args, **kwargs)


builtins.open = open
"""


@pytest.fixture(autouse=True)
def jobs_can_be_stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a file in a job waits for as long as there is another beside it, named the same and ``.stuck``."""
    folder = tmp_path / "at-start"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WAITS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")])))


def photo(data: Path, photos: Path, row: int) -> Path:
    """The file of that row of the index."""
    store = Store(Layout(data))
    (indexed,) = store.artefacts("index")
    return photos / str(store.index(indexed).paths[row])


class Stuck:
    """A photo that cannot be read: whoever opens it waits until it is mended."""

    def __init__(self, data: Path, photos: Path, row: int) -> None:
        path = photo(data, photos, row)
        self._mark = path.with_name(path.name + ".stuck")
        self._mark.touch()

    def mend(self) -> None:
        self._mark.unlink()


def test_an_array_leaves_the_store_of_one_process(
    cluster: Any, command: tuple[str, ...], run: Run, data: Path, photos: Path, alone: dict[str, str]
) -> None:
    options = ("--executor", "slurm", "--slurm", "time=10", "--slurm", "job-name=mine")
    result = run(*command, *options, "--jobs", 3, "--wait")
    assert result.code == 0, result.err
    assert digests(data) == alone
    made = {a["kind"]: (a["computed"], a["reused"], a["images"]) for a in result.json["artefacts"]}
    assert {kind: made[kind] for kind in KINDS if kind != "text"} == dict.fromkeys(
        ("globals", "thumbnails", "regions", "region_embeddings"), (6, 0, 24)
    )
    assert "folder: 3 jobs: 25 of 25" in result.err
    assert stat.S_IMODE((data / "logs").stat().st_mode) == 0o700
    assert len(list(data.glob("logs/*/*_submitted.pkl"))) == 3

    again = run(*command, *options, "--jobs", 2)
    assert again.code == 0 and again.json["computed"] == 0, "all is there: nothing is submitted"
    assert len(list(data.glob("logs/*"))) == 1
    assert run("status", "--json").json["jobs"] == []

    secrets = [str(photos).encode(), str(data).encode(), b".pkl"]
    for path in (path for path in data.glob("cache/**/*") if path.is_file()):
        assert not [s for s in secrets if s in path.read_bytes()], path


def test_a_job_that_is_cancelled_half_way_is_made_good_by_the_same_command(
    cluster: Any, command: tuple[str, ...], run: Run, data: Path, photos: Path, alone: dict[str, str]
) -> None:
    options = ("--executor", "slurm", "--jobs", 3, "--slurm", "hold=true")
    submitted = run(*command, *options).json
    array = submitted["submitted"]
    assert submitted["jobs"] == [f"{array}_{rank}" for rank in range(3)]
    waiting = run("status", "--json").json["jobs"]
    assert [(row["waiting"], row["running"], row["failed"]) for row in waiting] == [(25, 0, 0)]

    stuck = Stuck(data, photos, row=16)  # of shard 4, the second of rank 1
    cluster.call("scontrol", "release", array)
    cluster.until(lambda: others_are_through(data), "one is left")
    (row,) = run("status", "--json").json["jobs"]
    assert (row["job"], row["done"], row["running"], row["waiting"], row["failed"]) == (array, 21, 4, 0, 0)

    cluster.call("scancel", f"{array}_1")
    cluster.until(lambda: not cluster.call("squeue", "-h"), "it is gone")
    result = run("status")
    assert f"job {array}_1 ended early; its log:" in result.out and "CANCELLED" in result.out
    (row,) = run("status", "--json").json["jobs"]
    assert (row["done"], row["running"], row["failed"]) == (21, 0, 4)
    assert published(data, "globals") == {0, 1, 2, 3, 5}

    stuck.mend()
    result = run(*command, "--executor", "slurm", "--jobs", 3, "--wait")
    assert result.code == 0, result.err
    assert result.err.startswith("folder: index: 24 of 24\nsubmitted 1 job as ")
    assert digests(data) == alone
    assert sum(a["computed"] for a in result.json["artefacts"]) == 4
    assert run("status", "--json").json["jobs"] == []


def test_another_number_of_jobs_goes_on_where_the_first_stopped(
    cluster: Any, command: tuple[str, ...], run: Run, data: Path, photos: Path, alone: dict[str, str]
) -> None:
    array = run(*command, "--executor", "slurm", "--jobs", 3, "--slurm", "hold=true").json["submitted"]
    stuck = Stuck(data, photos, row=16)
    cluster.call("scontrol", "release", array)
    cluster.until(lambda: others_are_through(data), "one is left")
    stuck.mend()
    cluster.call("scancel", array)
    cluster.until(lambda: not cluster.call("squeue", "-h"), "it is gone")
    before = {path: path.stat().st_mtime_ns for path in data.glob("cache/*/*/*/shard-*")}
    result = run(*command, "--executor", "slurm", "--jobs", 2, "--wait")
    assert result.code == 0, result.err
    assert digests(data) == alone
    assert before == {path: path.stat().st_mtime_ns for path in before}, "what was there is left alone"


def test_a_job_whose_time_is_over_is_queued_again(
    cluster: Any, command: tuple[str, ...], run: Run, data: Path, photos: Path, alone: dict[str, str]
) -> None:
    submitted = run(*command, "--executor", "slurm", "--jobs", 3, "--slurm", "hold=true").json
    array = submitted["submitted"]
    stuck = Stuck(data, photos, row=16)
    cluster.call("scontrol", "release", array)
    cluster.until(lambda: others_are_through(data), "one is left")
    stuck.mend()
    cluster.call("scancel", "--signal=USR2", f"{array}_1")  # what Slurm sends some seconds before the end
    cluster.until(
        lambda: f"{array}_1 PENDING" in cluster.call("squeue", "-h", "-r", "-o", "%i %T"), "it is in the queue again"
    )
    cluster.call("scontrol", "update", f"jobid={array}_1", "starttime=now")  # or it would wait for two minutes

    result = run(*command, "--executor", "slurm", "--jobs", 3, "--wait")
    assert result.code == 0, result.err
    assert "submitted" not in result.err, "the job in the queue does it"
    assert digests(data) == alone
    assert "Calling checkpoint method" in (Path(submitted["logs"]) / f"{array}_1_0_log.out").read_text()


def test_a_drained_node_leaves_its_work_to_the_others(
    cluster: Any, command: tuple[str, ...], run: Run, data: Path, alone: dict[str, str]
) -> None:
    cluster.call("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
    try:
        result = run(*command, "--executor", "slurm", "--jobs", 3, "--wait")
        assert result.code == 0, result.err
        assert digests(data) == alone
        shown = cluster.call("scontrol", "show", "job").split("JobId=")
        ours = [text for text in shown if str(data / "logs") in text]
        assert len(ours) == 3 and not [text for text in ours if " NodeList=n2" in text or "\n   NodeList=n2" in text]
    finally:
        cluster.call("scontrol", "update", "nodename=n2", "state=resume")


def test_an_error_in_a_job_is_told_with_the_last_line_of_its_log(
    cluster: Any, command: tuple[str, ...], run: Run, data: Path, photos: Path
) -> None:
    array = run(*command, "--executor", "slurm", "--jobs", 3, "--slurm", "hold=true").json["submitted"]
    changed = photo(data, photos, row=16)
    content = changed.read_bytes()
    changed.write_bytes(b"changed since")
    cluster.call("scontrol", "release", array)
    cluster.until(lambda: not cluster.call("squeue", "-h"), "all ended")
    assert "has changed since it was indexed" in run("status").out
    changed.write_bytes(content)
    assert run(*command, "--executor", "slurm", "--wait").code == 0


def test_what_sbatch_refuses_is_one_line(cluster: Any, command: tuple[str, ...], run: Run) -> None:
    result = run(*command, "--executor", "slurm", "--jobs", 2, "--slurm", "partition=none")
    assert result.code == 1
    assert "sbatch did not take the jobs" in result.message and "invalid partition" in result.message
    assert result.out == ""


def test_the_doctor_reaches_the_cluster(cluster: Any, run: Run) -> None:
    checks = {row["what"]: row for row in run("doctor", "--json").json["checks"]}
    assert checks["Slurm"] == {"what": "Slurm", "state": "ok", "found": "reachable; partitions: main*"}


SWEEP = ("sweep", "folder", "--scorer", "entropy", "--scorer", "region_text", "--k", "1", "--k", "2", "--json")


def accuracies(result: Any) -> list[tuple[str, float]]:
    return [(row["digests"][0], row["accuracy"]) for row in result.json["results"]]


def test_a_sweep_by_jobs_gives_the_results_of_one_process(
    cluster: Any, command: tuple[str, ...], run: Run, data: Path, tmp_path: Path
) -> None:
    assert run(*command).code == 0
    shutil.copytree(data, tmp_path / "alone")
    alone = run(*SWEEP, data=tmp_path / "alone")
    jobs = run(*SWEEP, "--executor", "slurm", "--jobs", 3, "--wait")
    assert jobs.code == 0, jobs.err
    assert "submitted 3 jobs" in jobs.err
    assert accuracies(jobs) == accuracies(alone)
    again = run(*SWEEP, "--executor", "slurm", "--jobs", 2)
    assert accuracies(again) == accuracies(alone) and "submitted" not in again.err


def test_a_sweep_that_is_cancelled_is_finished_by_the_same_command(
    cluster: Any, command: tuple[str, ...], run: Run, data: Path
) -> None:
    assert run(*command).code == 0
    for node in ("n1", "n2", "n3"):  # so that the jobs wait
        cluster.call("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        detached = run(*SWEEP, "--executor", "slurm", "--jobs", 2)
        assert len(detached.json["jobs"]) == 2 and detached.json["results"] > 5
        cluster.call("scancel", detached.json["submitted"])
    finally:
        for node in ("n1", "n2", "n3"):
            cluster.call("scontrol", "update", f"nodename={node}", "state=resume")
    assert not list(data.glob("results/*/probes/*"))
    rows = run(*SWEEP, "--executor", "slurm", "--jobs", 2, "--wait").json["results"]
    assert len({digest for row in rows for digest in row["digests"]}) == detached.json["results"]

"""An extraction as plain values: other processes load the same files, or refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgscore.errors import UsageError
from fgscore.execute import devices
from fgscore.execute.jobs import Job
from fgscore.extract.index import make_index
from fgscore.extract.parts import Parts
from fgscore.runtime import Runtime
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

BODY = "def f(image, image_id, /):\n    return [(0, 0, 9, 9)]\n"


@pytest.fixture
def job(photos: Path, tmp_path: Path, small_shards: int) -> Job:
    (tmp_path / "mine.py").write_text(BODY)
    store, runtime = Store(Layout(tmp_path / "data")), Runtime(device="cpu")
    parts = Parts.of([f"{tmp_path}/mine.py:f", "random_crop(n=2)"], ["fake"], ["plain"], runtime)
    return Job.of(store, make_index(store, "folder", root=photos), parts, runtime)


def test_a_job_passes_between_processes_and_does_its_work(job: Job) -> None:
    assert [source is not None for source in job.sources] == [False, True, False]
    summaries = devices.run(job, ["cpu", "cpu"], lambda *counts: None)
    assert sum(s.computed for s in summaries if s.kind == "regions") == 6


def test_a_file_that_has_changed_meanwhile_is_refused(job: Job, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BODY.replace("9, 9", "8, 8"))
    with pytest.raises(
        UsageError, match=r"mine\.py:f has changed since this run was begun; run the same command again"
    ):
        job.run()
    with pytest.raises(UsageError, match="has changed since this run was begun"):
        devices.run(job, ["cpu", "cpu"], lambda *counts: None)
    assert not list(tmp_path.rglob("shard-*"))


def test_a_file_that_is_gone_is_refused(job: Job, tmp_path: Path) -> None:
    (tmp_path / "mine.py").unlink()
    with pytest.raises(UsageError, match="expected a Python file, found none"):
        job.run()

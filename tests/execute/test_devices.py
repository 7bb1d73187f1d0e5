"""Extraction by several processes: the same store as by one, whatever becomes of the workers."""

import multiprocessing
import os
import signal
from multiprocessing.context import SpawnProcess

import pytest

from fgscore.errors import DataError, StoreError, UsageError
from fgscore.execute import devices
from fgscore.execute.jobs import Job
from fgscore.extract.fill import Share
from fgscore.extract.index import make_index
from fgscore.extract.parts import Parts
from fgscore.runtime import Runtime
from fgscore.store import index as index_store
from fgscore.store.cache import Store
from fgscore.store.paths import Layout


def digests(store):
    return {a.label: a.manifest()["content_digest"] for kind in store_kinds() for a in store.artefacts(kind)}


def store_kinds():
    return ("regions", "region_embeddings", "globals", "text")


@pytest.fixture
def make_job(photos, tmp_path, small_shards):
    """A job over the ten photos (shards of 4, 4 and 2) into a cache of the given name."""

    def make(name):
        store, runtime = Store(Layout(tmp_path / name)), Runtime()
        indexed = make_index(store, "folder", root=photos)
        parts = Parts.of(["random_crop(n=4)"], ["fake"], ["plain"], runtime)
        return Job.of(store, indexed, parts, runtime)

    return make


def opened(job):
    return Store(Layout(job.data))


@pytest.fixture
def clean(make_job):
    """Digests of a run by one process."""
    job = make_job("clean")
    job.run()
    return digests(opened(job))


@pytest.mark.parametrize("world", [2, 3, 5])
def test_shares_make_up_the_whole(make_job, clean, world):
    job = make_job("shares")
    for rank in reversed(range(world)):
        job.run(Share(rank, world))
    assert digests(opened(job)) == clean


@pytest.mark.parametrize("names", ["cpu,cpu", "cpu,cpu,cpu,cpu"])
def test_processes_leave_the_store_of_one(make_job, clean, names):
    job = make_job("several")
    shown = []
    summaries = devices.run(job, devices.parse(names), lambda *counts: shown.append(counts))
    assert digests(opened(job)) == clean
    assert {s.kind: (s.computed, s.reused) for s in summaries if s.kind != "index"} == {
        "globals": (3, 0), "text": (1, 0), "regions": (3, 0), "region_embeddings": (3, 0)
    }  # fmt: skip
    assert {s.images for s in summaries if s.kind == "globals"} == {10}
    last = {label: (done, total) for label, done, total in shown}
    assert all(done == total for done, total in last.values()) and len(last) == 4
    again = devices.run(job, devices.parse(names), lambda *counts: None)
    assert all(s.computed == 0 for s in again)


@pytest.fixture
def doomed(monkeypatch):
    """Has the first so many workers killed as they start."""
    start = SpawnProcess.start

    def doom(count):
        def start_and_kill(process):
            nonlocal count
            start(process)
            if count:
                count -= 1
                os.kill(process.pid, signal.SIGKILL)

        monkeypatch.setattr(SpawnProcess, "start", start_and_kill)

    return doom


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_the_shards_of_a_worker_that_dies_are_done_by_the_others(make_job, clean, doomed):
    doomed(1)
    job, said = make_job("death"), []
    summaries = devices.run(job, ["cpu", "cpu"], lambda *counts: None, said.append)
    assert said == ["the worker on cpu ended early (signal 9); the others do its shards"]
    assert digests(opened(job)) == clean
    assert all(s.computed + s.reused == (1 if s.kind == "text" else 3) for s in summaries if s.kind != "index")


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_where_all_die_the_same_command_goes_on(make_job, clean, doomed):
    doomed(1)
    job = make_job("deaths")
    with pytest.raises(StoreError, match="every worker ended early.*run the same command again"):
        devices.run(job, ["cpu"], lambda *counts: None, lambda line: None)
    devices.run(job, ["cpu", "cpu"], lambda *counts: None)
    assert digests(opened(job)) == clean


def test_an_error_that_all_would_meet_ends_the_run(make_job, photos):
    job = make_job("error")
    next(photos.rglob("*.png")).write_bytes(b"changed since")
    with pytest.raises(DataError, match="has changed since it was indexed"):
        devices.run(job, ["cpu", "cpu"], lambda *counts: None)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("text", "names"), [("0,1", ["cuda:0", "cuda:1"]), ("cpu, cpu", ["cpu", "cpu"]), ("mps", ["mps"])]
)
def test_devices_are_named_as_torch_does(text, names):
    assert devices.parse(text) == names


@pytest.mark.parametrize("text", ["", " , "])
def test_no_devices_are_refused(text):
    with pytest.raises(UsageError, match="expected devices such as"):
        devices.parse(text)


def test_from_the_command_line(run, photos, make_job, clean):
    options = ("--root", photos, "--encoder", "fake", "--regions", "random_crop(n=4)")
    result = run("extract", "folder", *options, "--devices", "cpu,cpu", "--json")
    assert result.code == 0 and result.json["computed"] == 14
    assert run("extract", "folder", *options, "--devices", "cpu,cpu", "--device", "cpu").code == 2


@pytest.mark.slow
def test_real_models_make_the_same_store_in_one_process_and_in_two(tmp_path, monkeypatch):
    """Sums over another number of threads round differently: a worker must have as many as one alone."""
    for package in ("torch", "transformers", "segment_anything"):
        pytest.importorskip(package)
    from fgscore.demo.write import write_dataset

    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(index_store, "IMAGES_PER_SHARD", 3)
    write_dataset(tmp_path / "photos", train=1, test=1)
    found = []
    for world in (1, 2):
        store, runtime = Store(Layout(tmp_path / str(world))), Runtime()
        indexed = make_index(store, "folder(name='drawn')", root=tmp_path / "photos", limit=1)
        sam = "sam(checkpoint='demo', points_per_side=4, pred_iou_thresh=0.5, stability_score_thresh=0.6)"
        parts = Parts.of([sam], ["clip(model='demo')"], ["plain"], runtime)
        job = Job.of(store, indexed, parts, runtime)
        devices.run(job, ["cpu"] * world, lambda *counts: None)
        found.append(digests(opened(job)))
    assert len(found[0]) == 4 and found[0] == found[1]

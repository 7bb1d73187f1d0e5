"""What is said of a run before it: from a sample, into a temporary folder, and of what is left alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgscore.execute import doctor, estimate

Run = Callable[..., Any]
EXTRACT = ("folder", "--encoder", "fake", "--regions", "random_crop(n=4)")


@pytest.fixture
def dry(run: Run, photos: Path, small_shards: int) -> Run:
    """The rows of a dry run over the ten photos, by kind."""

    def call(*more: Any) -> dict[str, Any]:
        result = run("extract", *EXTRACT, "--root", photos, "--dry-run", "--json", *more)
        assert result.code == 0, result.err
        return {row["artefact"].split("/")[1]: row for row in result.json["expected"]}

    return call


def test_bytes_are_those_of_the_run_and_nothing_is_made(dry: Run, run: Run, data: Path, photos: Path) -> None:
    rows = dry()
    assert {kind: row["images"] for kind, row in rows.items()} == {
        "globals": 10, "text": 1, "thumbnails": 10, "regions": 10, "region_embeddings": 10
    }  # fmt: skip
    assert all(row["seconds"] > 0 for row in rows.values())
    assert not list(data.glob("cache/folder/*/*/shard-*")), "the store has its index and no more"
    assert run("extract", *EXTRACT, "--root", photos).code == 0
    (thumbnails,) = data.glob("cache/folder/thumbnails/*")
    taken = sum(path.stat().st_size for path in thumbnails.glob("*.h5"))
    assert taken / 3 < rows["thumbnails"]["bytes"] < taken * 3  # three files of four, four and two; the sample is one
    assert [row["bytes"] for kind, row in rows.items() if kind == "text"] == [
        sum(path.stat().st_size for path in data.glob("cache/folder/text/*/*.h5"))
    ]


def test_only_what_is_left_is_counted(dry: Run, run: Run, data: Path, photos: Path) -> None:
    run("extract", *EXTRACT, "--root", photos)
    (path,) = data.glob("cache/folder/globals/*/shard-00001.json")
    path.unlink()
    rows = dry()
    assert {kind: row["images"] for kind, row in rows.items() if row["images"]} == {"globals": 4}
    assert rows["regions"]["seconds"] == rows["regions"]["bytes"] == 0


def test_it_scales_with_the_number_of_images(dry: Run, run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dry()["regions"]["bytes"]
    monkeypatch.setattr(estimate, "SAMPLE", 5)
    shutil.rmtree(photos.parent / "data")
    assert dry()["regions"]["images"] == 10
    assert dry()["regions"]["bytes"] > whole, "the overhead of a file counts for fewer images"


def test_a_dry_run_says_when_the_disk_is_too_small(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "free_bytes", lambda layout: 1000)
    result = run("extract", *EXTRACT, "--root", photos, "--dry-run", "--devices", "cpu,cpu")
    assert result.code == 1
    assert "kB needed, 1.0 kB free" in result.out and "with 2 that share it" in result.out


def test_the_doctor_looks_at_the_machine(run: Run, data: Path) -> None:
    result = run("doctor", "--json", env={"PATH": str(data)})
    checks = {row["what"]: row for row in result.json["checks"]}
    assert set(checks) == {"device", "writing", "Slurm"} and result.json["expected"] == []
    assert checks["writing"]["found"].endswith(" MB/s") and checks["Slurm"]["found"] == "not on this machine"
    assert not list(data.glob("cache/*")), "what was written is gone"


def test_the_doctor_looks_at_a_run(run: Run, photos: Path, data: Path) -> None:
    result = run("doctor", *EXTRACT, "--root", photos, "--batch-size", 7, "--json", "--device", "cpu")
    assert result.code == 0, result.err
    checks = {row["what"]: row for row in result.json["checks"]}
    assert checks["a batch of 7 through fake"]["found"] == "fits on cpu"
    assert checks["weights of fake"]["found"] == "none needed"
    assert checks["space"]["state"] == "ok" and len(result.json["expected"]) == 5
    shown = run("doctor", *EXTRACT, "--root", photos, "--device", "cpu").out
    assert "looked at" in shown and "In all " in shown


def test_a_batch_that_does_not_fit_is_a_fault(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fgscore.encoders.fake import Fake

    def full(self: Fake, images: Any) -> Any:
        raise RuntimeError("CUDA out of memory\nmore")

    monkeypatch.setattr(Fake, "embed_images", full)
    result = run("doctor", *EXTRACT, "--root", photos, "--device", "cpu", "--json")
    assert result.code == 1 and result.json["expected"] == []
    (row,) = [row for row in result.json["checks"] if row["state"] == "fault"]
    assert row["found"] == "does not fit (CUDA out of memory); try --batch-size 32"


def test_missing_weights_are_a_fault_among_the_rest(run: Run, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    encoder = f"clip(model='{tmp_path / 'nowhere'}')"
    result = run("doctor", "folder", "--root", photos, "--encoder", encoder, "--regions", "random_crop", "--json")
    assert result.code == 1
    (row,) = [row for row in result.json["checks"] if row["state"] == "fault"]
    assert "config.json" in row["found"] and "nowhere" in row["found"]
    assert [row["what"] for row in result.json["checks"]][:3] == ["device", "writing", "Slurm"]


def test_the_weights_of_a_local_model_are_told_by_their_digest(run: Run, photos: Path) -> None:
    pytest.importorskip("transformers")
    options = ("--encoder", "clip(model='demo')", "--regions", "random_crop(n=1)", "--batch-size", 2)
    checks = run("doctor", "folder", "--root", photos, *options, "--json").json["checks"]
    (row,) = [row for row in checks if row["what"] == "weights of clip(model='demo')"]
    assert row["state"] == "ok" and len(row["found"]) == 64

"""What `verify` calls a fault and what it does not: optional arrays, what is not there, a machine at its end."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore import regular
from fgscore.errors import Exhausted
from fgscore.store import packs
from fgscore.store.cache import Store
from fgscore.upkeep.verify import verify

Run = Callable[..., Any]
MKFIFO: Callable[[Path], Any] = getattr(os, "mkfifo", Path.touch)  # not on Windows
BASIC = {
    "image_ids": np.array([f"{i}.jpg" for i in range(8)]),
    "labels": np.arange(8) % 2,
    "split": np.array(["train"] * 4 + ["test"] * 4),
    "globals": np.random.default_rng(0).normal(size=(8, 5)),
    "text": np.random.default_rng(1).normal(size=(2, 5)),
    "offsets": np.arange(9) * 2,
    "regions": np.random.default_rng(2).normal(size=(16, 5)),
}
BOXES, AREA = np.tile([0, 0, 4, 4], (16, 1)), np.full(16, 0.1)
IMPORTS: dict[str, dict[str, Any]] = {
    "all that must be there": {},
    "boxes": {"boxes_xyxy": BOXES},
    "boxes and areas": {"boxes_xyxy": BOXES, "area": AREA},
    "some areas": {"boxes_xyxy": BOXES, "area": np.where(np.arange(16) < 3, np.nan, AREA)},
    "estimates": {"boxes_xyxy": BOXES, "area": AREA, "predicted_iou": AREA, "stability": AREA},
    "no region": {"offsets": np.zeros(9, int), "regions": np.zeros((0, 5))},
    "no text": {"text": None},
    "no globals": {"globals": None},
}


@pytest.mark.parametrize("name", IMPORTS)
def test_an_import_without_what_is_optional_is_sound(name: str, tmp_path: Path, data: Path, run: Run) -> None:
    arrays = {k: v for k, v in {**BASIC, **IMPORTS[name]}.items() if v is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    assert run("import", "mine", tmp_path / "a.npz").code == 0
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert run("verify", "--json").json["problems"] == []
    assert run("repair", "--json").json["repaired"] == []
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("column", "number"), [("area", np.nan), ("area", np.inf), ("stability", -np.inf)])
def test_a_generator_knows_its_areas_and_nothing_is_infinite(column: str, number: float, store: Store) -> None:
    (artefact,) = store.artefacts("regions")
    record, sidecar = artefact.read(0), artefact.sidecar(0) or {}
    getattr(record, column)[1] = number
    artefact.publish(0, record, sidecar["parents"])
    assert [p.what for p in verify(store) if p.severity == "damaged"] == [f"numbers that are not finite in {column}"]


@pytest.mark.parametrize("command", ["verify", "repair", "prune", "compact", "status"])
def test_nothing_at_all_is_a_fault(command: str, tmp_path: Path, data: Path, run: Run) -> None:
    for folder in (tmp_path / "no", tmp_path / "empty"):
        result = run(command, data=folder)
        there = "" if folder.exists() else f": there is no folder {folder}"
        assert result.code == 1 and result.out == ""
        said = f"error: nothing is cached under {folder / 'cache'}{there}; run `fgscore extract demo`"
        assert result.message == said
        (tmp_path / "empty").mkdir(exist_ok=True)


@pytest.mark.parametrize("command", ["verify", "repair", "prune", "compact", "status"])
@pytest.mark.parametrize("slip", ["data/cache", "data/cache/folder", "."])
def test_a_folder_that_is_nearly_right_is_put_right(
    slip: str, command: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(command, "--data", slip)
    assert result.code == 1
    line = result.message.partition("run `")[2].removesuffix("`")
    assert line == f"fgscore {command} --data data"
    assert run(*shlex.split(line)[1:]).code == 0


def test_other_commands_see_the_slip_too(store: Store, data: Path, run: Run) -> None:
    for command in (("score", "folder"), ("probe",)):
        assert (
            f"{data / 'cache'} holds folder: name it with --data {data}" in run(*command, data=data / "cache").message
        )


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, os.strerror(errno.EMFILE)), MemoryError()], ids=repr)
@pytest.mark.parametrize("name", ["*.parquet", "plan.json", "shard-00001.json", "shard-00001.h5", "packs/*.json"])
def test_a_machine_at_its_end_damages_nothing(
    name: str, error: Exception, store: Store, data: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "packs" in name:
        run("compact")
    packs.forget()
    check = regular.check

    def fails(path: Any, *most: int) -> int:
        if Path(path).match(name):
            raise error
        return check(path, *most)

    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    monkeypatch.setattr(regular, "check", fails)
    with pytest.raises((Exhausted, type(error))):
        verify(store)
    for command in ("verify", "repair"):
        result = run(command)
        assert result.code == 1 and result.message.startswith("error: ")
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")
@pytest.mark.parametrize("make", [MKFIFO, lambda path: path.symlink_to("/dev/zero"), Path.mkdir],
                         ids=["pipe", "device", "folder"])  # fmt: skip
@pytest.mark.parametrize("name", ["plan.json", "manifest.json", "shard-00001.json", "shard-00001.h5"])
def test_what_is_no_file_is_a_fault_that_is_moved_aside(
    name: str, make: Callable[[Path], Any], store: Store, run: Run, extract: Callable[..., Any]
) -> None:
    (path,) = store.layout.cache.glob(f"folder/globals/*/{name}")
    path.unlink()
    make(path)
    result = run("verify")
    assert result.code == 1 and f"{path.parent.name}/{name}" in result.out
    run("repair")
    assert not os.path.lexists(path)
    assert extract()["globals"]["computed"] == (1 if name.startswith("shard") else 0)
    assert run("verify").code == 0
    shutil.rmtree(store.layout.cache / "damaged")


# ---- results


ZEROSHOT = ("probe", "--pool", "none", "--head", "zeroshot")
SELECT = ("sweep", "--scorer", "entropy", "--k", 1, "--k", 2, "--head", "logreg(C=1)", "--select", "val")


def files_of_results(store: Store) -> list[Path]:
    return sorted(path for path in store.layout.results.rglob("*") if path.is_file() and "damaged" not in path.parts)


def test_results_are_read_and_counted_those_of_validation_too(store: Store, run: Run) -> None:
    assert run(*ZEROSHOT).code == 0 and run(*SELECT).code == 0
    rows = [path for path in files_of_results(store) if path.parent.name == "probes"]
    assert any("validation" in path.parts for path in rows)
    done = run("verify")
    n = len(rows)
    assert done.code == 0 and f"{n} results read, with their predictions.\nThe store is sound.\n" in done.out
    assert run("verify", "--json").json == {"problems": [], "results": n}


def flipped(whole: bytes, bit: int) -> bytes:
    spoilt = bytearray(whole)
    spoilt[bit // 8] ^= 1 << bit % 8
    return bytes(spoilt)


def test_every_flipped_bit_of_a_result_is_found_and_named_by_its_file(store: Store, run: Run) -> None:
    assert run(*ZEROSHOT).code == 0 and run(*SELECT).code == 0
    rng = np.random.default_rng(7)
    for path in files_of_results(store):
        whole = path.read_bytes()
        for bit in rng.integers(0, 8 * len(whole), 4).tolist():
            path.write_bytes(flipped(whole, bit))
            (problem,) = verify(store)
            assert problem.severity == "damaged" and problem.paths[0].stem[:16] == path.stem[:16], (path.name, bit)
            # a row is looked up by its own SHA-256: of a changed one it is the row that has no seal
            assert problem.paths[0] == path
        path.write_bytes(whole)
    assert verify(store) == []


def test_a_damaged_result_is_moved_aside_and_measured_again(store: Store, run: Run) -> None:
    (before,) = run(*ZEROSHOT, "--json").json["results"]
    assert run("probe", "--pool", "none", "--head", "logreg(C=1)").code == 0
    row = next(store.layout.results.glob(f"folder/probes/{before['digest'][:16]}.parquet"))
    row.write_bytes(flipped(row.read_bytes(), 77))
    done = run("verify")
    assert done.code == 1 and f"damaged: results/folder/probes/{row.name}: not the file that was sealed" in done.out
    assert "Next: fgscore repair" in done.out
    assert f"{row}: not the file that was sealed" in run(*ZEROSHOT).message
    mended = run("repair")
    assert mended.code == 0 and f"Moved to {store.layout.results / 'damaged'}." in mended.out
    assert (store.layout.results / "damaged" / "folder" / "probes" / row.name).is_file()
    assert run("verify").code == 0
    (after,) = run(*ZEROSHOT, "--json").json["results"]
    assert not after["cached"] and {k: v for k, v in after.items() if "seconds" not in k} == {
        k: v for k, v in before.items() if "seconds" not in k
    }
    assert run("verify", "--json").json == {"problems": [], "results": 2}


@pytest.mark.parametrize(("gone", "said"), [("predictions", "the predictions of this result are missing"),
                                            ("seals", "its seal is missing")])  # fmt: skip
def test_a_file_of_a_result_that_is_gone_is_a_fault(gone: str, said: str, store: Store, run: Run) -> None:
    assert run(*ZEROSHOT).code == 0
    shutil.rmtree(store.layout.results / "folder" / gone)
    (problem,) = verify(store)
    assert problem.what == said and problem.paths[0].parent.name == "probes"


def test_results_without_a_cache_are_verified(store: Store, run: Run) -> None:
    assert run(*ZEROSHOT).code == 0
    shutil.rmtree(store.layout.cache)
    assert run("verify", "--json").json == {"problems": [], "results": 1}
    (row,) = store.layout.results.glob("folder/probes/*.parquet")
    row.write_bytes(b"PAR1")
    assert run("verify").code == 1
    assert run("repair").code == 0 and not row.exists()


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")
@pytest.mark.parametrize("kind", ["probes", "predictions", "seals"])
def test_what_is_no_file_among_results_is_a_fault(kind: str, store: Store, run: Run) -> None:
    assert run(*ZEROSHOT).code == 0
    (path,) = (store.layout.results / "folder" / kind).iterdir()
    path.unlink()
    MKFIFO(path)
    (problem,) = verify(store)
    assert problem.paths[0] == path
    assert run("repair").code == 0 and run("verify").code == 0

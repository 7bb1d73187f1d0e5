"""Shards merged into packs: the same content, read by everything; whoever ends it half way loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.store import packs, schema
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.upkeep import compact as library

Run = Callable[..., Any]
KINDS = [kind for kind in schema.KINDS if kind != "index"]


def contents(data: Path) -> dict[str, dict[str, Any]]:
    """Sidecar and arrays of every shard in the store."""
    packs.forget()
    store = Store(Layout(data))
    found: dict[str, dict[str, Any]] = {}
    for artefact in (a for kind in KINDS for a in store.artefacts(kind)):
        assert artefact.manifest(), artefact.label
        for number in artefact.shard_sizes:
            arrays = store.columns(artefact, number)
            listed = {name: (str(a.dtype), a.shape, a.tobytes().hex()) for name, a in arrays.items()}
            found[f"{artefact.label}/{number}"] = {"sidecar": artefact.sidecar(number), "arrays": listed}
    assert found
    return json.loads(json.dumps(found))


def files(data: Path) -> list[str]:
    return sorted(p.relative_to(data).as_posix() for p in data.rglob("cache/*/*/*/**/*") if p.is_file())


def digests(data: Path) -> dict[str, str]:
    return {name: one["sidecar"]["content_digest"] for name, one in contents(data).items()}


@pytest.fixture
def compacted(store: Store, run: Run) -> Store:
    """The cache of ten photos after `compact`."""
    assert run("compact").code == 0
    return store


def packs_of(store: Store, kind: str) -> list[Path]:
    return sorted(store.layout.cache.glob(f"folder/{kind}/*/packs/*.tar"))


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


def test_the_content_is_the_same_in_fewer_files(store: Store, run: Run, data: Path) -> None:
    run("score", "--scorer", "entropy")
    before, many, status = contents(data), files(data), run("status", "--json").json
    rows = {row["label"]: row for row in run("compact", "--json").json["artefacts"]}
    assert contents(data) == before
    assert run("status", "--json").json == status
    assert len(files(data)) < len(many)
    assert len([name for name in files(data) if "/shard-" in name]) == 2, "the text, which is one shard"
    (regions,) = (row for label, row in rows.items() if "/regions/" in label)
    assert regions == {**regions, "packed": 3, "before": 8, "after": 4, "skipped": ""}
    assert "The store is sound." in run("verify").out
    again = run("compact", "--json").json["artefacts"]
    assert {row["packed"] for row in again} == {0} and [r["after"] for r in again] == [r["before"] for r in again]


def test_everything_reads_packs(store: Store, run: Run, data: Path, photos: Path, extract: Run, tmp_path: Path) -> None:
    def outcome(where: str) -> tuple[Any, ...]:
        assert run("export", "folder", "--to", tmp_path / where, "--format", "npz").code == 0
        exported = {
            path.name: {name: (array.shape, array.tobytes()) for name, array in np.load(path).items()}
            for path in sorted((tmp_path / where).rglob("*.npz"))
        }
        assert exported
        rows = run("probe", "--scorer", "entropy", "--head", "zeroshot", "--json").json["results"]
        return exported, [row["accuracy"] for row in rows]

    assert run("score", "--scorer", "entropy").code == 0
    before = outcome("before")
    run("compact")
    assert outcome("after") == before
    (scored,) = run("score", "--scorer", "entropy", "--json").json["scores"]
    assert scored["computed"] == 0, "packed scores are scores"
    assert {row["computed"] for row in extract().values()} == {0}
    assert run("prune", "--json").json["unused"] == []
    assert run("repair", "--json").json["repaired"] == []


def test_a_pack_is_a_tar_of_the_files_it_replaced(store: Store, run: Run, data: Path) -> None:
    (folder,) = data.glob("cache/folder/regions/*")
    originals = {path.name: path.read_bytes() for path in folder.glob("shard-*")}
    run("compact")
    (path,) = packs_of(store, "regions")
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        assert {m.name: tar.extractfile(m).read() for m in members} == originals  # type: ignore[union-attr]
    assert {(m.mtime, m.uid, m.uname) for m in members} == {(0, 0, "")}, "no time and no owner"


def test_a_flipped_byte_in_a_pack_is_found_and_mended(compacted: Store, run: Run, data: Path, extract: Run) -> None:
    before = digests(data)
    (path,) = packs_of(compacted, "region_embeddings")
    (pack,) = packs.load(path.parents[1])
    place = pack.shards[1].place
    flip(path, place.start + (place.size or 0) // 2)
    result = run("verify", "--json")
    assert result.code == 1
    (problem,) = result.json["problems"]
    assert problem["paths"][0].endswith(path.name) and problem["what"].startswith("shard 1 in it: ")
    assert [p["what"] for p in run("repair", "--json").json["repaired"]] == [problem["what"]]
    made = extract()
    assert (made["region_embeddings"]["computed"], made["region_embeddings"]["reused"]) == (1, 2)
    assert sum(one["computed"] for one in made.values()) == 1, "and nothing else"
    assert digests(data) == before and run("verify").code == 0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.6, 0.9])
def test_no_flipped_byte_becomes_a_number(compacted: Store, run: Run, data: Path, share: float) -> None:
    before = contents(data)
    (path,) = packs_of(compacted, "globals")
    (pack,) = packs.load(path.parents[1])
    place = pack.shards[2].place
    flip(path, place.start + int(share * (place.size or 0)))
    assert run("verify").code == 1
    try:
        assert contents(data) == before, "of no consequence"
    except Exception as error:
        assert path.name in str(error)


def test_a_cut_pack_is_found_and_its_shards_are_made_anew(compacted: Store, run: Run, data: Path, extract: Run) -> None:
    before = digests(data)
    (path,) = packs_of(compacted, "globals")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert run("verify").code == 1
    assert run("probe", "--pool", "none", "--head", "zeroshot").code == 1
    run("repair")
    assert extract()["globals"]["computed"] >= 1
    assert digests(data) == before and run("verify").code == 0


def test_a_damaged_index_of_a_pack_is_made_anew_from_the_pack(
    compacted: Store, run: Run, data: Path, photos: Path, extract: Run
) -> None:
    before = contents(data)
    (path,) = (p.with_suffix(".json") for p in packs_of(compacted, "regions"))
    flip(path, 200)
    packs.forget()
    command = ("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=4)")
    result = run(*command)
    assert result.code == 1 and path.name in result.err and "fgscore repair" in result.err, "not made anew in silence"
    assert "damaged" in run("status").out
    assert [p["paths"] for p in run("verify", "--json").json["problems"] if p["severity"] == "damaged"] == [
        [path.relative_to(data / "cache").as_posix()]
    ]
    assert run("repair").code == 0
    assert contents(data) == before
    assert {row["computed"] for row in extract().values()} == {0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_step_loses_nothing(store: Store, run: Run, data: Path, tmp_path: Path) -> None:
    before = contents(data)
    steps = 0
    while True:
        trial = tmp_path / f"trial-{steps}"
        shutil.copytree(data, trial)
        ended = killed_at(steps, trial)
        assert contents(trial) == before
        problems = run("verify", "--json", data=trial).json["problems"]
        assert {p["severity"] for p in problems} <= {"unfinished"}
        assert run("compact", data=trial).code == 0
        assert contents(trial) == before
        run("prune", "--yes", data=trial)
        assert contents(trial) == before
        assert len([name for name in files(trial) if "/shard-" in name]) == 2
        assert run("verify", "--json", data=trial).json["problems"] == []
        shutil.rmtree(trial)
        if not ended:
            break
        steps += 3  # shards of one artefact are alike: every third step, of all artefacts
    assert steps > 20


def killed_at(step: int, data: Path) -> bool:
    """`compact` in a process that dies before its ``step``-th change to the file system; False where it got through."""
    child = os.fork()
    if child == 0:
        left = [step]

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **more: Any) -> Any:
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return function(*args, **more)

            return call

        os.replace, Path.unlink = counted(os.replace), counted(Path.unlink)  # type: ignore[method-assign]
        os.fsync = counted(os.fsync)
        library.compact(Store(Layout(data)))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_growth_adds_ordinary_shards_and_the_next_call_merges_them(
    compacted: Store, run: Run, data: Path, photos: Path, extract: Run, draw: Callable[..., None]
) -> None:
    before = digests(data)
    for i in range(5):
        draw(photos / "train" / "crow" / f"new{i}.png", seed=900 + i)
    made = extract()
    assert (made["regions"]["computed"], made["regions"]["reused"]) == (2, 3)
    loose = [name for name in files(data) if "/regions/" in name and "/shard-" in name]
    assert [Path(name).name for name in loose] == [f"shard-0000{n}.{end}" for n in (3, 4) for end in ("h5", "json")]
    grown = digests(data)
    assert before.items() <= grown.items() and len(grown) == len(before) + 2 * 4
    assert run("score").code == 0 and run("verify").code == 0
    grown = digests(data)
    run("compact")
    assert digests(data) == grown
    assert len(packs_of(compacted, "regions")) == 1, "small packs are merged"
    assert run("verify").code == 0 and run("prune", "--json").json["unused"] == []


def test_a_shard_made_anew_counts_before_the_one_in_a_pack(
    compacted: Store, run: Run, data: Path, photos: Path, extract: Run, draw: Callable[..., None]
) -> None:
    before = digests(data)
    draw(photos / "train" / "blue_jay" / "1.png", seed=77)
    assert [p["severity"] for p in run("verify", "--json").json["problems"]] == []
    made = extract()
    assert made["globals"]["computed"] == 1
    after = digests(data)
    changed = {name.rpartition("/")[2] for name in before if before[name] != after[name]}
    assert changed == {"0"}
    run("compact")
    assert digests(data) == after and run("verify").code == 0
    assert len(packs_of(compacted, "globals")) == 1


def test_a_full_pack_is_left_alone(store: Store, run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(data)
    size = max(path.stat().st_size for path in data.glob("cache/folder/regions/*/*.h5"))
    monkeypatch.setattr(library, "PACK_BYTES", size)
    run("compact")
    paths = packs_of(store, "regions")
    assert len(paths) == 3 and contents(data) == before, "none takes a second shard"
    run("compact")
    assert packs_of(store, "regions") == paths


def test_what_is_unfinished_or_damaged_is_left_as_it_is(store: Store, run: Run, data: Path) -> None:
    (unfinished,) = data.glob("cache/folder/regions/*/shard-00001.json")
    unfinished.unlink()
    (damaged,) = data.glob("cache/folder/globals/*/shard-00001.h5")
    flip(damaged, 5000)
    before = [name for name in files(data) if "/regions/" in name or "/globals/" in name]
    rows = {row["label"].split("/")[1]: row for row in run("compact", "--json").json["artefacts"]}
    assert rows["regions"]["skipped"] == "unfinished"
    assert "shard-00001.h5" in rows["globals"]["skipped"] and "fgscore repair" in rows["globals"]["skipped"]
    assert rows["region_embeddings"]["packed"] == 3
    assert before == [name for name in files(data) if "/regions/" in name or "/globals/" in name]


def test_an_empty_store(run: Run) -> None:
    result = run("compact")
    assert result.code == 1 and result.message.startswith("error: nothing is cached under ")

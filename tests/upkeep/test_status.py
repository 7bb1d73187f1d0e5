"""What `status` says of the cache, and that the commands it names exist."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgscore.store.cache import Store
from fgscore.upkeep.status import by_dataset, status

Run = Callable[..., Any]


def by_kind(store: Store) -> dict[str, dict[str, Any]]:
    return {row["kind"]: row for row in status(store)}


def test_a_complete_cache(store: Store) -> None:
    rows = by_kind(store)
    assert list(rows) == ["index", "thumbnails", "regions", "region_embeddings", "globals", "text"]
    assert {k: r["images"] for k, r in rows.items()} == {
        "index": 10,
        "thumbnails": 10,
        "regions": 10,
        "region_embeddings": 10,
        "globals": 10,
        "text": 0,
    }
    assert rows["regions"]["regions"] == rows["region_embeddings"]["regions"] == 40
    assert {r["shards"] for k, r in rows.items() if k not in ("index", "text")} == {"3 of 3"}
    assert rows["regions"]["component"] == "random_crop(n=4)"


def test_sizes_are_those_on_disk(store: Store) -> None:
    row = by_kind(store)["globals"]
    folder = store.layout.cache / "folder" / "globals" / row["artefact"]
    assert row["bytes"] == sum(p.stat().st_size for p in folder.glob("*.h5"))


def test_an_unfinished_artefact_counts_what_is_done_and_says_how_to_go_on(store: Store) -> None:
    (path,) = store.layout.cache.glob("folder/regions/*/shard-00001.json")
    path.unlink()
    row = by_kind(store)["regions"]
    assert (row["shards"], row["images"]) == ("2 of 3", 6)
    assert row["next"] == 'fgscore regions folder --regions "random_crop(n=4)"'


def test_unfinished_embeddings_name_their_regions_too(store: Store) -> None:
    (path,) = store.layout.cache.glob("folder/region_embeddings/*/shard-00001.json")
    path.unlink()
    row = by_kind(store)["region_embeddings"]
    assert row["next"] == 'fgscore extract folder --regions "random_crop(n=4)" --encoder fake --prompt photo'


def test_failures_are_counted(photos: Path, extract: Callable[..., Any], data: Path) -> None:
    from fgscore.store.paths import Layout

    (photos / "train" / "crow" / "1.png").write_bytes(b"no")
    extract(code=3)
    assert by_kind(Store(Layout(data)))["globals"]["failed"] == 1


@pytest.mark.parametrize("name", ["plan.json", "shard-00000.json"])
def test_damage_is_named_and_the_rest_still_shown(name: str, store: Store, run: Run) -> None:
    (path,) = store.layout.cache.glob(f"folder/globals/*/{name}")
    path.write_text("{}")
    result = run("status")
    assert result.code == 0
    assert "damaged" in result.out and path.name in result.out
    assert "region_embeddings" in result.out


def test_what_is_not_there_is_a_fault_with_the_first_command(run: Run, data: Path) -> None:
    result = run("status")
    assert result.code == 1 and result.out == ""
    assert "nothing is cached" in result.message and "`fgscore extract demo`" in result.message
    assert run("status", "nosuch").code == 2


def test_the_cache_in_place_of_the_data_folder_is_noticed(store: Store, run: Run, data: Path) -> None:
    result = run("status", "--data", data / "cache")
    assert result.code == 1 and f"`fgscore status --data {data}`" in result.message


def test_one_data_set_alone(study: Store, run: Run) -> None:
    assert {row["dataset"] for row in run("status", "--json").json["artefacts"]} == {"cub", "pets"}
    for written in ("cub", "folder(name='cub')"):
        assert {row["dataset"] for row in run("status", written, "--json").json["artefacts"]} == {"cub"}
    assert run("status", "cars", "--json").code == 1


def test_a_complete_data_set_says_so_and_goes_from_scores_to_the_report(store: Store, run: Run) -> None:
    for step in ("score", "probe", "report"):
        found = run("status", "--json").json
        (row,) = found["datasets"]
        assert (row["dataset"], row["state"], row["note"]) == ("folder", "complete", "")
        assert {one["state"] for one in found["artefacts"]} == {"complete"}
        assert {one["next"] for one in found["artefacts"]} == {""}
        out = run("status").out
        assert "folder: complete" in out and out.splitlines()[-1] == f"Next: {row['next']}"
        program, *args = shlex.split(row["next"])
        assert (program, args[:2]) == ("fgscore", [step, "folder"])
        assert run(*args, *(["--head", "zeroshot"] if step == "probe" else ())).code == 0, row["next"]


KINDS = ("index", "thumbnails", "regions", "region_embeddings", "globals", "text", "scores", "features")


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_of_what_is_unfinished_finishes_it_and_begins_nothing_else(
    kind: str, store: Store, run: Run, photos: Path
) -> None:
    made = ("--root", photos, "--encoder", "fake(margin=0.25)", "--regions", "random_crop(n=2)")
    assert run("extract", "folder", *made, "--prompt", "a {}").code == 0
    assert run("score", "--scorer", "entropy(tau=50)", "--target", "local").code == 0
    assert run("aggregate", "--scorer", "entropy(tau=50)", "--target", "local", "--features", "raw").code == 0
    before = {(row["kind"], row["artefact"]) for row in status(store)}
    (folder, *_) = sorted((store.layout.cache / "folder" / kind).iterdir())
    for path in (folder / "manifest.json", *folder.glob("shard-00000.*")):
        path.unlink(missing_ok=True)
    (row,) = [row for row in status(store) if row["state"] == "unfinished"]
    (whole,) = by_dataset(store, status(store))
    assert (row["kind"], whole["state"], whole["next"]) == (kind, "unfinished", row["next"])
    program, name, *args = shlex.split(row["next"])
    needs_photos = name in ("index", "regions", "extract")
    assert bool(whole["note"]) == needs_photos, "no photos are where they lie by default"
    assert run(name, *args, *(("--root", photos) if needs_photos else ())).code == 0, row["next"]
    assert {row["state"] for row in status(Store(store.layout))} == {"complete"}
    assert {(row["kind"], row["artefact"]) for row in status(store)} == before


def test_photos_where_they_lie_by_default_need_no_note(store: Store, run: Run, photos: Path, data: Path) -> None:
    photos.rename(data / "raw-folder")
    (data / "raw").mkdir()
    (data / "raw-folder").rename(data / "raw" / "folder")
    (path,) = data.glob("cache/folder/regions/*/shard-00001.json")
    path.unlink()
    (row,) = run("status", "--json").json["datasets"]
    assert row["note"] == "" and run(*shlex.split(row["next"])[1:]).code == 0


def test_an_index_alone_is_to_be_extracted(run: Run, photos: Path, data: Path) -> None:
    assert run("index", "folder(name='mine')", "--root", photos, "--limit", 1).code == 0
    (row,) = run("status", "--json").json["datasets"]
    assert (row["state"], row["next"]) == ("complete", "fgscore extract \"folder(name='mine')\" --limit 1")


def test_the_next_command_of_a_named_and_limited_folder_runs(run: Run, photos: Path, data: Path) -> None:
    rest = ("--root", photos, "--encoder", "fake", "--regions", "random_crop(n=2)")
    assert run("extract", "folder(name='mine')", "--limit", 1, *rest).code == 0
    for path in data.rglob("*/regions/*/shard-00000.json"):
        path.unlink()
    (row,) = run("status", "--json").json["datasets"]
    assert run(*shlex.split(row["next"])[1:], *rest[:2]).code == 0, row["next"]
    assert len(list(data.glob("cache/*/index/*"))) == 1, "the commands named the same index"


def test_status_reads_json_alone(store: Store, run: Run) -> None:
    before = status(store)
    for path in store.layout.cache.rglob("*.h5"):
        path.write_bytes(b"x" * path.stat().st_size)
    assert status(store) == before


def test_imported_images_without_regions_are_to_be_probed(tmp_path: Path, run: Run) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    arrays = {
        "image_ids": np.array([f"{i}.jpg" for i in range(8)]),
        "labels": np.arange(8) % 2,
        "split": np.array(["train"] * 4 + ["test"] * 4),
        "globals": rng.normal(size=(8, 5)).astype(np.float32),
        "text": rng.normal(size=(2, 5)).astype(np.float32),
    }
    np.savez(tmp_path / "mine.npz", **arrays)
    assert run("import", "mine", tmp_path / "mine.npz").code == 0
    (row,) = run("status", "mine", "--json").json["datasets"]
    assert row["next"] == "fgscore probe mine --pool none"
    assert run(*shlex.split(row["next"])[1:]).code == 0


@pytest.mark.parametrize(
    ("written", "line"),
    [("cub", "fgscore extract cub"), ("folder(name='mine')", "fgscore extract \"folder(name='mine')\"")],
)
def test_a_data_set_that_is_not_cached_is_named(written: str, line: str, store: Store, run: Run) -> None:
    result = run("status", written)
    assert result.code == 1
    assert f"nothing of {written} is cached" in result.message
    assert result.message.endswith(f"holds folder; run `{line}`")
    assert run("compact", written).code == 1


def test_a_data_set_that_nobody_knows_is_a_slip(store: Store, run: Run) -> None:
    result = run("status", "foldr")
    assert result.code == 2 and "did you mean 'folder'" in result.message

"""Recipes, plans and sidecars: what is valid, what is stale, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore import regular
from fgscore.errors import StaleParent, StoreError
from fgscore.store import files, manifest, packs, paths
from fgscore.store.cache import Store
from fgscore.types import GlobalShard

RECIPE = manifest.Recipe("globals", "fake", {"dim": 32, "seed": 0}, parents={"images": "0" * 64})


def shard(seed: int, n: int = 2) -> GlobalShard:
    rows = np.random.default_rng(seed).standard_normal((n, 4))
    return GlobalShard(np.array([f"{seed}-{i}" for i in range(n)], np.str_), rows, np.ones(n))


@pytest.fixture
def artefact(tmp_path: Path) -> manifest.Artefact:
    return manifest.plan(paths.Layout(tmp_path), "birds", RECIPE, {0: 2, 1: 2})


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "text"},
        {"component": "fake(seed=1)"},
        {"version": 2},
        {"weights": "f" * 64},
        {"parents": {"images": "1" * 64}},
        {"parents": {}},
        {"extra": {"target": "global"}},
    ],
)
def test_another_recipe_has_another_digest_and_directory(change: dict[str, Any], tmp_path: Path) -> None:
    other = manifest.Recipe(**{**RECIPE.to_json(), **change})
    assert other.digest != RECIPE.digest
    layout = paths.Layout(tmp_path)
    assert manifest.plan(layout, "birds", other, {}).path != manifest.plan(layout, "birds", RECIPE, {}).path


def test_parameters_written_in_full_change_nothing() -> None:
    assert manifest.Recipe(**{**RECIPE.to_json(), "params": {}}).digest == RECIPE.digest


def test_a_directory_is_named_for_people_and_by_its_digest(artefact: manifest.Artefact) -> None:
    assert artefact.label == f"birds/globals/fake-{RECIPE.digest[:8]}"
    assert artefact.path.parts[-4:] == ("cache", "birds", "globals", f"fake-{RECIPE.digest[:8]}")


def test_a_plan_comes_back(artefact: manifest.Artefact) -> None:
    assert manifest.load(artefact.path) == artefact


def test_a_shard_is_current_only_for_its_parents(artefact: manifest.Artefact) -> None:
    assert not artefact.is_current(0, {"images": "a"})
    artefact.publish(0, shard(0), {"images": "a"})
    assert artefact.is_current(0, {"images": "a"})
    assert not artefact.is_current(0, {"images": "b"})
    assert not artefact.is_current(0, {})
    assert not artefact.is_current(0, {"images": "a", "regions": "c"})
    assert not artefact.is_current(1, {"images": "a"})


def test_a_shard_that_was_cut_short_is_not_current(artefact: manifest.Artefact) -> None:
    artefact.publish(0, shard(0), {})
    path = artefact.path / "shard-00000.h5"
    path.write_bytes(path.read_bytes()[:-1])
    assert not artefact.is_current(0, {})


@pytest.mark.parametrize("name", ["shard-00000.h5", "shard-00000.json"])
def test_a_shard_without_either_of_its_files_is_missing(name: str, artefact: manifest.Artefact) -> None:
    artefact.publish(0, shard(0), {})
    (artefact.path / name).unlink()
    assert not artefact.is_current(0, {})
    assert artefact.content(0) is None
    with pytest.raises(StoreError, match=r"birds/globals/fake-\w+: shard 0 is missing; run the same extract"):
        artefact.read(0)


def test_a_stale_parent_is_refused_by_its_role(artefact: manifest.Artefact) -> None:
    artefact.publish(0, shard(0), {"images": "a", "regions": "b"})
    artefact.read(0, {"images": "a", "regions": "b"})
    with pytest.raises(StaleParent, match=r"shard 0 was made from other regions than the cache holds now; run"):
        artefact.read(0, {"images": "a", "regions": "c"})
    with pytest.raises(StaleParent, match="from other images than"):
        artefact.read(0, {"images": "c", "regions": "b"})


def test_the_manifest_comes_last_and_does_not_depend_on_who_wrote_first(tmp_path: Path) -> None:
    texts = []
    for order in ((0, 1), (1, 0)):
        made = manifest.plan(paths.Layout(tmp_path / str(order[0])), "birds", RECIPE, {0: 2, 1: 3})
        for i, number in enumerate(order):
            assert made.finish() is False and made.manifest() is None
            made.publish(number, shard(number, 2 + number), {}, provenance={"seconds": i})
        assert made.finish() is True
        texts.append((made.path / "manifest.json").read_text())
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["counts"] == {"images": 5, "failures": 0}


def test_failures_are_counted_in_the_manifest(artefact: manifest.Artefact) -> None:
    artefact.publish(0, shard(0), {}, failures=[{"image_id": "x", "reason": "not an image"}])
    artefact.publish(1, shard(1), {})
    artefact.finish()
    assert (artefact.manifest() or {})["counts"] == {"images": 4, "failures": 1}


def test_a_sidecar_of_another_shard_is_refused(artefact: manifest.Artefact) -> None:
    for number in (0, 1):
        artefact.publish(number, shard(number), {})
    shutil.copy(artefact.path / "shard-00000.json", artefact.path / "shard-00001.json")
    with pytest.raises(StoreError, match="belongs to shard 0, expected shard 1"):
        artefact.read(1)


def test_a_sidecar_of_another_artefact_is_refused(artefact: manifest.Artefact, tmp_path: Path) -> None:
    other = manifest.Recipe("globals", "fake(seed=1)")
    neighbour = manifest.plan(paths.Layout(tmp_path), "birds", other, {0: 2})
    neighbour.publish(0, shard(0), {})
    artefact.publish(0, shard(0), {})
    shutil.copy(neighbour.path / "shard-00000.json", artefact.path / "shard-00000.json")
    with pytest.raises(StoreError, match="of another recipe"):
        artefact.read(0)
    assert not artefact.is_current(0, {})


def test_a_directory_under_another_name_is_refused(artefact: manifest.Artefact) -> None:
    moved = artefact.path.rename(artefact.path.with_name("fake-00000000"))
    with pytest.raises(StoreError, match="belongs to another artefact"):
        manifest.load(moved)


def test_a_plan_of_a_later_schema_is_refused_with_both_versions(artefact: manifest.Artefact) -> None:
    content = files.read_sealed(artefact.path / "plan.json")
    files.write_sealed(artefact.path / "plan.json", {**content, "schema": 99})
    with pytest.raises(StoreError, match=r"written with schema 99, this version reads 1"):
        manifest.load(artefact.path)


@pytest.mark.parametrize("key", ["recipe", "shards"])
def test_a_plan_that_lacks_a_part_is_refused(key: str, artefact: manifest.Artefact) -> None:
    content = files.read_sealed(artefact.path / "plan.json")
    del content[key]
    files.write_sealed(artefact.path / "plan.json", content)
    with pytest.raises(StoreError, match=r"plan\.json: not a plan"):
        manifest.load(artefact.path)


def test_whole_digests_are_compared_and_not_the_eight_letters_of_the_name(
    artefact: manifest.Artefact, tmp_path: Path
) -> None:
    store = Store(paths.Layout(tmp_path))
    assert store.find("globals", "birds", RECIPE.digest) == artefact
    assert store.find("globals", "birds", RECIPE.digest[:8] + "0" * 56) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("entropy(tau=50, lam=0.1)", "entropy-tau-50-lam-0.1"),
        ("../../etc", "etc"),
        ("a/b\\c:d", "a-b-c-d"),
        ("Käfer", "K-fer"),
        ("...", "x"),
        ("é", "x"),
    ],
)
def test_any_text_becomes_a_file_name_for_every_system(text: str, name: str) -> None:
    assert paths.slug(text) == name


def test_long_texts_become_short_names() -> None:
    assert len(paths.slug("ab(" * 100)) <= 60


READERS: dict[str, Callable[[manifest.Artefact], Any]] = {
    "read": lambda artefact: artefact.read(0).globals.tolist(),
    "arrays": lambda artefact: artefact.arrays(0, names=["norms"])["norms"].tolist(),
    "shapes": lambda artefact: artefact.shapes(0),
    "sidecar": lambda artefact: artefact.sidecar(0),
    "content": lambda artefact: artefact.content(0),
    "is_current": lambda artefact: artefact.is_current(0, {}),
}


def move(artefact: manifest.Artefact) -> None:
    """Put shard 0 into a pack, into another one after that; then remove it from where it was, as `compact` does."""
    found = artefact.found(0)
    assert found
    packs.write(artefact.path, {0: found})
    if found.place.size is None:
        found.place.path.unlink()
        found.source.unlink()
    else:
        packs.remove(packs.load_one(found.source))


@pytest.mark.parametrize("moves", [1, 2, 3])
@pytest.mark.parametrize("name", READERS)
def test_a_reader_looks_again_where_a_shard_has_just_been_moved(
    name: str, moves: int, artefact: manifest.Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact.publish(0, shard(0), {})
    expected = READERS[name](artefact)
    check, left = regular.check, [moves]

    def moved_before_it_is_opened(path: Path, *most: int) -> int:
        if left[0]:
            monkeypatch.setattr(regular, "check", check)
            left[0] -= 1
            move(artefact)
            monkeypatch.setattr(regular, "check", moved_before_it_is_opened)
        return check(path, *most)

    monkeypatch.setattr(regular, "check", moved_before_it_is_opened)
    assert READERS[name](artefact) == expected
    assert left[0] == 0


def test_what_is_damaged_is_refused_however_often_one_looks(artefact: manifest.Artefact) -> None:
    artefact.publish(0, shard(0), {})
    for name in ("shard-00000.h5", "shard-00000.json"):
        path = artefact.path / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StoreError, match=name):
            artefact.read(0)
        path.write_bytes(whole)
    artefact.read(0)

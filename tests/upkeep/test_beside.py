"""Commands beside each other: whatever one does between any two steps of the other, no shard is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fgscore.store import files, manifest, packs, schema, shards
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.upkeep.compact import compact
from fgscore.upkeep.prune import prune, unused
from fgscore.upkeep.verify import repair, verify

STEPS = ("replace", "unlink", "remove", "rmdir", "rename", "fsync")


def held(data: Path) -> dict[str, str]:
    """Shard to the digest of what is read from it."""
    packs.forget()
    return {
        f"{artefact.label}/{number}": shards.content_digest(artefact.arrays(number))
        for kind in schema.SHARD_KINDS
        for artefact in Store(Layout(data)).artefacts(kind)
        for number in artefact.shard_sizes
    }


@contextmanager
def between_steps(action: Callable[[int], None]) -> Iterator[list[int]]:
    """``action(n)`` right before the n-th change to the file system that the body makes, and after the last."""
    real, count = {name: getattr(os, name) for name in STEPS}, [0]

    def act() -> None:
        restore()
        count[0] += 1
        action(count[0])
        patch()

    def wrapped(name: str) -> Callable[..., Any]:
        def step(*args: Any, **more: Any) -> Any:
            act()
            return real[name](*args, **more)

        return step

    def restore() -> None:
        for name, function in real.items():
            setattr(os, name, function)

    def patch() -> None:
        for name in real:
            setattr(os, name, wrapped(name))

    patch()
    try:
        yield count
    finally:
        restore()
    action(count[0] + 1)


def nothing_is_wrong(store: Store) -> None:
    assert [p.what for p in verify(store) if p.severity != "unfinished"] == []


@pytest.mark.parametrize("works", [prune, compact, repair, nothing_is_wrong, lambda store: held(store.layout.root)],
                         ids=["prune", "compact", "repair", "verify", "read"])  # fmt: skip
def test_anything_between_the_steps_of_compact(works: Callable[[Store], Any], store: Store, data: Path) -> None:
    before = held(data)
    # an artefact takes twelve steps: every fifth comes to all of them in turn
    with between_steps(
        lambda step: works(Store(Layout(data))) if works in (prune, compact) or step % 5 == 0 else None
    ) as count:
        made = compact(store)
    assert count[0] > (4 if works is compact else 40), "it did its work by itself"
    assert held(data) == before
    nothing_is_wrong(store)
    assert {row.skipped for row in made if row.label.split("/")[1] != "text"} <= {""}
    compact(store)
    assert held(data) == before and unused(store) == []


def test_compact_between_any_two_steps_of_prune(store: Store, data: Path) -> None:
    compact(store)
    before = held(data)
    for artefact in [a for kind in ("regions", "globals") for a in store.artefacts(kind)]:
        (pack,) = packs.load(artefact.path)
        shutil.copy(pack.path, pack.path.with_name("pack-00000-0a1b2c3d.tar"))  # left by a call that was ended
        for number in artefact.shard_sizes:  # and files to compact again
            publish_again(artefact, number)
    with between_steps(lambda step: compact(Store(Layout(data)))) as count:
        removed = prune(store)
    assert count[0] >= len(removed) >= 2
    assert held(data) == before
    nothing_is_wrong(store)


def publish_again(artefact: manifest.Artefact, number: int) -> None:
    """The same shard as a file of its own."""
    sidecar = artefact.sidecar(number) or {}
    artefact.publish(number, artefact.read(number), sidecar["parents"], provenance={"again": True})


@pytest.mark.parametrize("works", [compact, repair, prune])
def test_two_of_a_kind_at_once(works: Callable[[Store], Any], store: Store, data: Path, run: Callable) -> None:
    compact(store)
    before = held(data)
    (regions,) = store.artefacts("regions")
    for number in regions.shard_sizes:
        publish_again(regions, number)
    for folder in (regions.path, regions.path / packs.FOLDER):  # something for each of them to do
        (folder / "shard-00099.h5").write_bytes(b"")
    damaged = next(data.glob("cache/folder/thumbnails/*/packs/*.json"))
    if works is repair:
        damaged.write_bytes(b"{}")
        packs.forget()
    with between_steps(lambda step: works(Store(Layout(data)))):
        works(store)
    assert held(data) == before
    nothing_is_wrong(store)


def test_a_folder_that_is_pruned_by_two_at_once_is_gone(store: Store, data: Path) -> None:
    (embedded,) = store.artefacts("region_embeddings")
    shutil.rmtree(next(data.glob("cache/folder/regions/*")))
    with between_steps(lambda step: prune(Store(Layout(data)))):
        prune(store)
    assert not embedded.path.exists()


def test_a_tar_that_is_all_there_is_of_its_shards_is_never_pruned(store: Store, data: Path) -> None:
    compact(store)
    before = held(data)
    source = next(data.glob("cache/folder/region_embeddings/*/packs/*.json"))
    source.unlink()
    packs.forget()
    assert prune(store) == [] and source.with_suffix(".tar").exists()
    (problem,) = [p for p in verify(store) if p.severity == "damaged"]
    assert problem.paths == (source,) and "missing" in problem.what
    repair(store)
    assert held(data) == before
    nothing_is_wrong(store)


def test_what_is_made_from_something_without_a_plan_is_never_pruned(store: Store, data: Path) -> None:
    plan = next(data.glob("cache/folder/regions/*/plan.json"))
    whole = plan.read_bytes()
    plan.unlink()
    assert prune(store) == []
    plan.write_bytes(whole)
    nothing_is_wrong(store)


def test_where_a_writer_is_at_work_nothing_is_pruned(store: Store, data: Path) -> None:
    (artefact,) = store.artefacts("globals")
    extra = artefact.path / "shard-00099.h5"
    extra.write_bytes(b"x")
    with files.publishing(artefact.path / "shard-00099.json") as file:
        file.write(b"x")
        assert prune(store) == [] and extra.exists()
    assert [item.path.name for item in prune(store)] == ["shard-00099.h5", "shard-00099.json"]

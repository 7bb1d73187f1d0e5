"""Find what nothing in the cache refers to, and remove it when asked.

Each folder is looked at right before anything in it is removed, and one in which a writer is at work is left alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fgscore.errors import StoreError
from fgscore.store import files, manifest, packs, paths
from fgscore.store.match import INDEX_ROLES, Store, check_there
from fgscore.upkeep.verify import ASIDE, artefact_folders


@dataclass(frozen=True)
class Unused:
    """Something in the cache that nothing current refers to."""

    path: Path
    why: str
    bytes: int


def unused(store: Store) -> list[Unused]:
    """Artefacts whose parents are gone, shards beyond their plan, old index files, packs that others replaced, what
    dead writers left, and files that `repair` moved aside. Raises :class:`NothingCached`."""
    return list(_look(store))


def prune(store: Store) -> list[Unused]:
    """Remove everything that :func:`unused` lists; returns what was removed."""
    removed = []
    for item in _look(store):
        if item.path.is_dir():
            _remove_folder(item.path)
        else:
            item.path.unlink(missing_ok=True)
        removed.append(item)
    return removed


def _remove_folder(folder: Path) -> None:
    while folder.is_dir():
        with suppress(FileNotFoundError):  # another process removes it, too
            shutil.rmtree(folder)


def _look(store: Store) -> Iterator[Unused]:
    """What is unused, one by one: the caller may remove each before it asks for the next."""
    cache = store.layout.cache
    if not (cache / ASIDE).is_dir():
        check_there(store, "prune")
    for folder in list(artefact_folders(cache)):
        yield from _in_folder(store, folder)
    if (cache / ASIDE).is_dir():
        yield _unused(cache / ASIDE, "moved aside by repair")


def _in_folder(store: Store, folder: Path) -> Iterator[Unused]:
    both = folder, folder / packs.FOLDER
    yield from (_unused(path, "left by a writer that died") for inside in both for path in files.leftovers(inside))
    # in this order: what was there before, and belongs to no writer now, is in the plan, manifest or JSON that say so
    there = sorted([*folder.glob("shard-*"), *folder.glob("index-*")])
    if any(files.held(inside) for inside in both):
        return
    try:
        artefact = manifest.load(folder)
        if any(_lost(store, artefact, role) for role in artefact.recipe.parents):
            yield _unused(folder, "its parents are not in the cache")
            return
        strays = packs.orphans(folder)
        if strays and artefact.is_whole():  # else they may be all there is of some shard: verify names them
            yield from (_unused(path, "replaced by another pack, or never finished") for path in strays)
        planned = {name(n) for n in artefact.shard_sizes for name in (paths.shard_file, paths.sidecar_file)}
        if artefact.recipe.kind == "index":
            planned.add(str((artefact.manifest() or {}).get("file")))
    except StoreError:
        return  # damaged, not unused: verify names it
    yield from (_unused(path, "not in the plan any more") for path in there if path.name not in planned)


def _lost(store: Store, artefact: manifest.Artefact, role: str) -> bool:
    """Whether a parent, or any parent of it, is gone; one that has lost its plan is not, the plan can be made anew."""
    kind, digest = "index" if role in INDEX_ROLES else role, artefact.recipe.parents[role]
    try:
        parent = store.find(kind, artefact.dataset, digest)
    except StoreError:
        return False
    if parent is None:
        return not any(store.layout.cache.glob(f"{artefact.dataset}/{kind}/*-{digest[:8]}"))
    return any(_lost(store, parent, r) for r in parent.recipe.parents)


def _unused(path: Path, why: str) -> Unused:
    inside = [path] if path.is_file() else [Path(parent) / name for parent, _, names in os.walk(path) for name in names]
    return Unused(path, why, sum(_bytes(p) for p in inside))


def _bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0

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
from fgscore.store import files, manifest, packs, paths, schema
from fgscore.store.cache import INDEX_ROLES, Store
from fgscore.store.match import check_there
from fgscore.upkeep.verify import ASIDE, artefact_folders


@dataclass(frozen=True)
class Unused:
    """Something in the cache that nothing current refers to."""

    path: Path
    why: str
    bytes: int


def unused(store: Store) -> list[Unused]:
    """Artefacts whose parents are gone, copies limited to some images of which the whole data set has all the same,
    shards beyond their plan, old index files, packs that others replaced, what dead writers left, and files that
    `repair` moved aside. Raises :class:`NothingCached`."""
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
    folders = list(artefact_folders(cache))
    copies = _copies(store)
    for folder in folders:
        if limit := copies.get(folder):
            yield _unused(folder, f"of {limit} images a class: the whole data set has the same")
        else:
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


def _copies(store: Store) -> dict[Path, int]:
    """Folders of limited copies of which the whole data set has each artefact, complete, with the limit of each."""
    found: dict[Path, int] = {}
    try:
        indexes = list(store.artefacts("index"))
        whole_sets = {(a.dataset, a.recipe.component): a for a in indexes if not a.recipe.extra.get("limit")}
        for index in indexes:
            whole = whole_sets.get((index.dataset, index.recipe.component))
            if whole is None or whole is index or whole.manifest() is None:
                continue
            copy, held = _below(store, index), {_same(store, artefact) for artefact in _below(store, whole)}
            at_work = any(files.held(artefact.path) for artefact in [*copy, index])
            if not at_work and all(_same(store, artefact) in held for artefact in copy):
                found |= dict.fromkeys((artefact.path for artefact in [*copy, index]), index.recipe.extra["limit"])
    except StoreError:
        return {}  # damaged: verify names it
    return found


def _below(store: Store, index: manifest.Artefact) -> list[manifest.Artefact]:
    """What was made from an index, and from that."""
    kinds = (kind for kind in schema.KINDS if kind != "index")
    return [a for kind in kinds for a in store.artefacts(kind, index.dataset) if index.path in _ancestors(store, a)]


def _ancestors(store: Store, artefact: manifest.Artefact) -> set[Path]:
    parents = [store.parent(artefact, role) for role in artefact.recipe.parents]
    return {parent.path for parent in parents}.union(*(_ancestors(store, parent) for parent in parents))


def _same(store: Store, artefact: manifest.Artefact) -> tuple:
    """Equal for an artefact of a copy and that of the whole data set which was made in the same way; of an unfinished
    one it is never."""
    recipe = artefact.recipe
    parents = [_same(store, store.parent(artefact, role)) for role in recipe.parents if role not in INDEX_ROLES]
    made = (recipe.kind, recipe.component, recipe.version, recipe.weights, str(sorted(recipe.extra.items())))
    return (*made, *parents, None if artefact.is_whole() else artefact.path)


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

"""Find what nothing in the cache refers to, and remove it when asked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from fgscore.errors import StoreError
from fgscore.pipeline.verify import ASIDE, artefact_folders
from fgscore.store import files, manifest, packs, paths
from fgscore.store.match import INDEX_ROLES, Store


@dataclass(frozen=True)
class Unused:
    """Something in the cache that nothing current refers to."""

    path: Path
    why: str
    bytes: int


def unused(store: Store) -> list[Unused]:
    """Artefacts whose parents are gone, shards beyond their plan, old index files, what dead writers left, and files
    that `repair` moved aside."""
    cache = store.layout.cache
    found = []
    for folder in sorted(artefact_folders(cache)):
        left = [*files.leftovers(folder), *files.leftovers(folder / packs.FOLDER), *packs.orphans(folder)]
        found += [_unused(path, "left by a writer that died") for path in left]
        try:
            artefact = manifest.load(folder)
        except StoreError:
            continue  # damaged, not unused: verify names it
        if any(_lost(store, artefact, role) for role in artefact.recipe.parents):
            found.append(_unused(folder, "its parents are not in the cache"))
            continue
        planned = {paths.shard_file(n) for n in artefact.shard_sizes} | {
            paths.sidecar_file(n) for n in artefact.shard_sizes
        }
        planned |= {str((artefact.manifest() or {}).get("file"))} if artefact.recipe.kind == "index" else set()
        extra = [p for p in sorted([*folder.glob("shard-*"), *folder.glob("index-*")]) if p.name not in planned]
        found += [_unused(path, "not in the plan any more") for path in extra]
    if (cache / ASIDE).is_dir():
        found.append(_unused(cache / ASIDE, "moved aside by repair"))
    return found


def _lost(store: Store, artefact: manifest.Artefact, role: str) -> bool:
    """Whether a parent, or any parent of it, is gone."""
    kind = "index" if role in INDEX_ROLES else role
    try:
        parent = store.find(kind, artefact.dataset, artefact.recipe.parents[role])
    except StoreError:
        return False
    return parent is None or any(_lost(store, parent, r) for r in parent.recipe.parents)


def _unused(path: Path, why: str) -> Unused:
    inside = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return Unused(path, why, sum(p.stat().st_size for p in inside))


def prune(store: Store) -> list[Unused]:
    """Remove everything that :func:`unused` lists; returns what was removed."""
    found = unused(store)
    for item in found:
        if item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
    return found

"""Read everything in the cache and say what is wrong; move faulty files aside; find what nothing refers to.

``verify`` trusts nothing: seals of JSON, SHA-256 of files, checksums inside HDF5, shapes against the schema, content
digests, numbers, recipes, manifests against sidecars, and parents against what they are now.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fgscore.errors import StoreError
from fgscore.pipeline.progress import Progress, silent
from fgscore.store import files, manifest, paths, schema, shards
from fgscore.store.match import INDEX_ROLES, Store
from fgscore.types import file_sha256

ASIDE = "damaged"
MAY_BE_NAN = ("predicted_iou", "stability")  # crops have neither


@dataclass(frozen=True)
class Problem:
    """One fault. ``paths`` are the files that have to go for `extract` to make them anew, the faulty one first;
    ``severity`` is 'damaged', 'stale' (a parent has changed: extract redoes it) or 'unfinished'."""

    paths: tuple[Path, ...]
    what: str
    severity: str = "damaged"

    def to_json(self, root: Path) -> dict[str, object]:
        """With paths relative to the cache."""
        relative = [p.relative_to(root).as_posix() for p in self.paths]
        return {"paths": relative, "what": self.what, "severity": self.severity}


def verify(store: Store, progress: Progress = silent) -> list[Problem]:
    """Every fault in the cache, in the order of paths. Memory does not grow with the store: one shard at a time."""
    folders = sorted(_artefact_folders(store.layout.cache))
    problems: list[Problem] = []
    for done, folder in enumerate(folders, 1):
        problems += _verify_artefact(store, folder)
        progress("verify", done, len(folders))
    return problems


def _artefact_folders(cache: Path) -> Iterator[Path]:
    """Every directory where an artefact should be, whether or not its plan is there."""
    for kind in schema.KINDS:
        yield from (path for path in cache.glob(f"*/{kind}/*") if path.is_dir() and any(path.iterdir()))


def _verify_artefact(store: Store, folder: Path) -> Iterator[Problem]:
    plan = folder / manifest.PLAN
    try:
        artefact = manifest.load(folder)
    except StoreError as error:
        yield Problem((plan,), _without_path(error, plan))
        return
    if artefact.recipe.kind != folder.parent.name:
        yield Problem((plan,), f"an artefact of kind {artefact.recipe.kind} among {folder.parent.name}")
        return
    if artefact.recipe.kind == "index":
        yield from _verify_index(store, artefact)
        return
    sound = {}
    for number in artefact.shard_sizes:
        problem = _verify_shard(store, artefact, number)
        if problem is None:
            sound[number] = artefact.sidecar(number)
        elif problem.severity != "unfinished" or (folder / manifest.MANIFEST).exists():
            yield problem
    yield from _verify_manifest(artefact, sound)


def _verify_index(store: Store, artefact: manifest.Artefact) -> Iterator[Problem]:
    target = artefact.path / manifest.MANIFEST
    try:
        index = store.index(artefact)
        content = artefact.manifest() or {}
        if content.get("content_digest") != index.images_digest():
            yield Problem((target,), "the index holds other images than its manifest says")
    except StoreError as error:
        parquet = tuple(sorted(artefact.path.glob("index-*.parquet")))
        yield Problem((target, *parquet), _without_path(error, target))


def _verify_shard(store: Store, artefact: manifest.Artefact, number: int) -> Problem | None:
    shard = artefact.path / paths.shard_file(number)
    sidecar_path = artefact.path / paths.sidecar_file(number)
    both = (shard, sidecar_path)
    if not shard.exists() and not sidecar_path.exists():
        return Problem((shard,), "the shard is missing", "unfinished")
    if not shard.exists():
        return Problem((sidecar_path,), "the shard of this sidecar is missing")
    if not sidecar_path.exists():
        return Problem((shard,), "the shard has no sidecar: its writer was interrupted", "unfinished")
    try:
        sidecar = artefact.sidecar(number) or {}
    except StoreError as error:
        return Problem((sidecar_path, shard), _without_path(error, sidecar_path))
    if shard.stat().st_size != sidecar["file_bytes"] or file_sha256(shard) != sidecar["file_sha256"]:
        return Problem(both, "the file is not the one that was written (SHA-256 differs)")
    try:
        arrays = shards.read_arrays(shard, artefact.recipe.kind)
        schema.unpack(artefact.recipe.kind, arrays)
    except (StoreError, ValueError) as error:
        return Problem(both, _without_path(error, shard))
    strange = [name for name in arrays if name not in MAY_BE_NAN and not _finite(arrays[name])]
    if strange:
        return Problem(both, f"numbers that are not finite in {', '.join(strange)}")
    if shards.content_digest(arrays) != sidecar["content_digest"]:
        return Problem(both, "the content is not what the sidecar says")
    return _verify_parents(store, artefact, number, sidecar, both)


def _finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _verify_parents(
    store: Store, artefact: manifest.Artefact, number: int, sidecar: dict[str, dict[str, str]], both: tuple[Path, ...]
) -> Problem | None:
    try:
        now = store.parents_now(artefact, number)
    except StoreError as error:
        return Problem(both, f"its parents cannot be checked: {error}", "stale")
    changed = sorted(role for role in now if sidecar["parents"].get(role) != now[role])
    if changed:
        return Problem(both, f"made from other {', '.join(changed)} than the cache holds now", "stale")
    return None


def _verify_manifest(artefact: manifest.Artefact, sidecars: dict[int, dict | None]) -> Iterator[Problem]:
    target = artefact.path / manifest.MANIFEST
    complete = len(sidecars) == len(artefact.shard_sizes)
    if not target.exists():
        yield Problem((target,), "no manifest: the run was interrupted, or the file was lost", "unfinished")
        return
    try:
        content = artefact.manifest()
    except StoreError as error:
        yield Problem((target,), _without_path(error, target))
        return
    if complete and content != artefact.summary({n: s for n, s in sidecars.items() if s}):
        yield Problem((target,), "the manifest does not agree with the sidecars")


def _without_path(error: Exception, path: Path) -> str:
    """The reason alone, for a report that names the file itself."""
    return str(error).removeprefix(f"{path}: ").partition("; run `fgscore")[0]


def repair(store: Store, progress: Progress = silent) -> list[Problem]:
    """Move the files of every damaged or stale problem to ``cache/damaged/``, never deleting any, with the manifest of
    their artefact, so that the next extract makes exactly those anew. Returns the problems that were mended."""
    mended = []
    for problem in verify(store, progress):
        if problem.severity == "unfinished":
            continue
        folder = problem.paths[0].parent
        extra = () if folder.parent.name == "index" else (folder / manifest.MANIFEST,)
        for path in dict.fromkeys((*problem.paths, *extra)):
            if path.exists():
                _move_aside(store.layout.cache, path)
        mended.append(problem)
    return mended


def _move_aside(cache: Path, path: Path) -> None:
    target = cache / ASIDE / path.relative_to(cache)
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    free = target
    while free.exists():
        number += 1
        free = target.with_name(f"{target.name}.{number}")
    shutil.move(path, free)


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
    for folder in sorted(_artefact_folders(cache)):
        found += [_unused(path, "left by a writer that died") for path in files.leftovers(folder)]
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

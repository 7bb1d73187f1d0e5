"""Read everything in the cache, and every result, and say what is wrong; move faulty files aside.

``verify`` trusts nothing: seals of JSON, SHA-256 of files, checksums inside HDF5, shapes against the schema, content
digests, numbers, recipes, manifests against sidecars, parents against what they are now, and accuracies against
predictions.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fgscore.errors import StoreError
from fgscore.evaluate import results
from fgscore.evaluate.results import Place
from fgscore.machine.progress import Progress, silent
from fgscore.store import manifest, packs, paths, schema, shards
from fgscore.store.cache import Store
from fgscore.store.match import check_there
from fgscore.store.paths import Layout

ASIDE = "damaged"


@dataclass(frozen=True)
class Problem:
    """One fault. ``paths`` are the files that have to go for `extract` to make them anew, the faulty one first;
    ``severity`` is 'damaged', 'stale' (a parent has changed: extract redoes it) or 'unfinished'. ``packed`` is the
    shard at fault where the files are those of a pack: it alone has to go."""

    paths: tuple[Path, ...]
    what: str
    severity: str = "damaged"
    packed: int | None = None

    def to_json(self, layout: Layout) -> dict[str, object]:
        """With paths relative to the cache, those of results to the data folder."""
        return {"paths": [shown(layout, p) for p in self.paths], "what": self.what, "severity": self.severity}


def shown(layout: Layout, path: Path) -> str:
    """A file of the cache, or of the results, as a report names it."""
    root = layout.cache if path.is_relative_to(layout.cache) else layout.root
    return path.relative_to(root).as_posix()


def verify(store: Store, progress: Progress = silent) -> list[Problem]:
    """Every fault in the cache, in the order of paths, then of the results. Memory does not grow with the store: one
    shard at a time. Raises :class:`NothingCached` where there is nothing to verify."""
    measured = all_results(store)
    if not measured:
        check_there(store, "verify")
    packs.forget()
    folders = sorted(artefact_folders(store.layout.cache))
    problems: list[Problem] = []
    for done, folder in enumerate(folders, 1):
        problems += _verify_artefact(store, folder)
        progress("verify", done, len(folders))
    for done, place in enumerate(measured, 1):
        problems += _verify_result(place)
        progress("verify results", done, len(measured))
    return problems


def all_results(store: Store) -> list[Place]:
    """Where there is a result, of test images or of validation images."""
    return [place for kind in (False, True) for place in results.places(store.layout.results, validation=kind)]


def _verify_result(place: Place) -> Iterator[Problem]:
    every = (place.row, place.predictions, *place.seals())
    try:
        if results.read(place) and results.read_predictions(place) is None:
            yield Problem((place.row, *place.seals()), "the predictions of this result are missing")
    except results.DamagedResult as error:
        yield Problem(tuple(dict.fromkeys((error.path, *every))), error.what)


def artefact_folders(cache: Path) -> Iterator[Path]:
    """Every directory where an artefact should be, whether or not its plan is there."""
    for kind in schema.KINDS:
        yield from (path for path in sorted(cache.glob(f"*/{kind}/*")) if path.is_dir() and os.listdir(path))


def _verify_artefact(store: Store, folder: Path) -> Iterator[Problem]:
    plan = folder / manifest.PLAN
    if not os.path.lexists(plan):  # never there, or moved aside: whoever makes it again keeps the shards that are there
        yield Problem((plan,), "the plan is missing; the same command as before makes it again", "unfinished")
        return
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
    damaged = list(_verify_packs(folder, artefact))
    yield from damaged
    if damaged:
        return  # what its shards are is not known before it is mended
    sound = {}
    for number in artefact.shard_sizes:
        problem = _verify_shard(store, artefact, number)
        if problem is None:
            sound[number] = artefact.sidecar(number)
        elif problem.severity != "unfinished" or (folder / manifest.MANIFEST).exists():
            yield problem
    yield from _verify_manifest(artefact, sound)


def _verify_packs(folder: Path, artefact: manifest.Artefact | None) -> Iterator[Problem]:
    """The JSON of its packs; of which shards there are, ``artefact`` knows if its plan can be read."""
    found = []
    for index in packs.indexes(folder):
        try:
            packs.load_one(index)
        except StoreError as error:
            if os.path.lexists(index):  # else replaced by `compact` meanwhile
                found.append(Problem((index,), _without_path(error, index)))
    yield from found
    if artefact and not found and (strays := packs.orphans(folder)) and not artefact.is_whole():
        for tar in strays:
            yield Problem((tar.with_suffix(".json"),), "the file that says what is in this pack is missing")


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
    while True:
        place = artefact.place(number)
        problem = _look_at(store, artefact, number)
        if problem is None or artefact.place(number) == place:  # else `compact` has moved it meanwhile
            return problem


def _look_at(store: Store, artefact: manifest.Artefact, number: int) -> Problem | None:
    if not artefact.is_loose(number) and (packed := packs.find(artefact.path, number)):
        problem = _verify_content(store, artefact, number, (packed.place.path, packed.source))
        what = f"shard {number} in it: {problem.what}" if problem else ""
        return problem and replace(problem, what=what, packed=number)
    shard, sidecar_path = (artefact.path / name(number) for name in (paths.shard_file, paths.sidecar_file))
    if not shard.exists() and not sidecar_path.exists():
        return Problem((shard,), "the shard is missing", "unfinished")
    if not shard.exists():
        return Problem((sidecar_path,), "the shard of this sidecar is missing")
    if not sidecar_path.exists():
        return Problem((shard,), "the shard has no sidecar: its writer was interrupted", "unfinished")
    return _verify_content(store, artefact, number, (shard, sidecar_path))


def _verify_content(store: Store, artefact: manifest.Artefact, number: int, both: tuple[Path, Path]) -> Problem | None:
    """One shard that is there, in ``both`` a file of HDF5 or a pack and one of JSON."""
    try:
        found = artefact.found(number)
    except StoreError as error:
        return Problem(both[::-1], _without_path(error, both[1]))
    if found is None:
        return Problem(both, "the shard is missing", "unfinished")
    place, sidecar = found.place, found.sidecar
    try:
        if not found.there or place.sha256() != sidecar["file_sha256"]:
            return Problem(both, "the file is not the one that was written (SHA-256 differs)")
        arrays = shards.read_arrays(place, artefact.recipe.kind)
        schema.unpack(artefact.recipe.kind, arrays)
    except (StoreError, ValueError, FileNotFoundError) as error:
        return Problem(both, _without_path(error, place))
    strange = [name for name in arrays if not _finite(arrays[name], name in may_be_nan(artefact.recipe))]
    if strange:
        return Problem(both, f"numbers that are not finite in {', '.join(strange)}")
    if shards.content_digest(arrays) != sidecar["content_digest"]:
        return Problem(both, "the content is not what the sidecar says")
    return _verify_parents(store, artefact, number, sidecar, both)


def may_be_nan(recipe: manifest.Recipe) -> tuple[str, ...]:
    """Arrays whose numbers may be unknown: crops have no estimates of their quality, and regions that were computed
    elsewhere need not have come with their areas."""
    return ("predicted_iou", "stability", *(("area",) if recipe.extra.get("imported") else ()))


def _finite(array: np.ndarray, or_nan: bool) -> bool:
    return array.dtype.kind != "f" or not (np.isinf(array).any() or (np.isnan(array).any() and not or_nan))


def _verify_parents(
    store: Store, artefact: manifest.Artefact, number: int, sidecar: Mapping[str, Any], both: tuple[Path, ...]
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


def _without_path(error: Exception, path: Path | packs.Place) -> str:
    """The reason alone, for a report that names the file itself."""
    return str(error).removeprefix(f"{path}: ").partition("; run `fgscore")[0]


def repair(store: Store, progress: Progress = silent) -> list[Problem]:
    """Move the files of every damaged or stale problem to ``cache/damaged/``, those of results to ``results/damaged/``,
    never deleting any, with the manifest of their artefact, so that the next extract, or probe, makes exactly those
    anew. Returns the problems that were mended. Raises :class:`NothingCached`."""
    if not all_results(store):
        check_there(store, "repair")
    mended = _mend_packs(store)  # first: while it is not known what these hold, what was made from it looks stale
    for problem in verify(store, progress):
        if problem.severity == "unfinished":
            continue
        if problem.paths[0].is_relative_to(store.layout.results):
            for path in problem.paths:
                _move_aside(store.layout.results, path)
            mended.append(problem)
            continue
        folder = problem.paths[0].parent
        in_pack = folder.name == packs.FOLDER
        folder = folder.parent if in_pack else folder
        extra = () if folder.parent.name == "index" else (folder / manifest.MANIFEST,)
        gone = problem.paths if problem.packed is None else ()
        for path in dict.fromkeys((*gone, *extra)):
            _move_aside(store.layout.cache, path)
        if problem.packed is not None:
            packs.drop(folder, problem.packed)
        mended.append(problem)
    return mended


def _mend_packs(store: Store) -> list[Problem]:
    """Make the JSON of packs anew where it is damaged, from the packs themselves."""
    packs.forget()
    problems = [
        problem
        for folder in list(artefact_folders(store.layout.cache))
        for problem in _verify_packs(folder, _planned(folder))
    ]
    for problem in problems:
        (index,) = problem.paths
        for path in (index, index.parents[1] / manifest.MANIFEST):
            _move_aside(store.layout.cache, path)
        packs.rebuild(index.with_suffix(".tar"))
    for folder in {problem.paths[0].parents[1] for problem in problems}:
        with suppress(StoreError):  # more is damaged, and told by what follows
            manifest.load(folder).finish()
    return problems


def _planned(folder: Path) -> manifest.Artefact | None:
    with suppress(StoreError):
        return manifest.load(folder)
    return None


def _move_aside(root: Path, path: Path) -> None:
    """Move what is at ``path`` below ``root``, a link as it is; nothing where another process was faster."""
    target = root / ASIDE / path.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    free = target
    while os.path.lexists(free):
        number += 1
        free = target.with_name(f"{target.name}.{number}")
    with suppress(FileNotFoundError):
        shutil.move(path, free)

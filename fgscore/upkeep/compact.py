"""Merge the shards of complete artefacts into packs: few large files in place of many small ones, the same content."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgscore.errors import StoreError
from fgscore.machine.progress import Progress, silent
from fgscore.store import manifest, packs, paths, schema
from fgscore.store.cache import Store
from fgscore.store.match import check_there

PACK_BYTES = 1 << 30  # a pack is closed before it grows larger
BUSY = "another process is at work on it; run `fgscore compact` again"
TRIES = 3  # at an artefact that another process changes meanwhile


@dataclass
class Compacted:
    """What became of one artefact: shards ``packed`` now, its files ``before`` and ``after``; ``skipped`` says why it
    was left as it is."""

    label: str
    packed: int = 0
    before: int = 0
    after: int = 0
    skipped: str = ""

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return dict(vars(self))


def compact(store: Store, dataset: str | None = None, progress: Progress = silent) -> list[Compacted]:
    """Pack the shards of every complete artefact, of one data set or of all.

    Each pack is whole before the files it replaces go, so that whoever ends this loses nothing. Artefacts that are
    unfinished or damaged are left as they are. What `extract` adds later are ordinary shards, for the next time. Two of
    these at once do the work twice, and one of them removes what the other made. Raises :class:`NothingCached`.
    """
    check_there(store, "compact", dataset)
    done = []
    for kind in schema.KINDS:
        if kind != "index":
            done += [_compact(artefact, progress) for artefact in store.artefacts(kind, dataset)]
    return done


def _compact(artefact: manifest.Artefact, progress: Progress) -> Compacted:
    result = Compacted(artefact.label, before=len(_files(artefact.path)))
    for _ in range(TRIES):
        before = _files(artefact.path)
        try:
            result.packed, result.skipped = _pack_complete(artefact, progress)
            break
        except (StoreError, FileNotFoundError) as error:
            result.skipped = str(error) if isinstance(error, StoreError) else BUSY
            if _files(artefact.path) == before:  # nobody else is at work
                break
    result.after = len(_files(artefact.path))
    return result


def _files(folder: Path) -> set[str]:
    return {os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names}


def _pack_complete(artefact: manifest.Artefact, progress: Progress) -> tuple[int, str]:
    """How many shards were packed, or why none."""
    if artefact.manifest() is None or artefact.published() != set(artefact.shard_sizes):
        return 0, "unfinished"
    return _pack(artefact, progress), ""


def _pack(artefact: manifest.Artefact, progress: Progress) -> int:
    """Pack what is loose, together with what lies in packs that are far from full. Returns the number of shards."""
    _remove_loose(artefact, artefact.shard_sizes)  # where an earlier call was ended
    loose = {number for number in artefact.shard_sizes if artefact.is_loose(number)}
    small = [pack for pack in packs.load(artefact.path) if _bytes(pack) < PACK_BYTES // 2]
    merged = {number for pack in small for number in _needed(artefact, pack)}
    numbers = sorted(loose | merged)
    count = 0
    if len(numbers) > 1 and (loose or len(small) > 1):
        for group in _groups(artefact, numbers):
            _remove_loose(artefact, group, packs.write(artefact.path, group))
            count += len(group)
            progress(f"{artefact.label}: compact", count, len(numbers))
    for pack in packs.load(artefact.path):
        if not _needed(artefact, pack):
            packs.remove(pack)
    return count


def _bytes(pack: packs.Pack) -> int:
    if not pack.path.exists():
        raise StoreError(f"{pack.path}: the file is missing; run `fgscore repair`, then the same extract again")
    return pack.path.stat().st_size


def _needed(artefact: manifest.Artefact, pack: packs.Pack) -> set[int]:
    """Shards of the plan for which this pack counts, or that are whole nowhere else. A file of their own with the same
    content is no place to rely on: another process may be about to remove it, as this pack has it."""

    def elsewhere(number: int) -> bool:
        found = artefact.found(number)
        if found is None or found.place.path == pack.path or not found.there:
            return False
        return found.place.size is not None or found.sidecar != pack.shards[number].sidecar

    return {number for number in set(pack.shards) & set(artefact.shard_sizes) if not elsewhere(number)}


def _groups(artefact: manifest.Artefact, numbers: list[int]) -> Iterator[dict[int, packs.Found]]:
    """Shards in order, as many as a pack takes."""
    group: dict[int, packs.Found] = {}
    size = 0
    for number in numbers:
        found = artefact.found(number)
        if found is None:
            raise StoreError(f"{artefact.label}: shard {number} is missing; run the same extract again")
        if group and size + found.sidecar["file_bytes"] > PACK_BYTES:
            yield group
            group, size = {}, 0
        group[number] = found
        size += found.sidecar["file_bytes"]
    yield group


def _remove_loose(artefact: manifest.Artefact, numbers: Iterable[int], written: packs.Pack | None = None) -> None:
    """The files that are in a pack, byte for byte, unless someone has made them anew; the shard first: a writer leaves
    no sidecar alone. What was just ``written`` has been read back; it must still be there."""
    for number in numbers:
        shard, sidecar = (artefact.path / name(number) for name in (paths.shard_file, paths.sidecar_file))
        if not sidecar.exists() or (packed := packs.find(artefact.path, number)) is None:
            continue
        if not shard.exists():
            sidecar.unlink(missing_ok=True)
        elif artefact.sidecar(number) == packed.sidecar and _whole(packed, written):
            shard.unlink(missing_ok=True)
            sidecar.unlink(missing_ok=True)


def _whole(packed: packs.Found, written: packs.Pack | None) -> bool:
    known = written is not None and packed.source == written.index
    return packed.there and (known or packed.place.sha256() == packed.sidecar["file_sha256"])

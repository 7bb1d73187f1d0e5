"""Merge the shards of complete artefacts into packs: few large files in place of many small ones, the same content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgscore.errors import StoreError
from fgscore.pipeline.progress import Progress, silent
from fgscore.store import manifest, packs, paths, schema
from fgscore.store.match import Store

PACK_BYTES = 1 << 30  # a pack is closed before it grows larger


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
    unfinished or damaged are left as they are. What `extract` adds later are ordinary shards, for the next time.
    """
    done = []
    for kind in schema.KINDS:
        if kind != "index":
            done += [_compact(artefact, progress) for artefact in store.artefacts(kind, dataset)]
    return done


def _compact(artefact: manifest.Artefact, progress: Progress) -> Compacted:
    result = Compacted(artefact.label, before=_files(artefact.path))
    try:
        if artefact.manifest() is None or artefact.published() != set(artefact.shard_sizes):
            result.skipped = "unfinished"
        else:
            result.packed = _pack(artefact, progress)
    except StoreError as error:
        result.skipped = str(error)
    result.after = _files(artefact.path)
    return result


def _files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def _pack(artefact: manifest.Artefact, progress: Progress) -> int:
    """Pack what is loose, together with what lies in packs that are far from full. Returns the number of shards."""
    _remove_loose(artefact, artefact.shard_sizes)  # where an earlier call was ended
    loose = {number for number in artefact.shard_sizes if artefact.is_loose(number)}
    small = [pack for pack in packs.load(artefact.path) if _bytes(pack) < PACK_BYTES // 2]
    merged = {number for pack in small for number in _in_effect(artefact, pack)}
    numbers = sorted(loose | merged)
    count = 0
    if len(numbers) > 1 and (loose or len(small) > 1):
        for group in _groups(artefact, numbers):
            packs.write(artefact.path, group)
            _remove_loose(artefact, group, checked=True)
            count += len(group)
            progress(f"{artefact.label}: compact", count, len(numbers))
    for pack in packs.load(artefact.path):
        if not _in_effect(artefact, pack):
            packs.remove(pack)
    return count


def _bytes(pack: packs.Pack) -> int:
    if not pack.path.exists():
        raise StoreError(f"{pack.path}: the file is missing; run `fgscore repair`, then the same extract again")
    return pack.path.stat().st_size


def _whole(packed: packs.Packed) -> bool:
    return packed.place.path.exists() and packed.place.sha256() == packed.sidecar["file_sha256"]


def _in_effect(artefact: manifest.Artefact, pack: packs.Pack) -> set[int]:
    """Shards of the plan for which this pack counts."""
    places = {number: artefact.place(number) for number in set(pack.shards) & set(artefact.shard_sizes)}
    return {number for number, place in places.items() if place and place.path == pack.path}


def _groups(artefact: manifest.Artefact, numbers: list[int]) -> Iterator[dict[int, tuple[packs.Place, dict]]]:
    """Shards in order, as many as a pack takes."""
    group: dict[int, tuple[packs.Place, dict]] = {}
    size = 0
    for number in numbers:
        place, sidecar = artefact.place(number), artefact.sidecar(number)
        if place is None or sidecar is None:
            raise StoreError(f"{artefact.label}: shard {number} is missing; run the same extract again")
        if group and size + sidecar["file_bytes"] > PACK_BYTES:
            yield group
            group, size = {}, 0
        group[number] = place, sidecar
        size += sidecar["file_bytes"]
    yield group


def _remove_loose(artefact: manifest.Artefact, numbers: Iterable[int], checked: bool = False) -> None:
    """The files that are in a pack, byte for byte, unless someone has made them anew; the shard first: a writer leaves
    no sidecar alone."""
    for number in numbers:
        shard, sidecar = (artefact.path / name(number) for name in (paths.shard_file, paths.sidecar_file))
        if not sidecar.exists() or (packed := packs.find(artefact.path, number)) is None:
            continue
        if not shard.exists():
            sidecar.unlink()
        elif artefact.sidecar(number) == packed.sidecar and (checked or _whole(packed)):
            shard.unlink()
            sidecar.unlink()

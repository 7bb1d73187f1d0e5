"""Packs: many shards of an artefact in one file, so that a large store is not a hundred thousand small ones.

``packs/pack-00001-0a1b2c3d.tar`` holds the files of the shards byte for byte, each with its sidecar; the sealed JSON
beside it, written after it, says where each lies and repeats the sidecars. Reading a shard opens a part of the tar:
nothing is unpacked. Of several packs that hold a shard the one with the highest number counts; a shard file of its own
counts before any pack. A published pack never changes, but for its JSON, from which a faulty shard can be dropped.

Nothing is locked. No two packs have one name, and the temporary file of a pack's JSON is there before its tar is: a tar
that has neither beside it is no living writer's.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from fgscore import regular
from fgscore.errors import StoreError
from fgscore.store import files, paths

FOLDER, HEADER = "packs", 512


@dataclass(frozen=True)
class Place:
    """Where the bytes of a shard's file are: ``size`` bytes from ``start`` on, or the whole file where None."""

    path: Path
    start: int = 0
    size: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.size is None else f"{self.path} (byte {self.start})"

    @property
    def bytes(self) -> int | None:
        """How many are really there; None where no file is."""
        try:
            there = regular.check(self.path)
        except (FileNotFoundError, NotADirectoryError, regular.Irregular):
            return None
        return there if self.size is None else max(0, min(self.size, there - self.start))

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Its bytes as a file to read."""
        with regular.opened(self.path) as file:
            yield file if self.size is None else _Part(file, self.start, self.size)  # type: ignore[misc]

    def sha256(self) -> str:
        """SHA-256 of its bytes, in hex."""
        with self.opened() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


class _Part(io.RawIOBase):
    """Some bytes of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._at))
        self._file.seek(self._start + self._at)
        count = self._file.readinto(view[:count])  # type: ignore[attr-defined]
        self._at += count
        return count


@dataclass(frozen=True)
class Found:
    """Where the bytes of one shard are, and its sidecar, as the JSON at ``source`` says."""

    source: Path
    place: Place
    sidecar: Mapping[str, Any]

    @property
    def there(self) -> bool:
        """Whether as many bytes are there as the sidecar says."""
        return self.place.bytes == self.sidecar["file_bytes"]


@dataclass(frozen=True)
class Pack:
    """One pack; ``index`` is its JSON."""

    index: Path
    shards: Mapping[int, Found]

    @property
    def path(self) -> Path:
        """The tar."""
        return self.index.with_suffix(".tar")


def load(folder: Path) -> list[Pack]:
    """The packs of the artefact at ``folder``, the newest first. The JSON of each is read once a process, until
    :func:`forget`. Raises :class:`StoreError` for one that is damaged."""
    names = indexes(folder)
    while True:
        try:
            return [load_one(path) for path in names]
        except StoreError:  # damaged, or another process has just put a larger pack in its place
            before, names = names, indexes(folder)
            if names == before:
                raise


def indexes(folder: Path) -> list[Path]:
    """The JSON of each pack of the artefact at ``folder``, the newest first."""
    try:
        names = os.listdir(folder / FOLDER)
    except OSError:
        return []
    return [folder / FOLDER / name for name in sorted(names, reverse=True) if re.fullmatch(r"pack-.*\.json", name)]


@lru_cache(maxsize=4096)
def load_one(path: Path) -> Pack:
    """The pack whose JSON is at ``path``, as :func:`load`."""
    content = files.read_sealed(path)
    try:
        tar = path.with_suffix(".tar")
        return Pack(path, {
            int(number): Found(path, Place(tar, abs(int(one["start"])), abs(int(one["size"]))), dict(one["sidecar"]))
            for number, one in content["shards"].items()
        })  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{path}: not the index of a pack; run `fgscore repair`") from error


def forget() -> None:
    """Read every JSON anew from now on."""
    load_one.cache_clear()


def find(folder: Path, number: int) -> Found | None:
    """One shard of the artefact at ``folder`` as packed last; None where no pack has it."""
    return next((pack.shards[number] for pack in load(folder) if number in pack.shards), None)


def write(folder: Path, shards: Mapping[int, Found]) -> Pack:
    """Publish a pack of ``shards``. Raises :class:`StoreError` where the bytes of one are not those that its sidecar
    describes; nothing is published then."""
    earlier = [int(path.name.split("-")[1]) for path in (folder / FOLDER).glob("pack-*-*")]
    path = folder / FOLDER / f"pack-{max(earlier, default=0) + 1:05d}-{secrets.token_hex(4)}.tar"
    source = path.with_suffix(".json")
    with files.publishing(source) as index:  # begun before the tar is there, see the module
        with files.publishing(path) as file:
            starts = _write_tar(file, shards)
            file.flush()
            for number, found in shards.items():  # read back before anyone sees it
                written = Place(Path(file.name), starts[number], found.sidecar["file_bytes"])
                if written.sha256() != found.sidecar["file_sha256"]:
                    raise StoreError(f"{found.place}: not the file that its sidecar describes; run `fgscore repair`")
        entries = {
            number: Found(source, Place(path, starts[number], found.sidecar["file_bytes"]), found.sidecar)
            for number, found in shards.items()
        }
        index.write(files.seal(_index(entries)))
    forget()
    return Pack(source, entries)


def _write_tar(file: BinaryIO, shards: Mapping[int, Found]) -> dict[int, int]:
    """Write ``shards`` and their sidecars; returns where the bytes of each shard begin."""
    starts = {}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, found in shards.items():
            if not found.there:
                raise StoreError(f"{found.place}: not the file that its sidecar describes; run `fgscore repair`")
            with found.place.opened() as content:
                starts[number] = _add(tar, paths.shard_file(number), content, found.sidecar["file_bytes"])
            sealed = files.seal(found.sidecar)
            _add(tar, paths.sidecar_file(number), io.BytesIO(sealed), len(sealed))
    return starts


def _add(tar: tarfile.TarFile, name: str, content: Any, size: int) -> int:
    """Add a file of ``size`` bytes; returns where its bytes begin. No owner, host or time is kept."""
    info = tarfile.TarInfo(name)
    info.size = size
    start = tar.offset + HEADER
    tar.addfile(info, content)
    return int(start)


def _index(entries: Mapping[int, Found]) -> dict[str, Any]:
    """The content of a pack's JSON."""
    return {
        "shards": {
            f"{number:05d}": {"start": one.place.start, "size": one.place.size, "sidecar": dict(one.sidecar)}
            for number, one in entries.items()
        }
    }


def _publish_index(path: Path, entries: Mapping[int, Found]) -> Pack:
    files.write_sealed(path, _index(entries))
    forget()
    return Pack(path, dict(entries))


def drop(folder: Path, number: int) -> None:
    """Forget one shard of the artefact at ``folder``; its bytes stay where they are."""
    for pack in load(folder):
        if number in pack.shards:
            _publish_index(pack.index, {n: one for n, one in pack.shards.items() if n != number})


def rebuild(path: Path) -> Pack:
    """Make the JSON of the tar at ``path`` anew, with every shard in it that is whole."""
    entries: dict[int, Found] = {}
    places: dict[str, Place] = {}
    try:
        with regular.opened(path) as whole, tarfile.open(fileobj=whole, mode="r:") as tar:
            for member in tar:
                places[member.name] = place = Place(path, member.offset_data, member.size)
                shard = places.get(member.name.removesuffix(".json") + ".h5")
                if member.name.endswith(".json") and shard:
                    with place.opened() as file:
                        sidecar = files.unseal(path, file.read())
                    if shard.bytes == sidecar["file_bytes"] and shard.sha256() == sidecar["file_sha256"]:
                        entries[int(sidecar["number"])] = Found(path.with_suffix(".json"), shard, sidecar)
    except (tarfile.TarError, OSError, StoreError, KeyError) as error:
        regular.check_exhausted(path, error)  # else what has been read until then is kept
    return _publish_index(path.with_suffix(".json"), entries)


def remove(pack: Pack) -> None:
    """Delete one that is superseded: what says where shards are first."""
    pack.index.unlink(missing_ok=True)
    pack.path.unlink(missing_ok=True)


def orphans(folder: Path) -> list[Path]:
    """Tars without their JSON, which is lost or was never written; none while a writer is at work among them."""
    tars = sorted((folder / FOLDER).glob("pack-*.tar"))
    if files.held(folder / FOLDER):
        return []
    # in this order: the JSON of a tar that was there before, and that nobody is writing now, is there by now
    return [path for path in tars if not path.with_suffix(".json").exists()]

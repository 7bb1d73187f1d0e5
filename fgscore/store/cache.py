"""The cache under one data folder: its artefacts, found by recipe and read against their parents."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from fgscore.errors import StoreError
from fgscore.store import index as index_store
from fgscore.store import manifest, paths, schema
from fgscore.types import ImageIndex

INDEX_ROLES = ("images", "names", "labels", "boxes", "paths")


class Store:
    """The cache under one data folder. Indexes are read once and kept."""

    def __init__(self, layout: paths.Layout) -> None:
        self.layout = layout
        self._indexes: dict[Path, ImageIndex] = {}
        self._index_contents: dict[tuple[Path, str, int], str | None] = {}
        self._parents: dict[tuple[Path, str], manifest.Artefact] = {}

    def artefacts(self, kind: str, dataset: str | None = None) -> Iterator[manifest.Artefact]:
        """Every artefact of ``kind``, of one data set or of all, in the order of their names."""
        for path in sorted(self.layout.cache.glob(f"{dataset or '*'}/{kind}/*/{manifest.PLAN}")):
            yield manifest.load(path.parent)

    def find(self, kind: str, dataset: str, digest: str) -> manifest.Artefact | None:
        """The artefact of that recipe digest; whole digests are compared."""
        for path in self.layout.cache.glob(f"{dataset}/{kind}/*-{digest[:8]}/{manifest.PLAN}"):
            artefact = manifest.load(path.parent)
            if artefact.recipe.digest == digest:
                return artefact
        return None

    def parent(self, artefact: manifest.Artefact, role: str) -> manifest.Artefact:
        """The parent of ``artefact`` in ``role``; raises :class:`StoreError` when the cache lacks it."""
        kind = "index" if role in INDEX_ROLES else role
        found = self.find(kind, artefact.dataset, artefact.recipe.parents[role])
        if found is None:
            raise StoreError(f"{artefact.label}: its parent {kind} is not in this cache; copy all of data/cache")
        return found

    def index(self, artefact: manifest.Artefact) -> ImageIndex:
        """The index that an index artefact holds."""
        if artefact.path not in self._indexes:
            self._indexes[artefact.path] = index_store.read(artefact)
        return self._indexes[artefact.path]

    def forget(self, artefact: manifest.Artefact) -> None:
        """Read the index that an index artefact holds anew: it was written once more."""
        self._indexes.pop(artefact.path, None)
        self._index_contents = {key: found for key, found in self._index_contents.items() if key[0] != artefact.path}

    def parents_now(self, artefact: manifest.Artefact, number: int) -> dict[str, str]:
        """Role to content digest of what shard ``number`` must have been made from to be valid now.

        Raises :class:`StoreError` when a parent shard is not there.
        """
        return self.parents_of((artefact,), number)[0]

    def parents_of(self, artefacts: Iterable[manifest.Artefact], number: int) -> list[dict[str, str]]:
        """:meth:`parents_now` of each of ``artefacts``; what they share is read once."""
        read: dict[tuple[Path, str], str] = {}
        return [
            {role: self._content(artefact, role, number, read) for role in artefact.recipe.parents}
            for artefact in artefacts
        ]

    def _content(self, artefact: manifest.Artefact, role: str, number: int, read: dict[tuple[Path, str], str]) -> str:
        # recipes never change: a parent is looked up once, not once a shard
        parent = self._parents.get((artefact.path, role)) or self.parent(artefact, role)
        self._parents[artefact.path, role] = parent
        if (key := (parent.path, role)) in read:
            return read[key]
        if role in INDEX_ROLES:
            digest = self._index_content(parent, role, number)
        else:
            digest = parent.content(0 if role in schema.OF_CLASSES else number)
        if digest is None:
            raise StoreError(f"{parent.label}: shard {number} is missing; run the same extract again")
        read[key] = digest
        return digest

    def _index_content(self, parent: manifest.Artefact, role: str, number: int) -> str | None:
        key = parent.path, role, number
        if key not in self._index_contents:
            self._index_contents[key] = self._index_digest(parent, role, number)
        return self._index_contents[key]

    def _index_digest(self, parent: manifest.Artefact, role: str, number: int) -> str | None:
        index = self.index(parent)
        if role == "names":
            return index.names_digest()
        if role == "paths":
            return index.paths_digest()
        rows = index.shards.get(number)
        if rows is None:
            return None
        of_rows = {"images": index.images_digest, "labels": index.labels_digest, "boxes": index.boxes_digest}
        return of_rows[role](rows)

    def read(self, artefact: manifest.Artefact, number: int) -> Any:
        """The record of one shard, refused where its parents have changed since."""
        return artefact.read(number, self.parents_now(artefact, number))

    def columns(self, artefact: manifest.Artefact, number: int, names: Collection[str] | None = None) -> schema.Arrays:
        """Some arrays of one shard, all with None, refused as :meth:`read` does; strings as numpy strings."""
        return schema.in_memory(artefact.arrays(number, self.parents_now(artefact, number), names))

"""Recipes, plans, sidecars and manifests: the one place that decides whether a cached shard is valid.

An artefact is a directory named by the digest of its *recipe*: what it is made of and how. Its ``plan.json`` comes
first, then shard after shard with a sidecar each, and ``manifest.json`` once all are there. Each sidecar records the
*content* digest of every parent shard it was made from, so a changed parent is noticed shard by shard.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fgscore import specs
from fgscore.errors import StaleParent, StoreError
from fgscore.store import files, packs, paths, schema, shards

PLAN, MANIFEST = "plan.json", "manifest.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """What an artefact is made of.

    ``component`` is its canonical text and ``params`` the parameters in full; ``version`` the plugin's; ``weights``
    the SHA-256 or the resolved commit of a model; ``parents`` maps a role (a kind, or 'images', 'names', 'labels' of
    the index) to the recipe digest of that parent; ``extra`` holds what else decides the content.
    """

    kind: str
    component: str
    params: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    weights: str | None = None
    parents: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything but ``params``, which the canonical component already says."""
        content = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "params"}
        return specs.digest({**content, "schema": schema.SCHEMA})

    @property
    def name(self) -> str:
        """The component's name, without parameters."""
        return specs.parse(self.component).name

    @property
    def source(self) -> str | None:
        """The digest of the user's file or of the distribution that its component stood in; None for ours."""
        return self.weights if self.kind == "scores" else self.extra.get("source")

    def to_json(self) -> dict[str, Any]:
        """As kept in ``plan.json``."""
        return {**asdict(self), "params": {k: _jsonable(v) for k, v in self.params.items()}}


def _jsonable(value: Any) -> Any:
    return [_jsonable(v) for v in value] if isinstance(value, tuple | list) else value


@dataclass(frozen=True)
class Artefact:
    """A directory of the store whose plan has been read."""

    path: Path
    recipe: Recipe
    shard_sizes: Mapping[int, int]  # shard number to images (1 for the text artefact)

    @property
    def dataset(self) -> str:
        """The data set's folder name in the cache."""
        return self.path.parent.parent.name

    @property
    def label(self) -> str:
        """``cars/regions/random_crop-1a2b3c4d``: how messages and tables name it."""
        return f"{self.dataset}/{self.recipe.kind}/{self.path.name}"

    def sidecar(self, number: int) -> dict[str, Any] | None:
        """The sealed record of one shard; None while it, or the shard itself, is not there."""
        found = self.found(number)
        return dict(found.sidecar) if found else None

    def found(self, number: int) -> packs.Found | None:
        """Where one shard is, with its sidecar; None while it is not there."""
        return self._using(number, lambda found: found)

    def _using(self, number: int, use: Callable[[packs.Found | None], T]) -> T:
        """What ``use`` makes of one shard. `compact` moves shards while others read them: what fails is tried again as
        long as the shard is found at another place than the time before."""
        before: Any = self  # no place
        while True:
            try:
                return use(self._found(number))
            except (StoreError, FileNotFoundError):
                place = self.place(number)
                if place == before:
                    raise
                before = place

    def _found(self, number: int) -> packs.Found | None:
        if self.is_loose(number):
            path = self.path / paths.sidecar_file(number)
            place = packs.Place(self.path / paths.shard_file(number))
            found: packs.Found | None = packs.Found(path, place, files.read_sealed(path))
        else:
            found = packs.find(self.path, number)
        if found and (wrong := _misfits(found.sidecar, number, self.recipe)):
            raise StoreError(f"{found.source}: {wrong}; run `fgscore repair`, then the same extract again")
        return found

    def is_loose(self, number: int) -> bool:
        """Whether one shard is a file of its own, with its sidecar: these count before any pack."""
        folder = os.fspath(self.path)  # asked for several times a shard: no new Path each time
        names = paths.sidecar_file(number), paths.shard_file(number)
        return all(os.path.exists(os.path.join(folder, name)) for name in names)

    def place(self, number: int) -> packs.Place | None:
        """Where the bytes of one shard are; None while it is not there."""
        if self.is_loose(number):
            return packs.Place(self.path / paths.shard_file(number))
        packed = packs.find(self.path, number)
        return packed.place if packed else None

    def published(self) -> set[int]:
        """Planned shards that are there with their sidecar, current or not, from one listing of the directory."""
        names = set(os.listdir(self.path))
        packed = {number for pack in packs.load(self.path) for number in pack.shards}
        return {
            number
            for number in self.shard_sizes
            if number in packed or {paths.sidecar_file(number), paths.shard_file(number)} <= names
        }

    def is_whole(self) -> bool:
        """Whether every planned shard is there, current or not, with as many bytes as its sidecar says."""
        try:
            return all((found := self.found(number)) is not None and found.there for number in self.shard_sizes)
        except StoreError:
            return False

    def content(self, number: int) -> str | None:
        """Content digest of one shard; None while it is not there."""
        sidecar = self.sidecar(number)
        return None if sidecar is None else str(sidecar["content_digest"])

    def is_current(self, number: int, parents: Mapping[str, str]) -> bool:
        """Whether the shard is there, whole, and made from exactly these parents. Damage counts as absence, but that of
        a pack's JSON raises :class:`StoreError`: it can be mended, and what it holds is too much to make anew."""
        if self.place(number) is None:
            return False
        try:
            return self._using(
                number, lambda found: found is not None and dict(_whole(found).sidecar["parents"]) == dict(parents)
            )
        except StoreError:
            return False

    def publish(
        self,
        number: int,
        record: Any,
        parents: Mapping[str, str],
        failures: Sequence[Mapping[str, str]] = (),
        provenance: Mapping[str, Any] | None = None,
    ) -> str:
        """Write one shard, then its sidecar. Returns the content digest.

        ``failures`` are ``{"image_id": ..., "reason": ...}`` of images that are not in the record.
        """
        durable = self.recipe.kind not in schema.LAPTOP_KINDS
        facts = shards.write(self.path / paths.shard_file(number), record, durable)
        counts = {"images": len(record.image_ids)} if hasattr(record, "image_ids") else {}
        if hasattr(record, "offsets"):
            counts["regions"] = int(record.offsets[-1])
        content = {
            **facts,
            "kind": self.recipe.kind,
            "number": number,
            "recipe_digest": self.recipe.digest,
            "counts": counts,
            "parents": dict(parents),
            "failures": [dict(f) for f in failures],
            "provenance": dict(provenance or {}),
        }
        files.write_sealed(self.path / paths.sidecar_file(number), content, durable)
        return str(facts["content_digest"])

    def read(self, number: int, parents: Mapping[str, str] | None = None) -> Any:
        """The record of one shard. With ``parents``, raises :class:`StaleParent` where it was made from others; raises
        :class:`StoreError` where it is missing or not what its sidecar describes."""
        return self._read(number, parents, lambda place: shards.read(place, self.recipe.kind))

    def arrays(
        self, number: int, parents: Mapping[str, str] | None = None, names: Collection[str] | None = None
    ) -> schema.Arrays:
        """The arrays of one shard as on disk, all or those in ``names`` that are there; refused as by :meth:`read`."""
        return self._read(number, parents, lambda place: shards.read_arrays(place, self.recipe.kind, names))

    def shapes(self, number: int) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        """dtype and shape of every array of one shard; refused as by :meth:`read`."""
        return self._read(number, None, lambda place: shards.shapes(place, self.recipe.kind))

    def _read(self, number: int, parents: Mapping[str, str] | None, read: Callable[[packs.Place], T]) -> T:
        def checked(found: packs.Found | None) -> T:
            if found is None:
                raise StoreError(f"{self.label}: shard {number} is missing; run the same extract again")
            for role, now in (parents or {}).items():
                if found.sidecar["parents"].get(role) != now:
                    raise StaleParent(
                        f"{self.label}: shard {number} was made from other {role} than the cache holds now; "
                        "run the same extract again"
                    )
            return read(_whole(found).place)

        return self._using(number, checked)

    def finish(self) -> bool:
        """Write the manifest when every planned shard is there: a pure function of plan and sidecars, so that two
        writers who race agree. Returns whether the artefact is complete."""
        sidecars = {n: self.sidecar(n) for n in self.shard_sizes}
        present = {n: s for n, s in sidecars.items() if s is not None}
        if len(present) < len(sidecars):
            return False
        _write_if_changed(self.path / MANIFEST, self.summary(present))
        return True

    def summary(self, sidecars: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
        """What the manifest of a complete artefact says: content digests and counts, no timing."""
        contents = {f"{n:05d}": s["content_digest"] for n, s in sidecars.items()}
        totals = {"failures": sum(len(s["failures"]) for s in sidecars.values())}
        for sidecar in sidecars.values():
            for unit, count in sidecar["counts"].items():
                totals[unit] = totals.get(unit, 0) + count
        return {
            "kind": self.recipe.kind,
            "recipe_digest": self.recipe.digest,
            "shards": contents,
            "content_digest": specs.digest(contents),
            "counts": totals,
        }

    def manifest(self) -> dict[str, Any] | None:
        """The sealed manifest; None while the artefact is incomplete."""
        path = self.path / MANIFEST
        return files.read_sealed(path) if path.exists() else None


SIDECAR_TYPES = {
    "content_digest": str,
    "file_sha256": str,
    "file_bytes": int,
    "kind": str,
    "number": int,
    "recipe_digest": str,
    "counts": dict,
    "parents": dict,
    "failures": list,
    "provenance": dict,
}


def _misfits(content: Mapping[str, Any], number: int, recipe: Recipe) -> str:
    """What is wrong with a sidecar as that of shard ``number`` of ``recipe``; empty when nothing is."""
    for key, wanted in SIDECAR_TYPES.items():
        if not isinstance(content.get(key), wanted):
            return f"not a sidecar: {key} is missing or no {wanted.__name__}"
    if not all(isinstance(n, int) for n in content["counts"].values()):
        return "not a sidecar: counts that are no whole numbers"
    if not all(isinstance(f, dict) and {"image_id", "reason"} <= set(f) for f in content["failures"]):
        return "not a sidecar: failures without image_id and reason"
    if content["number"] != number:
        return f"belongs to shard {content['number']}, expected shard {number}"
    if content["recipe_digest"] != recipe.digest:
        return "belongs to an artefact of another recipe"
    return ""


def _whole(found: packs.Found) -> packs.Found:
    """``found`` itself. Raises :class:`StoreError` where not as many bytes are there as its sidecar says."""
    if not found.there:
        raise StoreError(f"{found.place}: not the file that its sidecar describes; run `fgscore verify`")
    return found


def _write_if_changed(path: Path, content: Mapping[str, Any]) -> None:
    try:
        if path.exists() and files.read_sealed(path) == content:
            return
    except StoreError:
        pass  # damaged: written anew
    files.write_sealed(path, content)


def plan(layout: paths.Layout, dataset: str, recipe: Recipe, shard_sizes: Mapping[int, int]) -> Artefact:
    """The artefact of ``recipe``, its directory and ``plan.json`` made or brought up to date."""
    path = layout.artefact(dataset, recipe.kind, recipe.component, recipe.digest)
    content = {
        "kind": recipe.kind,
        "schema": schema.SCHEMA,
        "recipe": recipe.to_json(),
        "recipe_digest": recipe.digest,
        "shards": {f"{n:05d}": size for n, size in shard_sizes.items()},
    }
    files.sweep(path)
    _write_if_changed(path / PLAN, content)
    return Artefact(path, recipe, dict(shard_sizes))


def load(path: Path) -> Artefact:
    """The artefact at ``path``. Raises :class:`StoreError` where its plan is damaged or of another schema."""
    content = files.read_sealed(path / PLAN)
    if content.get("schema") != schema.SCHEMA:
        raise StoreError(
            f"{path}: written with schema {content.get('schema')!r}, this version reads {schema.SCHEMA}; "
            "use the fgscore that wrote it, or extract again"
        )
    try:
        recipe = Recipe(**content["recipe"])
        _check_types(recipe)
        sizes = {int(n): int(size) for n, size in content["shards"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{path / PLAN}: not a plan ({error}); run `fgscore repair`, then the same extract again"
        ) from error
    if recipe.digest != content["recipe_digest"] or not path.name.endswith(recipe.digest[:8]):
        raise StoreError(f"{path / PLAN}: belongs to another artefact; move it back or extract again")
    return Artefact(path, recipe, sizes)


def _check_types(recipe: Recipe) -> None:
    """Raises TypeError where a plan's recipe has fields of other types than we write."""
    wanted = {"kind": str, "component": str, "params": dict, "version": int, "parents": dict, "extra": dict}
    for key, kind in wanted.items():
        if not isinstance(getattr(recipe, key), kind):
            raise TypeError(f"recipe: {key} is no {kind.__name__}")
    if recipe.kind not in schema.KINDS or not all(isinstance(v, str) for v in recipe.parents.values()):
        raise TypeError("recipe: unknown kind or parents")

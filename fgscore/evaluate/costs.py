"""What an image costs in a setting: multiply-accumulates, seconds and bytes, from the sidecars of what it is made of.

A store that was made before sidecars kept multiply-accumulates has them counted by its models, where these are on this
machine and may be taken because a store names them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgscore.encoders import Encoder
from fgscore.errors import FgscoreError, MissingExtra, MissingWeights
from fgscore.evaluate import recorded
from fgscore.extract.part import Part
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.machine.macs import Macs
from fgscore.machine.packages import check_installed
from fgscore.runtime import Runtime
from fgscore.store.cache import Store
from fgscore.store.manifest import Artefact

Window = tuple[int, int] | None


@dataclass(frozen=True)
class Cost:
    """What is spent on an image before any probe, on average: multiply-accumulates of encoder and generator, seconds as
    measured, bytes in the store; None where that is not known. ``note`` says what would tell, where something would."""

    macs: float | None = None
    seconds: float | None = None
    bytes: float | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As columns ``macs``, ``image_seconds`` and ``image_bytes`` of a row, and ``macs_note``."""
        return {"macs": self.macs, "image_seconds": self.seconds, "image_bytes": self.bytes, "macs_note": self.note}


@dataclass(frozen=True)
class _Spent:
    """Of one artefact: images and regions that it holds; seconds an image, None where they were not measured; bytes an
    image."""

    images: int
    regions: int
    seconds: float | None
    bytes: float

    @property
    def per_image(self) -> float:
        """Regions of an image, on average."""
        return self.regions / self.images if self.images else 0.0


class Costs:
    """Costs of settings of one store; each artefact is looked at once."""

    def __init__(self, store: Store) -> None:
        self._store, self._models = store, store.layout.models
        self._spent: dict[Path, _Spent] = {}
        self._macs: dict[Path, Macs | None] = {}
        self._notes: dict[Path, str] = {}

    def of(self, whole: Artefact, embeddings: Artefact | None = None, crops: Window = None) -> Cost:
        """The cost of an image of which the embedding ``whole`` is used, and the region ``embeddings`` where they are
        given: all, or a draw of ``crops``, which costs its share."""
        made = [whole]
        if embeddings is not None:
            made += [embeddings, *self._lineage(self._store.parent(embeddings, "regions"))]
        spent = {one.path: self._spent_on(one) for one in made}
        share = 1.0
        regions = spent[embeddings.path].per_image if embeddings is not None else 0.0
        if crops is not None and regions:
            share = min(1.0, (crops[1] - crops[0]) / regions)
        shares = [1.0, *[share] * (len(made) - 1)]
        seconds = [spent[one.path].seconds for one in made]
        return Cost(
            macs=self._sum(made, regions * share),
            seconds=None if None in seconds else sum((s or 0.0) * k for s, k in zip(seconds, shares, strict=True)),
            bytes=sum(spent[one.path].bytes * k for one, k in zip(made, shares, strict=True)),
            note="; ".join(self._notes[one.path] for one in made if one.path in self._notes),
        )

    def _sum(self, made: list[Artefact], regions: float) -> float | None:
        """Of all that is ``made``, for as many ``regions`` an image."""
        counts = [self._macs_of(one) for one in made]
        known = [count for count in counts if count is not None]
        return sum(count.of(regions) for count in known) if len(known) == len(counts) else None

    def _lineage(self, regions: Artefact) -> Iterator[Artefact]:
        """``regions``, and those that they are made of, which must be made too."""
        yield regions
        if "regions" in regions.recipe.parents:
            yield from self._lineage(self._store.parent(regions, "regions"))

    def _spent_on(self, artefact: Artefact) -> _Spent:
        if artefact.path not in self._spent:
            self._spent[artefact.path] = _spent_on(artefact)
        return self._spent[artefact.path]

    def _macs_of(self, artefact: Artefact) -> Macs | None:
        if artefact.path not in self._macs:
            kept = _kept(artefact)
            self._macs[artefact.path] = Macs.read(kept["macs"]) if kept else self._anew(artefact)
        return self._macs[artefact.path]

    def _anew(self, artefact: Artefact) -> Macs | None:
        """Counted by the model, of an artefact that keeps none."""
        recipe = artefact.recipe
        parts: type[Part[Any]] = GeneratorPart if recipe.kind == "regions" else EncoderPart
        if recipe.name not in parts.makers.ours_named() or recipe.extra.get("imported"):
            return None
        try:
            part = parts(parts.makers.built_in(recipe.component), Runtime(self._models, "cpu", offline=True))
            if isinstance(part, EncoderPart) and type(part.made).macs is Encoder.macs:
                return None
            named = part if part.made.is_known else recorded.at_commit(part, recipe.weights)
            if named is None:
                self._notes[artefact.path] = _unknown(artefact, "its weights are of one's own")
                return None
            return self._counted(artefact, named)
        except FgscoreError:  # such as a file that a parameter names, which is elsewhere
            return None

    def _counted(self, artefact: Artefact, part: Part[Any]) -> Macs | None:
        try:
            check_installed(part.lacking())
            if isinstance(part, EncoderPart) and artefact.recipe.kind == "globals":
                return part.macs_of_whole
            return part.macs
        except MissingExtra as error:
            self._notes[artefact.path] = _unknown(artefact, str(error))
        except MissingWeights:
            self._notes[artefact.path] = _unknown(artefact, f'run `fgscore download "{recorded.text(part.maker)}"`')
        return None


def _unknown(artefact: Artefact, why: str) -> str:
    return f"GMAC of {artefact.recipe.component}: extracted before it was counted; {why}."


def _kept(artefact: Artefact) -> dict[str, Any] | None:
    """The provenance of its first shard that says what was counted; None where no shard does."""
    for number in artefact.shard_sizes:
        sidecar = artefact.sidecar(number)
        if sidecar and "macs" in sidecar["provenance"]:
            return dict(sidecar["provenance"])
    return None


def _spent_on(artefact: Artefact) -> _Spent:
    images = regions = size = 0
    seconds: float | None = None if artefact.recipe.extra.get("imported") else 0.0  # whose making nobody timed
    for number in artefact.shard_sizes:
        sidecar = artefact.sidecar(number)
        if sidecar is None:
            continue
        held, rate = sidecar["counts"].get("images", 0), sidecar["provenance"].get("images_per_second")
        images, regions, size = (
            images + held,
            regions + sidecar["counts"].get("regions", 0),
            size + sidecar["file_bytes"],
        )
        seconds = seconds + held / rate if seconds is not None and isinstance(rate, int | float) and rate > 0 else None
    each = max(images, 1)
    return _Spent(images, regions, None if seconds is None else seconds / each, size / each)

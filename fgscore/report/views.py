"""What the cache has to look at: for each generator its scores, current and whole, and how far scorers agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fgscore import ragged, specs
from fgscore.errors import NothingCached, StoreError, UnknownName, quoted
from fgscore.evaluate import strategies
from fgscore.scorers import Scorer
from fgscore.store import manifest, records
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.match import bundles, matches
from fgscore.tables import shortened
from fgscore.targets import Target


@dataclass(frozen=True)
class View:
    """Scores of one scorer against one target, '' for a scorer without."""

    scorer: str
    target: str
    artefact: manifest.Artefact

    @property
    def label(self) -> str:
        """``Soft negative margin, global``."""
        return strategies.scored(self.scorer, self.target)


@dataclass
class Source:
    """The regions of one generator, embedded and scored. ``label`` tells it from the others of its data set."""

    bundle: RegionBundle
    views: list[View]
    label: str = ""


@dataclass
class Sources:
    """Those of every data set, by its name; ``notes`` say what was left out and why."""

    by_dataset: dict[str, list[Source]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def sources(store: Store, dataset: str | None = None, only: Sequence[str] = ()) -> Sources:
    """Every generator with scores in the cache; of scorers just those that agree with one of ``only``, where given."""
    found = Sources()
    try:
        cached = bundles(store, dataset)
    except (NothingCached, UnknownName):  # results alone may be there
        return found
    for bundle in cached:
        if isinstance(bundle, RegionBundle) and (views := _views(bundle, only, found.notes)):
            found.by_dataset.setdefault(bundle.dataset, []).append(Source(bundle, views))
    shown = [view.artefact.recipe for several in found.by_dataset.values() for s in several for view in s.views]
    for text in only:
        if not any(matches(recipe, specs.parse(text)) for recipe in shown):
            command = f"fgscore score {f'{quoted(dataset)} ' if dataset else ''}--scorer {quoted(text)}"
            found.notes.append(f"No current scores of {text} are cached; run `{command}`.")
    for several in found.by_dataset.values():
        several.sort(key=lambda source: source.bundle.regions.recipe.component)
        for source, label in zip(several, _labels(several), strict=True):
            source.label = label
    return found


def _views(bundle: RegionBundle, only: Sequence[str], notes: list[str]) -> list[View]:
    wanted = [specs.parse(text) for text in only]
    found = []
    for artefact in bundle.store.artefacts("scores", bundle.index_artefact.dataset):
        recipe = artefact.recipe
        own = {made.recipe.kind: made.recipe.digest for made in bundle.artefacts}
        if any(own[role] != digest for role, digest in recipe.parents.items() if role in own):
            continue
        if wanted and not any(matches(recipe, spec) for spec in wanted):
            continue
        view = View(recipe.component, str(recipe.extra.get("target", "")), artefact)
        if why := _unusable(bundle.store, artefact):
            notes.append(f"Left out {artefact.label} ({view.label}): {why}.")
        else:
            found.append(view)
    return sorted(found, key=_order)


def _unusable(store: Store, artefact: manifest.Artefact) -> str:
    """Why scores cannot be shown: unfinished, or made from what the cache no longer holds; empty when they can."""
    try:
        for number in artefact.shard_sizes:
            if artefact.sidecar(number) is None:
                return "unfinished"
            if not artefact.is_current(number, store.parents_now(artefact, number)):
                return "made from what the cache held before"
    except StoreError as error:
        return str(error).partition(";")[0]
    return ""


def _order(view: View) -> tuple:
    names, modes = Scorer.ours_named(), ["", *Target.ours_named()]
    name = view.scorer.partition("(")[0]
    place = names.index(name) if name in names else len(names)
    return place, view.scorer, modes.index(view.target) if view.target in modes else len(modes)


def _labels(several: Sequence[Source]) -> list[str]:
    """The shortest labels that tell sources apart: the generator's name, its parameters, encoder and prompt."""
    labels = [source.bundle.labels for source in several]
    names = shortened(one["regions"] for one in labels)
    varying = [key for key in ("encoder", "prompt") if len({one[key] for one in labels}) > 1]
    marked = [f"{names[one['regions']]}{strategies.bound(one['regions'])}" for one in labels]
    return [", ".join([name, *(one[key] for key in varying)]) for name, one in zip(marked, labels, strict=True)]


def agreement(source: Source, k: int, most: int = 12) -> tuple[list[str], np.ndarray, float]:
    """How much of the top ``k`` scorers share, over all images with a region.

    Returns (labels (S,), shared (S, S), chance): the mean over images of the number in common over the number kept, and
    what scorers that choose at random would share. Of more than ``most`` label-free views the first count.
    """
    views = [view for view in source.views if not strategies.is_oracle(view.target)][:most]
    kept, sizes = [], None
    for view in views:
        scored = records.concat([source.bundle.store.read(view.artefact, n) for n in view.artefact.shard_sizes])
        kept.append(ragged.rank(scored.scores, scored.offsets) < k)
        sizes = scored.offsets
    assert sizes is not None
    regions = ragged.lengths(sizes)
    filled = regions > 0
    per_image = np.minimum(regions, k)[filled]
    shared = np.eye(len(views))
    owners = ragged.segment_ids(sizes)
    for i, a in enumerate(kept):
        for j, b in enumerate(kept[:i]):
            common = np.bincount(owners, a & b, len(regions))[filled]
            shared[i, j] = shared[j, i] = (common / per_image).mean() if len(per_image) else 0.0
    chance = (per_image / regions[filled]).mean() if len(per_image) else 0.0
    return [view.label for view in views], shared, float(chance)

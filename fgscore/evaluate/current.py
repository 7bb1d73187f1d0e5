"""Whether a result is still that of what the cache holds.

A result is *current* where its digest is what the cache gives now, *stale* where the cache holds other content under
the same names, and *alone* where the embeddings that it names are not here, all of them, or where it cannot be told: of
a row of before with a component that is not built in. Nothing is imported or run because a row names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import get_args

from fgscore import specs
from fgscore.errors import UsageError, quoted
from fgscore.evaluate import results
from fgscore.evaluate.costs import Cost, Costs
from fgscore.evaluate.features import FeatureRun, Rows
from fgscore.evaluate.probe import names, result_digest, roles
from fgscore.evaluate.results import Result
from fgscore.evaluate.score import ScoreRun
from fgscore.heads import Head
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.store import manifest, paths
from fgscore.store.bundle import Bundle, RegionBundle, asked
from fgscore.store.cache import Store
from fgscore.store.match import bundles, dataset_key
from fgscore.targets import Target

MOST = 3  # commands in one note
NAMES = ("dataset", "regions", "encoder", "prompt")
OPTIONS = ("regions", "encoder", "prompt", "scorer", "target", "pool", "head")  # of a command, each of several values


class State(StrEnum):
    """What a result is against the cache, as the module says."""

    CURRENT = "current"
    STALE = "stale"
    ALONE = "alone"


@dataclass(frozen=True)
class Standing:
    """A result and its state; ``embeddings`` are those that a current one was made from, of regions or of whole images,
    ``whole`` those of whole images. ``outdated``: a stale one is of the content of now, but by an earlier version of
    its head."""

    result: Result
    state: State
    embeddings: manifest.Artefact | None = None
    whole: manifest.Artefact | None = None
    outdated: bool = False

    def cost(self, costs: Costs) -> Cost:
        """What an image costs; nothing is known of one that is not current."""
        if self.whole is None or self.embeddings is None:
            return Cost()
        of_regions = self.embeddings if self.result.regions else None
        start, _, stop = self.result.crops.partition(":")
        return costs.of(self.whole, of_regions, (int(start), int(stop)) if stop else None)


def standings(store: Store, dataset: str | None = None) -> list[Standing]:
    """The state of every result of a data set, or of all, in the order of their files' names. Raises
    :class:`StoreError` where a result, or what the cache says of its embeddings, is damaged."""
    cache = _Cache(store)
    return [cache.judge(result) for result in results.read_all(store.layout.results, dataset_key(dataset))]


class _Cache:
    """What a cache holds of the data sets that are asked for; each artefact is looked at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bundles: dict[str, list[Bundle]] = {}
        self._contents: dict[Path, list[str | None]] = {}
        self._labels: dict[Path, str] = {}

    def judge(self, result: Result) -> Standing:
        """The state of a result that was read."""
        assert result.place is not None
        pooled, named = bool(result.regions), {name: getattr(result, name) for name in NAMES}
        described = "descriptions" in result.lineage
        standing = Standing(result, State.ALONE)
        for bundle in self._of(result.place.dataset):
            if names(bundle, pooled) != named:
                continue
            parents: dict[str, manifest.Artefact] = {
                role: getattr(bundle, role) for role in roles(bundle, pooled, described)
            }
            contents = {role: self._content(parent) for role, parent in parents.items()}
            features = _features(bundle, parents, result)
            if features is None or any(None in shards for shards in contents.values()):
                continue
            labels, validation = self._labels_of(bundle), result.place.validation
            head = (result.head, result.shots, validation, result.lineage.get("head"), result.eval_split)
            version = _version(result.head)
            if result.digest == result_digest(features, contents, labels, *head, version):
                embeddings = parents["region_embeddings" if pooled else "globals"]
                return Standing(result, State.CURRENT, embeddings, parents["globals"])
            earlier = (result_digest(features, contents, labels, *head, before) for before in range(1, version))
            standing = Standing(result, State.STALE, outdated=result.digest in earlier)
        return standing

    def _of(self, dataset: str) -> list[Bundle]:
        if dataset not in self._bundles:
            # a folder of results may have been given any name
            held = paths.slug(dataset) == dataset and any(self._store.artefacts("globals", dataset))
            self._bundles[dataset] = bundles(self._store, dataset, every_copy=True) if held else []
        return self._bundles[dataset]

    def _content(self, artefact: manifest.Artefact) -> list[str | None]:
        """Content digests of its shards, None for one that is not there: from the sidecars, as a probe takes them. The
        manifest of an artefact that is being made anew is still that of before."""
        if artefact.path not in self._contents:
            self._contents[artefact.path] = [artefact.content(number) for number in artefact.shard_sizes]
        return self._contents[artefact.path]

    def _labels_of(self, bundle: Bundle) -> str:
        path = bundle.index_artefact.path
        if path not in self._labels:
            self._labels[path] = bundle.index.labels_digest()
        return self._labels[path]


def _features(bundle: Bundle, parents: Mapping[str, manifest.Artefact], result: Result) -> str | None:
    """Recipe digest of the features of ``result`` on ``bundle``, '' where it was made from others; None where it cannot
    be told."""
    if not result.lineage:
        run = rebuilt(bundle, result)
        return run.recipe.digest if run else None
    same = all(result.lineage.get(role) == parent.recipe.digest for role, parent in parents.items())
    return result.lineage.get("features", "") if same else ""


def _version(head: str) -> int:
    """The version that the head of that text has now; 1 for one that is not built in."""
    try:
        return Head.built_in(head).version
    except UsageError:
        return 1


def rebuilt(bundle: Bundle, result: Result) -> FeatureRun | None:
    """The features on ``bundle`` that a row of before names; None where a component that it names is not built in."""
    rows = next((rows for rows in get_args(Rows) if rows == result.features), None)
    if rows is None:
        return None
    try:
        scores = None
        if result.scorer and isinstance(bundle, RegionBundle):
            target = Target.built_in(result.target) if result.target else None
            scores = ScoreRun(bundle, Scorer.built_in(result.scorer), target)
        crops = tuple(int(end) for end in result.crops.split(":")) if result.crops else None
        return FeatureRun(bundle, Pooling.built_in(result.pool), scores, rows, crops)  # type: ignore[arg-type]
    except (UsageError, ValueError):
        return None


def notes(standings: Sequence[Standing]) -> list[str]:
    """A line for each data set with stale results, and one for each head of which they are by an earlier version: how
    many are left out, and what computes them anew. Those that have been, so that there is a current one of the same
    setting, are not counted."""
    measured = {standing.result.compared for standing in standings if standing.state == State.CURRENT}
    groups: dict[tuple[str, str], list[Result]] = {}
    for standing in standings:
        result = standing.result
        if standing.state == State.STALE and result.compared not in measured:
            why = "of other content than the cache holds now"
            if standing.outdated:
                why = f"by an earlier version of {specs.parse(result.head).name}"
            groups.setdefault((result.dataset, why), []).append(result)
    lines = []
    for (dataset, why), stale in groups.items():
        few = f"{len(stale)} results are" if len(stale) > 1 else "1 result is"
        ours = [result for result in stale if not _own(result)]
        ways = [f"run `{command}`" for command in again(ours)]
        ways += [f"probe again with your {text}" for text in dict.fromkeys(t for r in stale for t in _own(r))]
        further = f"; and {len(ways) - MOST} commands more after these" if len(ways) > MOST else ""
        lines.append(f"{dataset}: {few} {why}, left out; {'; '.join(ways[:MOST])}{further}")
    return lines


def _own(result: Result) -> list[str]:
    """The components of a result that stand in a user's file, wherever that lies."""
    texts = (getattr(result, option) for option in OPTIONS if option != "prompt")
    return [text for text in texts if text and specs.file_of(specs.parse(text).name)]


def again(stale: Sequence[Result]) -> list[str]:
    """The commands that compute ``stale`` results anew, and, but for draws of crops, nothing else."""
    same = ("dataset", "features", "crops", "shots", "eval_split")
    boxes: list[dict[str, tuple[str, ...]]]
    boxes = [{key: (str(getattr(result, key)),) for key in (*same, *OPTIONS)} for result in stale]
    for key in OPTIONS:  # those that differ in this alone become one
        merged: dict[tuple, dict[str, tuple[str, ...]]] = {}
        for box in boxes:
            one = merged.setdefault(tuple(v for k, v in box.items() if k != key), {**box, key: ()})
            one[key] = tuple(dict.fromkeys((*one[key], *box[key])))
        boxes = list(merged.values())
    return [_command(box) for box in boxes]


def _command(box: Mapping[str, tuple[str, ...]]) -> str:
    same = ("dataset", "features", "crops", "shots", "eval_split")
    (dataset,), (features,), (crops,), (shots,), (measured,) = (box[key] for key in same)
    options = [(key, value) for key in OPTIONS for value in box[key] if value]
    options += [("features", features)] if features != "unit" else []
    options += [("shots", shots)] if shots != "0" else []
    options += [("eval-split", measured)] if measured != "test" else []
    if crops:
        start, stop = (int(end) for end in crops.split(":"))
        options += [("n-regions", str(stop - start)), ("draws", str(stop // (stop - start)))]
    words = [f" --{key} {quoted(value)}" for key, value in options]
    return f"fgscore {'sweep' if crops else 'probe'} {quoted(asked(dataset))}{''.join(words)}"

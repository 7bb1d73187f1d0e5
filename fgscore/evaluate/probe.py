"""Fit heads on pooled features and keep each result: one Parquet row, and the prediction for every test image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from fgscore import specs
from fgscore.errors import DataError, NoLabels, StoreError, quoted
from fgscore.evaluate import results
from fgscore.evaluate.costs import Cost, Costs
from fgscore.evaluate.features import FeatureRun, Matrix, matrices, prepare
from fgscore.evaluate.results import Place, Predictions, Result
from fgscore.evaluate.score import check_needs
from fgscore.heads import UNUSED, Head, ProbeData, ProbeResult, few_shot, measured_on, validation_split
from fgscore.labels import UNLABELLED, measurable, unmeasurable
from fgscore.machine.progress import Clock, Progress, silent
from fgscore.machine.threads import ahead, processors
from fgscore.pooling import Pooling
from fgscore.stats.accuracy import one_run
from fgscore.store.bundle import Bundle, RegionBundle

VERSION = 5  # of the heads' code: a change that moves results raises it, so that none is mistaken for current
IN_MEMORY = 1 << 30  # bytes of feature matrices that are made in one pass over the embeddings


@dataclass(frozen=True)
class ProbeRun:
    """One head on one set of features. ``shots`` leaves it so many train images a class; ``validation`` measures it on
    validation images instead of test ones, to choose among settings; ``eval_split`` is what it is measured on in the
    end, 'test', or 'val' for a data set without test images."""

    features: FeatureRun
    head: Head
    shots: int | None = None
    validation: bool = False
    eval_split: str = "test"

    @property
    def bundle(self) -> Bundle:
        """Where the features come from."""
        return self.features.bundle

    def labels(self) -> dict[str, Any]:
        """What was compared, as the columns of a results table. ``shots`` is 0 for all train images and ``seed`` -1
        for a head without chance."""
        scores, crops = self.features.scores, self.features.crops
        return {
            **names(self.bundle, self._pooled),
            "scorer": scores.scorer.canonical if scores else "",
            "target": scores.target_text if scores else "",
            "pool": self.features.pooling.canonical,
            "features": self.features.rows,
            "crops": f"{crops[0]}:{crops[1]}" if crops else "",
            "head": self.head.canonical,
            "shots": self.shots or 0,
            "seed": -1 if self.head.seed is None else self.head.seed,
            "eval_split": self.eval_split,
        }

    @cached_property
    def digest(self) -> str:
        """Of everything that decides the result: recipes, contents, labels, head."""
        contents = {role: self.bundle.contents(role) for role in self._roles}
        return result_digest(
            self.features.recipe.digest,
            contents,
            self.bundle.index.labels_digest(),
            self.head.canonical,
            self.shots,
            self.validation,
            self.head.content,
            self.eval_split,
            self.head.version if self.head.is_ours else 1,
        )

    @property
    def lineage(self) -> dict[str, str]:
        """Recipe digests of its features and of what they are made from, by kind."""
        parents = {role: getattr(self.bundle, role).recipe.digest for role in self._roles}
        head = {"head": self.head.content} if self.head.content else {}
        return {"features": self.features.recipe.digest, **parents, **head}

    @property
    def _roles(self) -> list[str]:
        return roles(self.bundle, self._pooled, self.head.reads_descriptions)

    @property
    def _pooled(self) -> bool:
        return self.features.pooling.needs_regions

    def lacks(self) -> DataError | None:
        """What to raise where head or scores need text and the bundle has none, or where there are no labels to measure
        by."""
        index = self.bundle.index
        if not self.validation and (fault := unmeasurable(index.labels, index.split, self.eval_split)):
            return no_labels(self.bundle, fault, self.eval_split)
        if self.head.needs_text and self.bundle.text is None:
            return self.bundle.no_text(f"head {self.head.canonical}", "--head logreg")
        if self.head.reads_descriptions and self.bundle.descriptions is None:
            return self.bundle.no_descriptions(f"head {self.head.canonical}")
        return self.features.lacks()

    @property
    def is_own(self) -> bool:
        """Whether a component that is not ours took part: such a result is computed anew each time."""
        return not (self.head.is_ours and self.features.is_ours)

    @property
    def is_kept(self) -> bool:
        """Whether the result goes to disk: not that of a Python object."""
        return self.features.is_kept and not self.head.source.is_object

    @property
    def place(self) -> Place:
        """Where its result lies; what was measured on validation images is kept apart."""
        root, dataset = self.bundle.store.layout.results, self.bundle.index_artefact.dataset
        return Place(root, dataset, self.digest[: results.NAME_DIGITS], self.validation)

    def known(self) -> Result | None:
        """The result that need not be computed: see :meth:`kept`; never one that others' code took part in."""
        return None if self.is_own else self.kept()

    def kept(self) -> Result | None:
        """The result where it has been computed before and is still that of what the cache holds. Raises
        :class:`StoreError` where a file of it is damaged."""
        result = results.read(self.place)
        if result is None or result.digest != self.digest or not self.place.predictions.is_file():
            return None
        return result

    def cost(self, costs: Costs) -> Cost:
        """What an image costs whose features these are."""
        embeddings = self.bundle.region_embeddings if isinstance(self.bundle, RegionBundle) and self._pooled else None
        return costs.of(self.bundle.globals, embeddings, self.features.crops)

    def predictions(self) -> Predictions:
        """The predictions of a result that is there; raises :class:`StoreError` where they are not."""
        found = results.read_predictions(self.place)
        if found is None:
            raise StoreError(f"{self.place.predictions}: the file is missing; run the same probe again")
        return found

    def data(self, matrix: Matrix) -> ProbeData:
        """What the head is given; images without a label take no part."""
        index, bank = self.bundle.index, self.bundle.text_bank
        labels = index.labels[matrix.rows]
        split = np.where(labels == UNLABELLED, UNUSED, measured_on(self.eval_split, index.split)[matrix.rows])
        if self.shots and self.head.trains:
            split = few_shot(labels, split, self.shots, self.head.seed or 0)
        if self.validation:
            split = validation_split(labels, split, self.head.seed or 0)
            if not (split == "test").any():
                raise DataError(
                    "choosing on validation images needs official ones, or at least 2 train images a class; "
                    "leave out --select val or give more --shots"
                )
        votes = self.features.votes if self.features.pooling.needs_regions else None
        made = ProbeData(matrix.features, labels, split, len(index.class_names), votes=votes)
        if bank is None:
            return made
        said = self.bundle.every_text if self.head.reads_descriptions else None
        return replace(
            made, text=bank.text, logit_scale=bank.logit_scale, descriptions=said, globals=self._globals_beside()
        )

    def _globals_beside(self) -> np.ndarray | None:
        """(N, d) the global embeddings for a head that needs text, where the features may not begin with them."""
        pooling = self.features.pooling
        if pooling.needs_regions or pooling.is_ours or not self.head.needs_text:
            return None
        return matrices([FeatureRun(self.bundle, Pooling.built_in("none"))])[0].features


def no_labels(bundle: Bundle, fault: str, eval_split: str = "test") -> NoLabels:
    """The error for a probe that finds no labels of ``eval_split`` to measure by, as ``fault`` says; with what does
    without."""
    what = f"{fault} in {bundle.dataset}"
    if bundle.index.is_labelled.any():
        counts = measurable(bundle.index.labels, bundle.index.split)
        ways = [f"measure on its {n} {split} images with --eval-split {split}" for split, n in counts.items() if n]
        return NoLabels(f"{what}; {', or '.join([*ways, f'index a copy with a {eval_split} split'])}")
    shows = "the classes by text" if bundle.text else "the embeddings"
    return NoLabels(f"{what}; label some, or see {shows}: `{without_labels(bundle)}`")


def without_labels(bundle: Bundle) -> str:
    """The command that makes something of embeddings that no probe can be measured on."""
    return (
        f"fgscore predict --dataset {quoted(bundle.asked)}" if bundle.text else f"fgscore export {quoted(bundle.asked)}"
    )


def names(bundle: Bundle, pooled: bool) -> dict[str, str]:
    """How a result names ``bundle``: the columns of data set, regions, encoder and prompt, of a pooling of regions or
    of whole images."""
    whole = {} if pooled else {"regions": "", "encoder": bundle.globals.recipe.component}
    return {**bundle.labels, **whole}


def roles(bundle: Bundle, pooled: bool, described: bool = False) -> list[str]:
    """The kinds of artefacts of ``bundle`` that decide a result, of a pooling of regions or of whole images, by a head
    that compares with every text of a class or not."""
    text = ["text"] if bundle.text else []
    every = ["descriptions"] if described and bundle.descriptions else []
    return ["globals", *text, *every, *(["region_embeddings"] if pooled else [])]


def result_digest(
    features: str,
    contents: Mapping[str, Sequence[str | None]],
    labels: str,
    head: str,
    shots: int | None,
    validation: bool,
    head_source: str | None = None,
    eval_split: str = "test",
    head_version: int = 1,
) -> str:
    """The digest of a result: of the recipe digest of its ``features``, the content digests of each artefact's shards
    by its role, see :func:`roles`, the digest of the index's ``labels``, the canonical text of its ``head``, the
    version of one of ours and, of one that is not, the digest of where it stands."""
    other = None if eval_split == "test" else eval_split
    later = head_version if head_version > 1 else None
    asked = {"shots": shots, "validation": validation, "head_source": head_source, "eval_split": other,
             "head_version": later}  # fmt: skip
    return specs.digest(
        {
            "version": VERSION,
            "recipe": features,
            "parents": {role: list(shards) for role, shards in contents.items()},
            "labels": labels,
            "head": head,
            **{key: value for key, value in asked.items() if value},
        }
    )


def probe(runs: Sequence[ProbeRun], progress: Progress = silent) -> list[Result]:
    """The results of ``runs``, in order; ``cached`` tells those that were known already. Each is kept as soon as it is
    there, so that a run that is cut short loses one."""
    found: dict[int, Result] = {}
    for i, run in enumerate(runs):
        if known := run.known():
            found[i] = replace(known, cached=True)
    todo = [(i, run) for i, run in enumerate(runs) if i not in found]
    check_needs(run for _, run in todo)
    for _, run in todo:  # said before the scores are made, not after
        run.head.check_installed()
    progress("probe", len(found), len(runs))
    fits = _Fits()
    for group in _by_bundle(todo):
        prepare([run.features for _, run in group], progress)
        for block in _in_memory(group):
            for i, result in _compute(block, fits):
                found[i] = result
                progress("probe", len(found), len(runs))
    costs: dict[int, Costs] = {}  # by the store that is asked
    for i, run in enumerate(runs):
        found[i] = replace(found[i], cost=run.cost(costs.setdefault(id(run.bundle.store), Costs(run.bundle.store))))
    return [found[i] for i in range(len(runs))]


def _by_bundle(todo: Sequence[tuple[int, ProbeRun]]) -> list[list[tuple[int, ProbeRun]]]:
    groups: dict[int, list[tuple[int, ProbeRun]]] = {}
    for i, run in todo:
        groups.setdefault(id(run.bundle), []).append((i, run))
    return list(groups.values())


def _in_memory(group: Sequence[tuple[int, ProbeRun]]) -> Iterator[list[tuple[int, ProbeRun]]]:
    """The runs of ``group`` by features, in blocks whose feature matrices fit into memory together."""
    by_features: dict[str, list[tuple[int, ProbeRun]]] = {}
    for i, run in group:
        by_features.setdefault(run.features.recipe.digest, []).append((i, run))
    bundle = group[0][1].bundle
    bundle.text_bank  # noqa: B018 (read once, before the threads)
    if any(run.head.reads_descriptions for _, run in group):
        bundle.every_text  # noqa: B018
    one = 8 * sum(bundle.globals.shard_sizes.values()) * bundle.width
    size = max(1, IN_MEMORY // max(1, one))
    sets = list(by_features.values())
    for start in range(0, len(sets), size):
        yield [pair for pairs in sets[start : start + size] for pair in pairs]


def _compute(block: Sequence[tuple[int, ProbeRun]], fits: _Fits) -> Iterator[tuple[int, Result]]:
    """The result of each run of ``block``; their features are made together, heads fitted several at a time."""
    clock = Clock()
    distinct = {run.features.recipe.digest: run.features for _, run in block}
    made = dict(zip(distinct, matrices(list(distinct.values())), strict=True))
    share = clock.seconds() / len(distinct)

    for together, group in groupby(block, lambda pair: pair[1].head.thread_safe):
        jobs = [(i, run, made[run.features.recipe.digest]) for i, run in group]
        for (i, run, matrix), (result, seconds) in fits.of(jobs, processors() if together else 1):
            yield i, _keep(run, matrix, result, seconds, share)


Fit = tuple[int, ProbeRun, Matrix]
Fitted = tuple[Fit, tuple[ProbeResult, float]]  # with the seconds it took


class _Fits:
    """Heads fitted several at a time. Of jobs that differ in little but their features the first few are fitted from
    nothing, the others from where the first ended: which these are depends on the jobs and their order alone."""

    FIRST = 2  # more than one, that no processor has to wait
    KEPT = 8  # paths: each is fifteen megabytes for a data set of CUB's size

    def __init__(self) -> None:
        self._paths: dict[tuple, Any] = {}

    def of(self, jobs: Iterable[Fit], threads: int) -> Iterator[Fitted]:
        """Each of ``jobs``, which share data set and labels."""
        kin: dict[tuple, list[Fit]] = {}
        for job in jobs:
            kin.setdefault(self._key(*job), []).append(job)
        few = [job for alike in kin.values() if len(alike) <= self.FIRST for job in alike]
        yield from self._together(few, threads)  # whatever their kin: none has to wait for another
        for alike in kin.values():
            if len(alike) > self.FIRST:
                yield from self._together(alike[: self.FIRST], threads)
                yield from self._together(alike[self.FIRST :], threads)

    def _together(self, jobs: Sequence[Fit], threads: int) -> Iterator[Fitted]:
        """All of ``jobs`` from what was known before the first of them."""
        known = dict(self._paths)
        for job, (result, seconds) in ahead(lambda job: self._fit(known.get(self._key(*job)), job), jobs, threads):
            self._keep(self._key(*job), result.path)
            yield job, (replace(result, path=None), seconds)

    @staticmethod
    def _key(_: int, run: ProbeRun, matrix: Matrix) -> tuple:
        seen = (run.shots, run.validation, run.eval_split)
        return (run.bundle.index_artefact.path, run.head.identity, *seen, matrix.features.shape[1])

    def _keep(self, key: tuple, path: Any) -> None:
        if path is not None and key not in self._paths:
            self._paths[key] = path
        if len(self._paths) > self.KEPT:
            del self._paths[next(iter(self._paths))]

    @staticmethod
    def _fit(near: Any, job: Fit) -> tuple[ProbeResult, float]:
        clock = Clock()
        _, run, matrix = job
        return run.head(run.data(matrix), near), clock.seconds()


def _keep(run: ProbeRun, matrix: Matrix, found: ProbeResult, seconds: float, features_seconds: float) -> Result:
    index = run.bundle.index
    tested = matrix.rows[found.test_rows]
    predictions = Predictions(index.image_ids[tested], index.labels[tested], found.predictions)
    interval = one_run(found.accuracy, len(found.test_rows))
    result = Result(
        **run.labels(),
        accuracy=found.accuracy,
        low=interval.low,
        high=interval.high,
        per_class=found.per_class,
        n_train=found.n_train,
        n_test=len(found.test_rows),
        without_regions=int((matrix.n_pooled == 0).sum()) if run.features.pooling.needs_regions else 0,
        converged=found.converged,
        seconds=round(seconds + features_seconds, 3),
        features_seconds=round(features_seconds, 3),
        details=json.dumps(dict(found.details), sort_keys=True),
        labels_digest=index.labels_digest(),
        digest=run.digest,
        lineage=run.lineage,
    )
    return results.write(run.place, result, predictions) if run.is_kept else result


def fit(run: ProbeRun) -> tuple[ProbeResult, Matrix]:
    """Fit one head again, with its classifier: results on disk keep predictions and no weights."""
    prepare([run.features])
    (matrix,) = matrices([run.features])
    return run.head(run.data(matrix)), matrix


def on_validation(run: ProbeRun) -> ProbeRun:
    """The same run measured on validation images."""
    return replace(run, validation=True)

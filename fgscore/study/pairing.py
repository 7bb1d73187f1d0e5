"""Any two settings on the same images: what one gets right that the other does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fgscore.errors import NothingCached, UsageError
from fgscore.evaluate import results
from fgscore.evaluate.costs import Cost
from fgscore.evaluate.features import FeatureRun, Rows
from fgscore.evaluate.probe import ProbeRun, probe
from fgscore.evaluate.score import ScoreRun, target_of
from fgscore.heads import Head
from fgscore.machine.progress import Progress, silent
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.stats import words
from fgscore.stats.accuracy import accuracy
from fgscore.stats.crossed import Contrast, contrast
from fgscore.stats.paired import mcnemar
from fgscore.store.bundle import Bundle, RegionBundle
from fgscore.study.draws import Window, is_drawn, regions_of_any_seed, seed_of, without_seed
from fgscore.study.outcomes import Grid, Key, Outcomes, grid, images
from fgscore.tables import Row
from fgscore.targets import Target

NAMED = ("regions", "encoder", "prompt")  # of what stands in the store; what neither setting names is held equal


@dataclass(frozen=True)
class Setting:
    """One side of a comparison: ``text`` as it was written, the components, the ``bundles`` that it may be of, and
    which of NAMED were written out. ``make_head`` gives the head by its seed; ``seed`` is None where none was named."""

    text: str
    bundles: Sequence[Bundle]
    named: frozenset[str]
    scorer: Scorer
    target: Target
    pooling: Pooling
    make_head: Callable[[int], Head]
    seed: int | None = None
    shots: int | None = None
    rows: Rows = "unit"
    eval_split: str = "test"

    def run(self, bundle: Bundle, seed: int, window: Window = None) -> ProbeRun:
        """One probe of it."""
        scores = None
        if self.pooling.needs_scores and isinstance(bundle, RegionBundle):
            scores = ScoreRun(bundle, self.scorer, target_of(bundle, self.scorer, self.target))
        whole = not self.pooling.needs_regions
        features = FeatureRun(bundle, self.pooling, scores, "unit" if whole else self.rows, None if whole else window)
        head = self.make_head(seed)
        return ProbeRun(features, head, self.shots if head.trains else None, eval_split=self.eval_split)

    def groups(self) -> list[list[Bundle]]:
        """The bundles that make one setting each: those that differ in the seed of their crops alone are draws of
        one. For a pooling of whole images, one of each data set, encoder and prompt."""
        found: dict[tuple[Any, ...], list[Bundle]] = {}
        for bundle in self.bundles:
            if not self.pooling.needs_regions:
                found.setdefault(bundle.family, [bundle])
            elif isinstance(bundle, RegionBundle):
                found.setdefault(without_seed(bundle), []).append(bundle)
        return [sorted(group, key=seed_of) for group in found.values()]


@dataclass(frozen=True, eq=False)
class Compared:
    """``a`` less ``b`` on one data set: their labels with what each costs an image, the effect and ``values`` (N,), its
    mean for each of ``image_ids``. ``row`` has the accuracies, counts, p and word."""

    a: Row
    b: Row
    image_ids: np.ndarray
    values: np.ndarray
    effect: Contrast
    grid: Grid
    row: Row

    @property
    def mended(self) -> list[str]:
        """Ids of the images that ``a`` gets right more often, the most often first."""
        return self._ids(1)

    @property
    def broken(self) -> list[str]:
        """Ids of the images that ``b`` gets right more often."""
        return self._ids(-1)

    def _ids(self, sign: int) -> list[str]:
        order = np.argsort(-sign * self.values, kind="stable")
        return self.image_ids[order[sign * self.values[order] > 0]].tolist()


def compare(a: Setting, b: Setting, progress: Progress = silent) -> list[Compared]:
    """One comparison for each data set, and for each regions, encoder and prompt that neither setting names and both
    have. What has not been probed is probed first; seeds and draws that have been are all used. Raises
    :class:`NothingCached` where the two have nothing in common, and :class:`UsageError` where they are the same."""
    if (a.seed is None) != (b.seed is None):  # one names its seed: the other has probe's default, and no more
        a, b = (replace(one, seed=one.seed or 0) for one in (a, b))
    found = list(_pairs(a, b))
    if not found:
        raise NothingCached(
            f"{a.text!r} and {b.text!r} have no regions, encoder and prompt of one data set in common; name them in "
            "both settings, as --regions sam"
        )
    planned = [(left, right, *_planned(a, left, b, right)) for left, right in found]
    if all([r.digest for r in one.values()] == [r.digest for r in other.values()] for _, _, one, other in planned):
        raise UsageError(f"{a.text!r} and {b.text!r} are the same setting; name two that differ")
    runs = {run.digest: run for _, _, one, other in planned for run in (*one.values(), *other.values())}
    costs = {result.digest: result.cost for result in probe(list(runs.values()), progress)}
    return [_compared(one, other, costs) for _, _, one, other in planned]


def _pairs(a: Setting, b: Setting) -> Iterator[tuple[list[Bundle], list[Bundle]]]:
    held = [name for name in NAMED if name not in a.named | b.named]
    for left in a.groups():
        for right in b.groups():
            if left[0].index_artefact.path == right[0].index_artefact.path and all(
                _same(name, (a, left[0]), (b, right[0])) for name in held
            ):
                yield left, right


def _same(name: str, *sides: tuple[Setting, Bundle]) -> bool:
    """Whether both sides have the same of what neither names; whole images are of any regions."""
    pooled = [b for setting, b in sides if setting.pooling.needs_regions and isinstance(b, RegionBundle)]
    if name == "regions":
        return len({regions_of_any_seed(bundle) for bundle in pooled}) < 2
    if name == "encoder":  # which may show regions in several ways, and whole images in one
        ways = {bundle.labels["encoder"] for bundle in pooled}
        return len(ways) < 2 and len({bundle.globals.path for _, bundle in sides}) == 1
    return len({bundle.text and bundle.text.path for _, bundle in sides}) == 1


Planned = dict[Key, ProbeRun]


def _planned(a: Setting, left: list[Bundle], b: Setting, right: list[Bundle]) -> tuple[Planned, Planned]:
    """The runs of both sides: all draws that are cached with the first seed, and what else has been probed."""
    kept = results.read_all(left[0].store.layout.results, left[0].index_artefact.dataset)
    seeds = sorted({result.seed for result in kept if result.seed >= 0} | {0})
    sides = ((a, left), (b, right))
    most = [_runs(setting, group, [None], seeds) for setting, group in sides]
    for width in sorted({stop - start for start, stop in _windows(kept)}):
        windows = [window for window in _windows(kept) if window[1] - window[0] == width]
        blocks = [_runs(setting, group, windows, seeds, probed=True) for setting, group in sides]
        if all(blocks) and _draws(blocks) > max(1, _draws(most)):
            most = blocks
    return most[0], most[1]


def _windows(kept: Iterable[results.Result]) -> list[tuple[int, int]]:
    ends = {tuple(int(end) for end in result.crops.split(":")) for result in kept if result.crops}
    return sorted((start, stop) for start, stop in ends)


def _draws(sides: Sequence[Planned]) -> int:
    return min((len({draw for draw, _ in side}) for side in sides if any(d is not None for d, _ in side)), default=0)


def _runs(
    setting: Setting, group: list[Bundle], windows: Sequence[Window], seeds: Sequence[int], probed: bool = False
) -> Planned:
    """By draw and seed. The first seed of each draw is run in any case, unless only what was ``probed`` counts."""
    draws = (
        [(bundle, window) for bundle in group for window in windows] if _moves(setting, group) else [(group[0], None)]
    )
    found: Planned = {}
    for j, (bundle, window) in enumerate(draws):
        seeded = setting.run(bundle, 0, window).head.stochastic
        for seed in [setting.seed or 0] if setting.seed is not None or not seeded else dict.fromkeys([0, *seeds]):
            run = setting.run(bundle, seed, window)
            if (seed == (setting.seed or 0) and not probed) or run.known():
                label = 0 if setting.seed is not None else seed  # those that are named are paired with each other
                found[j if _moves(setting, group) else None, label if seeded else None] = run
    return found


def _moves(setting: Setting, group: list[Bundle]) -> bool:
    """Whether there could be another draw."""
    return setting.pooling.needs_regions and is_drawn(group[0])


def _compared(one: Planned, other: Planned, costs: Mapping[str, Cost]) -> Compared:
    both = [Outcomes({key: run.predictions() for key, run in side.items()}) for side in (one, other)]
    common, ids = grid(both), images(both)
    if common is None or not len(ids):
        raise NothingCached("the two settings have no image, draw and seed in common; probe both with the same --seed")
    a, b = (common.values(outcomes, ids) for outcomes in both)
    effect = contrast(a - b, common.chance)
    firsts = [next(iter(side.values())) for side in (one, other)]
    labels = [{**run.labels(), **costs[run.digest].to_json()} for run in firsts]
    counts = [len(images([outcomes])) for outcomes in both]
    used = {"draws": len(common.draws) if common.has_draws else 0, "seeds": common.cells if common.has_seeds else 0}
    left_out = sum(len(side) for side in (one, other)) - sum(_used(common, outcomes) for outcomes in both)
    by_image = (a - b).reshape(len(ids), -1).mean(axis=1)
    p = effect.p
    exact = mcnemar(a, b).p if not common.chance else None
    row = {
        "accuracy_a": accuracy(a, common.chance),
        "accuracy_b": accuracy(b, common.chance),
        "n_test": len(ids),
        "only_a": counts[0] - len(ids),
        "only_b": counts[1] - len(ids),
        **used,
        "runs_left_out": left_out,
        "p_mcnemar": exact,
        "word": words.different([effect], p),
    }
    return Compared(labels[0], labels[1], ids, by_image, effect, common, row)


def _used(common: Grid, outcomes: Outcomes) -> int:
    cells = ((draw, seed) for draw, seeds in common.draws for seed in seeds)
    return len({id(outcomes.find(draw, seed)) for draw, seed in cells})


def to_json(found: Compared) -> Row:
    """Everything of a comparison as plain values; differences in 0..1."""
    effect, row = found.effect, dict(found.row)
    for side in ("a", "b"):
        estimate = row.pop(f"accuracy_{side}")
        ends = {"accuracy": estimate.value, "low": estimate.low, "high": estimate.high}
        row |= {f"{key}_{side}": value for key, value in ends.items()}
    low, high = effect.interval()
    return {
        "a": found.a,
        "b": found.b,
        "difference": effect.value,
        "low": low,
        "high": high,
        "p": effect.p,
        "df": effect.df,
        "shares": effect.shares,
        "smallest_visible": effect.smallest_visible(),
        "bound": effect.bound,
        "differ": effect.differ,
        **row,
        "mended": found.mended,
        "broken": found.broken,
    }

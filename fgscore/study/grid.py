"""Grids of probes: those of the paper's tables, and one's own. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fgscore.errors import DataError, UsageError
from fgscore.evaluate.features import FeatureRun, Rows
from fgscore.evaluate.probe import ProbeRun
from fgscore.evaluate.score import ScoreRun, target_of
from fgscore.heads import Head
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.store.match import Bundle, RegionBundle
from fgscore.study import paper
from fgscore.study.paper import Cell
from fgscore.targets import Target

TABLES = (1, 2, 3, 4)
WHOLE = Pooling.built_in("none")
CROPS, MASKS = "random_crop", "sam"


@dataclass(frozen=True)
class Line:
    """One line of a table. ``runs`` differ in their seed or their draw of crops only; ``baseline`` are the same heads
    on the global embedding alone. ``cell`` is its place in the paper, if it has one."""

    runs: tuple[ProbeRun, ...]
    baseline: tuple[ProbeRun, ...]
    cell: Cell | None = None

    def lacks(self) -> DataError | None:
        """What to raise where it lacks text or labels; the baseline has the same head and bundle."""
        return self.runs[0].lacks()

    @property
    def is_baseline(self) -> bool:
        """Whether it is the global embedding alone."""
        return self.runs[0].features.pooling.name == "none"


@dataclass(frozen=True)
class Family:
    """Bundles of one data set, encoder and prompt: those that are compared with the same global probe."""

    bundles: tuple[Bundle, ...]

    @property
    def whole(self) -> Bundle:
        """Any of them, for what needs no regions."""
        return self.bundles[0]

    def of(self, generator: str) -> list[RegionBundle]:
        """Those whose regions come from ``generator``."""
        return [b for b in self.bundles if isinstance(b, RegionBundle) and b.regions.recipe.name == generator]


def families(bundles: Sequence[Bundle]) -> list[Family]:
    """``bundles`` by data set, encoder and prompt."""
    groups: dict[tuple[Path, ...], list[Bundle]] = {}
    for bundle in bundles:
        groups.setdefault(bundle.family, []).append(bundle)
    return [Family(tuple(group)) for group in groups.values()]


@dataclass(frozen=True)
class Draws:
    """``resamples`` disjoint draws of ``n_regions`` cached crops an image."""

    n_regions: int
    resamples: int = 1

    def windows(self) -> list[tuple[int, int]]:
        """First and last crop, exclusive, of each draw."""
        return [(i * self.n_regions, (i + 1) * self.n_regions) for i in range(self.resamples)]

    def enough(self, bundle: RegionBundle) -> bool:
        """Whether so many crops an image were generated."""
        return int(bundle.regions.recipe.params.get("n", 0)) >= self.n_regions * self.resamples


@dataclass(frozen=True)
class Plan:
    """What every line of a grid has in common. ``heads``: each the same head with one seed or several."""

    heads: Sequence[Sequence[Head]]
    shots: Sequence[int | None] = (None,)
    rows: Rows = "unit"
    draws: Draws | None = None
    eval_split: str = "test"
    _scores: dict[tuple, ScoreRun] = field(default_factory=dict)

    def lines(
        self, bundle: Bundle, pooling: Pooling, scored: ScoreRun | None = None, cell: Cell | None = None
    ) -> Iterator[Line]:
        """One line for each head and number of shots."""
        whole = FeatureRun(bundle, WHOLE)
        features = self._draws(bundle, pooling, scored) if pooling.needs_regions else [FeatureRun(bundle, pooling)]
        for seeds in self.heads:
            for n in self.shots if seeds[0].trains else (None,):
                runs = tuple(self._run(one, head, n) for one in features for head in seeds)
                yield Line(runs, tuple(self._run(whole, head, n) for head in seeds), cell)

    def _run(self, features: FeatureRun, head: Head, shots: int | None) -> ProbeRun:
        return ProbeRun(features, head, shots, eval_split=self.eval_split)

    def _draws(self, bundle: Bundle, pooling: Pooling, scored: ScoreRun | None) -> list[FeatureRun]:
        if self.draws and is_crops(bundle):
            return [FeatureRun(bundle, pooling, scored, self.rows, window) for window in self.draws.windows()]
        return [FeatureRun(bundle, pooling, scored, self.rows)]

    def scored(self, bundle: RegionBundle, scorer: Scorer, target: Target | None) -> ScoreRun:
        """The scores of a line, the same object for the same scores."""
        run = ScoreRun(bundle, scorer, target and target_of(bundle, scorer, target))
        key = (bundle.region_embeddings.path, bundle.family, scorer.identity, run.target and run.target.identity)
        return self._scores.setdefault(key, run)

    def usable(self, bundles: Sequence[RegionBundle]) -> list[RegionBundle]:
        """Those of ``bundles`` with enough cached crops for the draws; raises :class:`UsageError` with the number
        needed where some have crops and none enough."""
        draws = self.draws
        if draws is None or not any(is_crops(b) for b in bundles):
            return list(bundles)
        kept = [b for b in bundles if not is_crops(b) or draws.enough(b)]
        if any(is_crops(b) for b in kept):
            return kept
        need, bundle = draws.n_regions * draws.resamples, bundles[0]
        held = max(int(b.regions.recipe.params.get("n", 0)) for b in bundles)
        raise UsageError(
            f"{draws.resamples} disjoint draws of {draws.n_regions} crops need {need} cached crops an image, found "
            f"{held} of {bundle.dataset}; {bundle.way_out(f'{CROPS}(n={need})')}"
        )


def is_crops(bundle: Bundle) -> bool:
    """Whether its regions are random crops, of which there can be more than one draw."""
    return isinstance(bundle, RegionBundle) and bundle.regions.recipe.name == CROPS


def paper_lines(family: Family, tables: Sequence[int], plan: Plan) -> tuple[list[Line], list[str]]:
    """The lines of the paper's tables that the cache can make of ``family``, and the generators of those it cannot."""
    lines: list[Line] = []
    missing: dict[str, None] = {}
    usable = {generator: plan.usable(family.of(generator)) for generator in (CROPS, MASKS)}
    for cell in (cell for table in tables for cell in paper.cells(table)):
        if not cell.regions:
            lines += plan.lines(family.whole, WHOLE, cell=cell)
            continue
        if not usable[cell.regions]:
            missing[cell.regions] = None
        for bundle in usable[cell.regions]:
            pooling = Pooling.built_in(cell.pool)
            scored = None
            if pooling.needs_scores:
                target = Target.built_in(cell.target) if cell.target else None
                scored = plan.scored(bundle, Scorer.built_in(cell.scorer), target)
            lines += plan.lines(bundle, pooling, scored, cell)
    return lines, list(missing)


def table_one(family: Family) -> list[Line]:
    """The rows of the paper's Table 1 for all generators of ``family``: zero-shot, the global embedding, and of each
    generator the mean of its regions and every scorer with both pseudo-labels."""
    zero_shot = Plan([[Head.built_in("zeroshot")]]).lines(family.whole, WHOLE)
    chosen = [Scorer.built_in(name) for name in Scorer.informed()]
    targets = [t for t in map(Target.built_in, Target.ours_named()) if not t.reads_labels]
    poolings = [Pooling.built_in(name) for name in ("mean", "topk")]
    return [*zero_shot, *own_lines(family, chosen, targets, poolings, Plan([[Head.built_in("logreg")]]))]


def own_lines(
    family: Family, chosen: Sequence[Scorer], targets: Sequence[Target], poolings: Sequence[Pooling], plan: Plan
) -> list[Line]:
    """The global embedding first, then every pooling, for topk by every scorer against every target."""
    of_whole = [WHOLE, *(p for p in poolings if not p.needs_regions and p.name != WHOLE.name)]
    lines = [line for pooling in of_whole for line in plan.lines(family.whole, pooling)]
    with_regions = [b for b in family.bundles if isinstance(b, RegionBundle)]
    kinds = dict.fromkeys(b.regions.recipe.name for b in with_regions)
    for bundle in (b for kind in kinds for b in plan.usable(family.of(kind))):
        for pooling in (p for p in poolings if p.needs_regions):
            if not pooling.needs_scores:
                lines += plan.lines(bundle, pooling)
                continue
            runs = [plan.scored(bundle, scorer, target) for scorer in chosen for target in targets]
            for scored in {run.recipe.digest: run for run in runs}.values():
                lines += plan.lines(bundle, pooling, scored)
    return lines

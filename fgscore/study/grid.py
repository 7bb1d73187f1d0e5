"""Grids of probes: those of the paper's tables, and one's own. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fgscore import specs
from fgscore.errors import DataError
from fgscore.evaluate.features import FeatureRun, Rows
from fgscore.evaluate.probe import ProbeRun
from fgscore.evaluate.score import ScoreRun, target_of
from fgscore.evaluate.strategies import BY_TEXT
from fgscore.heads import Head
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.store.bundle import Bundle, RegionBundle
from fgscore.study import paper
from fgscore.study.draws import CROPS, MASKS, Draws, Seeds, is_drawn, of_one_row
from fgscore.study.outcomes import Key
from fgscore.study.paper import Cell
from fgscore.targets import Target

TABLES = (1, 2, 3, 4)
WHOLE, TWICE, MEAN, TOPK = (Pooling.built_in(name) for name in ("none", "self", "mean", "topk"))
MATCHED, FLIPS = "matched", "ten_crop"  # generators beside the paper's: crops matched to masks; crops and their mirrors
CONTROLS = ("random", "shuffled(of={of})", "reverse(of={of})")
RANDOM = 5  # seeds of a control, at least, where the head has none
MakeHead = Callable[[int], Head]


@dataclass(frozen=True)
class Line:
    """One line of a table: ``runs`` that differ in draw and seed only, and their ``keys``; the line that it is compared
    with, the one ``baseline`` to tell what its own idea adds. ``cell`` is its place in the paper, if it has one."""

    runs: tuple[ProbeRun, ...]
    keys: tuple[Key, ...]
    baseline: Line | None
    is_control: bool = False
    table: int = 0
    cell: Cell | None = None

    def lacks(self) -> DataError | None:
        """What to raise where it lacks text or labels; the baseline has the same head and bundle."""
        return self.runs[0].lacks()

    @property
    def chain(self) -> list[Line]:
        """It, what it is compared with, what that is compared with, to the global embedding."""
        return [self, *(self.baseline.chain if self.baseline else [])]

    @property
    def whole(self) -> Line:
        """The global embedding alone, under the same head."""
        return self.chain[-1]

    @property
    def needed(self) -> list[ProbeRun]:
        """All runs that its row is made from."""
        return [run for line in self.chain for run in line.runs]

    @property
    def pooling(self) -> Pooling:
        """What makes its features."""
        return self.runs[0].features.pooling


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


def is_matched(bundle: RegionBundle, masks: RegionBundle) -> bool:
    """Whether the regions of ``bundle`` are as many and as large as those of ``masks``, and elsewhere."""
    recipe, masked = bundle.regions.recipe, masks.regions.recipe
    whole = recipe.params.get("same") == "area,count" and recipe.params.get("n") is None
    return recipe.name == MATCHED and whole and recipe.parents.get("regions") == masked.digest


def families(bundles: Sequence[Bundle]) -> list[Family]:
    """``bundles`` by data set, encoder and prompt."""
    groups: dict[tuple[Path, ...], list[Bundle]] = {}
    for bundle in bundles:
        groups.setdefault(bundle.family, []).append(bundle)
    return [Family(tuple(group)) for group in groups.values()]


def fixed(head: Head) -> MakeHead:
    """``head`` whatever the seed."""
    return lambda seed: head


@dataclass(frozen=True)
class Plan:
    """What every line of a grid has in common. ``heads``: each by its seed."""

    heads: Sequence[MakeHead]
    seeds: Seeds = Seeds()
    shots: Sequence[int | None] = (None,)
    rows: Rows = "unit"
    draws: Draws = Draws()
    eval_split: str = "test"


@dataclass
class Lines:
    """The lines of one family by one plan, each made once."""

    family: Family
    plan: Plan
    _made: dict[tuple, Line] = field(default_factory=dict)
    _scores: dict[tuple, ScoreRun] = field(default_factory=dict)

    def groups(self, generator: str) -> list[list[RegionBundle]]:
        """The regions of ``generator`` that have the draws asked for, those that are draws of one row together."""
        return self.plan.draws.usable(of_one_row(self.family.of(generator)))

    def of(
        self,
        group: Sequence[Bundle],
        pooling: Pooling,
        scorer: Scorer | None = None,
        target: Target | None = None,
        table: int = 0,
        cell: Cell | None = None,
    ) -> list[Line]:
        """One line for each head and number of shots."""
        made = []
        for make in self.plan.heads:
            trains = make(0).trains
            for n in self.plan.shots if trains else (None,):
                line = self._line(group, pooling, make, n, scorer, target)
                control = pooling.name == TWICE.name or bool(scorer and scorer.is_control)
                made.append(replace(line, is_control=control, table=table, cell=cell))
        return made

    def _line(
        self, group: Sequence[Bundle], pooling: Pooling, make: MakeHead, shots: int | None,
        scorer: Scorer | None = None, target: Target | None = None,
    ) -> Line:  # fmt: skip
        names = (scorer and scorer.identity, target and target.identity) if pooling.needs_scores else None
        at = tuple(artefact.path for b in group for artefact in b.artefacts) if pooling.needs_regions else None
        key = (at, pooling.identity, names, id(make), shots)
        if key not in self._made:
            runs = dict(self._runs(group, pooling, make, shots, scorer, target))
            baseline = self._baseline(group, pooling, make, shots)
            self._made[key] = Line(tuple(runs.values()), tuple(runs), baseline)
        return self._made[key]

    def _baseline(self, group: Sequence[Bundle], pooling: Pooling, make: MakeHead, shots: int | None) -> Line | None:
        """The mean of the same regions for what is scored; for what is as wide as that the global embedding twice, from
        which a head that trains may gain by itself; else the global embedding."""
        if pooling.name == WHOLE.name:
            return None
        if pooling.needs_scores:
            return self._line(group, MEAN, make, shots)
        wide = pooling.needs_regions and make(0).trains
        return self._line(group, TWICE if wide else WHOLE, make, shots)

    def _runs(
        self, group: Sequence[Bundle], pooling: Pooling, make: MakeHead, shots: int | None, scorer: Scorer | None,
        target: Target | None,
    ) -> Iterator[tuple[Key, ProbeRun]]:  # fmt: skip
        plan, moves = self.plan, pooling.needs_regions and is_drawn(group[0])
        members = plan.draws.members(group) if pooling.needs_regions else [(self.family.whole, None)]
        stochastic = make(0).stochastic and make(0).seed is not None
        lottery = pooling.needs_scores and scorer is not None and scorer.is_control and "seed" in scorer.params
        for draw, seed in self._cells(len(members), moves, stochastic, lottery):
            bundle, window = members[draw if moves else 0]
            drawn = _with_seed(scorer, seed) if lottery and scorer else scorer
            scores = self._scored(bundle, drawn, target) if pooling.needs_scores and drawn else None
            rows = plan.rows if pooling.needs_regions else "unit"
            features = FeatureRun(bundle, pooling, scores, rows, window)
            head = make(seed if stochastic else plan.seeds.of_the_rest)
            key = (draw if moves else None, seed if stochastic or lottery else None)
            yield key, ProbeRun(features, head, shots, eval_split=plan.eval_split)

    def _cells(self, members: int, moves: bool, stochastic: bool, lottery: bool) -> list[tuple[int, int]]:
        """Draw and seed of each run. A head that starts at random has the seeds of all draws where regions have but
        one, so that it is paired with those that have more; a control that is drawn has the head's seeds or, where the
        head has none, at least RANDOM of its own."""
        if stochastic:
            draws = members if moves else self._most
            return list(dict.fromkeys((j, s) for j in range(draws) for s in self.plan.seeds.of(j)))
        return [(i % members, i) for i in range(max(RANDOM, members) if lottery else members)]

    @property
    def _most(self) -> int:
        drawn = [bundle for bundle in self.family.bundles if isinstance(bundle, RegionBundle) and is_drawn(bundle)]
        groups = [group for group in of_one_row(drawn) if self.plan.draws.enough(group)]
        return max((len(self.plan.draws.members(group)) for group in groups), default=1)

    def _scored(self, bundle: Bundle, scorer: Scorer, target: Target | None) -> ScoreRun:
        """The scores of a run, the same object for the same scores."""
        assert isinstance(bundle, RegionBundle)
        run = ScoreRun(bundle, scorer, target and target_of(bundle, scorer, target))
        key = (bundle.region_embeddings.path, bundle.family, scorer.identity, run.target and run.target.identity)
        return self._scores.setdefault(key, run)

    def standing(self, table: int, groups: Sequence[Sequence[Bundle]], poolings: Sequence[Pooling]) -> list[Line]:
        """The rows that every table has: what the class names say, the global embedding, the same twice, the mean of
        ten crops where they are cached, and for each of ``groups`` the mean of its regions and, for each of
        ``poolings`` that needs scores, the controls."""
        lines = self._by_text(table) + self.of([self.family.whole], WHOLE, table=table)
        lines += self.of([self.family.whole], TWICE, table=table)
        flips = of_one_row(self.family.of(FLIPS))
        lines += [replace(line, is_control=True) for group in flips for line in self.of(group, MEAN, table=table)]
        return lines + [line for group in groups for line in self.controls(table, group, poolings)]

    def controls(self, table: int, group: Sequence[Bundle], poolings: Sequence[Pooling]) -> list[Line]:
        """The mean of the regions of ``group``, and the controls by each of ``poolings`` that needs scores."""
        lines = self.of(group, MEAN, table=table)
        of = "soft_margin" if group[0].text else "region_global"
        for pooling in (p for p in poolings if p.needs_scores):
            for name in CONTROLS:
                scorer = Scorer.built_in(name.format(of=of))
                lines += self.of(group, pooling, scorer, Target.built_in("global"), table)
        return lines

    def _by_text(self, table: int) -> list[Line]:
        """Zero-shot and the head that begins there, on the global embedding, beside heads that train: whether it is the
        names of the classes that speak."""
        given = [make(0) for make in self.plan.heads]
        if not self.family.whole.text or not any(head.trains for head in given):
            return []
        heads = [_by_seed(name) for name in BY_TEXT if name not in {head.canonical for head in given}]
        lines = Lines(self.family, replace(self.plan, heads=heads)).of([self.family.whole], WHOLE, table=table)
        return [replace(line, is_control=True) for line in lines]


def _by_seed(name: str) -> MakeHead:
    """The head of ours by its seed, where it has one."""
    head = Head.built_in(name)
    if head.seed is None:
        return fixed(head)
    return lambda seed: Head.built_in(specs.text(name, {"seed": seed}))


def _with_seed(scorer: Scorer, seed: int) -> Scorer:
    """A control of ours with another seed."""
    return Scorer.built_in(specs.text(scorer.name, {**scorer.params, "seed": seed}))


def paper_lines(
    family: Family, tables: Sequence[int], plan: Plan, standing: bool = True
) -> tuple[list[Line], list[str]]:
    """The lines of the paper's tables that the cache can make of ``family``, with the ``standing`` rows of each, and
    the generators of those it cannot."""
    made = Lines(family, plan)
    lines: list[Line] = []
    missing: dict[str, None] = {}
    usable = {generator: made.groups(generator) for generator in (CROPS, MASKS)}
    for table in tables:
        cells = paper.cells(table)
        own = [line for cell in cells for line in _of_cell(made, usable, cell)]
        generators = list(dict.fromkeys(cell.regions for cell in cells if cell.regions))
        missing.update({generator: None for generator in generators if not usable[generator]})
        groups = [group for generator in generators for group in usable[generator]]
        around = [*made.standing(table, groups, [TOPK]), *_matched(made, usable[MASKS], cells)] if standing else []
        lines += _once([*own, *around])
    return lines, list(missing)


def _matched(made: Lines, masks: Sequence[Sequence[RegionBundle]], cells: Sequence[Cell]) -> list[Line]:
    """The rows of Table 1 for what is matched to any of ``masks``: controls, as the paper has none."""
    sources = {group[0].regions.path: group[0] for group in masks if any(cell.table == 1 for cell in cells)}
    matched = [b for b in made.family.of(MATCHED) if any(is_matched(b, source) for source in sources.values())]
    return [line for group in of_one_row(matched) for line in as_masks(made, MATCHED, group)]


def as_masks(made: Lines, name: str, group: list[RegionBundle]) -> list[Line]:
    """What Table 1 does with masks done with ``group``, called ``name`` in its cells: controls."""
    cells = [replace(cell, regions=name) for cell in paper.cells(1) if cell.regions == MASKS]
    return [replace(line, is_control=True) for cell in cells for line in _of_cell(made, {name: [group]}, cell)]


def _of_cell(made: Lines, usable: dict[str, list[list[RegionBundle]]], cell: Cell) -> list[Line]:
    if not cell.regions:
        return made.of([made.family.whole], WHOLE, table=cell.table, cell=cell)
    pooling = Pooling.built_in(cell.pool)
    scorer = Scorer.built_in(cell.scorer) if pooling.needs_scores else None
    target = Target.built_in(cell.target) if cell.target else None
    return [
        line for group in usable[cell.regions] for line in made.of(group, pooling, scorer, target, cell.table, cell)
    ]


def _once(lines: Sequence[Line]) -> list[Line]:
    """``lines`` without those that stand before them already; global embeddings first, each with its kind."""
    seen = {tuple(run.digest for run in line.runs): line for line in reversed(lines)}
    kept = [line for line in lines if seen[tuple(run.digest for run in line.runs)] is line]
    return sorted(kept, key=lambda line: line.pooling.needs_regions)


def table_one(family: Family) -> list[Line]:
    """The rows of the paper's Table 1 for all generators of ``family``, without controls: zero-shot, the global
    embedding, and of each generator the mean of its regions and every scorer with both pseudo-labels."""
    zero_shot = Lines(family, Plan([fixed(Head.built_in("zeroshot"))])).of([family.whole], WHOLE)
    chosen = [Scorer.built_in(name) for name in Scorer.informed()]
    targets = [t for t in map(Target.built_in, Target.ours_named()) if not t.reads_labels]
    plan = Plan([fixed(Head.built_in("logreg"))])
    return [*zero_shot, *own_lines(family, chosen, targets, [MEAN, TOPK], plan, standing=False)]


def own_lines(
    family: Family,
    chosen: Sequence[Scorer],
    targets: Sequence[Target],
    poolings: Sequence[Pooling],
    plan: Plan,
    standing: bool = True,
) -> list[Line]:
    """The global embedding first, then every pooling, for topk by every scorer against every target, and the
    ``standing`` rows before those of each generator."""
    made = Lines(family, plan)
    of_whole = [WHOLE, *(p for p in poolings if not p.needs_regions and p.name != WHOLE.name)]
    lines = made.standing(0, [], poolings) if standing else []
    lines += [line for pooling in of_whole for line in made.of([family.whole], pooling)]
    kinds = dict.fromkeys(b.regions.recipe.name for b in family.bundles if isinstance(b, RegionBundle))
    with_regions = [p for p in poolings if p.needs_regions]
    for group in (group for kind in kinds for group in made.groups(kind) if with_regions):
        lines += made.controls(0, group, poolings) if standing else []
        for pooling in with_regions:
            if not pooling.needs_scores:
                lines += made.of(group, pooling)
                continue
            for scorer in chosen:
                asked = [target_of(group[0], scorer, target) for target in targets]
                for target in {one and one.identity: one for one in asked}.values():
                    lines += made.of(group, pooling, scorer, target)
    return _once(lines)

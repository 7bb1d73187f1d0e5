"""What is known of one data set by one head: every cell of the paper's tables, by all draws and seeds that have been
probed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial

import numpy as np

from fgscore import specs
from fgscore.errors import UsageError, quoted
from fgscore.evaluate.probe import ProbeRun
from fgscore.evaluate.results import Result
from fgscore.heads import Head
from fgscore.stats import words
from fgscore.stats.crossed import Contrast as Effect
from fgscore.stats.crossed import contrast
from fgscore.store.bundle import Bundle, RegionBundle
from fgscore.study import beside, grid, paper_claims
from fgscore.study.compare import with_results
from fgscore.study.draws import MASKS, Draws, Seeds, is_drawn, more_seeds, of_one_row
from fgscore.study.grid import Family, Line, Plan
from fgscore.study.outcomes import Key, Outcomes, images
from fgscore.study.outcomes import grid as in_common
from fgscore.study.paper import Cell
from fgscore.study.paper_claims import Claim, Contrast


@dataclass(frozen=True, eq=False)
class Study:
    """What is known of one data set, encoder, prompt, pair of generators and kind of head, by all draws of crops and
    seeds that have been probed; ``kept`` are the results of the data set, ``others`` the regions beside the paper's, by
    the names of :mod:`fgscore.study.beside`; images whose content is one of ``without`` do not count."""

    family: Family
    head: Head
    kept: Sequence[Result]
    others: Mapping[str, list[RegionBundle]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()

    @property
    def whole(self) -> Bundle:
        """For names."""
        return self.family.whole

    @cached_property
    def runs(self) -> dict[Cell, dict[Key, ProbeRun]]:
        """Every cell that the cache can make, by its draws and seeds."""
        named = {cell: line for line in self._lines if (cell := _cell(line))}
        return {cell: dict(zip(line.keys, line.runs, strict=True)) for cell, line in named.items()}

    @property
    def lines(self) -> list[Line]:
        """The lines of the paper's tables that have results, by those draws and seeds that have."""
        return with_results(self._lines)

    @cached_property
    def _lines(self) -> list[Line]:
        """Of whole seeds of crops or, where more of those have been probed, of blocks of them."""
        seeds = sorted({result.seed for result in self.kept if result.seed >= 0} | {0})
        windows = {(int(a), int(b)) for a, _, b in (r.crops.partition(":") for r in self.kept if r.crops)}
        plans = [Draws()]
        for width in sorted({stop - start for start, stop in windows}):
            number = max(stop // width for start, stop in windows if stop - start == width)
            plans.append(Draws(number, width))
        made = [self._planned(draws, tuple(seeds)) for draws in plans]
        known = {result.digest for result in self.kept}
        return max(made, key=lambda lines: sum(run.digest in known for line in lines for run in line.runs))

    def _planned(self, draws: Draws, seeds: tuple[int, ...]) -> list[Line]:
        plan = Plan([partial(_seeded, self.head)], Seeds(named=seeds), draws=draws)
        try:
            lines, _ = grid.paper_lines(self.family, grid.TABLES, plan)
        except UsageError:  # too few crops for blocks of that many
            return []
        made = grid.Lines(self.family, plan)
        return lines + [line for name, group in self.others.items() for line in grid.as_masks(made, name, group)]

    @cached_property
    def known(self) -> dict[Cell, Outcomes]:
        """Outcomes of the cells that have results."""
        seen: dict[str, bool] = {}
        found: dict[Cell, Outcomes] = {}
        for cell, runs in self.runs.items():
            for run in runs.values():
                seen.setdefault(run.digest, run.kept() is not None)
            there = {key: run.predictions() for key, run in runs.items() if seen[run.digest]}
            found |= {cell: Outcomes(there)} if there else {}
        return found

    def way_out(self, claim: Claim) -> str:
        """The command that makes what ``claim`` lacks here, or what else does; empty where it lacks nothing."""
        if lacking := {cell.regions: None for cell in claim.cells if cell not in self.runs and cell.regions}:
            return beside.command(self.whole, self.family.of(MASKS), list(lacking))
        return "" if all(cell in self.known for cell in claim.cells) else self.sweep(claim)

    def sweep(self, claim: Claim, more: str = "") -> str:
        """The command that makes the results that ``claim`` needs."""
        tables = " ".join(f"--table {table}" for table in claim.tables)
        head = "" if self.head.canonical == "logreg" else f" --head {quoted(self.head.canonical)}"
        return f"fgscore sweep {quoted(self.whole.asked)} {tables}{head}{more}"

    def more(self, claim: Claim) -> str:
        """The command that adds draws of regions, or seeds of the head."""
        seeds = f" --head-seeds {words.A_WORD}" if self.head.stochastic else ""
        for name in dict.fromkeys(cell.regions for cell in claim.cells):
            group = self.others.get(name) or next(iter(of_one_row(self.family.of(name))), [])
            if group and is_drawn(group[0]) and len(group) < words.A_WORD:
                return group[0].extract(*more_seeds(group, words.A_WORD))
        return self.sweep(claim, seeds)

    @cached_property
    def contents(self) -> dict[str, str]:
        """The SHA-256 of the file of every test image by its id, where it is known: of imports it is not."""
        index = self.whole.index
        chosen = (index.split == "test") & (index.sha256 != "")
        return dict(zip(index.image_ids[chosen].tolist(), index.sha256[chosen].tolist(), strict=True))

    def effect(self, contrast_: Contrast) -> Effect | None:
        """The contrast on this data set; None where its runs have no image, draw and seed in common."""
        several = [self.known[cell] for pair in contrast_.pairs for cell in pair]
        common, ids = in_common(several), images(several)
        if self.without:
            ids = ids[[self.contents.get(i) not in self.without for i in ids.tolist()]]
        if common is None or not len(ids):
            return None
        values = cache(lambda cell: common.values(self.known[cell], ids))
        d = np.mean([values(a) - values(b) for a, b in contrast_.pairs], axis=0)
        return contrast(d, common.chance)


def _seeded(head: Head, seed: int) -> Head:
    """``head`` of ours with another seed, where it has one."""
    if not head.stochastic or head.seed is None or not seed:
        return head
    return Head.built_in(specs.text(head.name, {**_written(head), "seed": seed}))


def _written(head: Head) -> dict[str, specs.Value]:
    return {key: value for key, value in specs.parse(head.canonical).params.items() if key != "seed"}


def _cell(line: Line) -> Cell | None:
    """Its place in the paper, or what a control of Table 1 is called here."""
    if line.cell or line.table != 1:
        return line.cell
    if line.pooling.name == "self":
        return paper_claims.TWICE
    scores = line.runs[0].features.scores
    if scores and scores.scorer.name == "shuffled":
        return paper_claims.shuffled(scores.bundle.regions.recipe.name)
    return None

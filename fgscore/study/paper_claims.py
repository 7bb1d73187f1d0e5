"""What the paper finds (abstract, sections 4.2 and 4.3), each as differences between cells of its tables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from fgscore.study import paper
from fgscore.study.paper import DATASETS, Cell

Kind = Literal["better", "equal"]
Pair = tuple[Cell, Cell]  # the claim is that the first beats, or equals, the second

TARGETED = ("region_text", "hard_margin", "soft_margin", "entropy")
GENERATORS, PSEUDO = ("random_crop", "sam"), ("global", "local")
TABLE_OF = {"random_crop": 3, "sam": 4}
KS = ("2", "3", "4", "5", "6", "7")
ONCE = Cell(1, "", "none", "", "")
TWICE = Cell(1, "", "self", "", "")  # the global embedding twice: a control; the paper has it once


@dataclass(frozen=True)
class Contrast:
    """A difference: the mean over ``pairs`` of first less second."""

    name: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Claim:
    """``better``: every contrast is above zero. ``equal``: every contrast is within the margin of zero."""

    name: str
    source: str
    kind: Kind
    contrasts: tuple[Contrast, ...]

    @property
    def tables(self) -> tuple[int, ...]:
        """The tables whose cells it needs."""
        return tuple(sorted({cell.table for cell in self.cells}))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell it needs, once."""
        return tuple(dict.fromkeys(cell for c in self.contrasts for pair in c.pairs for cell in pair))


def _one(table: int, regions: str, scorer: str, target: str, k: str = "5") -> Cell:
    return Cell(table, regions, scorer, target, k)


def _crops_and_masks() -> Contrast:
    pairs = [
        (_one(1, "random_crop", scorer, target), _one(1, "sam", scorer, target))
        for scorer in TARGETED
        for target in PSEUDO
    ]
    return Contrast("crops less masks", tuple(pairs))


def _soft_margin_and(rival: str) -> Contrast:
    pairs = [
        (_one(1, regions, "soft_margin", target), _one(1, regions, rival, "" if rival == "region_global" else target))
        for regions in GENERATORS
        for target in PSEUDO
    ]
    return Contrast(f"soft_margin less {rival}", tuple(pairs))


def _global_and_local() -> Contrast:
    pairs = [
        (_one(1, regions, scorer, "global"), _one(1, regions, scorer, "local"))
        for regions in GENERATORS
        for scorer in TARGETED
    ]
    return Contrast("global less local", tuple(pairs))


def _pseudo_and_true(regions: str, scorer: str, target: str = "global") -> Contrast:
    pair = (_one(2, regions, scorer, target), _one(2, regions, scorer, "oracle"))
    return Contrast(f"{regions}, {scorer}: {target} less true label", (pair,))


def _all_and_five(regions: str, sign: int) -> Contrast:
    table = TABLE_OF[regions]
    pairs = [
        (_one(table, regions, scorer, target, "all"), _one(table, regions, scorer, target))[::sign]
        for scorer in ("soft_margin", "entropy")
        for target in PSEUDO
    ]
    return Contrast("all regions less five" if sign > 0 else "five less all regions", tuple(pairs))  # type: ignore[arg-type]


def _every_two_k(regions: str) -> list[Contrast]:
    """Every two of k, each the mean over scorers and pseudo-labels."""
    table = TABLE_OF[regions]
    settings = [(scorer, target) for scorer in ("soft_margin", "entropy") for target in PSEUDO]
    return [
        Contrast(
            f"{regions}: k={a} less k={b}",
            tuple((_one(table, regions, *setting, a), _one(table, regions, *setting, b)) for setting in settings),
        )
        for a, b in combinations(KS, 2)
    ]


def shuffled(regions: str) -> Cell:
    """Soft margin's scores by global pseudo-labels, shuffled within each image: a control, which the paper has not."""
    return _one(1, regions, "shuffled", "global")


def _mean(regions: str) -> Cell:
    return Cell(1, regions, "mean", "", "")


def _scored_and_mean(regions: str) -> Contrast:
    pairs = [(_one(1, regions, scorer, target), _mean(regions)) for scorer in TARGETED for target in PSEUDO]
    return Contrast(f"{regions}: scored less mean", tuple(pairs))


def _soft_and_hard() -> Contrast:
    pairs = [(_one(1, r, "soft_margin", t), _one(1, r, "hard_margin", t)) for r in GENERATORS for t in PSEUDO]
    return Contrast("soft_margin less hard_margin", tuple(pairs))


CLAIMS = (
    Claim(
        "regions add to the global embedding",
        "Table 1",
        "better",
        tuple(Contrast(f"{regions}: mean less global twice", ((_mean(regions), TWICE),)) for regions in GENERATORS),
    ),
    Claim("scoring adds to the mean", "Table 1", "better", tuple(_scored_and_mean(regions) for regions in GENERATORS)),
    Claim(
        "the score carries information",
        "Table 1",
        "better",
        tuple(
            Contrast(f"{r}: soft_margin less shuffled", ((_one(1, r, "soft_margin", "global"), shuffled(r)),))
            for r in GENERATORS
        ),
    ),
    Claim("crops beat masks", "Table 1", "better", (_crops_and_masks(),)),
    Claim(
        "soft margin is the strongest scorer",
        "Table 1",
        "better",
        tuple(_soft_margin_and(rival) for rival in ("region_global", "region_text", "hard_margin", "entropy")),
    ),
    Claim("soft margin beats the hard one", "Table 1", "better", (_soft_and_hard(),)),
    Claim("global pseudo-labels beat local ones", "Table 1", "better", (_global_and_local(),)),
    Claim(
        "global pseudo-labels come near true labels",
        "Table 2",
        "equal",
        tuple(_pseudo_and_true(regions, scorer) for regions in GENERATORS for scorer in TARGETED),
    ),
    Claim(
        "local pseudo-labels come near true labels",
        "Table 2",
        "equal",
        tuple(_pseudo_and_true(regions, scorer, "local") for regions in GENERATORS for scorer in TARGETED),
    ),
    Claim("all regions help masks", "Table 4", "better", (_all_and_five("sam", 1),)),
    Claim("all regions hurt crops", "Table 3", "better", (_all_and_five("random_crop", -1),)),
    Claim(
        "k hardly matters from 2 to 7", "Tables 3, 4", "equal", tuple(c for r in GENERATORS for c in _every_two_k(r))
    ),
)

# in squared points, from the settings that the paper prints twice: shared by all of a data set, and of each setting
NOISE_SHARED, NOISE_OWN = 0.036, 0.121
WITHIN = 2.2  # standard deviations below which a difference is within its noise

RULE = (
    "The paper prints no intervals. By its figures a claim of better is supported where every difference, a mean over "
    "its settings, is above zero, a claim of equal where every difference is within the margin; contradicted "
    "otherwise; within its noise where the difference that decides is below 2.2 standard deviations of what its own "
    "figures scatter by when a setting is run again, on the same images."
)


@dataclass(frozen=True)
class Printed:
    """A claim by the printed figures: ``value`` is the difference that decides, ``noise`` the standard deviation by
    which such a difference scatters, ``datasets`` in how many of those looked at it holds."""

    supported: bool
    value: float
    contrast: str
    datasets: int
    noise: float

    @property
    def verdict(self) -> str:
        """*Supported*, *contradicted*, or *within its noise*."""
        if abs(self.value) < WITHIN * self.noise:
            return "within its noise"
        return "supported" if self.supported else "contradicted"


def noise(settings: int, datasets: int) -> float:
    """Standard deviation, in 0..1, of a printed difference that is a mean over so many settings and data sets."""
    return float(np.sqrt((NOISE_SHARED + NOISE_OWN / settings) / datasets)) / 100


def matters(claim: Claim) -> float:
    """The difference that decides by the printed figures of all data sets; 0 where the paper prints none."""
    found = printed(claim, 0.01)
    return 0.0 if found is None else found.value


def difference(contrast: Contrast, datasets: tuple[str, ...] = DATASETS) -> float:
    """The printed difference of ``contrast``, mean over its pairs and over ``datasets``, in 0..1."""
    found = []
    for dataset in datasets:
        for pair in contrast.pairs:
            a, b = (paper.accuracy(dataset, ONCE if cell == TWICE else cell) for cell in pair)
            if a is None or b is None:
                raise ValueError(f"the paper prints nothing of {dataset} for {pair}")
            found.append(a - b)
    return sum(found) / len(found)


def printed(claim: Claim, margin: float, dataset: str | None = None) -> Printed | None:
    """The claim by what the paper prints of ``dataset``, or of all five, each weighing the same; None where it prints
    nothing of a control."""
    datasets = DATASETS if dataset is None else (dataset,)
    if any(cell.scorer == "shuffled" or cell.regions not in ("", *GENERATORS) for cell in claim.cells):
        return None
    deciding, value = _deciding(claim, datasets)
    held = sum(_holds(claim, _deciding(claim, (one,))[1], margin) for one in datasets)
    return Printed(_holds(claim, value, margin), value, deciding.name, held, noise(len(deciding.pairs), len(datasets)))


def _deciding(claim: Claim, datasets: tuple[str, ...]) -> tuple[Contrast, float]:
    """The contrast that speaks most against the claim."""
    values = {contrast: difference(contrast, datasets) for contrast in claim.contrasts}
    worst = min(values, key=values.__getitem__) if claim.kind == "better" else max(values, key=lambda c: abs(values[c]))
    return worst, values[worst]


def _holds(claim: Claim, value: float, margin: float) -> bool:
    return value > 0 if claim.kind == "better" else round(abs(value), 6) <= margin

"""What the paper finds (abstract, sections 4.2 and 4.3), each as differences between cells of its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fgscore.study import paper
from fgscore.study.paper import DATASETS, Cell

Kind = Literal["better", "equal"]
Pair = tuple[Cell, Cell]  # the claim is that the first beats, or equals, the second

TARGETED = ("region_text", "hard_margin", "soft_margin", "entropy")
GENERATORS, PSEUDO = ("random_crop", "sam"), ("global", "local")
TABLE_OF = {"random_crop": 3, "sam": 4}
KS = ("2", "3", "4", "6", "7")


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


def _pseudo_and_true(regions: str, scorer: str) -> Contrast:
    pair = (_one(2, regions, scorer, "global"), _one(2, regions, scorer, "oracle"))
    return Contrast(f"{regions}, {scorer}: pseudo less true label", (pair,))


def _all_and_five(regions: str, sign: int) -> Contrast:
    table = TABLE_OF[regions]
    pairs = [
        (_one(table, regions, scorer, target, "all"), _one(table, regions, scorer, target))[::sign]
        for scorer in ("soft_margin", "entropy")
        for target in PSEUDO
    ]
    return Contrast("all regions less five" if sign > 0 else "five less all regions", tuple(pairs))  # type: ignore[arg-type]


def _k_and_five(regions: str) -> list[Contrast]:
    table = TABLE_OF[regions]
    return [
        Contrast(
            f"{regions}, {scorer}, {target}: k={k} less k=5",
            ((_one(table, regions, scorer, target, k), _one(table, regions, scorer, target)),),
        )
        for scorer in ("soft_margin", "entropy")
        for target in PSEUDO
        for k in KS
    ]


CLAIMS = (
    Claim("crops beat masks", "Table 1", "better", (_crops_and_masks(),)),
    Claim(
        "soft margin is the strongest scorer",
        "Table 1",
        "better",
        tuple(_soft_margin_and(rival) for rival in ("region_global", "region_text", "hard_margin", "entropy")),
    ),
    Claim("global pseudo-labels beat local ones", "Table 1", "better", (_global_and_local(),)),
    Claim(
        "global pseudo-labels come near true labels",
        "Table 2",
        "equal",
        tuple(_pseudo_and_true(regions, scorer) for regions in GENERATORS for scorer in TARGETED),
    ),
    Claim("all regions help masks", "Table 4", "better", (_all_and_five("sam", 1),)),
    Claim("all regions hurt crops", "Table 3", "better", (_all_and_five("random_crop", -1),)),
    Claim("k hardly matters from 2 to 7", "Tables 3, 4", "equal", tuple(c for r in GENERATORS for c in _k_and_five(r))),
)

RULE = (
    "The paper prints no intervals. By its figures a claim of better is supported where every difference, a mean over "
    "its settings, is above zero, and a claim of equal where every difference is within the margin; contradicted "
    "otherwise."
)


@dataclass(frozen=True)
class Printed:
    """A claim by the printed figures: ``value`` is the difference that decides, ``datasets`` in how many of those
    looked at it holds."""

    supported: bool
    value: float
    contrast: str
    datasets: int


def difference(contrast: Contrast, datasets: tuple[str, ...] = DATASETS) -> float:
    """The printed difference of ``contrast``, mean over its pairs and over ``datasets``, in 0..1."""
    found = []
    for dataset in datasets:
        for pair in contrast.pairs:
            a, b = (paper.accuracy(dataset, cell) for cell in pair)
            if a is None or b is None:
                raise ValueError(f"the paper prints nothing of {dataset} for {pair}")
            found.append(a - b)
    return sum(found) / len(found)


def printed(claim: Claim, margin: float, dataset: str | None = None) -> Printed:
    """The claim by what the paper prints of ``dataset``, or of all five, each weighing the same."""
    datasets = DATASETS if dataset is None else (dataset,)
    deciding, value = _deciding(claim, datasets)
    held = sum(_holds(claim, _deciding(claim, (one,))[1], margin) for one in datasets)
    return Printed(_holds(claim, value, margin), value, deciding.name, held)


def _deciding(claim: Claim, datasets: tuple[str, ...]) -> tuple[Contrast, float]:
    """The contrast that speaks most against the claim."""
    values = {contrast: difference(contrast, datasets) for contrast in claim.contrasts}
    worst = min(values, key=values.__getitem__) if claim.kind == "better" else max(values, key=lambda c: abs(values[c]))
    return worst, values[worst]


def _holds(claim: Claim, value: float, margin: float) -> bool:
    return value > 0 if claim.kind == "better" else round(abs(value), 6) <= margin

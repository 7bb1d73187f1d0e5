"""The paper's claim of cost (section 4.3): arithmetic on what an image takes, no test."""

from __future__ import annotations

from typing import Any

from fgscore.evaluate.costs import Cost, Costs
from fgscore.store.bundle import RegionBundle
from fgscore.study.draws import CROPS, MASKS
from fgscore.study.grid import Family

NAME, SOURCE, KIND, TIMES = "masks cost over ten times as much", "section 4.3", "cost", 10
MISSING = "missing"
RULE = (
    "Cost is arithmetic, without p: supported where regions and embeddings by masks take over ten times the "
    "multiply-accumulates of those by crops; the paper says it of preprocessing time, and prints no figures."
)


def figures(family: Family) -> dict[str, Any]:
    """The claim on the regions of ``family``: ``verdict``, 'missing' where it is not known; the ``ratio`` of
    multiply-accumulates, and that of seconds as measured, ``ratio_seconds``, None where not known; ``contrast``, which
    says where the two disagree; ``next``, the command that makes regions that are missing."""
    crops, masks = family.of(CROPS), family.of(MASKS)
    if lacking := [name for name, found in ((CROPS, crops), (MASKS, masks)) if not found]:
        way = family.whole.extract(*lacking) or f"import regions of {' and '.join(lacking)}"
        return {"verdict": MISSING, "ratio": None, "ratio_seconds": None, "contrast": None, "next": way}
    costs = Costs(family.whole.store)
    one, other = (_cost(costs, found[0]) for found in (masks, crops))
    ratio, clock = _ratio(one.macs, other.macs), _ratio(one.seconds, other.seconds)
    verdict = MISSING if ratio is None else "supported" if ratio > TIMES else "contradicted"
    against = ratio is not None and clock is not None and (clock > TIMES) != (ratio > TIMES)
    said = "GMAC is not known" if ratio is None else "masks over crops"
    said += "; seconds as measured say the opposite" if against else ""
    return {"verdict": verdict, "ratio": ratio, "ratio_seconds": clock, "contrast": said, "next": ""}


def _cost(costs: Costs, bundle: RegionBundle) -> Cost:
    return costs.of(bundle.globals, bundle.region_embeddings)


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None

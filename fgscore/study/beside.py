"""What the paper does not have and its claims need: crops matched to its masks, and its masks with what is around them.

Masks are shown with black outside them. The same regions by the same encoder, but for how it shows what is outside, are
of the same family: whole images look alike in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fgscore import specs
from fgscore.encoders import EncoderMaker, Rendering
from fgscore.store.bundle import Bundle, RegionBundle
from fgscore.study import paper
from fgscore.study.draws import MASKS, every_param, of_one_row
from fgscore.study.grid import MATCHED, Family, is_matched
from fgscore.study.paper_claims import PSEUDO, TARGETED, Claim, Contrast

MARGIN = 0.25  # of the sides of a mask's box, on each side
SHOWN: Mapping[str, Mapping[str, Any]] = {
    "masks, outside black": {"outside": "black", "margin": 0.0},
    "masks, outside kept": {"outside": "keep", "margin": 0.0},
    "masks, outside kept with a margin": {"outside": "keep", "margin": MARGIN},
}
BLACK, KEPT, WIDER = SHOWN
DEFAULTS = specs.tunables(Rendering)


def _contrast(name: str, first: str, second: str) -> Contrast:
    settings = [(scorer, target) for scorer in TARGETED for target in PSEUDO]
    pairs = [tuple(paper.Cell(1, regions, *setting, "5") for regions in (first, second)) for setting in settings]
    return Contrast(name, tuple(pairs))  # type: ignore[arg-type]


CLAIMS = (
    Claim(
        "crops beat masks at equal number and area",
        "Section 3.2",
        "better",
        (_contrast("crops matched to masks less masks", MATCHED, MASKS),),
    ),
    Claim(
        "context explains it",
        "Section 4.3",
        "better",
        (
            _contrast("masks: outside kept less black", KEPT, BLACK),
            _contrast("masks: outside kept with a margin less black", WIDER, BLACK),
        ),
    ),
)


def groups(family: Family, masks: Sequence[RegionBundle]) -> dict[str, list[RegionBundle]]:
    """What ``family`` has beside ``masks``, its draws together, by the regions of the cells of CLAIMS."""
    if not masks:
        return {}
    (first, *_) = masks
    alike = [b for b in family.of(MASKS) if b.regions.path == first.regions.path and _unshown(b) == _unshown(first)]
    found = {name: [b] for name, how in SHOWN.items() for b in alike if _shown(b) == how}
    matched = [b for b in family.of(MATCHED) if is_matched(b, first) and b.labels["encoder"] == first.labels["encoder"]]
    return found | ({MATCHED: of_one_row(matched)[0]} if matched else {})


def _params(bundle: RegionBundle) -> dict[str, Any]:
    return {**DEFAULTS, **every_param(EncoderMaker, bundle.region_embeddings.recipe)}


def _shown(bundle: RegionBundle) -> dict[str, Any]:
    return {key: _params(bundle)[key] for key in SHOWN[BLACK]}


def _unshown(bundle: RegionBundle) -> tuple[Any, ...]:
    recipe = bundle.region_embeddings.recipe
    return (
        recipe.name,
        recipe.weights,
        recipe.source,
        {k: v for k, v in _params(bundle).items() if k not in SHOWN[BLACK]},
    )


def command(whole: Bundle, masks: Sequence[RegionBundle], lacking: Sequence[str]) -> str:
    """The command that makes the next of what is ``lacking``: generators, or names of what CLAIMS are about. Masks come
    first, as others are made of them."""
    generators = [name for name in lacking if name not in (MATCHED, *SHOWN)]
    if not masks or generators:
        texts = generators or [MASKS]
        return whole.extract(*texts) or f"import regions of {' and '.join(texts)}"
    of_masks = masks[0].labels["regions"]
    if MATCHED in lacking:
        return masks[0].extract(specs.text(MATCHED, {"to": _told(masks[0])})) or f"import crops matched to {of_masks}"
    encoder = specs.parse(masks[0].labels["encoder"])
    ways = [{**encoder.params, **how} for name, how in SHOWN.items() if name in lacking]
    texts = [specs.text(encoder.name, {k: v for k, v in way.items() if v != DEFAULTS.get(k, ...)}) for way in ways]
    return masks[0].extract(of_masks, encoders=texts) or f"import {' and '.join(n for n in SHOWN if n in lacking)}"


def _told(masks: RegionBundle) -> str:
    """The name of their generator where no other cached regions have that; else all of it."""
    recipe, store = masks.regions.recipe, masks.store
    alike = [a for a in store.artefacts("regions", masks.index_artefact.dataset) if a.recipe.name == recipe.name]
    return recipe.name if len(alike) == 1 else recipe.component

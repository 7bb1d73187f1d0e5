"""Which cached regions are draws of one row, and which seeds a head has in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fgscore import specs
from fgscore.errors import UsageError
from fgscore.store.bundle import Bundle, RegionBundle

CROPS, MASKS = "random_crop", "sam"
OF_DRAW = 100  # between the seeds of a draw and those of the next
Window = tuple[int, int] | None


def is_crops(bundle: Bundle) -> bool:
    """Whether its regions are random crops, of which there can be more than one draw."""
    return isinstance(bundle, RegionBundle) and bundle.regions.recipe.name == CROPS


def without_seed(bundle: RegionBundle) -> tuple[Any, ...]:
    """What tells regions apart, but for the seed of random crops."""
    if not is_crops(bundle):
        return (bundle.region_embeddings.path,)
    recipe = bundle.regions.recipe
    return (*bundle.family, recipe.name, *sorted((k, str(v)) for k, v in recipe.params.items() if k != "seed"))


def crop_seed(bundle: Bundle) -> int:
    """The seed of random crops; 0 for other regions."""
    return int(bundle.regions.recipe.params.get("seed", 0)) if isinstance(bundle, RegionBundle) else 0


def of_one_row(bundles: Sequence[RegionBundle]) -> list[list[RegionBundle]]:
    """``bundles`` of one family, those together that differ in the seed of their crops alone, by seed."""
    groups: dict[tuple[Any, ...], list[RegionBundle]] = {}
    for bundle in bundles:
        groups.setdefault(without_seed(bundle), []).append(bundle)
    return [sorted(group, key=crop_seed) for group in groups.values()]


@dataclass(frozen=True)
class Seeds:
    """Of heads that start at random: ``number`` for each draw of crops, of its own, the ``first`` of the first draw and
    those that follow, or those ``named``, the same in every draw."""

    number: int = 1
    named: tuple[int, ...] = ()
    first: int = 0

    def of(self, draw: int) -> list[int]:
        """The seeds in draw number ``draw``."""
        return list(self.named) or [self.first + OF_DRAW * draw + s for s in range(self.number)]


@dataclass(frozen=True)
class Draws:
    """``number`` draws of random crops, every cached seed where left out; each of ``n_regions`` crops an image, of
    which a cached seed may hold several disjoint blocks, or of all that a seed has."""

    number: int | None = None
    n_regions: int | None = None

    def members(self, group: Sequence[Bundle]) -> list[tuple[Bundle, Window]]:
        """The draws of a row, each as a bundle and a block of its crops; masks have one set an image, and no other."""
        if not is_crops(group[0]):
            return [(group[0], None)]
        blocks = [(bundle, block) for bundle in group for block in self._blocks(bundle)]
        return blocks[: self.number]

    def enough(self, group: Sequence[Bundle]) -> bool:
        """Whether so many draws are cached."""
        return not is_crops(group[0]) or len(self.members(group)) >= (self.number or 1)

    def _blocks(self, bundle: Bundle) -> list[Window]:
        if self.n_regions is None:
            return [None]
        count = _crops(bundle) // self.n_regions
        blocks: list[Window] = [(i * self.n_regions, (i + 1) * self.n_regions) for i in range(count)]
        return blocks if self.number else blocks[:1]

    def usable(self, groups: Sequence[list[RegionBundle]]) -> list[list[RegionBundle]]:
        """Those of ``groups``, of one generator, with enough draws; raises :class:`UsageError` with what is needed
        where none has."""
        kept = [group for group in groups if self.enough(group)]
        if groups and not kept:
            raise UsageError(self._lack(groups[0]))
        return kept

    def _lack(self, group: Sequence[RegionBundle]) -> str:
        bundle, number = group[0], self.number or 1
        written = specs.parse(bundle.regions.recipe.component)
        if self.n_regions is not None:
            need, held = self.n_regions * number, max(map(_crops, group))
            more = specs.text(written.name, {"n": need, **{k: v for k, v in written.params.items() if k != "n"}})
            return (
                f"{number} disjoint draws of {self.n_regions} crops need {need} cached crops an image, found {held} of "
                f"{bundle.dataset}; {bundle.way_out(more)}"
            )
        held_seeds = {crop_seed(one) for one in group}
        free = [seed for seed in range(number + len(held_seeds)) if seed not in held_seeds][: number - len(group)]
        more_seeds = [specs.text(written.name, {**written.params, "seed": seed}) for seed in free]
        return (
            f"{number} draws of crops need as many cached seeds, or --n-regions to take blocks of a seed, found "
            f"{len(group)} of {bundle.dataset}; {bundle.way_out(*more_seeds)}"
        )


def _crops(bundle: Bundle) -> int:
    return int(bundle.regions.recipe.params.get("n", 0)) if isinstance(bundle, RegionBundle) else 0

"""Which cached regions are draws of one row, and which seeds a head has in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fgscore import specs
from fgscore.errors import UsageError
from fgscore.models import Maker
from fgscore.regions import GeneratorMaker
from fgscore.store.bundle import Bundle, RegionBundle
from fgscore.store.manifest import Recipe

CROPS, MASKS = "random_crop", "sam"
OF_DRAW = 100  # between the seeds of a draw and those of the next
SEED = "seed"  # the parameter of a generator that draws at random
Window = tuple[int, int] | None


def is_drawn(bundle: Bundle) -> bool:
    """Whether its regions are drawn at random, by a generator that has a seed: there can be more than one draw."""
    if not isinstance(bundle, RegionBundle):
        return False
    return SEED in every_param(GeneratorMaker, bundle.regions.recipe)


def every_param(makers: type[Maker], recipe: Recipe) -> dict[str, Any]:
    """The parameters of what made an artefact; one of ours that a recipe of before lacks has its default."""
    ours = recipe.source is None and recipe.name in makers.ours_named()
    return {**(makers.tunables(makers.ours(recipe.name)) if ours else {}), **recipe.params}


def regions_of_any_seed(bundle: RegionBundle) -> tuple[Any, ...]:
    """What tells its regions apart, whatever embeds them, but for the seed that they are drawn by."""
    recipe = bundle.regions.recipe
    if not is_drawn(bundle):
        return (bundle.regions.path,)
    params = sorted((k, str(v)) for k, v in every_param(GeneratorMaker, recipe).items() if k != SEED)
    return (recipe.name, recipe.source, *params, *sorted(recipe.parents.items()))


def without_seed(bundle: RegionBundle) -> tuple[Any, ...]:
    """What tells embeddings of regions apart, but for the seed that the regions are drawn by."""
    if not is_drawn(bundle):
        return (*bundle.family, bundle.region_embeddings.path)
    return (*bundle.family, bundle.labels["encoder"], *regions_of_any_seed(bundle))


def seed_of(bundle: Bundle) -> int:
    """The seed that its regions are drawn by; 0 for others."""
    return (
        int(bundle.regions.recipe.params.get(SEED, 0)) if isinstance(bundle, RegionBundle) and is_drawn(bundle) else 0
    )


def of_one_row(bundles: Sequence[RegionBundle]) -> list[list[RegionBundle]]:
    """``bundles`` of one family, those together that differ in the seed of their regions alone, by seed."""
    groups: dict[tuple[Any, ...], list[RegionBundle]] = {}
    for bundle in bundles:
        groups.setdefault(without_seed(bundle), []).append(bundle)
    return [sorted(group, key=seed_of) for group in groups.values()]


def more_seeds(group: Sequence[RegionBundle], number: int) -> list[str]:
    """The generators that make ``number`` draws of what ``group`` are draws of, as options take them."""
    held = {seed_of(one) for one in group}
    free = [seed for seed in range(number + len(held)) if seed not in held][: number - len(group)]
    written = specs.parse(group[0].regions.recipe.component)
    return [specs.text(written.name, {**written.params, SEED: seed}) for seed in free]


@dataclass(frozen=True)
class Seeds:
    """Of heads that start at random: ``number`` for each draw of crops, of its own, the ``first`` of the first draw and
    those that follow, or those ``named``, the same in every draw."""

    number: int = 1
    named: tuple[int, ...] = ()
    first: int = 0

    @property
    def of_the_rest(self) -> int:
        """The seed of heads that do not start at random: the first that was named."""
        return self.named[0] if self.named else 0

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
        if not is_drawn(group[0]):
            return [(group[0], None)]
        blocks = [(bundle, block) for bundle in group for block in self._blocks(bundle)]
        return blocks[: self.number]

    def enough(self, group: Sequence[Bundle]) -> bool:
        """Whether so many draws are cached."""
        return not is_drawn(group[0]) or len(self.members(group)) >= (self.number or 1)

    def _blocks(self, bundle: Bundle) -> list[Window]:
        if self.n_regions is None or not (held := _number(bundle)):
            return [None]
        count = held // self.n_regions
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
            need, held = self.n_regions * number, max(map(_number, group))
            more = specs.text(written.name, {"n": need, **{k: v for k, v in written.params.items() if k != "n"}})
            return (
                f"{number} disjoint draws of {self.n_regions} crops need {need} cached crops an image, found {held} of "
                f"{bundle.dataset}; {bundle.way_out(more)}"
            )
        return (
            f"{number} draws of crops need as many cached seeds, or --n-regions to take blocks of a seed, found "
            f"{len(group)} of {bundle.dataset}; {bundle.way_out(*more_seeds(group, number))}"
        )


def _number(bundle: Bundle) -> int:
    """How many regions of an image are drawn; 0 where that is not of the generator's own choosing."""
    return int(bundle.regions.recipe.params.get("n") or 0) if isinstance(bundle, RegionBundle) else 0

"""Outcomes of settings that were run several times, put side by side: by image, draw of crops and seed of the head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations

import numpy as np

from fgscore.evaluate.results import Predictions
from fgscore.stats.crossed import DRAWS, SEEDS
from fgscore.store import records

Key = tuple[int | None, int | None]  # draw and seed of a run, each None for a setting that chance does not move so
MANY = 10  # draws up to which every set of them is tried


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What the runs of one setting got right: their predictions by draw and seed. Either all have a draw or none, and
    so with seeds."""

    runs: Mapping[Key, Predictions]

    @property
    def has_draws(self) -> bool:
        """Whether random crops move it."""
        return next(iter(self.runs))[0] is not None

    @property
    def has_seeds(self) -> bool:
        """Whether its head starts at random."""
        return next(iter(self.runs))[1] is not None

    def find(self, draw: int | None, seed: int | None) -> Predictions | None:
        """The run of that draw and seed, of what it has of either."""
        return self.runs.get((draw if self.has_draws else None, seed if self.has_seeds else None))


@dataclass(frozen=True)
class Grid:
    """The draws, and of each the seeds, that several settings have in common. ``own``: every draw has seeds of its own,
    over which outcomes are averaged; else all draws have the same, a factor by itself."""

    draws: tuple[tuple[int | None, tuple[int | None, ...]], ...]
    has_draws: bool
    has_seeds: bool
    own: bool

    @property
    def chance(self) -> tuple[str, ...]:
        """The axes behind that of the images, as :func:`fgscore.stats.crossed.contrast` takes them."""
        seeds = (SEEDS,) if self.has_seeds and not self.own else ()
        return (DRAWS, *seeds) if self.has_draws else seeds

    @property
    def cells(self) -> int:
        """How many draws with a seed each there are."""
        return sum(len(seeds) for _, seeds in self.draws)

    def values(self, outcomes: Outcomes, image_ids: np.ndarray) -> np.ndarray:
        """(N, then the axes of ``chance``) float64: whether each of ``image_ids`` is right."""
        by_draw = [np.stack([_right(outcomes, draw, seed, image_ids) for seed in seeds], axis=1)
                   for draw, seeds in self.draws]  # fmt: skip
        if self.own:
            return np.stack([of_seeds.mean(axis=1) for of_seeds in by_draw], axis=1)
        crossed = np.stack(by_draw, axis=1)  # (N, draws, seeds)
        kept = [slice(None), *(slice(None) if there else 0 for there in (self.has_draws, self.has_seeds))]
        return crossed[tuple(kept)]


def _right(outcomes: Outcomes, draw: int | None, seed: int | None, image_ids: np.ndarray) -> np.ndarray:
    found = outcomes.find(draw, seed)
    assert found is not None, "a grid has what all have"
    return found.right[records.places(found.image_ids, image_ids)].astype(np.float64)


def images(several: Sequence[Outcomes]) -> np.ndarray:
    """(N,) the ids, sorted, of the images that every run of all has."""
    sets = {id(p.image_ids): p.image_ids for outcomes in several for p in outcomes.runs.values()}
    first, *others = sets.values()
    return reduce(lambda a, b: a if np.array_equal(a, b) else np.intersect1d(a, b), others, np.unique(first))


def grid(several: Sequence[Outcomes]) -> Grid | None:
    """The largest complete grid of draws and seeds that all of ``several`` have: the same seeds in every draw, or in
    each draw seeds of its own. None where they have none in common. What one lacks, as a global embedding does draws,
    it has as often as the others."""
    has_draws, has_seeds = any(o.has_draws for o in several), any(o.has_seeds for o in several)
    draws = _levels([{draw for draw, _ in o.runs} for o in several if o.has_draws])
    seeds = _levels([{seed for _, seed in o.runs} for o in several if o.has_seeds])
    found = {draw: frozenset(s for s in seeds if all(o.find(draw, s) for o in several)) for draw in draws}
    found = {draw: those for draw, those in found.items() if those}
    if not found:
        return None
    crossed, apart = _complete(found), _apart(found)
    own = has_seeds and _cells(apart) > _cells(crossed)
    found = apart if own else crossed
    made = tuple((draw, tuple(sorted(those, key=_order))) for draw, those in found.items())
    return Grid(made, has_draws, has_seeds, own)


def _levels(sets: Sequence[set[int | None]]) -> list[int | None]:
    """What is in all of ``sets``; None alone where there are none."""
    return sorted(set.intersection(*sets), key=_order) if sets else [None]


def _order(level: int | None) -> int:
    return -1 if level is None else level


def _cells(found: Mapping[int | None, frozenset]) -> int:
    return sum(map(len, found.values()))


def _apart(found: Mapping[int | None, frozenset]) -> dict[int | None, frozenset]:
    """Every seed in one draw alone, so that each draw has seeds of its own: one that several have is that draw's which
    has the fewest."""
    often = Counter(seed for seeds in found.values() for seed in seeds)
    made = {draw: {seed for seed in seeds if often[seed] == 1} for draw, seeds in found.items()}
    for seed in sorted((seed for seed, times in often.items() if times > 1), key=_order):
        fewest = min((draw for draw, seeds in found.items() if seed in seeds), key=lambda draw: len(made[draw]))
        made[fewest].add(seed)
    return {draw: frozenset(seeds) for draw, seeds in made.items() if seeds}


def _complete(found: Mapping[int | None, frozenset]) -> dict[int | None, frozenset]:
    """The draws, with the seeds that they share, of which there are the most."""
    sizes = range(1, len(found) + 1) if len(found) <= MANY else (len(found),)
    sets = (draws for size in sizes for draws in combinations(found, size))
    shared = {draws: frozenset.intersection(*(found[draw] for draw in draws)) for draws in sets}
    best = max(shared, key=lambda draws: (len(draws) * len(shared[draws]), len(draws)))
    return dict.fromkeys(best, shared[best])

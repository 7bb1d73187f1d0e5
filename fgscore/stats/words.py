"""From effects to a word: what may be said of a difference, of several, and of several settings being equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from fgscore.stats.crossed import Contrast, contrast
from fgscore.stats.effects import ALPHA, Effect
from fgscore.stats.paired import holm

Word = Literal["supported", "contradicted", "equivalent", "undecided", "could not be decided", "too few differ",
               "one draw", "two draws", "mixed"]  # fmt: skip
A_WORD = 3  # draws, and seeds, from which on there is one
LEAST_DIFFER = 10  # images: with fewer, no p could pass among many
POINT = 0.01  # the difference that would matter, where nobody has printed one


def unseen(effects: Sequence[Effect]) -> Word | None:
    """Why nothing may be said: draws, or seeds, were seen once or twice; None where they were seen often enough, or
    there are none."""
    repeats = min((e.repeats for e in effects if e.repeats is not None), default=A_WORD)
    return "one draw" if repeats == 1 else "two draws" if repeats < A_WORD else None


def different(effects: Sequence[Effect], p: float | None, tests: int = 1, matters: float = POINT) -> Word:
    """The word for the claim that every one of ``effects`` is above zero; ``p`` is that of :func:`joint_p` after Holm's
    correction over ``tests``.

    Where nothing is decided, and the smallest effect that could have been seen is larger than ``matters``, it *could
    not be decided*.
    """
    if why := unseen(effects):
        return why
    lowest = min(effects, key=lambda e: e.value)
    telling = effects if lowest.value > 0 else [lowest]
    enough = all(e.differ >= LEAST_DIFFER for e in telling)
    if enough and p is not None and p < ALPHA:
        return "supported" if lowest.value > 0 else "contradicted"
    if all(e.bound < POINT for e in effects):
        return "equivalent"
    if not enough:
        return "too few differ"
    blind = max(e.smallest_visible(tests) for e in effects) > matters
    return "could not be decided" if blind else "undecided"


def over_sets(whole: Sequence[Effect], by_set: Sequence[Sequence[Effect]], tests: int = 1, p: float | None = None,
              matters: float = POINT) -> Word:  # fmt: skip
    """The word for the claim that every one of ``whole``, effects over data sets, is above zero; ``by_set`` are the
    same effects of each data set, ``p`` as for :func:`different`. Where one data set says the opposite, after Holm's
    correction over the data sets, it is *mixed*."""
    word = different(whole, p, tests, matters)
    told = [joint_p(effects) for effects in by_set]
    corrected = holm([1.0 if one is None else one for one in told]).tolist()
    said = {different(effects, one, len(told)) for effects, one in zip(by_set, corrected, strict=True)}
    against = "supported" if word == "contradicted" else "contradicted"
    return "mixed" if against in said else word


def joint_p(effects: Sequence[Effect]) -> float | None:
    """Two-sided p of the claim that all of ``effects`` are above zero: the weakest of them speaks for it, and against
    it the one farthest below, times their number. None where crops or seeds were seen once."""
    if any(e.repeats == 1 for e in effects):
        return None
    return min(1.0, 2 * min(max(e.above() for e in effects), len(effects) * min(e.below() for e in effects)))


@dataclass(frozen=True)
class Equality:
    """Several settings, all of them within ``bound`` of each other by their ``effects``, of which ``widest`` decides.

    ``p``: that they are not within ``margin``, the largest of the one-sided tests; ``against``: that they are, by the
    effect farthest beyond it, times their number.
    """

    effects: tuple[Effect, ...]
    margin: float
    widest: Effect
    p: float
    against: float

    @property
    def bound(self) -> float:
        """The smallest margin within which all would be equal."""
        return self.widest.bound

    @property
    def word(self) -> Word:
        """*Equivalent*, *contradicted*, or why neither."""
        if why := unseen(self.effects):
            return why
        if self.bound < self.margin:
            return "equivalent"
        if self.against < ALPHA:
            return "contradicted" if self.widest.differ >= LEAST_DIFFER else "too few differ"
        return "could not be decided" if max(e.slack for e in self.effects) > self.margin else "undecided"


def equal(effects: Sequence[Effect], margin: float) -> Equality:
    """Whether all of ``effects``, of which contrasts share one df (:func:`fgscore.stats.crossed.sharing`), are within
    ``margin`` (0..1) of zero. All must be, so that nothing is corrected. Raises ValueError for a margin that is no
    share."""
    if not 0 < margin < 1:
        raise ValueError(f"margin: expected a number between 0 and 1, found {margin}")
    against = min(1.0, len(effects) * min(e.beyond(margin) for e in effects))
    widest = min(effects, key=lambda e: e.beyond(margin)) if against < ALPHA else max(effects, key=lambda e: e.bound)
    return Equality(tuple(effects), margin, widest, max(e.within(margin) for e in effects), against)


def pairs(levels: Sequence[np.ndarray], chance: Sequence[str] = ()) -> list[Contrast]:
    """The contrast of every two of ``levels``, the outcomes of a setting each: see
    :func:`fgscore.stats.crossed.contrast`."""
    return [contrast(a - b, chance) for a, b in combinations(levels, 2)]

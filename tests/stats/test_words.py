"""Words: what may be said of effects whose numbers are known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from fgscore.stats.combined import combined
from fgscore.stats.crossed import Contrast, contrast, sharing
from fgscore.stats.words import different, equal, joint_p, over_sets, pairs, unseen


def effect(value: float, error: float = 0.004, df: float = 30, differ: int = 200, draws: int | None = 3) -> Contrast:
    levels = {"images": 2000} | ({} if draws is None else {"draws": draws})
    return Contrast(value, {"images": error**2}, levels, differ, df)


@pytest.mark.parametrize(
    ("effects", "word"),
    [
        ([effect(0.02)], "supported"),
        ([effect(-0.02)], "contradicted"),
        ([effect(0.02), effect(0.05)], "supported"),
        ([effect(0.002), effect(0.05)], "could not be decided"),
        ([effect(0.002, 0.003)], "equivalent"),
        ([effect(0.005, 0.003)], "undecided"),
        ([effect(0.004, 0.02)], "could not be decided"),
        ([effect(0.05), effect(-0.02)], "contradicted"),
        ([effect(0.02, differ=9)], "too few differ"),
        ([effect(0.001, 0.001, differ=4)], "equivalent"),
        ([effect(0.05), effect(-0.02, differ=9)], "too few differ"),
        ([effect(0.05, differ=3), effect(-0.02)], "contradicted"),
        ([effect(0.02, draws=1)], "one draw"),
        ([effect(0.02, draws=2)], "two draws"),
        ([effect(0.02, draws=None)], "supported"),
    ],
)
def test_the_word_of_a_claim_that_all_are_above_zero(effects: list[Contrast], word: str) -> None:
    assert different(effects, joint_p(effects)) == word


def test_what_matters_decides_between_undecided_and_blind() -> None:
    one = [effect(0.005, 0.003)]
    assert different(one, joint_p(one), matters=0.02) == "undecided"
    assert different(one, joint_p(one), matters=0.001) == "could not be decided"
    assert different(one, joint_p(one), tests=40) == "could not be decided", "of many, the smallest visible is larger"


def test_the_p_of_several_by_hand() -> None:
    a, b = effect(0.01), effect(-0.006, 0.005, 12)
    above = max(student.sf(0.01 / 0.004, 30), student.sf(-0.006 / 0.005, 12))
    below = 2 * min(student.cdf(0.01 / 0.004, 30), student.cdf(-0.006 / 0.005, 12))
    assert joint_p([a, b]) == pytest.approx(min(1, 2 * min(above, below)))
    assert joint_p([a]) == pytest.approx(a.p), "of one it is its own"
    assert joint_p([a, effect(0.2, draws=1)]) is None


@given(st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=5))
def test_a_claim_of_several_is_never_surer_than_its_weakest_part(values: list[float]) -> None:
    effects = [effect(v) for v in values]
    p = joint_p(effects)
    assert p is not None and 0 < p <= 1
    if different(effects, p) == "supported":
        assert all(one.p is not None and one.p <= p + 1e-12 and one.value > 0 for one in effects)


def test_equality_by_hand() -> None:
    effects = [effect(0.002, 0.002), effect(-0.004, 0.003)]
    found = equal(effects, 0.01)
    bound = 0.004 + student.ppf(0.95, 30) * 0.003
    assert (found.bound, found.widest) == (pytest.approx(bound), effects[1])
    assert found.p == pytest.approx(student.cdf((0.004 - 0.01) / 0.003, 30))
    assert found.word == "equivalent"
    assert equal(effects, bound - 1e-6).word == "undecided"
    assert equal(effects, bound + 1e-6).word == "equivalent", "the bound is the least margin that passes"


@pytest.mark.parametrize(
    ("effects", "word"),
    [
        ([effect(0.03, 0.004), effect(0.0)], "contradicted"),
        ([effect(-0.03, 0.004), effect(0.0)], "contradicted"),
        ([effect(0.019, 0.004)] + [effect(0.0)] * 20, "undecided"),
        ([effect(0.03, 0.004, differ=9)], "too few differ"),
        ([effect(0.0, 0.007)], "could not be decided"),
        ([effect(0.0, 0.001, draws=1)], "one draw"),
        ([effect(0.0, 0.001, differ=0)], "equivalent"),
    ],
)
def test_the_word_of_a_claim_of_equality(effects: list[Contrast], word: str) -> None:
    assert equal(effects, 0.01).word == word


@pytest.mark.parametrize("margin", [0, -0.1, 1, 5])
def test_a_margin_is_a_share(margin: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        equal([effect(0.0)], margin)


def test_every_two_levels_are_compared() -> None:
    rng = np.random.default_rng(0)
    levels = [rng.random((30, 3)) < 0.6 for _ in range(4)]
    found = pairs([level.astype(float) for level in levels], ["draws"])
    wanted = [a.mean() - b.mean() for a, b in combinations(levels, 2)]
    assert [c.value for c in found] == pytest.approx(wanted) and len(found) == 6
    assert len({c.df for c in sharing(found)}) == 1


def test_a_data_set_that_says_the_opposite_makes_it_mixed() -> None:
    gains = [effect(0.04 + 0.001 * i) for i in range(4)]
    for last, word in ((0.05, "supported"), (-0.005, "supported"), (-0.03, "mixed")):
        by_set = [[e] for e in (*gains, effect(last))]
        whole = [combined([e for (e,) in by_set])]
        assert over_sets(whole, by_set, p=joint_p(whole), matters=0.2) == word
    by_set = [[effect(-e.value)] for e in gains] + [[effect(0.03)]]
    whole = [combined([e for (e,) in by_set])]
    assert over_sets(whole, by_set, p=joint_p(whole)) == "mixed", "either way round"


def test_two_draws_of_one_say_why_nothing_is_said() -> None:
    assert unseen([effect(0.1), effect(0.1, draws=2)]) == "two draws"
    assert unseen([effect(0.1, draws=None), contrast(np.zeros(5))]) is None
    assert unseen([effect(0.1, draws=2), effect(0.1, draws=1)]) == "one draw"

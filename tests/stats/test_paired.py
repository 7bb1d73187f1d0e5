"""Intervals and tests, against sums by hand, exact enumeration, published tables and scipy's own optimiser."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy.stats import binom

from fgscore.stats import paired as stats

OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=60).map(np.array)


def pairs(only_a, only_b, both, neither):
    """Outcomes a and b of a two by two table."""
    a = [1] * only_a + [0] * only_b + [1] * both + [0] * neither
    b = [0] * only_a + [1] * only_b + [1] * both + [0] * neither
    return np.array(a, bool), np.array(b, bool)


def test_the_bootstrap_of_two_images_is_what_enumeration_says():
    """One right of two: the four resamples have means 0, 1/2, 1/2, 1; a quarter of them is 0."""
    found = stats.bootstrap(np.array([True, False]), level=0.4, resamples=20_000)
    assert (found.value, found.low, found.high, found.n) == (0.5, 0.5, 0.5, 2)
    wide = stats.bootstrap(np.array([True, False]), level=0.6, resamples=20_000)
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_the_interval_of_an_accuracy_is_that_of_the_binomial():
    outcomes = np.arange(400) < 260
    found = stats.bootstrap(outcomes, resamples=200_000, seed=3)
    low, high = binom.ppf([0.025, 0.975], 400, 0.65) / 400
    assert found.value == 0.65
    assert found.low == pytest.approx(low, abs=1.01 / 400)
    assert found.high == pytest.approx(high, abs=1.01 / 400)


def test_means_over_runs_are_resampled_as_a_plain_loop_would():
    outcomes = np.array([0.0, 0.2, 0.2, 0.6, 1.0, 1.0, 0.4, 0.8])
    rng = np.random.default_rng(0)
    loop = [np.mean([outcomes[rng.integers(8)] for _ in range(8)]) for _ in range(6000)]
    found = stats.bootstrap(outcomes, resamples=100_000)
    assert found.value == pytest.approx(outcomes.mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(loop, [0.025, 0.975]), abs=0.03)


def test_many_distinct_outcomes_have_the_interval_of_the_normal():
    outcomes = np.random.default_rng(2).standard_normal(900)
    found = stats.bootstrap(outcomes, resamples=40_000)
    half = 1.96 * outcomes.std() / 30
    assert (found.low, found.high) == pytest.approx((outcomes.mean() - half, outcomes.mean() + half), abs=0.003)


def test_both_ways_of_resampling_agree(monkeypatch):
    outcomes = np.repeat(np.linspace(0, 1, 11), 20)
    few = stats.bootstrap(outcomes, resamples=50_000)
    monkeypatch.setattr(stats, "FEW", 1)
    monkeypatch.setattr(stats, "IN_MEMORY", 5000)
    many = stats.bootstrap(outcomes, resamples=50_000)
    assert (few.low, few.high) == pytest.approx((many.low, many.high), abs=2e-3)
    assert few.low != many.low, "really another way"


@given(OUTCOMES, st.integers(0, 9))
def test_an_interval_holds_its_estimate_and_comes_again_from_its_seed(outcomes, seed):
    found = stats.bootstrap(outcomes, resamples=300, seed=seed)
    assert 0 <= found.low <= found.high <= 1
    assert found == stats.bootstrap(outcomes[::-1], resamples=300, seed=seed), "the order of images does not matter"
    narrow = stats.bootstrap(outcomes, level=0.5, resamples=300, seed=seed)
    assert found.low <= narrow.low <= narrow.high <= found.high


def test_the_paired_difference_resamples_pairs_and_not_runs():
    a, b = pairs(only_a=10, only_b=0, both=500, neither=490)
    found = stats.paired_difference(a, b)
    assert found.value == pytest.approx(0.01)
    assert 0 < found.low < 0.01 < found.high < 0.02, "unpaired, the interval would reach from -0.03 to 0.05"
    swapped = stats.paired_difference(b, a)
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low), abs=1.5e-3)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (0, 6, 2 / 64), (8, 1, 20 / 512), (7, 7, 1.0)],
)
def test_mcnemar_by_hand(only_a, only_b, p):
    found = stats.mcnemar(*pairs(only_a, only_b, both=3, neither=2))
    assert (found.only_a, found.only_b) == (only_a, only_b)
    assert found.p == pytest.approx(p)


def test_mcnemar_of_the_published_table_of_two_surveys():
    """Agresti, Categorical Data Analysis, table 10.1: 150 and 86 changed their mind; exact p is 0.00004 or so."""
    found = stats.mcnemar(*pairs(150, 86, both=794, neither=570))
    by_hand = 2 * sum(math.comb(236, i) for i in range(150, 237)) / 2**236
    assert found.p == pytest.approx(by_hand, rel=1e-9)
    assert found.p < 5e-5


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_counts_the_tables_that_are_no_likelier(only_a, only_b):
    n = only_a + only_b
    ways = [math.comb(n, i) for i in range(n + 1)]
    p = sum(w for w in ways if w <= ways[only_a]) / 2**n
    assert stats.mcnemar(*pairs(only_a, only_b, 1, 1)).p == pytest.approx(p)


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert len(stats.holm([])) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.2))
def test_holm_rejects_what_the_step_down_procedure_rejects(p, alpha):
    rejected = set()
    for step, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[i] * (len(p) - step) > alpha:
            break
        rejected.add(i)
    assert set(np.flatnonzero(stats.holm(p) <= alpha).tolist()) == rejected


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 40), st.sampled_from([-0.2, -0.05, -0.01, 0.03, 0.1]))
def test_the_restricted_share_maximises_the_likelihood(only_a, only_b, rest, delta):
    n = only_a + only_b + rest
    if not n:
        return

    def minus_log(q):
        terms = ((only_a, q + delta), (only_b, q), (rest, 1 - 2 * q - delta))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in terms if count)

    low, high = max(0.0, -delta), (1 - delta) / 2
    best = optimize.minimize_scalar(minus_log, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    share = stats.restricted_share(only_a, only_b, n, delta)
    assert low <= share <= high + 1e-12
    assert minus_log(share) <= best.fun + 1e-6


def test_without_a_difference_the_score_is_mcnemars_z():
    for only_a, only_b in itertools.product((0, 3, 9), (1, 4)):
        z = (only_a - only_b) / math.sqrt(only_a + only_b)
        assert stats.score_statistic(only_a, only_b, 50, 0.0) == pytest.approx(z)


def test_the_limits_of_the_score_test_enclose_the_estimate_and_solve_its_equation():

    def bound(sign, low, high):
        return optimize.brentq(lambda d: stats.score_statistic(12, 1, 44, d) - sign * 1.959964, low, high)

    lower, upper = bound(1, 0.0, 0.25), bound(-1, 0.25, 0.9)
    assert 0 < lower < 11 / 44 < upper < 1
    for limit in (lower, upper):
        q = stats.restricted_share(12, 1, 44, limit)
        assert abs(11 - 44 * limit) / math.sqrt(44 * (2 * q + limit * (1 - limit))) == pytest.approx(1.959964, rel=1e-6)


def test_equivalence_needs_images_though_no_image_differs():
    few, many = pairs(0, 0, 100, 100), pairs(0, 0, 5000, 5000)
    assert stats.tost(*few, margin=0.01) > 0.05
    assert stats.tost(*many, margin=0.01) < 0.001
    assert stats.tost(*few, margin=0.05) < 0.05
    z = math.sqrt(200 * 0.01 / 0.99)  # by hand: no image differs, so the variance is n delta (1 - delta)
    assert stats.tost(*few, margin=0.01) == pytest.approx(0.5 * math.erfc(z / math.sqrt(2)))


def test_what_differs_by_more_than_the_margin_is_not_equivalent():
    a, b = pairs(60, 0, 500, 440)
    assert stats.tost(a, b, margin=0.01) > 0.99
    assert stats.tost(a, b, margin=0.01) == stats.tost(b, a, margin=0.01)
    assert stats.tost(a, b, margin=0.1) < 0.05


def test_tost_keeps_its_level_at_the_edge_of_the_margin():
    """True difference exactly the margin: at most about 5 % of samples may be called equivalent."""
    rng = np.random.default_rng(1)
    called = 0
    for _ in range(400):
        only_a, only_b, _rest = rng.multinomial(2000, [0.06, 0.04, 0.9])
        called += stats.tost(*pairs(only_a, only_b, 1000, 1000 - only_a - only_b), margin=0.02) < 0.05
    assert called <= 33  # 5 % of 400 is 20; three standard deviations above


@pytest.mark.parametrize("call", [stats.mcnemar, lambda a, b: stats.tost(a, b, 0.01)])
def test_means_over_runs_have_no_test_of_right_and_wrong(call):
    with pytest.raises(ValueError, match="right or wrong"):
        call(np.array([0.5, 1.0]), np.array([0.0, 1.0]))


@pytest.mark.parametrize("call", [stats.mcnemar, stats.paired_difference, lambda a, b: stats.tost(a, b, 0.01)])
def test_other_images_are_refused(call):
    with pytest.raises(ValueError, match="same images"):
        call(np.array([True, True]), np.array([True]))


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        stats.bootstrap(np.array([]))


@pytest.mark.parametrize("margin", [0, -0.1, 1, 5])
def test_a_margin_is_a_share(margin):
    with pytest.raises(ValueError, match="between 0 and 1"):
        stats.tost(np.array([True]), np.array([True]), margin)

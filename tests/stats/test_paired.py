"""Tests of right and wrong, and Holm's correction: by hand, by enumeration, against published tables."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore.stats import paired as stats

OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=60).map(np.array)


def pairs(only_a, only_b, both, neither):
    """Outcomes a and b of a two by two table."""
    a = [1] * only_a + [0] * only_b + [1] * both + [0] * neither
    b = [0] * only_a + [1] * only_b + [1] * both + [0] * neither
    return np.array(a, bool), np.array(b, bool)


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


def test_means_over_runs_have_no_test_of_right_and_wrong():
    with pytest.raises(ValueError, match="right or wrong"):
        stats.mcnemar(np.array([0.5, 1.0]), np.array([0.0, 1.0]))


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="same images"):
        stats.mcnemar(np.array([True, True]), np.array([True]))

"""One accuracy: against scipy's Wilson interval, by hand, and a reference's numbers that were written down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from fgscore.stats.accuracy import Estimate, accuracy, mean, mean_per_class, one_run, wilson
from fgscore.stats.crossed import contrast


def right(share: float, n: int, runs: int = 1, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).random((n, runs)) < share
    return found[:, 0] if runs == 1 else found


def ends(found: Estimate) -> tuple[float, float, float]:
    return found.value, found.low, found.high


@pytest.mark.parametrize(("k", "n"), [(0, 37), (1, 5), (260, 400), (5794, 5794)])
def test_of_many_images_one_run_has_scipys_wilson_interval(k: int, n: int) -> None:
    found = one_run(k / n, n)
    wanted = scipy_stats.binomtest(k, n).proportion_ci(method="wilson")
    tolerance = 0.01 if n > 300 else 0.12  # Student's t in place of the normal: wider on few images
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=tolerance)
    assert found.high - found.low >= wanted.high - wanted.low
    assert found == accuracy(np.arange(n) < k)


@pytest.mark.parametrize(
    ("p", "variance", "n", "df", "low", "high"),
    [(0.8, 0.0004, 300, 7.5, 0.7494513107, 0.8424936884), (1.0, 0, 37, 36, 0.8999550327, 1.0),
     (0.65, 0, 400, 399, 0.6018829644, 0.6952461223)],
)  # fmt: skip
def test_the_numbers_of_a_reference(p: float, variance: float, n: int, df: float, low: float, high: float) -> None:
    found = wilson(p, variance, n, df)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


def test_draws_widen_the_interval_by_their_own_variance() -> None:
    y = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0], [0, 0, 0]], float)
    images, draws = y.mean(axis=1), y.mean(axis=0)
    terms = np.var(images, ddof=1) / 5, np.var(draws, ddof=1) / 3
    df = sum(terms) ** 2 / (terms[0] ** 2 / 4 + terms[1] ** 2 / 2)
    assert ends(accuracy(y, ["draws"])) == pytest.approx(ends(wilson(y.mean(), sum(terms), 5, df)))


@given(st.integers(1, 60), st.integers(1, 4), st.floats(0, 1), st.integers(0, 99))
def test_an_interval_holds_its_accuracy_and_is_never_of_zero_width(n: int, runs: int, share: float, seed: int) -> None:
    y = right(share, n, runs, seed)
    chance = ["draws"] if runs > 1 else []
    for found in (accuracy(y, chance), mean_per_class(y, np.arange(n) % 7, chance)):
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.low < found.high


def test_of_classes_of_one_size_the_mean_per_class_is_the_accuracy_on_narrower_an_interval() -> None:
    labels = np.repeat(np.arange(40), 10)
    hard = np.random.default_rng(1).random(40)[labels]
    y = np.random.default_rng(2).random(400) < hard
    whole, by_class = accuracy(y), mean_per_class(y, labels)
    assert by_class.value == pytest.approx(whole.value)
    assert by_class.high - by_class.low < whole.high - whole.low, "that classes differ is no chance here"


def test_the_variance_of_a_mean_per_class_by_hand() -> None:
    y, labels = np.array([1, 1, 0, 1, 0, 0, 1], float), np.array([3, 3, 3, 3, 8, 8, 9])
    of = np.var([1, 1, 0, 1], ddof=1), np.var([0, 0], ddof=1)
    variance = (of[0] / 4 + of[1] / 2 + np.mean(of) / 1) / 9
    assert ends(mean_per_class(y, labels)) == pytest.approx(ends(wilson((3 / 4 + 0 + 1) / 3, variance, 7, 6)))


def test_classes_of_one_image_each_vary_as_all_images_do() -> None:
    y = right(0.7, 30)
    found, whole = mean_per_class(y, np.arange(30)), accuracy(y)
    assert found.value == pytest.approx(whole.value)
    assert found.high - found.low == pytest.approx(whole.high - whole.low, rel=0.02)


def test_a_mean_of_shares_has_students_interval() -> None:
    values = np.random.default_rng(0).random(20)
    wanted = scipy_stats.ttest_1samp(values, 0).confidence_interval()
    found = mean(values)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert mean(values[:1]).low == values[0]


@pytest.mark.parametrize("call", [accuracy, mean, contrast])
def test_no_images_are_refused(call) -> None:
    with pytest.raises(ValueError, match="at least"):
        call(np.array([]))

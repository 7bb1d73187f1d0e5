"""One contrast: by hand, against scipy, against a reference by other hands where it is at hand, and its laws."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from fgscore.stats.crossed import Contrast, contrast, satterthwaite, sharing

BOTH = ("draws", "seeds")
OUTCOMES = arrays(
    np.int8, st.tuples(st.integers(2, 9), st.integers(2, 4), st.integers(2, 3)), elements=st.integers(-1, 1)
)


def made(n: int = 40, m: int = 3, q: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], (n, m, q), p=(0.1, 0.7, 0.2))


def test_of_images_alone_the_error_is_that_of_a_t_test_with_two_images_more() -> None:
    d = made()[:, 0, 0]
    found = contrast(d)
    more = np.append(d, (1, -1))
    assert found.value == pytest.approx(d.mean())
    assert found.errors[0] == (pytest.approx(scipy_stats.sem(more)), pytest.approx(39))
    half = scipy_stats.t.ppf(0.975, 39) * scipy_stats.sem(more)
    assert found.interval() == (pytest.approx(d.mean() - half), pytest.approx(d.mean() + half))
    assert found.p == pytest.approx(2 * scipy_stats.t.sf(d.mean() / scipy_stats.sem(more), 39))


def test_each_factor_brings_the_variance_of_its_means_by_hand() -> None:
    d = np.array([[1, 0, 1], [0, 0, 0], [1, -1, 0], [0, 0, 1]], float)
    found = contrast(d, ["draws"])
    images = [2 / 3, 0, 0, 1 / 3, 1, -1]
    draws = [0.5, -0.25, 0.5]
    variances = (np.var(images, ddof=1) / 6, np.var(draws, ddof=1) / 3)
    assert found.terms == {"images": pytest.approx(variances[0]), "draws": pytest.approx(variances[1])}
    assert found.df == pytest.approx(sum(variances) ** 2 / (variances[0] ** 2 / 3 + variances[1] ** 2 / 2))
    assert (found.differ, found.levels) == (2, {"images": 4, "draws": 3}), "one image is won once and lost once"
    assert sum(found.shares.values()) == pytest.approx(1)


def test_with_draws_alone_in_the_error_the_test_is_that_over_draws() -> None:
    """Where all images agree with each other, only the draws tell: scipy's t test of their means."""
    draws = np.array([1.0, -1.0, 1.0, 1.0])
    found = contrast(np.tile(draws, (100_000, 1)), ["draws"])
    wanted = scipy_stats.ttest_1samp(draws, 0)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-3)
    assert found.interval() == pytest.approx(tuple(wanted.confidence_interval()), rel=1e-3)


@given(OUTCOMES)
def test_p_is_below_a_twentieth_exactly_where_the_interval_leaves_out_zero(d: np.ndarray) -> None:
    found = contrast(d, BOTH)
    low, high = found.interval()
    assert found.p is not None and low < high
    assert (found.p < 0.05) == (low > 0 or high < 0)
    assert found.p == pytest.approx(2 * min(found.above(), found.below()))
    assert (found.bound < 0.3) == (found.within(0.3) < 0.05)


@given(OUTCOMES, st.randoms(use_true_random=False))
def test_the_order_of_images_draws_and_seeds_and_of_the_two_settings_does_not_matter(d: np.ndarray, random) -> None:
    found = contrast(d, BOTH)
    moved = d
    for axis in range(3):
        order = list(range(d.shape[axis]))
        random.shuffle(order)
        moved = np.take(moved, order, axis)
    again, swapped = contrast(moved, BOTH), contrast(-d, BOTH)
    for other, sign in ((again, 1), (swapped, -1)):
        assert (other.value * sign, other.p, other.df) == pytest.approx((found.value, found.p, found.df))


def test_no_interval_is_of_zero_width() -> None:
    nothing = contrast(np.zeros((50, 3)), ["draws"])
    assert nothing.interval()[0] < 0 < nothing.interval()[1]
    everything = contrast(np.ones((50, 3)), ["draws"])
    assert everything.interval()[0] < 1 < everything.interval()[1]
    assert contrast(np.array([1.0])).interval()[0] < 0, "one image says nothing"


def test_crops_seen_once_have_an_interval_over_images_and_no_p() -> None:
    once = contrast(made()[:, :1, 0], ["draws"])
    assert (once.p, once.repeats, list(once.terms)) == (None, 1, ["images"])
    assert once.interval() == contrast(made()[:, 0, 0]).interval()
    assert contrast(made()[:, :2, 0], ["draws"]).repeats == 2
    assert contrast(made(), BOTH).repeats == 2
    assert contrast(made()[:, 0, 0]).repeats is None


def test_the_smallest_visible_effect_is_seen_four_times_in_five() -> None:
    found = contrast(made(400)[:, 0, 0])
    error, df = found.errors[0]
    delta = found.smallest_visible()
    seen = scipy_stats.nct.sf(scipy_stats.t.ppf(0.975, df), df, delta / error)
    assert seen == pytest.approx(0.8, abs=0.005)
    assert found.smallest_visible(20) > found.smallest_visible(2) > delta


def test_rows_of_a_table_share_the_degrees_of_freedom_of_their_mean_terms() -> None:
    rows = [contrast(made(seed=s), BOTH) for s in range(4)] + [contrast(made()[:, 0, 0])]
    shared = sharing(rows)
    mean = {f: np.mean([r.terms[f] for r in rows[:4]]) for f in ("images", *BOTH)}
    assert {r.df for r in shared[:4]} == {shared[0].df}
    assert shared[0].df == pytest.approx(satterthwaite(mean, rows[0].levels))
    assert shared[4] == rows[4]
    assert [r.value for r in shared] == [r.value for r in rows] and [r.terms for r in shared] == [r.terms for r in rows]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (3, 2)])
def test_other_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected axes"):
        contrast(np.zeros(shape), ["draws"] if shape == (3, 0) else [])


# of made(), by a reference of other hands: terms of images, draws, seeds; df; differ; p; smallest visible of 20; bound
WRITTEN_DOWN = (0.002771863036, 0.000850694444, 0.00015625, 24.482010749, 34, 0.025861667904, 0.259721122155,
                0.250921675999)  # fmt: skip


def numbers(found: Contrast) -> tuple[float, ...]:
    assert found.p is not None
    return (*found.terms.values(), found.df, found.differ, found.p, found.smallest_visible(20), found.bound)


@pytest.fixture
def reference() -> ModuleType:
    """A reference implementation by other hands, where there is one."""
    path = Path(os.environ.get("FGSCORE_REFERENCE", "no such folder")) / "crossed.py"
    if not path.is_file():
        pytest.skip("needs a reference implementation: set FGSCORE_REFERENCE to its folder")
    spec = importlib.util.spec_from_file_location("reference_crossed", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    __import__("sys").modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shape", [(40, 3, 2), (40, 5, 1), (7, 1, 3), (300, 3, 3)])
def test_a_reference_by_other_hands_agrees(reference: ModuleType, shape: tuple[int, int, int]) -> None:
    d = made(*shape, seed=5)
    for own in (False, True) if min(shape[1:]) > 1 else (False,):
        theirs = reference.crossed(d, seeds_reused=not own)
        ours = contrast(d.mean(axis=2), ["draws"]) if own else contrast(d, BOTH)
        assert ours.terms == pytest.approx(theirs.parts)
        assert (ours.value, ours.df, ours.differ) == pytest.approx((theirs.value, theirs.df, theirs.differ))
        assert ours.interval() == pytest.approx(theirs.interval())
        assert 2 * min(ours.above(), ours.below()) == pytest.approx(theirs.p())
        assert ours.smallest_visible(20) == pytest.approx(theirs.mde(0.05 / 20))
        assert ours.bound == pytest.approx(theirs.within())
    rows = [made(*shape, seed=s) for s in range(4)]
    counts = {factor: n for factor, n in zip(("images", *BOTH), shape, strict=True) if n > 1}
    df = reference.table_df([reference.crossed(r) for r in rows], counts)
    assert sharing([contrast(r, BOTH) for r in rows])[0].df == pytest.approx(df)


def test_the_numbers_of_the_reference_that_were_written_down() -> None:
    assert numbers(contrast(made(), BOTH)) == pytest.approx(WRITTEN_DOWN, rel=1e-8)

"""What the rules promise, on simulated outcomes whose truth is known: how often an interval covers, a table of nothing
says something, an effect that is there is found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom, norm

from fgscore.stats.accuracy import accuracy, mean_per_class
from fgscore.stats.combined import combined
from fgscore.stats.crossed import Contrast, contrast, sharing
from fgscore.stats.paired import holm
from fgscore.stats.words import different, equal, joint_p, over_sets

AGREE = 0.5  # how far an image that differs in one draw does so in another
LONG = pytest.mark.slow


def differences(
    rng: np.random.Generator,
    n: int,
    differ: float,
    draws: int,
    sd: float,
    effect: float = 0.0,
    seeds: int = 1,
    seed_sd: float = 0.0,
) -> np.ndarray:
    """(n, draws, seeds) of -1, 0, 1: a share ``differ`` of the images differs in each run, and the true difference of
    a draw is ``effect`` and a normal of ``sd``, of a seed one more; of all, ``effect``."""
    of_run = effect + sd * rng.standard_normal((draws, 1)) + seed_sd * rng.standard_normal(seeds)
    won = norm.isf(np.clip((differ + of_run) / 2, 0, 1))
    lost = norm.ppf(np.clip((differ - of_run) / 2, 0, 1))
    image = np.sqrt(AGREE) * rng.standard_normal((n, 1, 1))
    z = image + np.sqrt(1 - AGREE) * rng.standard_normal((n, draws, seeds))
    return np.asarray((z > won).astype(float) - (z < lost))


def at_most(share: float, trials: int) -> int:
    """The largest count that chance allows at ``share``, but for once in a thousand."""
    return int(binom.ppf(0.999, trials, share))


def at_least(share: float, trials: int) -> int:
    return int(binom.ppf(0.001, trials, share))


def covered(found: Callable[[], Contrast], truth: float, trials: int) -> int:
    """How many intervals of ``trials`` hold the truth."""
    ends = [found().interval() for _ in range(trials)]
    return sum(low <= truth <= high for low, high in ends)


def check_coverage(n: int, differ: float, draws: int, sd: float, trials: int) -> None:
    rng = np.random.default_rng(n + draws + round(1000 * sd))
    held = covered(lambda: contrast(differences(rng, n, differ, draws, sd, 0.01)[..., 0], ["draws"]), 0.01, trials)
    assert at_least(0.91 if draws == 3 else 0.93, trials) <= held <= at_most(0.995, trials)


@pytest.mark.parametrize(("draws", "sd"), [(3, 0.0), (3, 0.02), (5, 0.01)])
def test_intervals_over_draws_hold_the_truth(draws: int, sd: float) -> None:
    check_coverage(500, 0.17, draws, sd, 200)


@LONG
@pytest.mark.parametrize("draws", [3, 5])
@pytest.mark.parametrize("sd", [0.0, 0.01, 0.02])
@pytest.mark.parametrize(("n", "differ"), [(240, 0.17), (2400, 0.17), (5794, 0.08)])
def test_intervals_over_draws_hold_the_truth_at_length(n: int, differ: float, draws: int, sd: float) -> None:
    check_coverage(n, differ, draws, sd, 1000)


@pytest.mark.parametrize("own", [True, False], ids=["own seeds", "seeds reused"])
def test_intervals_over_draws_and_seeds_hold_the_truth(own: bool) -> None:
    rng = np.random.default_rng(3)

    def found() -> Contrast:
        if not own:
            return contrast(differences(rng, 400, 0.17, 3, 0.01, 0.0, 3, 0.01), ["draws", "seeds"])
        each = [differences(rng, 400, 0.17, 1, 0.01, 0.0, 3, 0.01) for _ in range(3)]
        return contrast(np.concatenate(each, axis=1).mean(axis=2), ["draws"])

    assert covered(found, 0.0, 200) >= at_least(0.91, 200)


def check_null_tables(n: int, sd: float, draws: int, tables: int) -> None:
    rng = np.random.default_rng(8)
    false = 0
    for _ in range(tables):
        rows = [contrast(differences(rng, n, 0.17, draws, sd)[..., 0], ["draws"]) for _ in range(20)]
        rows = sharing(rows)
        corrected = holm([row.p or 1.0 for row in rows])
        words = [different([row], p, len(rows)) for row, p in zip(rows, corrected, strict=True)]
        false += bool({"supported", "contradicted"} & set(words))
    assert false <= at_most(0.05, tables)


def test_a_table_of_nothing_says_nothing() -> None:
    check_null_tables(300, 0.01, 3, 40)


@LONG
@pytest.mark.parametrize("sd", [0.0, 0.01, 0.02])
@pytest.mark.parametrize("draws", [3, 5])
def test_a_table_of_nothing_says_nothing_at_length(sd: float, draws: int) -> None:
    check_null_tables(2400, sd, draws, 300)


def check_power(n: int, trials: int) -> None:
    rng = np.random.default_rng(11)

    def rows(effect: float, times: int) -> list[Contrast]:
        made = [contrast(differences(rng, n, 0.17, 3, 0.005, effect)[..., 0], ["draws"]) for _ in range(times)]
        return sharing(made)

    size = float(np.mean([row.smallest_visible() for row in rows(0.0, 50)]))
    found = sum(different([row], row.p) == "supported" for row in rows(size, trials))
    assert at_least(0.70, trials) <= found <= at_most(0.85, trials)


def test_an_effect_of_the_printed_size_is_found_about_four_times_in_five() -> None:
    check_power(600, 150)


@LONG
def test_an_effect_of_the_printed_size_is_found_at_length() -> None:
    check_power(2400, 1000)


def test_what_twice_the_width_gains_is_nothing_against_twice_the_width() -> None:
    """A head that gains from width alone, whatever is put there."""
    rng = np.random.default_rng(5)
    ability = rng.standard_normal((2000, 1))

    def outcomes(bias: float) -> np.ndarray:
        return np.asarray(ability + 0.3 * rng.standard_normal((2000, 3)) + bias > 0, float)

    narrow, twice, wide = outcomes(0.0), outcomes(0.15), outcomes(0.15)
    against_narrow, against_twice = (contrast(wide - other, ["seeds"]) for other in (narrow, twice))
    assert different([against_narrow], against_narrow.p) == "supported"
    assert different([against_twice], against_twice.p) not in ("supported", "contradicted")


def test_one_contradicting_data_set_is_not_drowned() -> None:
    rng = np.random.default_rng(6)
    effects = (0.05, 0.04, 0.05, 0.04, -0.03)
    by_set = [[contrast(differences(rng, 2000, 0.17, 3, 0.002, e)[..., 0], ["draws"])] for e in effects]
    whole = [combined([e for (e,) in by_set])]
    assert over_sets(whole, by_set, len(by_set), joint_p(whole)) == "mixed"


def check_margin(n: int, trials: int) -> None:
    rng = np.random.default_rng(9)
    found = [contrast(differences(rng, n, 0.08, 3, 0.002, 0.01)[..., 0], ["draws"]) for _ in range(trials)]
    called = sum(equal([one], 0.01).word == "equivalent" for one in found)
    assert called <= at_most(0.05, trials)


def test_a_difference_of_the_margin_is_hardly_ever_called_equal() -> None:
    check_margin(2000, 150)


@LONG
def test_a_difference_of_the_margin_is_hardly_ever_called_equal_at_length() -> None:
    check_margin(5794, 1000)


def test_what_does_not_differ_can_be_called_equal() -> None:
    """Six settings, all pairs: by the older rule, each test by itself on one draw, hardly ever."""
    rng = np.random.default_rng(4)
    called = 0
    for _ in range(20):
        ability = rng.standard_normal((4000, 1))
        levels = [np.asarray(ability + 0.12 * rng.standard_normal((4000, 3)) > -1, float) for _ in range(4)]
        rows = sharing([contrast(a - b, ["draws"]) for i, a in enumerate(levels) for b in levels[:i]])
        called += equal(rows, 0.01).word == "equivalent"
    assert called >= 12


@pytest.mark.parametrize("per_class", [5, 10])
def test_intervals_of_accuracies_hold_the_truth_on_few_images_a_class(per_class: int) -> None:
    """Where a bootstrap covers 85 to 93 %."""
    rng = np.random.default_rng(per_class)
    labels = np.repeat(np.arange(20), per_class)
    share = rng.beta(8, 2, 20)
    held = {"all": 0, "by class": 0}
    for _ in range(300):
        y = (rng.random(len(labels)) < share[labels]).astype(float)
        for name, found in (("all", accuracy(y)), ("by class", mean_per_class(y, labels))):
            held[name] += found.low <= share.mean() <= found.high
    assert min(held.values()) >= at_least(0.93, 300)

"""An effect over data sets, by hand and against numbers of a reference that were written down."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from fgscore.stats.combined import Combined, combined
from fgscore.stats.crossed import Contrast


def effect(value: float, variance: float, df: float) -> Contrast:
    return Contrast(value, {"images": variance}, {"images": 100}, 50, df)


@pytest.mark.parametrize(
    ("rows", "mean", "half", "here"),
    [
        ([(0.01, 1e-4, 10), (0.03, 2e-4, 20), (0.02, 1e-4, 5), (0.05, 3e-4, 40)], 0.0275, 0.02717530884, 0.01320024971),
        ([(0.01, 1e-4, 10), (0.011, 2e-4, 20), (0.0105, 1e-4, 5)], 0.0105, 0.01357955562, 0.01357955562),
    ],
)
def test_the_numbers_of_a_reference(rows: list, mean: float, half: float, here: float) -> None:
    found = combined([effect(*row) for row in rows])
    assert (found.value, found.half_width()) == (pytest.approx(mean), pytest.approx(half))
    error, df = found.here
    assert scipy_stats.t.ppf(0.975, df) * error == pytest.approx(here)
    assert (found.p < 0.05) == (found.interval()[0] > 0)


def test_effects_that_scatter_have_the_p_of_a_t_test_over_data_sets() -> None:
    values = [0.02, 0.05, 0.01, -0.01, 0.03]
    found = combined([effect(v, 1e-8, 50) for v in values])
    assert found.p == pytest.approx(scipy_stats.ttest_1samp(values, 0).pvalue)
    assert (found.agree, found.differ) == (4, 250)


def test_effects_that_agree_better_than_they_are_known_keep_their_own_error() -> None:
    found = combined([effect(0.02, 4e-4, 30)] * 3)
    assert found.errors == ((pytest.approx(np.sqrt(12e-4) / 3), pytest.approx(90)),)


def test_two_data_sets_have_no_mean() -> None:
    with pytest.raises(ValueError, match="3 data sets or more, found 2"):
        combined([effect(0.1, 1e-4, 9)] * 2)
    assert isinstance(combined([effect(0.1, 1e-4, 9)] * 3), Combined)

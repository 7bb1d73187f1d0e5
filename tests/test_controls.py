"""Controls: scorers that know nothing of what regions show, or know it in the wrong place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from fgscore.contract import arrays
from fgscore.errors import BadParameter, UsageError
from fgscore.evaluate import score as scoring
from fgscore.inputs import ScoreInputs, image_keys
from fgscore.scorers import Scorer
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.match import bundles

Run = Callable[..., object]
MANY = (40,) * 200
CONTROLS = ["random", "random(seed=4)", "shuffled", "shuffled(of=region_global, seed=2)", "reverse", "area"]


def scores(text: str, inputs: ScoreInputs) -> np.ndarray:
    return Scorer.bind(text)(inputs, arrays.classes(inputs))


def test_the_key_of_an_image_is_64_bits_of_the_sha256_of_its_id() -> None:
    ids = np.array(["cub/001", "ünïcode"])
    assert image_keys(ids).tolist() == [int(hashlib.sha256(i.encode()).hexdigest()[:16], 16) for i in ids.tolist()]


def test_random_scores_are_even_and_independent_of_image_number_and_seed() -> None:
    inputs = arrays.inputs(MANY)
    one, other = scores("random", inputs), scores("random(seed=1)", inputs)
    assert scipy_stats.kstest(one, "uniform").pvalue > 0.001
    assert len(np.unique(one)) > 0.999 * len(one) and (one >= 0).all() and (one < 1).all()
    for a, b in ((one, other), (one[:-40], one[40:]), (one[:-1], one[1:]), (one, inputs.number_of_region)):
        assert abs(scipy_stats.spearmanr(a, b).statistic) < 0.05
    first = scipy_stats.rankdata(one.reshape(200, 40), axis=1).argmax(axis=1)
    assert scipy_stats.chisquare(np.bincount(first, minlength=40)).pvalue > 0.001, "each region is as often the best"


@given(sizes=st.lists(st.integers(0, 6), min_size=1, max_size=6), seed=st.integers(0, 3))
def test_shuffled_scores_are_those_of_each_image_in_another_order(sizes: list[int], seed: int) -> None:
    inputs = arrays.inputs(tuple(sizes))
    own, moved = scores("entropy", inputs), scores(f"shuffled(of=entropy, seed={seed})", inputs)
    for a, b in zip(inputs.offsets, inputs.offsets[1:], strict=False):
        np.testing.assert_array_equal(np.sort(own[a:b]), np.sort(moved[a:b]))


def test_shuffled_scores_do_not_follow_the_scores() -> None:
    inputs = arrays.inputs(MANY)
    own, moved, again = (scores(text, inputs) for text in ("soft_margin", "shuffled", "shuffled(seed=1)"))
    within = [np.corrcoef(own[a : a + 40], moved[a : a + 40])[0, 1] for a in range(0, len(own), 40)]
    assert abs(np.mean(within)) < 0.05
    assert (moved != again).mean() > 0.9


def test_reversed_scores_have_the_other_sign_and_area_is_the_area() -> None:
    inputs = arrays.inputs()
    np.testing.assert_array_equal(scores("reverse(of=hard_margin)", inputs), -scores("hard_margin", inputs))
    np.testing.assert_array_equal(scores("area", inputs), inputs.area)


@pytest.mark.parametrize("text", CONTROLS)
def test_controls_do_not_depend_on_how_the_images_are_cut_into_parts(
    text: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle,) = bundles(store)
    assert isinstance(bundle, RegionBundle)
    runs = scoring.runs_for(bundle, [Scorer.bind(text)], [scoring.Target.bind("local")])
    whole = scoring.compute(runs, scoring.read_block(bundle, 0))[0].scores
    monkeypatch.setattr(scoring, "PART", 1)
    np.testing.assert_array_equal(scoring.compute(runs, scoring.read_block(bundle, 0))[0].scores, whole)


def test_scorers_are_given_keys_in_place_of_ids(store: Store) -> None:
    (bundle,) = bundles(store)
    assert isinstance(bundle, RegionBundle)
    block = scoring.read_block(bundle, 0)
    inputs = block.inputs
    assert inputs.image_keys is not None and inputs.read_regions is not None
    np.testing.assert_array_equal(inputs.image_keys, image_keys(block.image_ids))
    assert inputs.read_regions().image_ids.tolist() == [f"{key:016x}" for key in inputs.image_keys.tolist()]
    np.testing.assert_array_equal(inputs.drawn(0), inputs.apart().drawn(0))


def test_all_scorers_are_those_that_look_for_something(store: Store, run: Callable) -> None:
    rows = run("score", "--scorer", "all", "--json").json["scores"]
    assert len(rows) == len(Scorer.informed()) == 5


@pytest.mark.parametrize(
    ("text", "needs_target", "canonical"),
    [
        ("random", False, "random"),
        ("shuffled", True, "shuffled"),
        ("shuffled(of=region_global)", False, "shuffled(of='region_global')"),
        ("reverse(of='soft_margin()')", True, "reverse"),
        ("reverse(of='entropy(tau=10.0)')", True, "reverse(of='entropy(tau=10)')"),
        ("reverse(of=area)", False, "reverse(of='area')"),
    ],
)
def test_a_control_needs_the_target_of_what_it_is_made_from(text: str, needs_target: bool, canonical: str) -> None:
    found = Scorer.bind(text)
    assert (found.needs_target, found.canonical) == (needs_target, canonical)
    assert Scorer.built_in(found.canonical).identity == found.identity


@pytest.mark.parametrize("text", ["shuffled(of='./mine.py:f')", "reverse(of='mine.py:f')", "shuffled(of=soft_margn)"])
def test_a_control_is_made_from_scorers_of_ours_alone(text: str) -> None:
    with pytest.raises(UsageError, match="of= takes a scorer of fgscore's own"):
        Scorer.built_in(text)


def test_a_seed_is_no_negative_number() -> None:
    with pytest.raises(BadParameter, match="seed"):
        Scorer.bind("random(seed=-1)")


def test_without_keys_nothing_is_drawn(make_inputs: Callable[..., ScoreInputs]) -> None:
    with pytest.raises(AttributeError, match="keys of images"):
        make_inputs().drawn(0)

"""What every scorer promises: the built-in ones, at several parameters, and one of a user's own file."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fgscore.scorers import Scorer
from fgscore.types import ScoreInputs

USER_FILE = '''
"""A scorer as a user would write one."""
import numpy as np


def above_mean(inputs, target, /, *, alpha=2.0):
    own = inputs.region_text[np.arange(len(target)), target]
    return own - alpha * inputs.region_text.astype(float).mean(axis=1)
'''
TEXTS = [
    *Scorer.ours_named(),
    "soft_margin(tau=1)",
    "entropy(tau=10, lam=0.5)",
    "mine.py:above_mean(alpha=1.5)",
]


@pytest.fixture(params=TEXTS)
def scorer(request, tmp_path):
    if not request.param.startswith("mine.py"):
        return Scorer.bind(request.param)
    (tmp_path / "mine.py").write_text(USER_FILE)
    return Scorer.bind(f"{tmp_path}/{request.param}")


@pytest.fixture
def inputs(make_inputs):
    return make_inputs()


@pytest.fixture
def target(inputs):
    return np.random.default_rng(1).integers(0, len(inputs.text), len(inputs.regions))


def block(inputs, start, stop):
    """The images from ``start`` to ``stop`` as inputs of their own."""
    low, high = inputs.offsets[start], inputs.offsets[stop]
    offsets = inputs.offsets[start : stop + 1] - low
    return replace(
        inputs, offsets=offsets, regions=inputs.regions[low:high], globals=inputs.globals[start:stop]
    ), slice(low, high)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5)


def test_scores_are_one_finite_float32_a_region(scorer, inputs, target):
    scores = scorer(inputs, target)
    assert scores.shape == (len(inputs.regions),)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) > 1


@pytest.mark.parametrize("sizes", [(), (0,), (0, 0, 0)], ids=["no image", "one image", "three images"])
def test_no_regions_give_no_scores(scorer, make_inputs, sizes):
    scores = scorer(make_inputs(sizes), np.zeros(0, np.int64))
    assert scores.shape == (0,)
    assert scores.dtype == np.float32


def test_images_without_regions_change_no_score(scorer, inputs, target):
    kept = np.flatnonzero(np.diff(inputs.offsets))
    assert len(kept) < len(inputs.globals)
    sizes = np.diff(inputs.offsets)[kept]
    dense = replace(inputs, offsets=np.concatenate([[0], np.cumsum(sizes)]), globals=inputs.globals[kept])
    close(scorer(dense, target), scorer(inputs, target))


def test_permuting_the_regions_of_each_image_permutes_the_scores(scorer, inputs, target):
    rng = np.random.default_rng(2)
    order = np.concatenate([rng.permutation(np.arange(a, b)) for a, b in pairwise(inputs.offsets)])
    assert (order != np.arange(len(order))).any()
    close(scorer(replace(inputs, regions=inputs.regions[order]), target[order]), scorer(inputs, target)[order])


def test_permuting_the_classes_changes_no_score(scorer, inputs, target):
    order = np.random.default_rng(3).permutation(len(inputs.text))
    moved_to = np.argsort(order)
    close(scorer(replace(inputs, text=inputs.text[order]), moved_to[target]), scorer(inputs, target))


@pytest.mark.parametrize("cuts", [(0, 1, 4), (0, 2, 4), (0, 1, 2, 3, 4)], ids=str)
def test_blocks_of_whole_images_give_the_scores_of_all_at_once(scorer, inputs, target, cuts):
    parts = []
    for start, stop in pairwise(cuts):
        part, rows = block(inputs, start, stop)
        parts.append(scorer(part, target[rows]))
    close(np.concatenate(parts), scorer(inputs, target))


def test_inputs_stay_as_they_are(scorer, make_inputs, target):
    inputs, twin = make_inputs(), make_inputs()
    given = target.copy()
    scores = scorer(inputs, target)
    scores[:] = 0  # nor does the result share memory with them
    for name in ("offsets", "regions", "globals", "text", "region_text", "region_global", "global_text"):
        np.testing.assert_array_equal(getattr(inputs, name), getattr(twin, name), err_msg=name)
    np.testing.assert_array_equal(target, given)


def test_the_region_that_shows_the_target_scores_best(scorer):
    axes = np.eye(3, dtype=np.float32)
    regions = np.stack([axes[1], np.ones(3, np.float32) / np.sqrt(3), axes[0]])
    inputs = ScoreInputs(np.array([0, 3]), regions, axes[:1], axes, 100.0)
    other, mixed, right = scorer(inputs, np.zeros(3, np.int64))
    assert right > mixed
    assert right > other

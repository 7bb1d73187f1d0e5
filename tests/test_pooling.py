"""Pooling against the paper's formulas (eq. 1, 2, 6 and section 3.5), written out as loops in float64."""

import math

import numpy as np
import pytest

from fgscore.errors import BadParameter, UnknownName, UsageError
from fgscore.pooling import Pooling

SIZES = (4, 0, 1, 7, 0, 3)


@pytest.fixture
def data():
    """(regions, offsets, globals, scores): images of 4, 0, 1, 7, 0 and 3 regions, with ties among the scores."""
    rng = np.random.default_rng(0)
    regions = rng.standard_normal((sum(SIZES), 5)).astype(np.float32)
    scores = rng.integers(-2, 3, sum(SIZES)).astype(np.float32) / 2
    return regions, np.concatenate([[0], np.cumsum(SIZES)]), rng.standard_normal((6, 5)).astype(np.float32), scores


def pool(text, data):
    regions, offsets, globals_, scores = data
    pooling = Pooling.bind(text)
    return pooling(regions, offsets, globals_, scores if pooling.needs_scores else None)


def reference(data, weights_of):
    """[global; local] an image; ``weights_of(scores)`` is [(position, weight)] within the image."""
    regions, offsets, globals_, scores = data
    rows = []
    for g, a, b in zip(globals_, offsets[:-1], offsets[1:], strict=True):
        local = np.zeros(5)
        for i, w in weights_of(scores[a:b].tolist()):
            local += w * regions[a + i].astype(np.float64)
        rows.append(np.concatenate([g, local if b > a else g]))
    return np.array(rows)


def softmax_of_best(k, temperature):
    def weights(scores):
        kept = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k]
        e = [math.exp(scores[i] / temperature) for i in kept]
        return [(i, v / sum(e)) for i, v in zip(kept, e, strict=True)]

    return weights


def test_none_is_the_global_embedding(data):
    features, n_pooled = pool("none", data)
    np.testing.assert_array_equal(features, data[2])
    assert n_pooled.tolist() == [0] * 6
    features[:] = 0
    assert data[2].any()


def test_mean_is_that_of_all_regions_beside_the_global_embedding(data):
    features, n_pooled = pool("mean", data)
    wanted = reference(data, lambda scores: [(i, 1 / len(scores)) for i in range(len(scores))])
    np.testing.assert_allclose(features, wanted, rtol=0, atol=1e-6)
    assert n_pooled.tolist() == list(SIZES)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 20.0])
@pytest.mark.parametrize("k", [1, 2, 5, "all"])
def test_topk_weighs_the_best_regions_by_the_softmax_of_their_scores(data, k, temperature):
    features, n_pooled = pool(f"topk(k={k!r}, temperature={temperature})", data)
    most = None if k == "all" else k
    wanted = reference(data, softmax_of_best(most, temperature))
    np.testing.assert_allclose(features, wanted, rtol=0, atol=1e-6)
    assert features.dtype == np.float32
    assert n_pooled.dtype == np.int32
    assert n_pooled.tolist() == [size if k == "all" else min(k, size) for size in SIZES]


def test_topk_keeps_five_at_the_papers_temperature_unless_told():
    pooling = Pooling.bind("topk")
    assert (pooling.k, pooling.params["temperature"]) == (5, 1.0)


def test_a_k_beyond_every_image_keeps_all(data):
    np.testing.assert_array_equal(pool("topk(k=100)", data)[0], pool("topk(k='all')", data)[0])


def test_equal_scores_weigh_equally(data):
    regions, offsets, globals_, _ = data
    level = regions, offsets, globals_, np.full(len(regions), 0.3, np.float32)
    np.testing.assert_array_equal(pool("topk(k='all')", level)[0], pool("mean", level)[0])


@pytest.mark.parametrize("text", ["mean", "topk", "topk(k=1)", "topk(k='all')"])
def test_the_global_embedding_stands_in_where_there_is_no_region(data, text):
    features, n_pooled = pool(text, data)
    for i in (1, 4):
        np.testing.assert_array_equal(features[i], np.concatenate([data[2][i]] * 2))
        assert n_pooled[i] == 0


@pytest.mark.parametrize("text", ["mean", "topk"])
def test_no_image_at_all_gives_an_empty_matrix(text):
    empty = np.zeros((0, 5), np.float32)
    features, n_pooled = pool(text, (empty, np.zeros(1, np.int64), empty, np.zeros(0, np.float32)))
    assert features.shape == (0, 10)
    assert n_pooled.shape == (0,)


def test_raw_rows_are_summed_as_they_are(data):
    regions, offsets, globals_, scores = data
    doubled = pool("topk(k=2)", (2 * regions, offsets, globals_, scores))[0]
    filled = np.array(SIZES) > 0
    np.testing.assert_allclose(doubled[filled, 5:], 2 * pool("topk(k=2)", data)[0][filled, 5:], atol=1e-6)


def test_half_precision_rows_are_pooled_in_float32(data):
    regions, offsets, globals_, scores = data
    halves = regions.astype(np.float16), offsets, globals_.astype(np.float16), scores
    features, _ = pool("topk(k='all')", halves)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, reference(halves, softmax_of_best(None, 1.0)), rtol=0, atol=1e-6)


def test_topk_without_scores_is_refused(data):
    with pytest.raises(ValueError, match="needs scores"):
        Pooling.bind("topk")(*data[:3])


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("topk(k=5)", "topk"), ("topk(temperature=2, k=1)", "topk(k=1, temperature=2)"), ("topk(k='all')",) * 2],
)
def test_a_pooling_has_one_canonical_text(text, canonical):
    assert Pooling.bind(text).canonical == canonical


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("topq", UnknownName, "did you mean 'topk'"),
        ("topk(k=0)", BadParameter, "k must be a whole number of at least 1 or 'all', found 0"),
        ("topk(k='most')", BadParameter, "or 'all', found 'most'"),
        ("topk(k=2.5)", BadParameter, "k must be a whole number"),
        ("topk(k=True)", BadParameter, "k must be a whole number"),
        ("topk(temperature=0)", BadParameter, "temperature must be a finite number above 0"),
        ("mean(k=3)", BadParameter, "no parameter 'k'"),
        ("topk(5)", UsageError, "key=value"),
    ],
)
def test_what_cannot_be_a_pooling_is_refused_with_a_way_out(text, error, says):
    with pytest.raises(error, match=says):
        Pooling.bind(text)


def test_self_is_the_global_embedding_twice(data):
    features, n_pooled = pool("self", data)
    assert features.dtype == np.float32 and not n_pooled.any()
    np.testing.assert_array_equal(features, np.repeat(data[2][:, None], 2, axis=1).reshape(len(SIZES), -1))


def test_what_each_pooling_needs():
    needs = {text: (p.needs_regions, p.needs_scores) for text in Pooling.ours_named() for p in [Pooling.bind(text)]}
    assert needs == {"none": (False, False), "self": (False, False), "mean": (True, False), "topk": (True, True)}

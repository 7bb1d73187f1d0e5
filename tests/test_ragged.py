"""Segment operations against loops, with empty segments at every place."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore import ragged

sizes_lists = st.lists(st.integers(0, 4), max_size=6)


@st.composite
def ragged_scores(draw, levels=4):
    """(offsets, scores) with few distinct scores, so that ties abound."""
    sizes = draw(sizes_lists)
    values = draw(st.lists(st.integers(-levels, levels), min_size=sum(sizes), max_size=sum(sizes)))
    return offsets_of(sizes), np.array(values, np.float32) / 2


def offsets_of(sizes):
    return np.array([sum(sizes[:i]) for i in range(len(sizes) + 1)], np.int64)


def segments(offsets):
    return [list(range(a, b)) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]


def best_first(elements, scores):
    return sorted(elements, key=lambda i: (-scores[i], i))


@given(sizes_lists)
def test_offsets_lengths_and_ids_belong_together(sizes):
    offsets = ragged.from_lengths(np.array(sizes, np.int64))
    assert offsets.dtype == np.int64
    assert offsets.tolist() == offsets_of(sizes).tolist()
    assert ragged.lengths(offsets).tolist() == sizes
    assert ragged.segment_ids(offsets).tolist() == [i for i, size in enumerate(sizes) for _ in range(size)]


@given(sizes_lists.filter(bool), st.data())
def test_take_keeps_segments_in_the_order_asked(sizes, data):
    offsets = offsets_of(sizes)
    keep = data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=8))
    elements, new = ragged.take(offsets, np.array(keep, np.int64))
    assert elements.tolist() == [e for i in keep for e in segments(offsets)[i]]
    assert new.tolist() == offsets_of([sizes[i] for i in keep]).tolist()


@given(sizes_lists, st.integers(0, 7), st.integers(0, 7))
def test_span_is_take_of_neighbours(sizes, a, b):
    offsets = offsets_of(sizes)
    part = slice(*sorted((a, b)))
    elements, new = ragged.span(offsets, part)
    assert list(range(elements.start, elements.stop)) == [e for s in segments(offsets)[part] for e in s]
    assert new.tolist() == offsets_of(sizes[part]).tolist()


@pytest.mark.parametrize("segments", [slice(None, None, 2), slice(None, None, -1), slice(2, 1)])
def test_span_refuses_what_is_no_stretch(segments):
    with pytest.raises(ValueError, match="expected start <= stop in steps of 1"):
        ragged.span(offsets_of([1, 2, 3]), segments)


@given(st.lists(sizes_lists, min_size=1, max_size=4))
def test_join_goes_on_where_the_last_ended(several):
    joined = ragged.join([offsets_of(sizes) for sizes in several])
    assert joined.dtype == np.int64
    assert joined.tolist() == offsets_of([size for sizes in several for size in sizes]).tolist()


@given(ragged_scores())
def test_rank_counts_from_the_best_and_breaks_ties_by_position(case):
    offsets, scores = case
    wanted = [best_first(s, scores).index(i) for s in segments(offsets) for i in s]
    assert ragged.rank(scores, offsets).tolist() == wanted


@given(ragged_scores(), st.one_of(st.none(), st.integers(1, 5)))
def test_topk_is_the_best_of_each_segment_best_first(case, k):
    offsets, scores = case
    elements, new = ragged.topk(scores, offsets, k)
    wanted = [best_first(s, scores)[:k] for s in segments(offsets)]
    assert elements.tolist() == [i for s in wanted for i in s]
    assert new.tolist() == offsets_of([len(s) for s in wanted]).tolist()
    assert new.dtype == np.int64


@given(ragged_scores(), st.sampled_from([0.01, 0.5, 1.0, 100.0]))
def test_softmax_is_that_of_each_segment(case, temperature):
    offsets, scores = case
    found = ragged.softmax(scores, offsets, temperature)
    assert found.dtype == np.float32
    for s in segments(offsets):
        e = [math.exp((scores[i] - max(scores[s])) / temperature) for i in s]
        np.testing.assert_allclose(found[s], [v / sum(e) for v in e], rtol=1e-6, atol=1e-30)
        if s:
            assert math.isclose(found[s].sum(dtype=np.float64), 1, rel_tol=1e-6)


def test_softmax_survives_scores_of_any_size():
    scores = np.array([1e30, -1e30, -3e38, 3e38, 5, 5], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        assert ragged.softmax(scores, np.array([0, 2, 4, 4, 6])).tolist() == [1, 0, 0, 1, 0.5, 0.5]


@given(ragged_scores(), st.integers(1, 3))
def test_weighted_sum_is_zero_over_nothing(case, width):
    offsets, weights = case
    values = np.random.default_rng(0).standard_normal((len(weights), width)).astype(np.float32)
    found = ragged.weighted_sum(values, weights, offsets)
    assert found.dtype == np.float32
    assert found.shape == (len(offsets) - 1, width)
    for row, s in zip(found, segments(offsets), strict=True):
        wanted = sum((float(weights[i]) * values[i].astype(np.float64) for i in s), np.zeros(width))
        np.testing.assert_allclose(row, wanted, rtol=0, atol=1e-5)


@given(ragged_scores())
def test_arguments_stay_as_they_are(case):
    offsets, scores = case
    offsets.setflags(write=False)
    scores.setflags(write=False)
    ragged.topk(scores, offsets, 2)
    ragged.softmax(scores, offsets)
    ragged.weighted_sum(scores[:, None], scores, offsets)


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_of_each_is_refused(k):
    with pytest.raises(ValueError, match=f"at least 1, found {k}"):
        ragged.topk(np.zeros(2, np.float32), np.array([0, 2]), k)


@pytest.mark.parametrize("offsets", [[0, 3], [1, 2], [0]], ids=str)
def test_offsets_of_other_data_are_refused(offsets):
    offsets, scores = np.array(offsets), np.zeros(2, np.float32)
    for call in (
        lambda: ragged.topk(scores, offsets, 1),
        lambda: ragged.rank(scores, offsets),
        lambda: ragged.softmax(scores, offsets),
        lambda: ragged.weighted_sum(scores[:, None], scores, offsets),
    ):
        with pytest.raises(ValueError, match="offsets: expected 0 to 2"):
            call()


@given(sizes_lists, st.integers(0, 5), st.integers(1, 4))
def test_a_window_is_a_slice_of_every_segment(sizes, start, length):
    offsets = ragged.from_lengths(np.array(sizes, np.int64))
    kept, new = ragged.window(offsets, start, start + length)
    wanted = [list(range(a, b))[start : start + length] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    assert kept.tolist() == [i for part in wanted for i in part]
    assert np.diff(new).tolist() == [len(part) for part in wanted]


@given(sizes_lists)
def test_the_mean_of_a_segment_is_numpys_and_of_nothing_nan(sizes):
    offsets = ragged.from_lengths(np.array(sizes, np.int64))
    values = np.random.default_rng(0).standard_normal((offsets[-1], 2))
    found = ragged.mean(values, offsets)
    for i, (a, b) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        if a == b:
            assert np.isnan(found[i]).all()
        else:
            np.testing.assert_allclose(found[i], values[a:b].mean(axis=0))


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 2)])
def test_an_empty_window_is_refused(start, stop):
    with pytest.raises(ValueError, match="window"):
        ragged.window(np.array([0, 3]), start, stop)

"""Our way to scikit-learn's optimum, against scikit-learn and a plain loop in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fgscore.heads import Head, ProbeData, _softmax
from fgscore.heads._hessian import Hessian
from fgscore.heads._regression import C_GRID, tolerance
from fgscore.heads._softmax import onward
from fgscore.heads.logreg import logreg


def SoftmaxRegression(x, y):
    """The problem for rows without the 1 at their end."""
    return _softmax.SoftmaxRegression(np.hstack([x, np.ones((len(x), 1), np.float32)]), y)


def drawn(n=60, classes=3, width=5, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.standard_normal((classes, width))[y] + spread * rng.standard_normal((n, width))
    return (x - x.mean(0)).astype(np.float32), y


def plain_gradient(x, y, weight, l2):
    """One image and one class after the other."""
    found = np.zeros_like(weight)
    for row, label in zip(x.astype(np.float64), y, strict=True):
        z = [float(np.dot(row, w[:-1]) + w[-1]) for w in weight]
        total = sum(np.exp(v - max(z)) for v in z)
        for k, v in enumerate(z):
            residual = np.exp(v - max(z)) / total - (k == label)
            found[k, :-1] += residual * row / len(x)
            found[k, -1] += residual / len(x)
    found[:, :-1] += l2 * weight[:, :-1]
    return found


def of_scikit_learn(x, y, c):
    model = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(x.astype(np.float64), y)
    return np.hstack([model.coef_, model.intercept_[:, None]])


@given(st.integers(2, 4), st.sampled_from([0.3, 1.0, 3.0]), st.sampled_from([0.1, 10.0]), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_at_what_is_found_the_gradient_is_zero(classes, spread, c, seed):
    x, y = drawn(40, classes, 4, spread, seed)
    fit = SoftmaxRegression(x, y).fit(c, tolerance(c), 2000)
    l2 = (2 if classes == 2 else 1) / (len(x) * c)
    assert fit.converged
    assert np.abs(plain_gradient(x, y, fit.weight, l2)).max() <= tolerance(c) + 1e-6


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("c", [0.1, 10.0, 1000.0])
def test_the_optimum_is_scikit_learns(classes, c):
    x, y = drawn(120, classes, 5, spread=2.0)
    found = SoftmaxRegression(x, y).fit(c, 1e-8, 5000).weight
    if classes == 2:
        found = found[1:] - found[:1]
    wanted = of_scikit_learn(x, y, c)
    wanted[:, -1] -= wanted[:, -1].mean() if classes > 2 else 0  # a constant on all intercepts changes nothing
    found[:, -1] -= found[:, -1].mean() if classes > 2 else 0
    np.testing.assert_allclose(found, wanted, atol=2e-3 * np.abs(wanted).max())


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_the_optimum_is_found_from_anywhere(scale):
    x, y = drawn(90, 3, 6, spread=1.5)
    problem, other = (
        SoftmaxRegression(scale * x, y),
        SoftmaxRegression(scale * drawn(90, 3, 6, spread=1.5, seed=1)[0], y),
    )
    wanted = problem.fit(100.0, 1e-7, 5000)
    starts = [problem.fit(1e-3, 1e-6, 5000), problem.fit(1e4, 1e-7, 5000), other.fit(100.0, 1e-7, 5000)]
    starts.append(onward(starts[0], starts[2], other.fit(1e-3, 1e-6, 5000)))
    for start in starts:
        found = problem.fit(100.0, 1e-7, 5000, start)
        assert found.converged
        np.testing.assert_allclose(found.weight[:, :-1], wanted.weight[:, :-1],
                                   atol=2e-3 * np.abs(wanted.weight).max())  # fmt: skip


def test_a_start_of_other_classes_is_left_alone():
    x, y = drawn(classes=3)
    few = SoftmaxRegression(*drawn(classes=2)).fit(1.0, 1e-6, 100)
    fresh = SoftmaxRegression(x, y).fit(1.0, 1e-6, 100)
    np.testing.assert_array_equal(SoftmaxRegression(x, y).fit(1.0, 1e-6, 100, few).weight, fresh.weight)
    assert onward(fresh, few, few) is fresh


@pytest.mark.parametrize("images", [12, 300])
def test_the_hessian_is_each_classs_block_where_images_are_few_and_near_it_where_many(images):
    x, y = drawn(images, 3, 4)
    axes = np.linalg.eigh(x.T @ x)[1]
    x = np.hstack([x @ axes, np.ones((images, 1), np.float32)])
    rng = np.random.default_rng(0)
    z = x.astype(np.float64) @ rng.standard_normal((5, 3))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    rows, l2 = rng.standard_normal((3, 5)), 1e-3
    rows -= rows.mean(axis=0)
    wanted = np.zeros_like(rows)
    for k in range(3):
        block = l2 * np.eye(5)
        for i in range(images):
            block += p[i, k] * (1 - p[i, k]) * np.outer(x[i], x[i]) / images
        wanted[k] = np.linalg.solve(block, rows[k])
    wanted -= wanted.mean(axis=0)
    found = Hessian.of(x, (p * (1 - p)).astype(np.float32), l2).divide(rows.astype(np.float32))
    if images == 12:
        np.testing.assert_allclose(found, wanted, atol=1e-3 * np.abs(wanted).max())
    assert np.sum(found * wanted) > 0.95 * np.linalg.norm(found) * np.linalg.norm(wanted)


@given(st.sampled_from([1e-8, 1e-4, 1.0]), st.sampled_from([1.0, 100.0]), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_its_inverse_is_positive(l2, length, seed):
    x, _ = drawn(80, 3, 6, seed=seed)
    rng = np.random.default_rng(seed)
    hessian = Hessian.of(length * x, (rng.uniform(0, 0.25, (80, 3)) ** 4).astype(np.float32), l2)
    rows = rng.standard_normal((3, 6)).astype(np.float32)
    rows -= rows.mean(axis=0)
    assert float(np.sum(rows * hessian.divide(rows))) > 0


def test_a_fit_that_is_cut_short_says_so():
    fit = SoftmaxRegression(*drawn(spread=2.0)).fit(1e4, 1e-9, 3)
    assert (fit.n_iter, fit.converged) == (3, False)


def test_rows_too_long_for_float32_are_given_up_in_time_and_finished_by_scikit_learn():
    x, y = drawn(300, 5, 20, spread=3.0)
    fit = SoftmaxRegression(100 * x, y).fit(1e4, tolerance(1e4), 5000)
    assert not fit.converged and fit.n_iter < 1000
    data = with_features(100 * x, y)
    found = Head.bind("logreg(C=10)")(data)
    rows, test = data.rows("train", "val"), data.rows("test")
    wanted = LogisticRegression(C=10, tol=1e-7, max_iter=20_000).fit(data.features[rows], data.labels[rows])
    np.testing.assert_array_equal(found.predictions, wanted.predict(data.features[test]))
    assert found.converged


def with_features(x, y):
    return ProbeData(x, y, np.resize(np.array(["train", "val", "test"]), len(y)), int(y.max()) + 1)


def test_a_path_nearby_saves_steps_and_changes_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = drawn(900, 5, 10, spread=3.0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    data, other = with_features(x, y), with_features(x + 1e-3 * rng.standard_normal(x.shape).astype(np.float32), y)
    counted, slope = [], _softmax.SoftmaxRegression.slope
    monkeypatch.setattr(_softmax.SoftmaxRegression, "slope", lambda *args: counted.append(1) or slope(*args))
    path = logreg(other, other.rows("test")).path
    assert [len(path.chosen), len(path.chosen[0]), path.final.converged] == [1, len(C_GRID), True]
    counted.clear()
    alone = logreg(data, data.rows("test"))
    steps = len(counted)
    counted.clear()
    near = logreg(data, data.rows("test"), path)
    assert len(counted) < 0.8 * steps
    np.testing.assert_array_equal(near.predictions, alone.predictions)
    np.testing.assert_allclose(near.linear.weight, alone.linear.weight, atol=5e-3 * np.abs(alone.linear.weight).max())
    assert near.details["C"] == alone.details["C"]
    assert near.path is None


def test_what_scikit_learn_finds_left_to_do_it_does(monkeypatch):
    """Where our own solver stopped anywhere, the result is scikit-learn's all the same."""
    data = with_features(*drawn(150, 3, 6, spread=2.0))
    whole = _softmax.SoftmaxRegression.fit
    monkeypatch.setattr(
        _softmax.SoftmaxRegression, "fit", lambda self, c, tolerance, most, start=None: whole(self, c, 1.0, most)
    )
    found = Head.bind("logreg(C=10)")(data)
    rows, test = data.rows("train", "val"), data.rows("test")
    wanted = LogisticRegression(C=10, tol=1e-8, max_iter=5000).fit(data.features[rows], data.labels[rows])
    np.testing.assert_array_equal(found.predictions, wanted.predict(data.features[test]))
    assert found.converged and found.details["n_iter"] > 3

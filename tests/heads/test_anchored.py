"""Logistic regression on the text's logits: its optimum against scipy's, and its two ends, logreg and zero-shot."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp

from fgscore.errors import DataError
from fgscore.heads import Head, ProbeData
from fgscore.heads._regression import C_GRID
from fgscore.heads.anchored import SHARES

SCALE = 10.0


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def drawn(per_class=12, classes=4, width=6, spread=0.8, seed=0, splits=("train", "train", "test"), length=1.0):
    """Unit rows about class centres beside others as wide, that texts point at none too well."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    centres = rng.standard_normal((classes, width))
    whole = unit(centres[labels] + spread * rng.standard_normal((len(labels), width)))
    local = rng.standard_normal((len(labels), width)).astype(np.float32)
    text = unit(centres + 0.7 * rng.standard_normal((classes, width)))
    features = np.hstack([whole, length * local])
    return ProbeData(features, labels, np.resize(np.array(splits), len(labels)), classes, text, SCALE)


def of_scipy(data, a, c, intercept, bias_alone=False):
    """Logits (n_test, K) at the optimum in float64, all classes with images."""
    train, test = data.rows("train", "val"), data.rows("test")
    x, y, d = data.features.astype(np.float64), data.labels[train], data.text.shape[1]
    offsets = a * SCALE * x[:, :d] @ data.text.T.astype(np.float64)
    k, width = data.n_classes, x.shape[1]
    penalty = (2 if k == 2 else 1) / c

    def split(theta):
        theta = theta.reshape(k, width + 1)
        return (0 if bias_alone else 1) * theta[:, :-1], (theta[:, -1] if intercept else np.zeros(k))

    def objective(theta):
        w, b = split(theta)
        z = offsets[train] + x[train] @ w.T + b
        p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
        p[np.arange(len(y)), y] -= 1
        gradient = np.hstack([p.T @ x[train] + penalty * w, p.sum(axis=0)[:, None] * intercept])
        gradient[:, :-1] *= 0 if bias_alone else 1
        loss = (logsumexp(z, axis=1) - z[np.arange(len(y)), y]).sum() + penalty / 2 * (w**2).sum()
        return loss, gradient.ravel()

    found = minimize(objective, np.zeros(k * (width + 1)), jac=True, method="L-BFGS-B",
                     options={"maxiter": 20_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-9})  # fmt: skip
    w, b = split(found.x)
    return centred(offsets[test] + x[test] @ w.T + b)


def centred(logits):
    """Without what is common to all classes, which changes nothing."""
    return logits - logits.mean(axis=1, keepdims=True)


def logits(found, data):
    return centred(found.linear.logits(data.features[found.test_rows]).astype(np.float64))


@given(st.integers(2, 5), st.sampled_from([0.5, 2.0]), st.sampled_from([0.1, 10.0, 300.0]), st.booleans(),
       st.integers(0, 1000))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_its_optimum_is_scipys_in_float64(classes, a, c, intercept, seed):
    data = drawn(classes=classes, seed=seed)
    found = Head.bind(f"anchored(a={a}, C={c}, intercept={intercept})")(data)
    wanted = of_scipy(data, a, c, intercept)
    assert found.converged
    np.testing.assert_allclose(logits(found, data), wanted, atol=2e-3 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("c", ["auto", "100"])
@pytest.mark.parametrize("classes", [2, 4])
def test_without_text_it_is_logreg(c, classes):
    data = drawn(classes=classes, splits=("train", "val", "test"))
    ours, wanted = Head.bind(f"anchored(a=0, C={c})")(data), Head.bind(f"logreg(C={c})")(data)
    np.testing.assert_array_equal(ours.predictions, wanted.predictions)
    np.testing.assert_allclose(logits(ours, data), logits(wanted, data), atol=2e-3 * np.abs(logits(wanted, data)).max())
    assert ours.details["C"] == wanted.details["C"] and ours.details["a"] == 0


@pytest.mark.parametrize("a", [0.5, 1.0])
def test_where_nothing_may_be_learnt_it_is_zero_shot(a):
    data = drawn(spread=1.5)
    few = replace(data, split=np.where((data.split == "train") & (data.labels == 3), "unused", data.split))
    for given_ in (data, few):  # classes without training images too
        found = Head.bind(f"anchored(a={a}, C=1e-7, intercept=False)")(given_)
        np.testing.assert_array_equal(found.predictions, Head.bind("zeroshot")(
            replace(data, features=data.features[:, :6])).predictions)  # fmt: skip


def test_with_an_intercept_one_bias_a_class_is_fitted_to_zero_shot():
    data = drawn(spread=1.5)
    found = Head.bind("anchored(a=1, C=1e-6)")(data)
    wanted = of_scipy(data, 1.0, 1.0, intercept=True, bias_alone=True)
    np.testing.assert_allclose(logits(found, data), wanted, atol=0.02)
    assert np.abs(wanted - centred(SCALE * data.features[found.test_rows, :6] @ data.text.T)).max() > 0.1


def test_a_class_without_training_images_keeps_its_texts_logit():
    data = drawn(per_class=30, spread=0.3)
    data = replace(data, split=np.where((data.split == "train") & (data.labels == 2), "unused", data.split))
    found = Head.bind("anchored(a=1, C=1)")(data)
    whole = data.features[found.test_rows, :6]
    kept = found.linear.logits(data.features[found.test_rows])[:, 2]
    np.testing.assert_allclose(kept, SCALE * whole @ data.text[2], rtol=1e-5)
    assert (found.predictions[data.labels[found.test_rows] == 2] == 2).any()
    assert 2 not in Head.bind("anchored(a=0, C=1)")(data).predictions, "nothing is known of it but its name"


@pytest.mark.parametrize("head", ["anchored", "anchored(C=10)", "anchored(a=0.25)"])
def test_share_and_c_are_the_best_on_validation_images_and_the_smallest_of_equals(head):
    data = drawn(per_class=30, spread=1.2, seed=3, splits=("train", "val", "test"))
    given_ = Head.bind(head).params
    shares = SHARES if given_["a"] == "auto" else (given_["a"],)
    cs = C_GRID if given_["C"] == "auto" else (given_["C"],)
    split = np.where(data.split == "val", "test", np.where(data.split == "test", "unused", data.split))
    of = {(a, c): Head.bind(f"anchored(a={a}, C={c})")(replace(data, split=split)).accuracy
          for a, c in product(shares, cs)}  # fmt: skip
    details = Head.bind(head)(data).details
    assert len(set(of.values())) > 1
    assert (details["a"], details["C"]) == max(of, key=of.get)
    assert details["validation_accuracy"] == max(of.values())


def test_one_shot_leaves_nothing_to_choose_on():
    found = Head.bind("anchored")(drawn(per_class=2, splits=("train", "test")))
    assert (found.details["a"], found.details["C"]) == (1, 10)
    assert found.details["validation"] == "too few images"


def test_held_out_images_that_are_all_right_choose_nothing_in_silence():
    found = Head.bind("anchored")(drawn(spread=0.01, per_class=20, splits=("train", "val", "test"), length=0.0))
    assert found.details["validation"].endswith("right at every a and C")
    assert (found.details["a"], found.details["C"]) == (0, 1)


def test_features_that_do_not_begin_with_the_global_embedding_have_it_beside_them():
    data = drawn()
    turned = data.features @ np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0].astype(np.float32)
    found = Head.bind("anchored(a=1, C=10)")(replace(data, features=turned, globals=data.features[:, :6]))
    np.testing.assert_array_equal(found.predictions, Head.bind("anchored(a=1, C=10)")(data).predictions)
    assert found.linear is None, "no weights on these features alone predict the same"


def test_rows_too_long_for_float32_are_fitted_in_float64():
    data = drawn(per_class=60, spread=2.0, length=100.0)
    found = Head.bind("anchored(a=1, C=10)")(data)
    wanted = of_scipy(data, 1.0, 10.0, intercept=True)
    assert found.converged
    np.testing.assert_array_equal(found.predictions, wanted.argmax(axis=1))


def test_a_fit_that_is_cut_short_says_so():
    assert not Head.bind("anchored(a=1, C=1000, max_iter=2)")(drawn()).converged


def test_a_path_nearby_changes_nothing():
    data = drawn(per_class=40)
    other = replace(data, features=data.features + np.float32(1e-3))
    alone, near = Head.bind("anchored")(data), Head.bind("anchored")(data, Head.bind("anchored")(other).path)
    assert {k: v for k, v in near.details.items() if k != "n_iter"} == {
        k: v for k, v in alone.details.items() if k != "n_iter"
    }
    np.testing.assert_array_equal(near.predictions, alone.predictions)
    assert near.path is None


def test_without_text_it_is_refused_with_the_way_out():
    with pytest.raises(DataError, match="'anchored' needs class text embeddings, found none; use --head logreg"):
        Head.bind("anchored")(replace(drawn(), text=None))

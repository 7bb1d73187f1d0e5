"""Heads: accuracies by hand, the hold-out, logistic regression against scikit-learn's own."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fgscore import heads
from fgscore.errors import BadParameter, DataError, UnknownName
from fgscore.heads import Head, ProbeData
from fgscore.heads._regression import C_GRID


def blobs(per_class=12, classes=4, width=6, spread=1.2, seed=0, splits=("train", "train", "test")):
    """Overlapping clusters, so that no accuracy is 0 or 1; splits in turn."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    centres = rng.standard_normal((classes, width))
    features = (centres[labels] + spread * rng.standard_normal((len(labels), width))).astype(np.float32)
    return ProbeData(features, labels, np.resize(np.array(splits), len(labels)), classes)


def plain(data, c, train=("train",), test=("test",), max_iter=5000):
    """Predictions of scikit-learn's own estimator."""
    rows = data.rows(*train)
    model = LogisticRegression(C=c, max_iter=max_iter, tol=1e-8).fit(data.features[rows], data.labels[rows])
    return model.predict(data.features[data.rows(*test)])


def share(found, wanted):
    return sum(int(a == b) for a, b in zip(found, wanted, strict=True)) / len(wanted)


def test_top1_is_the_share_that_is_right():
    assert heads.top1(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])) == 0.5


def test_mean_per_class_weighs_classes_and_not_images():
    labels = np.array([0, 0, 0, 0, 5, 9, 9])  # classes without images do not count
    predictions = np.array([0, 0, 0, 1, 5, 0, 9])
    assert heads.mean_per_class(labels, predictions) == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 5))
def test_the_holdout_takes_its_share_of_each_class_and_leaves_one(labels, fraction, seed):
    labels = np.array(labels)
    held = heads.holdout(labels, fraction, seed)
    assert held.shape == labels.shape
    for label in set(labels.tolist()):
        total, taken = int((labels == label).sum()), int(held[labels == label].sum())
        if total == 1:
            assert taken == 0
        else:
            assert 1 <= taken < total
            assert abs(taken - fraction * total) <= max(0.5, 1 - fraction * total)
    np.testing.assert_array_equal(held, heads.holdout(labels, fraction, seed))


def test_another_seed_holds_out_others():
    labels = np.repeat([0, 1, 2], 20)
    assert (heads.holdout(labels, 0.2, 0) != heads.holdout(labels, 0.2, 1)).any()


@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
def test_logreg_at_a_given_c_is_scikit_learns_own(c):
    data = blobs()
    result = Head.bind(f"logreg(C={c})")(data)
    wanted = plain(data, c)
    np.testing.assert_array_equal(result.predictions, wanted)
    np.testing.assert_array_equal(result.test_rows, np.flatnonzero(data.split == "test"))
    assert result.accuracy == share(wanted, data.labels[data.split == "test"])
    assert 0.25 < result.accuracy < 1
    assert result.n_train == (data.split == "train").sum()
    assert result.details["C"] == c
    assert result.converged


def test_train_and_validation_images_are_both_fitted_in_the_end():
    data = blobs(splits=("train", "val", "test"))
    result = Head.bind("logreg(C=0.1)")(data)
    np.testing.assert_array_equal(result.predictions, plain(data, 0.1, ("train", "val")))
    assert (result.predictions != plain(data, 0.1, ("train",))).any()
    assert result.n_train == len(data.rows("train", "val"))


def test_test_images_are_never_fitted():
    data = blobs(splits=("train", "val", "test"))
    test = data.split == "test"
    shuffled = np.where(test, np.roll(data.labels, 5), data.labels)
    other = ProbeData(data.features, shuffled, data.split, data.n_classes)
    one, two = Head.bind("logreg")(data), Head.bind("logreg")(other)
    np.testing.assert_array_equal(one.predictions, two.predictions)
    assert one.details == two.details
    assert one.accuracy != two.accuracy


def test_c_is_the_best_on_the_official_validation_images():
    data = blobs(per_class=15, spread=1.6, seed=3, splits=("train", "val", "test"))
    result = Head.bind("logreg")(data)
    wanted = [share(plain(data, c, ("train",), ("val",)), data.labels[data.split == "val"]) for c in C_GRID]
    assert len(set(wanted)) > 1
    assert result.details["C"] == C_GRID[wanted.index(max(wanted))]
    assert result.details["validation_accuracy"] == max(wanted)


def test_without_official_validation_five_folds_of_train_choose_c():
    data = blobs(per_class=30, spread=1.6, seed=1)
    result = Head.bind("logreg")(data)
    train = data.rows("train")
    fold = heads.folds(data.labels[train], 5)
    right = dict.fromkeys(C_GRID, 0)
    for held in (fold == i for i in range(5)):
        split = np.full(len(data.labels), "unused", "<U6")
        split[train[~held]], split[train[held]] = "train", "test"
        for c in C_GRID:
            found = Head.bind(f"logreg(C={c:g})")(replace(data, split=split))
            right[c] += (found.predictions == data.labels[train[held]]).sum()
    best = max(right.values())
    assert result.details["validation_accuracy"] == pytest.approx(best / len(train), abs=1.01 / len(train))
    assert right[result.details["C"]] >= best - 1, "but for an image on the border, the best of all"
    assert result.details["folds"] == 5


def test_c_does_not_depend_on_the_seed():
    data = blobs(per_class=30, spread=1.6, seed=1)
    one, other = (Head.bind(text)(data) for text in ("logreg", "logreg(seed=4)"))
    assert one.details == other.details
    np.testing.assert_array_equal(one.predictions, other.predictions)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60).map(np.array), st.integers(2, 6))
def test_folds_have_their_share_of_each_class_and_leave_one(labels, number):
    found = heads.folds(labels, number)
    for label in np.unique(labels):
        counts = np.bincount(found[labels == label] + 1, minlength=number + 1)
        if (labels == label).sum() == 1:
            assert counts[0] == 1
        else:
            assert counts[0] == 0 and np.ptp(counts[1:]) <= 1
            assert counts.max() < (labels == label).sum(), "some image of it is left to learn from"
    np.testing.assert_array_equal(found, heads.folds(labels, number))


def test_one_image_a_class_leaves_nothing_to_validate_on():
    data = blobs(per_class=2, splits=("train", "test"))
    result = Head.bind("logreg")(data)
    assert result.details["C"] == 10
    assert "too few images" in result.details["validation"]
    np.testing.assert_array_equal(result.predictions, plain(data, 10.0))


def test_a_fit_that_is_cut_short_says_so():
    cut = Head.bind("logreg(C=1000, max_iter=2)")(blobs())
    assert not cut.converged
    assert cut.details["n_iter"] == 2
    assert len(cut.predictions) == 16


def test_labels_may_skip_classes():
    data = blobs()
    result = Head.bind("logreg(C=1)")(ProbeData(data.features, 10 * data.labels + 3, data.split, 40))
    assert set(result.predictions.tolist()) <= {3, 13, 23, 33}
    np.testing.assert_array_equal((result.predictions - 3) // 10, Head.bind("logreg(C=1)")(data).predictions)


def with_text(width, text_width, seed=0):
    rng = np.random.default_rng(seed)
    data = blobs(width=width, splits=("test",))
    text = rng.standard_normal((4, text_width)).astype(np.float32)
    return ProbeData(data.features, data.labels, data.split, 4, text / np.linalg.norm(text, axis=1, keepdims=True))


@pytest.mark.parametrize("width", [6, 12], ids=["global only", "global and local"])
def test_zeroshot_is_the_nearest_class_text_of_the_last_part(width):
    data = with_text(width, 6)
    result = Head.bind("zeroshot")(data)
    wanted = [max(range(4), key=lambda c: float(data.text[c] @ row[-6:])) for row in data.features]
    assert result.predictions.tolist() == wanted
    assert result.predictions.dtype == np.int64
    assert result.accuracy == share(wanted, data.labels)
    assert (result.n_train, result.converged) == (0, True)


def test_zeroshot_without_text_is_refused_with_the_way_out():
    with pytest.raises(DataError, match="class text embeddings, found none; use --head logreg"):
        Head.bind("zeroshot")(blobs())


@pytest.mark.parametrize("head", ["logreg", "zeroshot"])
def test_an_index_without_test_images_is_refused_with_a_way_out(head):
    with pytest.raises(DataError, match="expected test images.*index a copy with a test split") as caught:
        Head.bind(head)(blobs(splits=("train", "val")))
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("splits", [("test",), ("test", "train", "test", "test")], ids=["none", "one class"])
def test_too_few_classes_to_train_on_are_refused_with_a_way_out(splits):
    data = blobs(per_class=2, classes=2, splits=splits)
    with pytest.raises(DataError, match="at least 2 classes, found .*--head zeroshot"):
        Head.bind("logreg")(data)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("logreg", "logreg"),
        ("logreg(C=auto)", "logreg"),
        ("logreg(C='auto', max_iter=2000)", "logreg"),
        ("logreg(C=100.0)", "logreg(C=100)"),
        ("zeroshot", "zeroshot"),
    ],
)
def test_a_head_has_one_canonical_text(text, canonical):
    assert Head.bind(text).canonical == canonical


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("logregg", UnknownName, "did you mean 'logreg'"),
        ("logreg(C=0)", BadParameter, "C must be a finite number above 0 or 'auto', found 0"),
        ("logreg(C='best')", BadParameter, "C must be a finite number above 0 or 'auto', found 'best'"),
        ("logreg(max_iter=0)", BadParameter, "max_iter must be a whole number of at least 1, found 0"),
        ("logreg(seed=-1)", BadParameter, "seed must be a whole number of at least 0, found -1"),
        ("zeroshot(C=1)", BadParameter, "no parameter 'C'"),
    ],
)
def test_what_cannot_be_a_head_is_refused_with_a_way_out(text, error, says):
    with pytest.raises(error, match=says):
        Head.bind(text)


def test_held_out_images_that_are_all_right_choose_nothing_in_silence():
    result = Head.bind("logreg")(blobs(per_class=20, spread=0.01, splits=("train", "val", "test")))
    assert result.details["validation"].startswith("all ") and result.details["validation"].endswith("right at every C")
    assert result.details["C"] == C_GRID[0]


def test_held_out_images_of_one_class_do_not_choose_c():
    data = blobs(per_class=20, splits=("train", "val", "test"))
    split = np.where((data.split == "val") & (data.labels > 0), "train", data.split)
    result = Head.bind("logreg")(replace(data, split=split))
    assert result.details["C"] == 10
    assert result.details["validation"].endswith("of one class")


def test_a_choice_that_was_one_says_nothing():
    assert "validation" not in Head.bind("logreg")(blobs(spread=1.6, splits=("train", "val", "test"))).details


def test_measuring_validation_images_leaves_test_images_out():
    split = np.array(["train", "val", "test", "val"])
    assert heads.measured_on("val", split).tolist() == ["train", "test", "unused", "test"]
    assert heads.measured_on("test", split) is split

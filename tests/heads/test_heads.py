"""The paper's head against its own loop in numpy, votes of regions, linear weights, few shots."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fgscore import heads
from fgscore.errors import BadParameter, DataError, MissingExtra
from fgscore.heads import Head, ProbeData


def blobs(per_class=12, classes=4, width=6, spread=0.8, seed=0, splits=("train", "val", "test"), text_width=None):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    centres = rng.standard_normal((classes, width))
    features = (centres[labels] + spread * rng.standard_normal((len(labels), width))).astype(np.float32)
    text = rng.standard_normal((classes, text_width or width)).astype(np.float32)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    return ProbeData(features, labels, np.resize(np.array(splits), len(labels)), classes, text, 100.0)


def plain_adamw(x, y, test, weight, bias, order, epochs, batch, lr=1e-3, decay=1e-4):
    """The optimiser written out (decoupled weight decay, bias correction), float64, no dropout."""
    w, b = weight.astype(np.float64), bias.astype(np.float64)
    m = [np.zeros_like(w), np.zeros_like(b)]
    v = [np.zeros_like(w), np.zeros_like(b)]
    step = 0
    for epoch in range(epochs):
        for rows in np.split(order[epoch], range(batch, len(x), batch)):
            step += 1
            z = x[rows] @ w.T + b
            p = np.exp(z - z.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            p[np.arange(len(rows)), y[rows]] -= 1
            p /= len(rows)
            for i, (theta, g) in enumerate(((w, p.T @ x[rows]), (b, p.sum(0)))):
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g**2
                theta -= lr * decay * theta
                theta -= lr * (m[i] / (1 - 0.9**step)) / (np.sqrt(v[i] / (1 - 0.999**step)) + 1e-8)
    return w, b, test @ w.T + b


def test_adamw_is_the_optimiser_written_out():
    torch = pytest.importorskip("torch")
    data = blobs(per_class=10)
    train, test = data.rows("train", "val"), data.rows("test")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        layer = torch.nn.Linear(6, 4)
        order = [torch.randperm(len(train)).numpy() for _ in range(5)]
    start = layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()
    w, b, logits = plain_adamw(
        data.features[train].astype(np.float64), data.labels[train], data.features[test], *start, order, 5, 8, lr=0.01
    )
    result = Head.bind("adamw(epochs=5, batch_size=8, lr=0.01, dropout=0, seed=3)")(data)
    np.testing.assert_allclose(result.linear.weight, w, atol=2e-5)
    np.testing.assert_allclose(result.linear.intercept, b, atol=2e-5)
    assert result.predictions.tolist() == logits.argmax(axis=1).tolist()
    assert result.n_train == len(train)


def test_adamw_defaults_are_the_papers():
    assert dict(Head.bind("adamw").params) == {
        "epochs": 30, "batch_size": 32, "lr": 1e-3, "weight_decay": 1e-4, "dropout": 0.1, "seed": 0,
    }  # fmt: skip


def test_adamw_comes_again_from_its_seed_and_leaves_others_random_numbers_alone():
    torch = pytest.importorskip("torch")
    data = blobs(spread=2.5)
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    one, two = (Head.bind("adamw(epochs=3, seed=5)")(data) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_array_equal(one.linear.weight, two.linear.weight)
    other = Head.bind("adamw(epochs=3, seed=6)")(data)
    assert not np.array_equal(one.linear.weight, other.linear.weight)
    without = Head.bind("adamw(epochs=3, seed=5, dropout=0)")(data)
    assert not np.array_equal(one.linear.weight, without.linear.weight), "dropout is part of the training"


def test_adamw_learns_what_can_be_learnt():
    pytest.importorskip("torch")
    easy = blobs(spread=0.1, per_class=30)
    result = Head.bind("adamw(lr=0.05)")(easy)
    assert result.accuracy == 1.0
    assert result.details["loss"] < np.log(4) / 4, "a quarter of what guessing costs"


def test_adamw_without_torch_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"'adamw' needs the package 'torch'.*pip install 'fgscore\[extract\]'"):
        Head.bind("adamw")(blobs())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("adamw(epochs=0)", "epochs must be a whole number of at least 1, found 0"),
        ("adamw(batch_size=0)", "batch_size must be a whole number of at least 1"),
        ("adamw(lr=0)", "lr must be a finite number above 0"),
        ("adamw(dropout=1)", "dropout must be a finite number of at least 0 and below 1"),
        ("adamw(weight_decay=-1)", "weight_decay must be a finite number of at least 0"),
        ("adamw(C=1)", "no parameter 'C'"),
        ("zeroshot(vote=loud)", "vote must be 'cosine' or 'probability'"),
    ],
)
def test_what_a_head_cannot_take_is_refused(text, says):
    with pytest.raises(BadParameter, match=says):
        Head.bind(text)


@pytest.mark.parametrize("head", ["adamw", "logreg"])
def test_too_few_classes_to_train_on(head):
    if head == "adamw":
        pytest.importorskip("torch")
    with pytest.raises(DataError, match="at least 2 classes"):
        Head.bind(head)(blobs(classes=1))


@pytest.mark.parametrize("head", ["logreg(C=3)", "adamw(epochs=2)", "zeroshot"])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_linear_classifier_of_a_head_predicts_what_it_predicted(head, classes):
    if head.startswith("adamw"):
        pytest.importorskip("torch")
    data = blobs(classes=classes, width=8, text_width=4, spread=1.5)
    result = Head.bind(head)(data)
    logits = result.linear.logits(data.features[result.test_rows])
    assert logits.shape == (len(result.test_rows), classes)
    np.testing.assert_array_equal(result.linear.classes[logits.argmax(axis=1)], result.predictions)


def test_probabilities_of_logreg_are_scikit_learns_own():
    for classes in (2, 3):
        data = blobs(classes=classes)
        rows, test = data.rows("train", "val"), data.rows("test")
        model = LogisticRegression(C=2, max_iter=2000, tol=1e-10).fit(data.features[rows], data.labels[rows])
        z = Head.bind("logreg(C=2)")(data).linear.logits(data.features[test])
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(p, model.predict_proba(data.features[test]), atol=2e-4)


@pytest.mark.parametrize("c", [100.0, 1000.0, 10_000.0])
def test_a_fit_predicts_as_the_optimum_does(c):
    """Clusters that can be told apart want ever larger weights: the usual tolerance stops far from the optimum."""
    data = blobs(per_class=24, classes=6, width=10, spread=0.9, splits=("train", "test", "test"))
    rows, test = data.rows("train"), data.rows("test")
    exact = LogisticRegression(C=c, tol=1e-12, max_iter=100_000)
    exact.fit(data.features[rows].astype(np.float64), data.labels[rows])
    result = Head.bind(f"logreg(C={c})")(data)
    np.testing.assert_array_equal(result.predictions, exact.predict(data.features[test].astype(np.float64)))
    assert result.converged


def test_a_vote_by_probability_asks_the_regions_and_by_cosine_the_pooled_part():
    data = blobs()
    votes = np.zeros((len(data.labels), 4), np.float32)
    votes[:, 2] = 1
    asked = ProbeData(data.features, data.labels, data.split, 4, data.text, 100.0, lambda of: votes)
    assert set(Head.bind("zeroshot(vote=probability)")(asked).predictions.tolist()) == {2}
    np.testing.assert_array_equal(
        Head.bind("zeroshot")(asked).predictions, (data.features[data.rows("test")] @ data.text.T).argmax(axis=1)
    )


def test_without_regions_both_votes_are_the_zero_shot_class():
    data = blobs()
    one, two = (Head.bind(head)(data) for head in ("zeroshot", "zeroshot(vote=probability)"))
    np.testing.assert_array_equal(one.predictions, two.predictions)


@given(st.integers(1, 6), st.integers(0, 4))
def test_few_shots_take_n_train_images_a_class_and_no_other_label(shots, seed):
    labels = np.repeat([0, 1, 5], [8, 3, 12])
    split = np.resize(np.array(["train", "train", "val", "test"]), len(labels))
    kept = heads.few_shot(labels, split, shots, seed)
    np.testing.assert_array_equal(kept == "test", split == "test")
    assert not (kept == "val").any()
    assert set(np.flatnonzero(kept == "train")) <= set(np.flatnonzero(split == "train"))
    for label in (0, 1, 5):
        there = ((split == "train") & (labels == label)).sum()
        assert ((kept == "train") & (labels == label)).sum() == min(shots, there)
    more = heads.few_shot(labels, split, shots + 1, seed)
    assert set(np.flatnonzero(kept == "train")) <= set(np.flatnonzero(more == "train"))
    np.testing.assert_array_equal(kept, heads.few_shot(labels, split, shots, seed))


def test_the_validation_split_never_shows_a_test_image():
    labels = np.repeat([0, 1], 10)
    official = np.resize(np.array(["train", "val", "test"]), 20)
    chosen = heads.validation_split(labels, official, 0)
    np.testing.assert_array_equal(chosen == "test", official == "val")
    np.testing.assert_array_equal(chosen == "train", official == "train")
    without = np.resize(np.array(["train", "train", "test"]), 20)
    chosen = heads.validation_split(labels, without, 0)
    held = chosen == "test"
    assert held.any() and (without[held] == "train").all()
    assert ((chosen == "train") | held).sum() == (without == "train").sum()

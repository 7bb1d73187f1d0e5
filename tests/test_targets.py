"""Pseudo-labels (section 3.4, eq. 4 and 5) and the true class."""

import numpy as np
import pytest

from fgscore.errors import NoLabels, UnknownName
from fgscore.heads import Head, ProbeData
from fgscore.inputs import ScoreInputs
from fgscore.targets import Target


def best_class(row, text):
    """The first of the classes with the largest cosine, in float64."""
    best, largest = -1, -np.inf
    for c, t in enumerate(text):
        cosine = float(np.dot(row.astype(np.float64), t.astype(np.float64)))
        if cosine > largest:
            best, largest = c, cosine
    return best


def images_of_regions(inputs):
    return [
        i for i, (a, b) in enumerate(zip(inputs.offsets[:-1], inputs.offsets[1:], strict=True)) for _ in range(a, b)
    ]


@pytest.fixture
def inputs(make_inputs):
    return make_inputs(sizes=(0, 4, 0, 0, 6, 1, 0))


def test_global_is_the_zeroshot_class_of_the_image(inputs):
    per_image = [best_class(g, inputs.text) for g in inputs.globals]
    found = Target.bind("global")(inputs)
    assert found.dtype == np.int64
    assert found.tolist() == [per_image[i] for i in images_of_regions(inputs)]
    assert len(set(found.tolist())) > 1


def test_local_is_the_zeroshot_class_of_the_region(inputs):
    found = Target.bind("local")(inputs)
    assert found.dtype == np.int64
    assert found.tolist() == [best_class(f, inputs.text) for f in inputs.regions]
    assert found.tolist() != Target.bind("global")(inputs).tolist()


def test_oracle_is_the_label_of_the_image(inputs):
    labels = np.array([5, 0, 6, 1, 2, 3, 4], np.int32)
    found = Target.bind("oracle")(inputs, labels)
    assert found.dtype == np.int64
    assert found.tolist() == [labels[i] for i in images_of_regions(inputs)] == [0] * 4 + [2] * 6 + [3]


@pytest.mark.parametrize("mode", ["global", "local"])
def test_ties_go_to_the_first_class(mode):
    text = np.eye(3, dtype=np.float32)[[1, 0, 0, 2]]  # classes 1 and 2 have the same text
    rows = np.eye(3, dtype=np.float32)[[0]]
    assert Target.bind(mode)(ScoreInputs(np.array([0, 1]), rows, rows, text, 100.0)).tolist() == [1]


def test_no_regions_have_no_targets(make_inputs):
    inputs = make_inputs(sizes=(0, 0))
    for mode, labels in (("global", None), ("local", None), ("oracle", np.array([1, 2]))):
        assert Target.bind(mode)(inputs, labels).shape == (0,)


@pytest.mark.parametrize("mode", ["global", "local"])
def test_pseudo_labels_refuse_labels(inputs, mode):
    with pytest.raises(ValueError, match="'oracle' only"):
        Target.bind(mode)(inputs, np.zeros(7, np.int64))


def test_oracle_needs_one_label_an_image(inputs):
    with pytest.raises(ValueError, match="labels"):
        Target.bind("oracle")(inputs)
    with pytest.raises(ValueError, match=r"expected \(7,\), found \(11,\)"):
        Target.bind("oracle")(inputs, np.zeros(11, np.int64))


def test_an_unknown_target_is_refused_with_the_nearest_spelling(inputs):
    with pytest.raises(UnknownName, match="did you mean 'global'"):
        Target.bind("globl")(inputs)


@pytest.fixture
def cars(real_data):
    """Real CLIP ViT-B/32 embeddings of the 1,635 validation cars and of the 196 class texts."""
    path = real_data / "features" / "cars_vitb32.npz"
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("val", "val_label", "text")}


def test_target_global_is_right_for_the_published_share_of_real_cars(cars):
    rows = cars["val"].astype(np.float32)
    inputs = ScoreInputs(np.arange(len(rows) + 1), rows, rows, cars["text"], 100.0)
    found = Target.bind("global")(inputs)
    assert round(float((found == cars["val_label"]).mean()), 4) == 0.5896


def test_the_zeroshot_head_agrees_on_real_cars(cars):
    labels = cars["val_label"].astype(np.int64)
    data = ProbeData(cars["val"].astype(np.float32), labels, np.full(len(labels), "test"), 196, cars["text"])
    assert round(Head.bind("zeroshot")(data).accuracy, 4) == 0.5896


def test_the_oracle_takes_no_missing_label_for_a_class(make_inputs):
    with pytest.raises(NoLabels, match="target oracle reads the label of every photo, found 2 without one"):
        Target.built_in("oracle")(make_inputs(), np.array([0, -1, 2, -1]))

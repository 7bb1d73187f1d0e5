"""The nearest class text, against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fgscore.errors import NoText, UnknownName
from fgscore.evaluate import zeroshot
from fgscore.store.match import bundles


def by_hand(bundle):
    """Image id to the probability of every class, in float64."""
    found = {}
    for number in bundle.globals.shard_sizes:
        whole = bundle.store.read(bundle.globals, number)
        for image_id, row in zip(whole.image_ids, whole.globals.astype(np.float64), strict=True):
            e = [math.exp(bundle.text_bank.logit_scale * float(row @ text)) for text in bundle.text_bank.text]
            found[str(image_id)] = [one / sum(e) for one in e]
    return found


def test_probabilities_are_the_softmax_of_scaled_cosines(study):
    (bundle, *_) = bundles(study, "cub")
    wanted = by_hand(bundle)
    rows = list(zeroshot.predict(bundle, 5))
    assert [row["image"] for row in rows] == bundle.index.image_ids.tolist()
    for row in rows:
        found = {one["label"]: one["probability"] for one in row["classes"]}
        np.testing.assert_allclose([found[c] for c in range(5)], wanted[row["image"]], atol=1e-4)
        assert row["class_name"] == f"kind {int(np.argmax(wanted[row['image']]))}"


def test_only_images_without_a_label_are_counted(birds, run, data):
    birds.label(["crow", "", "", "", "", "owl"])
    birds.extract("--classes", birds.names)
    counts = run("score", "birds", "--json").json["by_text"][0]["classes"]
    named = {
        row["image"]: row["class_name"] for row in run("predict", "--dataset", "birds", "--json").json["predictions"]
    }
    of = [named[f"{i}.png"] for i in range(1, 5)]
    assert counts == {name: of.count(name) for name in counts} and sum(counts.values()) == 4


def test_an_image_without_an_embedding_has_no_class(study):
    (bundle, *_) = bundles(study, "cub")
    assert zeroshot.nearest(bundle, np.array(["stranger"])) == [None]
    assert zeroshot.nearest(bundle, np.zeros(0, np.str_)) == []


def test_an_image_that_is_not_there_is_named(study):
    (bundle, *_) = bundles(study, "cub")
    with pytest.raises(UnknownName, match="no image named 'x' in cub"):
        list(zeroshot.predict(bundle, 1, ["x"]))


def test_without_text_there_is_no_class(birds, data, study):
    birds.extract()
    (bundle,) = bundles(study, "birds")
    assert zeroshot.nearest(bundle, bundle.index.image_ids) == [None] * 6
    with pytest.raises(NoText, match=r"as it has no class names.*--classes names.txt"):
        list(zeroshot.predict(bundle, 1))

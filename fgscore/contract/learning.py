"""Laws of heads: what learns classes from features."""

from __future__ import annotations

import numpy as np

from fgscore.contract import Broken, law, same, untouched
from fgscore.heads import Head, ProbeData
from fgscore.tables import text

CLASSES, WIDTH, TRAIN, VAL, TEST = 3, 32, 60, 4, 6


def data(seed: int = 0, apart: float = 8.0) -> ProbeData:
    """Invented features of classes that lie ``apart`` in units of their spread, and texts that point at each."""
    rng = np.random.default_rng(seed)
    centres = np.eye(CLASSES, WIDTH)
    labels = np.repeat(np.arange(CLASSES), TRAIN + VAL + TEST)
    split = np.tile(np.repeat(["train", "val", "test"], [TRAIN, VAL, TEST]), CLASSES)
    features = apart * centres[labels] + rng.standard_normal((len(labels), WIDTH))
    return ProbeData(features.astype(np.float32), labels, split, CLASSES, centres.astype(np.float32))


def _with_test_labels(given: ProbeData, labels: np.ndarray) -> ProbeData:
    changed = given.labels.copy()
    changed[given.rows("test")] = labels
    return ProbeData(given.features, changed, given.split, given.n_classes, given.text)


@law(Head)
def a_class_for_every_test_image(head: Head) -> None:
    """One of the classes for each test image."""
    given = data()
    found = head(given).predictions
    if found.shape != (CLASSES * TEST,) or not set(found.tolist()) <= set(range(CLASSES)):
        raise Broken(f"expected {CLASSES * TEST} classes from 0 to {CLASSES - 1}, found {found.tolist()}")


@law(Head)
def labels_of_test_images_are_not_looked_at(head: Head) -> None:
    """What it predicts does not depend on the labels of test images."""
    given = data()
    other = _with_test_labels(given, np.zeros(CLASSES * TEST, np.int64))
    same(head(other).predictions, head(given).predictions, "test images with other labels")


@law(Head)
def classes_far_apart_are_told_apart(head: Head) -> None:
    """Classes that lie far apart are learned."""
    if (accuracy := head(data()).accuracy) < 0.9:
        raise Broken(
            f"three classes 8 standard deviations apart: top-1 {text(accuracy, 'accuracy')}, expected at least 0.90"
        )


@law(Head)
def fits_are_repeatable(head: Head) -> None:
    """The same seed gives the same predictions, and nothing that it is given is changed."""
    given, hard = data(), data(apart=1.0)
    same(head(data(apart=1.0)).predictions, head(hard).predictions, "the same features once more")
    head(given)
    for name, now, then in (("features", given.features, data().features), ("labels", given.labels, data().labels)):
        untouched(then, now, name)


@law(Head)
def a_linear_head_is_the_one_it_gives(head: Head) -> None:
    """Where it gives a linear classifier, that predicts the same."""
    given = data(apart=1.0)
    found = head(given)
    if found.linear is not None:
        logits = found.linear.logits(given.features[given.rows("test")])
        same(found.linear.classes[logits.argmax(axis=1)], found.predictions, "its linear classifier")

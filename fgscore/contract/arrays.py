"""Laws of scorers, targets and poolings: functions of arrays, of any number of whole images at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from fgscore.contract import Broken, law, same, untouched
from fgscore.inputs import ScoreInputs, image_keys
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.targets import Target
from fgscore.types import RegionBatch

SIZES = (3, 0, 5, 1)  # regions of each image
CLASSES, WIDTH = 7, 16


def inputs(sizes: tuple[int, ...] = SIZES, seed: int = 0) -> ScoreInputs:
    """Invented images: unit rows around one direction, as CLIP's are, with text, boxes and areas."""
    rng = np.random.default_rng(seed)
    r, n = sum(sizes), len(sizes)
    rows = 2 * rng.standard_normal(WIDTH) + rng.standard_normal((r + n + CLASSES, WIDTH))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    corner, sides = rng.integers(0, 32, (r, 2)), rng.integers(8, 32, (r, 2))
    batch = RegionBatch(
        np.array([f"image {i}" for i in range(n)], np.str_),
        offsets,
        np.concatenate([corner, corner + sides], axis=1),
        sides.prod(axis=1) / 64**2,
        rng.random(r),
        rng.random(r),
    )
    regions, globals_, text = rows[:r], rows[r : r + n], rows[r + n :]
    return ScoreInputs(offsets, regions, globals_, text, 100.0, read_regions=lambda: batch,
                       image_keys=image_keys(batch.image_ids))  # fmt: skip


def classes(of: ScoreInputs) -> np.ndarray:
    """(R,) a class for each region."""
    return np.random.default_rng(1).integers(0, CLASSES, len(of.regions))


def _geometry(of: ScoreInputs) -> RegionBatch:
    assert of.read_regions is not None
    return of.read_regions()


def images(of: ScoreInputs, start: int, stop: int) -> tuple[ScoreInputs, slice]:
    """The images from ``start`` to ``stop`` by themselves, and where their regions were."""
    low, high = int(of.offsets[start]), int(of.offsets[stop])
    batch, part = _geometry(of), slice(low, high)
    own = RegionBatch(
        batch.image_ids[start:stop], of.offsets[start : stop + 1] - low, batch.boxes_xyxy[part], batch.area[part],
        batch.predicted_iou[part], batch.stability[part],
    )  # fmt: skip
    made = replace(of, offsets=own.offsets, regions=of.regions[part], globals=of.globals[start:stop],
                   read_regions=lambda: own, image_keys=image_keys(own.image_ids))  # fmt: skip
    return made, part


def in_another_order(of: ScoreInputs) -> tuple[ScoreInputs, np.ndarray]:
    """The regions of each image in another order, and that order."""
    rng = np.random.default_rng(2)
    order = np.concatenate([rng.permutation(np.arange(a, b)) for a, b in pairwise(of.offsets)])
    batch = _geometry(of)
    own = RegionBatch(batch.image_ids, of.offsets, batch.boxes_xyxy[order], batch.area[order],
                      batch.predicted_iou[order], batch.stability[order])  # fmt: skip
    made = replace(of, regions=of.regions[order], read_regions=lambda: own, numbers=of.number_of_region[order])
    return made, order


def of_other_classes(of: ScoreInputs) -> tuple[ScoreInputs, np.ndarray]:
    """The classes in another order, and where each has gone."""
    order = np.random.default_rng(3).permutation(CLASSES)
    return replace(of, text=of.text[order]), np.argsort(order)


@law(Scorer)
def one_number_a_region(scorer: Scorer) -> None:
    """A finite number for each region, none for none."""
    for sizes in (SIZES, (), (0,), (0, 0), (1,)):
        given = inputs(sizes)
        found = scorer(given, classes(given))
        if found.shape != (len(given.regions),):
            raise Broken(f"images of {sizes} regions: expected {len(given.regions)} scores, found {found.shape}")


@law(Scorer)
def scores_of_images_alone(scorer: Scorer) -> None:
    """An image's scores do not depend on which images come with it."""
    given = inputs()
    target, whole = classes(given), scorer(given, classes(given))
    for cuts in ((0, 1, 4), (0, 2, 4), (0, 1, 2, 3, 4)):
        for start, stop in pairwise(cuts):
            own, part = images(given, start, stop)
            same(scorer(own, target[part]), whole[part], f"images {start} to {stop} by themselves")


@law(Scorer)
def scores_follow_the_regions(scorer: Scorer) -> None:
    """Regions in another order get the same scores, in that order."""
    given, target = inputs(), classes(inputs())
    moved, order = in_another_order(given)
    same(scorer(moved, target[order]), scorer(given, target)[order], "regions in another order")


@law(Scorer, lambda scorer: scorer.needs_target)
def scores_do_not_know_classes_by_number(scorer: Scorer) -> None:
    """The order of the classes changes no score."""
    given, target = inputs(), classes(inputs())
    moved, gone_to = of_other_classes(given)
    same(scorer(moved, gone_to[target]), scorer(given, target), "classes in another order")


@law(Scorer, lambda scorer: not scorer.needs_target)
def scores_without_a_target(scorer: Scorer) -> None:
    """It declares that it needs no target, and does not look at it."""
    given = inputs()
    wanted = scorer(given, np.full(len(given.regions), -1))
    same(scorer(given, classes(given)), wanted, "another target")


@law(Scorer)
def scores_are_repeatable(scorer: Scorer) -> None:
    """The same regions get the same scores once more, and nothing that it is given is changed."""
    given, target = inputs(), classes(inputs())
    first = scorer(given, target).copy()
    same(scorer(inputs(), classes(inputs())), first, "the same regions once more")
    _unchanged(given)


def _unchanged(given: ScoreInputs) -> None:
    fresh = inputs()
    pairs = {
        "offsets": (given.offsets, fresh.offsets),
        "regions": (given.regions, fresh.regions),
        "globals": (given.globals, fresh.globals),
        "text": (given.text, fresh.text),
        "region_text": (given.region_text, fresh.region_text),
        "region_global": (given.region_global, fresh.region_global),
        "global_text": (given.global_text, fresh.global_text),
    }
    for name, (now, then) in pairs.items():
        untouched(then, now, name)


def _needs_no_labels(target: Target) -> bool:
    return not target.reads_labels


@law(Target)
def one_class_a_region(target: Target) -> None:
    """A class for each region, none for none."""
    for sizes in (SIZES, (), (0,), (0, 0), (1,)):
        given = inputs(sizes)
        labels = np.arange(len(sizes)) % CLASSES if target.reads_labels else None
        found = target(given, labels)
        if found.shape != (len(given.regions),) or ((found < 0) | (found >= CLASSES)).any():
            raise Broken(f"images of {sizes} regions: expected {len(given.regions)} classes, found {found.tolist()}")


@law(Target, _needs_no_labels)
def targets_of_images_alone(target: Target) -> None:
    """An image's target does not depend on which images come with it."""
    given = inputs()
    whole = target(given)
    for start, stop in pairwise((0, 1, 2, 4)):
        own, part = images(given, start, stop)
        same(target(own), whole[part], f"images {start} to {stop} by themselves")


@law(Target, _needs_no_labels)
def targets_follow_regions_and_classes(target: Target) -> None:
    """Regions or classes in another order get the same classes, in that order."""
    given = inputs()
    moved, order = in_another_order(given)
    same(target(moved), target(given)[order], "regions in another order")
    other, gone_to = of_other_classes(given)
    same(target(other), gone_to[target(given)], "classes in another order")


@law(Target, _needs_no_labels)
def targets_change_nothing(target: Target) -> None:
    """Nothing that it is given is changed."""
    given = inputs()
    target(given)
    _unchanged(given)


def _pooled(pooling: Pooling, of: ScoreInputs, scores: np.ndarray) -> np.ndarray:
    asked = scores if pooling.needs_scores else None
    return pooling(of.regions, of.offsets, of.globals, asked)[0]


def _scores(of: ScoreInputs) -> np.ndarray:
    return np.random.default_rng(4).standard_normal(len(of.regions)).astype(np.float32)


@law(Pooling)
def one_row_an_image(pooling: Pooling) -> None:
    """A finite row for each image, whatever the number of its regions."""
    width = _pooled(pooling, inputs(), _scores(inputs())).shape[1]
    for sizes in (SIZES, (0,), (0, 0), (1,), (40, 1)):
        given = inputs(sizes)
        found = _pooled(pooling, given, _scores(given))
        if found.shape != (len(sizes), width) or not np.isfinite(found).all():
            raise Broken(f"images of {sizes} regions: expected ({len(sizes)}, {width}) numbers, found {found.shape}")


@law(Pooling)
def rows_of_images_alone(pooling: Pooling) -> None:
    """An image's features do not depend on which images come with it."""
    given, scores = inputs(), _scores(inputs())
    whole = _pooled(pooling, given, scores)
    for start, stop in pairwise((0, 1, 2, 4)):
        own, part = images(given, start, stop)
        same(_pooled(pooling, own, scores[part]), whole[start:stop], f"images {start} to {stop} by themselves")


@law(Pooling, lambda pooling: pooling.needs_regions)
def rows_do_not_know_regions_by_number(pooling: Pooling) -> None:
    """The order of an image's regions changes no feature."""
    given, scores = inputs(), _scores(inputs())
    moved, order = in_another_order(given)
    same(_pooled(pooling, moved, scores[order]), _pooled(pooling, given, scores), "regions in another order")


@law(Pooling)
def pooling_changes_nothing(pooling: Pooling) -> None:
    """Nothing that it is given is changed."""
    given, scores = inputs(), _scores(inputs())
    _pooled(pooling, given, scores)
    _unchanged(given)
    untouched(_scores(inputs()), scores, "scores")

"""What a label is: the number of a class, or none. Nothing else turns a number into the name of a class, and nothing
else says what a probe wants of labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fgscore.errors import shortened

UNLABELLED = -1  # in memory; null on disk


def class_named(names: Sequence[str], label: int) -> str | None:
    """The name of class ``label`` among ``names`` (C,); None for :data:`UNLABELLED`. Raises IndexError for a number
    that is neither."""
    if label == UNLABELLED:
        return None
    if not 0 <= label < len(names):
        raise IndexError(f"expected a label from 0 to {len(names) - 1}, or {UNLABELLED} for none, found {label}")
    return names[label]


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Each of ``names`` once, numbers in their own order before the others."""
    return tuple(sorted(set(names), key=lambda name: (False, int(name), name) if name.isdecimal() else (True, 0, name)))


def without(labels: np.ndarray, ids: Sequence[str] | np.ndarray) -> str:
    """``3 of 60 photos have no label: a.jpg, b.jpg, c.jpg``, or that none has one; empty where all
    do. ``labels`` (N,) of ``ids``
    (N,)."""
    rows = np.flatnonzero(np.asarray(labels) == UNLABELLED).tolist()
    if not rows:
        return ""
    if len(rows) == len(labels):
        return f"none of {len(labels)} photos has a label"
    said = f"{len(rows)} of {len(labels)} photo{'s' * (len(labels) > 1)} {'have' if len(rows) > 1 else 'has'} no label"
    return f"{said}: {shortened([str(ids[row]) for row in rows])}"


def measurable(labels: np.ndarray, split: np.ndarray) -> dict[str, int]:
    """How many images of each split that a probe can be measured on, 'test' and 'val', have a label."""
    known = np.asarray(labels) != UNLABELLED
    return {name: int((known & (np.asarray(split) == name)).sum()) for name in ("test", "val")}


def unmeasurable(labels: np.ndarray, split: np.ndarray, eval_split: str = "test") -> str:
    """What a probe lacks to be measured on images of ``eval_split``, 'test' or 'val': what it expects and what was
    found; empty where it lacks nothing. ``labels`` and ``split`` (N,) of all images."""
    if not (np.asarray(labels) != UNLABELLED).any():
        return f"expected labels to measure by, found none on {len(labels)} photos"
    n = int((np.asarray(split) == eval_split).sum())
    if not n:
        return f"expected {eval_split} images to measure on, found none"
    if not measurable(labels, split)[eval_split]:
        return f"expected labels of {eval_split} images to measure by, found none on {n}"
    return ""


def unlearnable(labels: np.ndarray, split: np.ndarray) -> str:
    """What a probe that is trained lacks to learn from, as :func:`unmeasurable`."""
    train = np.isin(split, ("train", "val")) & (np.asarray(labels) != UNLABELLED)
    classes = len(np.unique(np.asarray(labels)[train]))
    if classes > 1:
        return ""
    return f"a linear probe needs training images of at least 2 classes, found {int(train.sum())} images of {classes}"


def wanted(labels: np.ndarray, split: np.ndarray) -> list[str]:
    """What a probe will want of images with these ``labels`` and ``split`` (N,), each in one phrase; empty where they
    have it."""
    if not (np.asarray(labels) != UNLABELLED).any():
        return [unmeasurable(labels, split)]
    if not (counts := measurable(labels, split))["test"] and counts["val"]:
        return [f"no labelled test images: --eval-split val measures on the {counts['val']} val images"]
    return [fault for fault in (unmeasurable(labels, split), unlearnable(labels, split)) if fault]

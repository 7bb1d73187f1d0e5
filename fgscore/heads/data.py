"""What a head is given and what it gives back, and the choice of images to learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fgscore.errors import DataError

UNUSED = "unused"  # the split of an image that takes no part


@dataclass(frozen=True, eq=False)
class ProbeData:
    """What a head is given. ``features`` (N, D) float32, ``labels`` (N,) int64, ``split`` (N,) of 'train', 'val' or
    'test'; for heads that need no training ``text`` (C, d) float32 unit rows, the encoder's ``logit_scale``, and
    ``votes``, which makes the (N, C) weighted mean of the class probabilities of each image's pooled regions."""

    features: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    n_classes: int
    text: np.ndarray | None = None
    logit_scale: float = 100.0
    votes: Callable[[], np.ndarray] | None = None

    def rows(self, *splits: str) -> np.ndarray:
        """(n,) int64 positions of the images of ``splits``."""
        return np.flatnonzero(np.isin(self.split, splits))

    def training_rows(self) -> np.ndarray:
        """Positions of train and validation images; raises :class:`DataError` for fewer than two classes."""
        train = self.rows("train", "val")
        if (found := len(np.unique(self.labels[train]))) < 2:
            raise DataError(
                f"a linear probe needs training images of at least 2 classes, found {len(train)} images of "
                f"{found}; use --head zeroshot"
            )
        return train


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear classifier: ``weight`` (K, D) and ``intercept`` (K,) float32, ``classes`` (K,) int64, the class of each
    row."""

    weight: np.ndarray
    intercept: np.ndarray
    classes: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, K) float32 of ``features`` (N, D)."""
        return np.asarray(features @ self.weight.T + self.intercept, np.float32)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a head found. ``predictions`` (n_test,) int64; ``linear`` where it is a linear classifier of features;
    ``path`` is what later fits on features like these can begin from."""

    predictions: np.ndarray
    n_train: int
    converged: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)
    linear: Linear | None = None
    path: Any = None


def top1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of predictions that are right."""
    return float(np.mean(labels == predictions))


def mean_per_class(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean over the classes present of the share of their images that are right."""
    _, inverse = np.unique(labels, return_inverse=True)
    right = np.bincount(inverse, (labels == predictions).astype(float))
    return float(np.mean(right / np.bincount(inverse)))


def holdout(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """(n,) bool: a stratified hold-out of about ``fraction`` of each class, at least one image of it left in train.

    A class of one image gives none. The choice depends on ``seed`` and the order of the labels only.
    """
    rng = np.random.default_rng(seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        n = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        held[rng.permutation(rows)[:n]] = True
    return held


def few_shot(labels: np.ndarray, split: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """(N,) the split with ``shots`` train images a class left, or as many as there are; the other train images and all
    validation images are out of it, so that no more labels than these are seen. The fewer of two numbers of shots
    with the same seed are among the more."""
    rng = np.random.default_rng(seed)
    kept = np.where(split == "test", split, UNUSED).astype(np.array(["test", UNUSED]).dtype)
    for label in np.unique(labels):
        rows = np.flatnonzero((labels == label) & (split == "train"))
        kept[rng.permutation(rows)[:shots]] = "train"
    return kept


def validation_split(labels: np.ndarray, split: np.ndarray, seed: int) -> np.ndarray:
    """(N,) the split for choosing among settings: validation images in the place of test ones, which are out of it.
    Where there are no official validation images, a fifth of each class of train stands in for them."""
    chosen = np.where(split == "test", UNUSED, split).astype(np.array(["test", UNUSED]).dtype)
    if (chosen == "val").any():
        chosen[chosen == "val"] = "test"
        return chosen
    train = np.flatnonzero(split == "train")
    chosen[train[holdout(labels[train], 0.2, seed)]] = "test"
    return chosen

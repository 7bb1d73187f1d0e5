"""What an encoder made of a few small pictures and texts: whether it is one, and how wide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from fgscore.encoders import _text
from fgscore.errors import MissingWeights

PICTURES = [np.zeros((8, 8, 3), np.uint8), np.arange(192, dtype=np.uint8).reshape(8, 8, 3)]  # that differ


def width(images: np.ndarray, texts: np.ndarray, ids: Sequence[Sequence[int]], logit_scale: float, folder: Path) -> int:
    """d, of ``images`` (2, d), of :data:`PICTURES`, and ``texts`` (T, d), those of ``_text.PROBES`` with the
    tokens ``ids``. Raises :class:`MissingWeights` where the model in ``folder`` says nonsense, or cannot tell things
    apart that are."""
    if not (np.isfinite(images).all() and np.isfinite(texts).all() and np.isfinite(logit_scale)):
        raise MissingWeights(f"{folder}: its embeddings are not finite; use dtype=fp32, or fetch its weights again")
    if images.shape[1] != texts.shape[1]:
        raise MissingWeights(f"{folder}: images are {images.shape[1]} wide and texts {texts.shape[1]}; name another")
    if equal(images[0], images[1]) or not images.any(axis=1).all() or not texts.any(axis=1).all():
        raise MissingWeights(f"{folder}: every picture gets the same embedding, or none; fetch its weights again")
    for i, j in combinations(range(len(texts)), 2):
        if ids[i] != ids[j] and equal(texts[i], texts[j]):
            raise MissingWeights(
                f"{folder}: {_text.PROBES[i]!r} and {_text.PROBES[j]!r} get the same embedding: the model does not "
                "read to the end of a text; config.json and tokenizer are not of one model"
            )
    return int(texts.shape[1])


def of_pictures(embed: Callable[[Sequence[np.ndarray]], np.ndarray], folder: Path) -> int:
    """d, of what ``embed`` makes of :data:`PICTURES`, twice. Raises :class:`MissingWeights` where it is nonsense."""
    images, again = embed(PICTURES), embed(PICTURES)
    if not np.isfinite(images).all():
        raise MissingWeights(f"{folder}: its embeddings are not finite; use dtype=fp32, or fetch its weights again")
    if equal(images[0], images[1]) or not images.any(axis=1).all():
        raise MissingWeights(f"{folder}: every picture gets the same embedding, or none; fetch its weights again")
    if not (equal(images[0], again[0]) and equal(images[1], again[1])):
        raise MissingWeights(f"{folder}: the same picture gets another embedding each time; name another model")
    return int(images.shape[1])


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two embeddings are the same within rounding."""
    return bool(np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(a))

"""Encoders: what all of them share, from prompts to the one place that divides by a norm.

An encoder is one file with ``load(runtime, /, *, parameters...)`` that returns an :class:`Encoder`; ``weights(runtime,
params) -> str | None``, what identifies its weights in a recipe; and ``PARAMETERS``, which of its parameters text and
globals depend on (region embeddings depend on all).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np

from fgscore.errors import StoreError, UsageError, guess
from fgscore.types import TextBank

T = TypeVar("T")
PROMPTS: dict[str, tuple[str, ...]] = {"plain": ("a photo of a {},",)}  # section 3.3, comma included


class Encoder(Protocol):
    """A dual encoder. Embeddings are float32 and not normalised; images are (H, W, 3) uint8 RGB of any size."""

    dim: int
    logit_scale: float
    device: str

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(B, d) for whole images."""

    def embed_regions(self, cuts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]]) -> np.ndarray:
        """(B, d) for (image, box_xyxy, mask or None): regions as the encoder's parameters say."""

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(T, d)."""


def templates(prompt: str) -> tuple[str, ...]:
    """The templates of a set by name, or the one that ``prompt`` itself is, such as 'a picture of a {}.'.

    ``{}``, ``{name}`` and ``{class name}`` all stand for the class name.
    """
    if prompt in PROMPTS:
        return PROMPTS[prompt]
    template, found = re.subn(r"\{(name|class|class name|c)?\}", "{}", prompt)
    if found != 1 or re.search(r"[{}]", template.replace("{}", "")):
        raise UsageError(
            f"expected a prompt set or a template with one {{}} for the class name, found {prompt!r}; "
            f"{guess(prompt, PROMPTS)}"
        )
    return (template,)


def unit(raw: np.ndarray, what: Sequence[str] | str) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and norms of ``raw`` (R, d): (R, d) float32 and (R,) float32.

    Raises :class:`StoreError` where a row is not finite or is zero: such an embedding is a fault, never stored.
    """
    raw = np.asarray(raw, np.float32)
    norms = np.linalg.norm(raw, axis=1)
    wrong = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
    if len(wrong):
        which = what if isinstance(what, str) else what[wrong[0]]
        raise StoreError(
            f"the encoder returned a non-finite or zero embedding for {which} ({len(wrong)} of {len(raw)}); "
            "use a wider dtype, such as fp32, or other weights"
        )
    return raw / norms[:, None], norms


def embed_text(encoder: Encoder, class_names: Sequence[str], prompt_templates: Sequence[str]) -> TextBank:
    """Class embeddings: every template normalised, averaged, normalised again."""
    total = np.zeros((len(class_names), encoder.dim), np.float32)
    for template in prompt_templates:
        texts = [template.replace("{}", name) for name in class_names]
        raw = np.concatenate([encoder.embed_texts(block) for block in batched(texts, 64)])
        total += unit(raw, texts)[0]
    rows, _ = unit(total, list(class_names))
    return TextBank(tuple(class_names), tuple(prompt_templates), rows, float(encoder.logit_scale))


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one shorter."""
    iterator = iter(items)
    while block := list(islice(iterator, size)):
        yield block

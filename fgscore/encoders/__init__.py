"""Encoders: what all of them share, from prompts to the one place that divides by a norm.

An encoder is one file with ``load(runtime, /, *, parameters...)`` that returns an :class:`Encoder`; ``weights(runtime,
params) -> str | None``, what identifies its weights in a recipe; and ``PARAMETERS``, which of its parameters text and
globals depend on (region embeddings depend on all).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from fgscore.encoders._prompts import PROMPTS, PromptSet, prompt_set
from fgscore.errors import StoreError
from fgscore.types import TextBank

__all__ = ["PROMPTS", "DualEncoder", "Encoder", "PromptSet", "ReadsText", "batched", "embed_text", "prompt_set",
           "templates", "unit"]  # fmt: skip

T = TypeVar("T")


class Encoder(Protocol):
    """An encoder of images. Embeddings are float32 and not normalised; images are (H, W, 3) uint8 RGB of any size."""

    dim: int
    device: str

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(B, d) for whole images."""

    def embed_regions(self, cuts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]]) -> np.ndarray:
        """(B, d) for (image, box_xyxy, mask or None): regions as the encoder's parameters say."""


@runtime_checkable
class ReadsText(Protocol):
    """What an encoder that embeds class names too has besides; of one without it no text is stored."""

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(T, d)."""


class DualEncoder(Encoder, ReadsText, Protocol):
    """Of images and of text, into one space; ``logit_scale`` is its own multiplier of cosines."""

    logit_scale: float

    def beyond_context(self, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` that are longer than the encoder reads, and are cut by :meth:`embed_texts`."""


def templates(prompt: str, noun: str | None = None) -> tuple[str, ...]:
    """The templates of :func:`prompt_set`."""
    return prompt_set(prompt, noun).templates


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


def embed_text(encoder: DualEncoder, class_names: Sequence[str], prompts: PromptSet | Sequence[str]) -> TextBank:
    """Class embeddings: every text of a class normalised, averaged, normalised again. ``prompts`` may be templates
    alone. Texts that the encoder cuts are counted and named in a warning. Raises :class:`DataError` where it has
    nothing to say of a class."""
    if not isinstance(prompts, PromptSet):
        prompts = PromptSet("", tuple(prompts))
    prompts.check(class_names)
    said = [prompts.texts(name) for name in class_names]
    texts = [text for of_class in said for text in of_class]
    _warn_of_cut(encoder.beyond_context(texts), len(texts))
    raw = np.concatenate([encoder.embed_texts(block) for block in batched(texts, 64)])
    rows, _ = unit(raw, texts)
    counts = np.array([len(of_class) for of_class in said])
    means = np.add.reduceat(rows, np.cumsum(counts) - counts, axis=0)
    text, _ = unit(means, list(class_names))
    return TextBank(tuple(class_names), prompts.templates, text, float(encoder.logit_scale))


def _warn_of_cut(cut: Sequence[str], of: int) -> None:
    if cut:
        named = "; ".join(repr(text if len(text) <= 60 else f"{text[:57]}...") for text in cut[:3])
        more = f" and {len(cut) - 3} more" if len(cut) > 3 else ""
        warnings.warn(f"{len(cut)} of {of} texts are longer than the encoder reads and are cut: {named}{more}",
                      stacklevel=3)  # fmt: skip


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one shorter."""
    iterator = iter(items)
    while block := list(islice(iterator, size)):
        yield block

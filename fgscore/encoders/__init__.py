"""Encoders: the contract, and what all of them share, from prompts to the one place that divides by a norm."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from fgscore import specs
from fgscore.encoders._batches import Batches, batched
from fgscore.encoders._one_pass import OF_REGIONS
from fgscore.encoders._prompts import PROMPTS, PromptSet, prompt_set
from fgscore.encoders._regions import ImageRegions
from fgscore.encoders._render import Rendering
from fgscore.errors import BadParameter, StoreError, UsageError
from fgscore.models import Maker, Model
from fgscore.runtime import Runtime
from fgscore.types import Descriptions, TextBank

__all__ = ["OF_REGIONS", "PROMPTS", "Batches", "Encoder", "EncoderMaker", "ImageRegions", "PromptSet", "Rendering",
           "batched", "embed_sentences", "embed_text", "prompt_set", "rows_of", "unit"]  # fmt: skip


NAME_ALONE = "a photo of a {}."  # the label's own text, by which WCA weighs descriptions


class Encoder(Model, ABC):
    """An encoder of images, and of text where it has ``embed_texts``; ``dim`` and ``embed_images`` are all it needs.

    Embeddings are floating point numbers, not normalised. Images are (H, W, 3) uint8 RGB of any size. What a function
    of one's own returns need not derive from this class; what it lacks is then as here. Example, in a file of one's
    own, used by ``--encoder "./mine.py:dino(size=448, outside=keep)"``::

        from fgscore.encoders import Encoder

        class Dino(Encoder):
            dim, needs = 384, ("torch",)

            def __init__(self, size):
                self.size = size

            def load(self):
                self.model = ...

            def embed_images(self, images):
                return self.model(...)  # (B, 384)

        def dino(*, size: int = 224):
            return Dino(size)

    ``depends`` names, for 'text' and 'globals', the parameters that decide these; left out, they are those of the
    function's own signature. ``rendering`` is set by whoever makes the encoder.
    """

    required: ClassVar[tuple[str, ...]] = ("dim", "embed_images")
    given: ClassVar[tuple[str, ...]] = ("rendering", "batches")

    dim: int = 0  # the width of its embeddings, known once it is loaded
    size: int = 224  # side in pixels of the square that its model sees
    mean_rgb: tuple[int, int, int] = (124, 116, 104)  # what `outside` mean and `fit` pad fill with
    logit_scale: float = 100.0  # its own multiplier of cosines with text, known once it is loaded
    depends: Mapping[str, tuple[str, ...]] = {}
    rendering: Rendering = Rendering()

    @abstractmethod
    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(B, dim) for B images."""

    def embed_regions(self, images: Iterable[ImageRegions]) -> Iterable[np.ndarray]:
        """Arrays (m, dim) whose rows are, one after another, the regions of all ``images`` in their order.

        Each image is given once, with all its regions, and is read when it is asked for. Left out, each region is cut
        and shaped as ``rendering`` says and embedded as an image. A model of patch tokens may do otherwise, in one
        forward pass an image::

            def embed_regions(self, images):
                for one in images:
                    weights = one.cover(16, 16).reshape(len(one), -1)  # (M, 256)
                    yield weights @ self.tokens(one.image) / weights.sum(axis=1, keepdims=True)
        """
        pictures = (
            self.rendering.picture(image, box, runs.decode() if runs else None, self.size, self.mean_rgb)
            for one in images
            for image, box, runs in one.cuts()
        )
        return self.batches.embed(self.embed_images, pictures)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(T, dim) for T texts, in the space of the images. An encoder without it reads no text, and none is stored."""
        raise NotImplementedError(f"{type(self).__name__} reads no text")

    def beyond_context(self, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` that are longer than it reads, and so are cut by :meth:`embed_texts`."""
        return []

    def token_ids(self, texts: Sequence[str]) -> list[tuple[int, ...]] | None:
        """What it reads of each text, known without loading it: two that are equal have one embedding. None where that
        is not known."""
        return None

    def macs(self, regions: int) -> int | None:
        """Multiply-accumulates that an image takes with so many regions of it, 0 or more, its own embedding included;
        None where that is not known. A further region always costs the same."""
        return None

    @cached_property
    def batches(self) -> Batches:
        """Sizes of batches; set by who runs it."""
        return Batches(0, self.device)

    @property
    def reads_text(self) -> bool:
        """Whether it embeds class names."""
        return type(self).embed_texts is not Encoder.embed_texts

    @property
    def renders(self) -> bool:
        """Whether its region embeddings follow ``rendering``: not those of a method of its own, unless that says so."""
        return type(self).embed_regions is Encoder.embed_regions

    @property
    def shapes(self) -> bool:
        """Whether its pictures, at least, come to its square as ``fit`` says."""
        return self.renders

    @property
    def at_once(self) -> bool:
        """Whether it embeds all regions of an image at once, and a region that is all of the image as that image."""
        return False

    @property
    def unseen(self) -> int:
        """How many of the regions that it embedded last, in this thread, lie outside of what it sees of their image."""
        return 0


@dataclass(frozen=True, kw_only=True)
class EncoderMaker(Maker):
    """A function ``f(*, parameters...)`` or ``f(runtime, /, *, parameters...)`` that returns an :class:`Encoder`.

    Every encoder has the parameters of :class:`Rendering` as well; one that its own signature lists is its own affair.
    """

    kind: ClassVar[str] = "encoder"
    home: ClassVar[str] = "fgscore.encoders"
    contract: ClassVar[type[Model]] = Encoder
    shared: ClassVar[tuple[Callable[..., Any], ...]] = (Rendering,)

    def make(self, runtime: Runtime) -> Encoder:
        """The encoder, which has its rendering. Raises as :meth:`Maker.make`, and :class:`BadParameter` where a
        rendering is asked for that it knows nothing of."""
        encoder: Encoder = super().make(runtime)
        own = specs.tunables(self.function)
        asked = {name: self.params[name] for name in specs.tunables(Rendering) if name not in own}
        encoder.rendering = Rendering(**asked)  # type: ignore[arg-type]
        for name, value in asked.items():
            if value != specs.tunables(Rendering)[name] and not (encoder.renders or encoder.shapes and name == "fit"):
                raise BadParameter(
                    f"{self.place}encoder {self.canonical} embeds regions by a method of its own, which has no {name}; "
                    "leave that out"
                )
        return encoder

    def keys(self, encoder: Encoder, kind: str) -> tuple[str, ...]:
        """The parameters that an artefact of ``kind`` depends on."""
        own = tuple(specs.tunables(self.function))
        return encoder.depends.get(kind, own if kind in ("text", "globals") else tuple(self.params))


def rows_of(found: Any, n: int, dim: int) -> np.ndarray:
    """``found`` as (n, dim) float32; raises :class:`UsageError` that says what it is where it is anything else than so
    many rows of floating point numbers."""
    rows = np.asarray(found)
    if rows.shape != (n, dim) or rows.dtype.kind != "f":
        raise UsageError(f"found {rows.shape} {rows.dtype} in place of {(n, dim)} floating point numbers")
    return rows.astype(np.float32, copy=False)


def unit(raw: np.ndarray, what: Sequence[str] | str, who: str = "the encoder") -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and norms of ``raw`` (R, d): (R, d) float32 and (R,) float32.

    Raises :class:`StoreError` where a row is not finite or is zero: such an embedding is a fault, never stored.
    """
    raw = np.asarray(raw, np.float32)
    norms = np.linalg.norm(raw, axis=1)
    wrong = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
    if len(wrong):
        which = what if isinstance(what, str) else what[wrong[0]]
        raise StoreError(
            f"{who} returned a non-finite or zero embedding for {which} ({len(wrong)} of {len(raw)}); "
            "use a wider dtype, such as fp32, or other weights"
        )
    return raw / norms[:, None], norms


def embed_text(
    encoder: Encoder, class_names: Sequence[str], prompts: PromptSet | Sequence[str], who: str = "the encoder"
) -> TextBank:
    """Class embeddings: every text of a class normalised, averaged, normalised again. ``prompts`` may be templates
    alone. Texts that the encoder cuts are counted and named in a warning. Raises :class:`DataError` where it has
    nothing to say of a class, and as :func:`rows_of`."""
    return embed_sentences(encoder, class_names, prompts, who)[0]


def embed_sentences(
    encoder: Encoder, class_names: Sequence[str], prompts: PromptSet | Sequence[str], who: str = "the encoder"
) -> tuple[TextBank, Callable[[], Descriptions]]:
    """The class embeddings of :func:`embed_text`, and what gives those of every text, without embedding one again."""
    if not isinstance(prompts, PromptSet):
        prompts = PromptSet("", tuple(prompts))
    prompts.check(class_names)
    said = [prompts.texts(name) for name in class_names]
    texts = [text for of_class in said for text in of_class]
    _warn_of_cut(encoder.beyond_context(texts), len(texts))
    raw = [rows_of(encoder.embed_texts(block), len(block), encoder.dim) for block in batched(texts, 64)]
    rows, _ = unit(np.concatenate(raw), texts, who)
    counts = np.array([len(of_class) for of_class in said])
    means = np.add.reduceat(rows, np.cumsum(counts) - counts, axis=0)
    text, _ = unit(means, list(class_names), who)
    bank = TextBank(tuple(class_names), prompts.templates, text, float(encoder.logit_scale))

    def describe() -> Descriptions:
        alone = [NAME_ALONE.replace("{}", name) for name in class_names]
        raw = [rows_of(encoder.embed_texts(block), len(block), encoder.dim) for block in batched(alone, 64)]
        names, _ = unit(np.concatenate(raw), alone, who)
        return Descriptions(tuple(class_names), tuple(texts), np.append(0, np.cumsum(counts)), rows, names)

    return bank, describe


def _warn_of_cut(cut: Sequence[str], of: int) -> None:
    if cut:
        named = "; ".join(repr(text if len(text) <= 60 else f"{text[:57]}...") for text in cut[:3])
        more = f" and {len(cut) - 3} more" if len(cut) > 3 else ""
        warnings.warn(f"{len(cut)} of {of} texts are longer than the encoder reads and are cut: {named}{more}",
                      stacklevel=3)  # fmt: skip

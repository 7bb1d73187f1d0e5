"""A deterministic encoder in numpy for tests and dry runs: random projections of an 8 x 8 thumbnail.

Its embeddings depend on the pixels and on the text alone, on any machine; they mean nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgscore.encoders import _render
from fgscore.errors import BadParameter
from fgscore.types import Runtime

VERSION = 1
NEEDS = ("PIL",)
PARAMETERS = {"text": ("dim", "seed"), "globals": ("dim", "seed", "fit")}
GRID = 8
GREY = (127, 127, 127)


def load(
    runtime: Runtime,
    /,
    *,
    dim: int = 32,
    seed: int = 0,
    fit: _render.Fit = "crop",
    outside: _render.Outside = "black",
    margin: float = 0.0,
) -> FakeEncoder:
    """An encoder of width ``dim``; ``fit``, ``outside`` and ``margin`` are as for 'clip'."""
    if dim < 1 or min(seed, margin) < 0:
        raise BadParameter(
            f"expected dim of at least 1, seed and margin of at least 0, found dim={dim}, seed={seed}, margin={margin}"
        )
    return FakeEncoder(dim, seed, fit, outside, margin)


def weights(runtime: Runtime, params: dict[str, Any]) -> None:
    """There are none."""


class FakeEncoder:
    """See the module."""

    logit_scale = 100.0
    device = "cpu"

    def __init__(self, dim: int, seed: int, fit: _render.Fit, outside: _render.Outside, margin: float) -> None:
        self.dim, self._fit, self._outside, self._margin = dim, fit, outside, margin
        self._seed = seed
        self._projection = np.random.default_rng(seed).standard_normal((GRID * GRID * 3, dim)).astype(np.float32)

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(B, dim) float32: the thumbnail, centred, through a fixed random projection."""
        return np.stack([self._thumbnail(image) @ self._projection for image in images])

    def embed_regions(self, cuts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]]) -> np.ndarray:
        """(B, dim) float32 of the regions as cut."""
        return self.embed_images(
            [_render.cut(image, box, mask, self._outside, self._margin, GREY) for image, box, mask in cuts]
        )

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(T, dim) float32 drawn from a generator seeded by the text."""
        keys = [hashlib.sha256(f"{self._seed}\0{text}".encode()).digest()[:8] for text in texts]
        rngs = [np.random.default_rng(int.from_bytes(key, "big")) for key in keys]
        return np.stack([rng.standard_normal(self.dim) for rng in rngs]).astype(np.float32)

    def beyond_context(self, texts: Sequence[str]) -> list[str]:
        """None: texts of any length are read."""
        return []

    def _thumbnail(self, image: np.ndarray) -> np.ndarray:
        from PIL import Image

        picture = Image.fromarray(np.ascontiguousarray(_render.shape_to(image, self._fit, 4 * GRID, GREY)))
        pixels = np.asarray(picture.resize((GRID, GRID), Image.Resampling.BOX), np.float32)
        return (pixels / 127.5 - 1.0 + 1e-3).ravel()

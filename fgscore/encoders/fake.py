"""A deterministic encoder in numpy for tests and dry runs: random projections of an 8 x 8 thumbnail."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge

from fgscore.encoders import Encoder, _render

GRID = 8


def fake(*, dim: Annotated[int, Ge(1)] = 32, seed: Annotated[int, Ge(0)] = 0) -> Fake:
    """Random projections of an 8 x 8 thumbnail, in numpy, for tests and dry runs.

    Embeddings of width ``dim`` depend on the pixels and on the text alone, on any machine; they mean nothing.
    """
    return Fake(dim, seed)


class Fake(Encoder):
    """See :func:`fake`."""

    needs = ("PIL",)
    size = 4 * GRID
    mean_rgb = (127, 127, 127)
    depends = {"text": ("dim", "seed"), "globals": ("dim", "seed", "fit")}

    def __init__(self, dim: int, seed: int) -> None:
        self.dim, self._seed = dim, seed

    def load(self) -> None:
        """Draw the projection."""
        numbers = np.random.default_rng(self._seed).standard_normal((GRID * GRID * 3, self.dim))
        self._projection = numbers.astype(np.float32)

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(B, dim) float32: the thumbnail, centred, through a fixed random projection."""
        return np.stack([self._thumbnail(image) @ self._projection for image in images])

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(T, dim) float32 drawn from a generator seeded by the text."""
        keys = [hashlib.sha256(f"{self._seed}\0{text}".encode()).digest()[:8] for text in texts]
        rngs = [np.random.default_rng(int.from_bytes(key, "big")) for key in keys]
        return np.stack([rng.standard_normal(self.dim) for rng in rngs]).astype(np.float32)

    def _thumbnail(self, image: np.ndarray) -> np.ndarray:
        from PIL import Image

        picture = _render.shape_to(image, self.rendering.fit, self.size, self.mean_rgb)
        pixels = Image.fromarray(np.ascontiguousarray(picture)).resize((GRID, GRID), Image.Resampling.BOX)
        return (np.asarray(pixels, np.float32) / 127.5 - 1.0 + 1e-3).ravel()

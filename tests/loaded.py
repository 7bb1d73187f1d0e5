"""Encoders and region generators as a run has them: bound by their text and loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fgscore import specs
from fgscore.encoders import Encoder, ImageRegions
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.regions import Generator
from fgscore.runtime import Runtime
from fgscore.types import Runs

CPU = Runtime(device="cpu", offline=True)


def encoder(name: str, runtime: Runtime = CPU, /, **params: Any) -> Encoder:
    """``encoder("fake", dim=8)``."""
    return EncoderPart(specs.text(name, params), runtime).loaded


def generator(name: str, runtime: Runtime = CPU, /, **params: Any) -> Generator:
    """``generator("random_crop", n=8)``."""
    return GeneratorPart(specs.text(name, params), runtime).loaded


def runs_of(mask: np.ndarray) -> Runs:
    """A mask (h, w) bool as run lengths, by a plain loop over its cells, column by column."""
    counts, value = [0], False
    for cell in mask.T.ravel().tolist():
        if cell != value:
            counts.append(0)
            value = cell
        counts[-1] += 1
    return Runs(np.array(counts, np.uint32), mask.shape)  # type: ignore[arg-type]


def regions(model: Encoder, cuts: Iterable[tuple[np.ndarray, Any, np.ndarray | None]]) -> np.ndarray:
    """(R, d) of regions given one by one, as (image, box, mask or None)."""
    given = [ImageRegions(image, np.array([box], np.int32), None if mask is None else [runs_of(mask)])
             for image, box, mask in cuts]  # fmt: skip
    return np.concatenate(list(model.embed_regions(given)))


def noise() -> list[np.ndarray]:
    """Three pictures (H, W, 3) uint8 of noise: wide, high, and tiny."""
    sizes = [(50, 80), (90, 40), (7, 3)]
    return [np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8) for i, size in enumerate(sizes)]


def assert_alike(ours: np.ndarray, theirs: np.ndarray, least: float = 0.99999) -> None:
    """Cosines of at least ``least`` and lengths within 1 %; what is zero is zero."""
    assert ours.shape == theirs.shape
    lengths = np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1)
    np.testing.assert_allclose(*lengths, rtol=0.01)
    some = lengths[1] > 0
    assert ((ours * theirs).sum(1)[some] / lengths[0][some] / lengths[1][some]).min() >= least

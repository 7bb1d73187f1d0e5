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

"""All regions of an image by one pass, against a crop's forward for each, and the whole embed stage by it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embed
import numpy as np
import timing
import torch

from fgscore.encoders import ImageRegions
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.machine.float32 import quick_float32
from fgscore.runtime import Runtime

COUNT = 32  # regions an image
IMAGES = 4
ROUNDS = 3
TARGETS = {32: "15x", 16: "20x"}  # by the side of a patch


def rows(sources: list[np.ndarray], count: int) -> list[timing.Row]:
    """For ViT-B/32 and B/16 of random weights, float32: forwards alone, their memory, and the embed stage."""
    found = []
    for patch, target in TARGETS.items():
        with tempfile.TemporaryDirectory() as place:
            embed.save_model(Path(place) / "model", patch)
            text = f"clip(model={str(Path(place) / 'model')!r}, regions=one_pass)"
            part = EncoderPart(text, Runtime(device="cpu", offline=True))
            found += _forwards(part, sources[0], patch, target)
        found += embed.rows(sources, count, "cpu", "fp32", "0.6x", patch, "one_pass")
    return found


def _forwards(encoder: EncoderPart, source: np.ndarray, patch: int, target: str) -> list[timing.Row]:
    """One pass of images that are ready, over 33 forwards of each; and its memory over that of one forward of them."""
    made: Any = encoder.loaded
    given = _with_regions(np.array(source[:375, :500]))
    found = np.concatenate(list(made.embed_regions([given])))
    cosine = _cosine(found[0], made.embed_images([given.image])[0])
    (view,) = made._one_pass.views(given)
    inputs = {name: tensor.repeat(IMAGES, 1, 1, 1) for name, tensor in made._inputs([given.image]).items()}

    def one_pass() -> Any:
        return made._one_pass.restrict([view] * IMAGES)(lambda: made._features(inputs))

    seconds: dict[str, list[float]] = {"one pass": [], "forwards": []}
    peaks = {}
    with torch.inference_mode(), quick_float32():
        for name, run in (("one pass", one_pass), ("bare forward", lambda: made._features(inputs))):
            run()  # what a first one keeps is no part of it
            with timing.peak_memory() as peak:
                run()
                peaks[name] = peak()
        for _ in range(ROUNDS):
            seconds["one pass"].append(_timed(one_pass, 1))
            seconds["forwards"].append(_timed(lambda: made._features(inputs), COUNT + 1))
    ratio = statistics.median(seconds["forwards"]) / statistics.median(seconds["one pass"])
    equal, detail = cosine >= 0.999999, {**seconds, "images": IMAGES, "cosine": cosine, "peaks": peaks}
    what = f"one pass, {COUNT} regions, ViT-B/{patch}, fp32"
    print(f"{what}: all of an image is that image to {1 - cosine:.1e}; "
          + ", ".join(f"{name} {peak / 2**20:.0f} MiB" for name, peak in peaks.items()))  # fmt: skip
    memory = peaks["one pass"] / peaks["bare forward"]
    return [
        timing.Row(what, f"{COUNT + 1} forwards", target, ratio, equal=equal, detail=detail),
        timing.Row(f"{what}, memory", "that of a forward", "below 2x", memory, equal=equal, detail=detail),
    ]


def _with_regions(image: np.ndarray) -> ImageRegions:
    """All of ``image`` and random crops of it, COUNT in all."""
    boxes = GeneratorPart(f"random_crop(n={COUNT - 1})", Runtime()).propose(image, "one").boxes_xyxy
    return ImageRegions(image, np.concatenate([[[0, 0, *image.shape[1::-1]]], boxes]).astype(np.int32))


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = np.float64(a), np.float64(b)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def _timed(run: Callable[[], Any], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        run()
    return time.perf_counter() - start

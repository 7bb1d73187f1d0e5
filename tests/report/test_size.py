"""How large the page gets: photographs as busy as real ones, 32 crops and 32 ragged masks each, every scorer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgscore.extract import thumbnails
from fgscore.extract.extraction import Extraction
from fgscore.extract.index import make_index
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.regions import Proposals
from fgscore.regions.random_crop import RandomCrops
from fgscore.report.build import Options, report
from fgscore.runtime import Runtime
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

LIMIT, IMAGES = 25_000_000, 500
SHOWN = 6


def busy(seed: int, height: int = 375, width: int = 500, power: float = 1.0) -> np.ndarray:
    """(H, W) in 0 to 1 with the spectrum of natural images: amplitude falls as 1/frequency."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(height)[:, None] * height, np.fft.fftfreq(width)[None] * width
    spectrum = rng.standard_normal((height, width)) + 1j * rng.standard_normal((height, width))
    noise = np.fft.ifft2(spectrum / np.maximum(1, np.hypot(fy, fx)) ** power).real
    low, high = np.quantile(noise, [0.01, 0.99])
    return np.clip((noise - low) / (high - low), 0, 1)


def masks(image: np.ndarray, image_id: str) -> Proposals:
    """Thirty-two blobs with ragged edges, a tenth of the image each; the demo's SAM draws smoother ones."""
    height, width = image.shape[:2]
    boxes, runs = [], []
    for j in range(32):
        noise = busy(100 * j + len(image_id), height, width, power=2.5)
        mask = noise > np.quantile(noise, 0.9)
        flat = mask.T.ravel()
        ends = np.append(np.flatnonzero(np.diff(flat)) + 1, flat.size)
        lengths = np.diff(ends, prepend=0)
        runs.append(np.concatenate([[0], lengths]) if flat[0] else lengths)
        boxes.append([0, 0, width, height])
    return Proposals(np.array(boxes), np.full(32, 0.1), np.ones(32), np.ones(32), runs, (height, width))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, call: Callable[..., Any]) -> Store:
    folder = tmp_path_factory.mktemp("large")
    photos, data = folder / "photos", folder / "data"
    for split, count in (("train", 1), ("test", SHOWN // 2)):
        for c in range(2):
            for i in range(count):
                colours = [busy(3 * (10 * c + i) + channel + len(split)) for channel in range(3)]
                path = photos / split / f"class {c}" / f"{i}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray((255 * np.stack(colours, -1)).astype(np.uint8)).save(path, quality=95)
    args = ("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=32)")
    assert call(*args, data=data).code == 0
    store = Store(Layout(data))
    extraction = Extraction(store, make_index(store, "folder", root=photos), Runtime())
    generator = GeneratorPart("random_crop(n=32, seed=9)", Runtime())
    masked = {"masks": True, "propose": lambda self, image, image_id: masks(image, image_id)}
    generator.made.__class__ = type("Masked", (RandomCrops,), masked)
    extraction.fill(extraction.embedded(generator, [EncoderPart("fake", Runtime())]))
    assert call("score", "--scorer", "all", "--target", "global", "--target", "local", data=data).code == 0
    return store


@pytest.mark.slow
def test_five_hundred_images_stay_below_the_limit(large: Store, tmp_path: Path) -> None:
    def size(images: int) -> int:
        report(large, tmp_path / "out", Options(images=images, plots=False))
        return (tmp_path / "out" / "report.html").stat().st_size

    empty, some = size(0), size(SHOWN)
    an_image = (some - empty) / SHOWN
    assert an_image > 15_000, "the photographs and masks are too plain to prove anything"
    assert empty + IMAGES * an_image < LIMIT, f"{an_image:.0f} bytes an image"


def test_these_photographs_are_as_busy_as_real_ones(real_data: Path) -> None:
    """Otherwise the bound above would bound nothing: their thumbnails are no smaller than those of birds."""
    photos = sorted((real_data / "cub").rglob("*.jpg"))[:40]
    assert len(photos) > 10

    def mean(pictures: list[np.ndarray]) -> float:
        return float(np.mean([len(thumbnails.shrink(p, thumbnails.SIZE).content) for p in pictures]))

    real = [np.asarray(Image.open(path).convert("RGB")) for path in photos]
    drawn = [(255 * np.stack([busy(3 * i + c) for c in range(3)], -1)).astype(np.uint8) for i in range(5)]
    assert mean(drawn) > mean(real)


def test_a_page_that_got_large_says_so(store: Store, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from fgscore_stages import report as stage

    monkeypatch.setattr(stage, "LARGE", 1000)
    assert run("score", "--scorer", "entropy").code == 0
    done = run("report", "--no-plots")
    assert done.code == 0 and "fewer --images make it smaller" in done.err

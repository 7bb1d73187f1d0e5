"""The embed stage, photos to store, against CLIP's bare forward on ready tensors of the same number."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import timing
import torch
from PIL import Image

from fgscore import demo
from fgscore.encoders import Batches, ImageRegions
from fgscore.extract.extraction import Extraction
from fgscore.extract.index import make_index
from fgscore.extract.parts import EncoderPart, GeneratorPart, Parts
from fgscore.machine.float32 import full_float32, quick_float32
from fgscore.runtime import Runtime
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

ROUNDS = 3
COUNT = 32  # crops a photo
SIZE_WH = (500, 375)


def save_model(folder: Path, patch: int = 32) -> None:
    """A CLIP with the image side of ViT-B and patches of ``patch`` pixels, of random weights, as ``save_pretrained``
    writes it; the demo's tokenizer."""
    from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(0)
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
              "patch_size": patch, "image_size": 224}  # fmt: skip
    words = AutoTokenizer.from_pretrained(demo.clip_folder())
    text = {"num_hidden_layers": 1, "eos_token_id": words.eos_token_id}
    model = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=512))
    model.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    words.save_pretrained(folder)


def save_photos(folder: Path, sources: list[np.ndarray], count: int) -> None:
    """``count`` JPEGs of SIZE_WH, windows of ``sources``, in two classes."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("one", "two"):
            (folder / split / name).mkdir(parents=True)
    for i in range(count):
        source = Image.fromarray(sources[i % len(sources)])
        scale = rng.uniform(0.5, 1.0)
        w = int(min(source.width, source.height * 4 / 3) * scale)
        x, y = rng.integers(0, source.width - w + 1), rng.integers(0, source.height - w * 3 // 4 + 1)
        picture = source.resize(SIZE_WH, box=(x, y, x + w, y + w * 3 // 4))
        split, name = ("train", "test")[i % 2], ("one", "two")[i // 2 % 2]
        picture.save(folder / split / name / f"{i:05d}.jpg", quality=90)


@torch.inference_mode()
def bare(encoder: Any, size: int, total: int) -> float:
    """Seconds of the model alone on ``total`` pictures that are there already, ``size`` at a time."""
    model, dtype = encoder._model, encoder._dtype
    ready = torch.randn(size, 3, 224, 224, device=encoder.device).to(dtype)
    start = time.perf_counter()
    with quick_float32():  # as the stage has it
        for begin in range(0, total, size):
            features = model.get_image_features(pixel_values=ready[: total - begin])
    features.pooler_output.float().cpu()
    return time.perf_counter() - start


def nearest(encoder: str, image: np.ndarray, device: str) -> float:
    """The lowest cosine of embeddings of regions in float32, by our pixels on this device and by transformers'."""
    boxes = GeneratorPart(f"random_crop(n={COUNT})", Runtime()).propose(image, "one").boxes_xyxy
    made = []
    for implementation in ("exact", "upstream"):
        runtime = Runtime(device=device, offline=True, implementation=implementation)
        with full_float32():
            rows = EncoderPart(encoder, runtime).regions([ImageRegions(image, boxes)])
        made.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return float((made[0] * made[1]).sum(1).min())


def rows(
    sources: list[np.ndarray], count: int, device: str, dtype: str, target: str, patch: int = 32, how: str = "crops"
) -> list[timing.Row]:
    """One line: the rate of the stage over that of the bare forward, of all crops or, by one pass, of all images; and
    where its time went."""
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        save_model(base / "model", patch)
        save_photos(base / "photos", sources, count)
        runtime = Runtime(base / "models", device=device, offline=True)
        encoder = f"clip(model={str(base / 'model')!r}, dtype={dtype!r}, regions={how!r})"
        parts = Parts.of([f"random_crop(n={COUNT})"], [encoder], ["plain"], runtime)
        indexed = make_index(Store(Layout(base / "data")), "folder(name='bench')", root=base / "photos")
        run = Extraction(Store(Layout(base / "data")), indexed, runtime)
        (crops,) = run.fill([run.regions(parts.generators[0])])
        found, loaded = run.summaries[-1], parts.encoders[0].loaded
        total = found.regions if how == "crops" else found.images
        size = Batches(0, device).size
        cosine = nearest(f"clip(model={str(base / 'model')!r}, regions={how!r})", sources[0], device)
        forward, stage = [], []
        bare(loaded, size, min(2 * size, total))
        for _ in range(ROUNDS):
            forward.append(bare(loaded, size, total))
            start = time.perf_counter()
            (made,) = run.fill([run.region_embeddings(parts.encoders[0], crops)])
            stage.append(time.perf_counter() - start)
            shutil.rmtree(made.path)
    rate, alone = (total / statistics.median(seconds) for seconds in (stage, forward))
    spent = {name: round(seconds, 2) for name, seconds in run.summaries[-1].spent.items()}
    per = "crops" if how == "crops" else "images by one pass"
    print(f"embed stage: {total} {per}, {rate:.0f} a second, bare forward {alone:.0f}; cosine {cosine:.6f}; {spent}")
    detail = {"forward_s": forward, "stage_s": stage, "forwards": total, "spent": spent, "lowest_cosine": cosine}
    each = f"{COUNT} crops each" if how == "crops" else f"{COUNT} regions each by one pass"
    what = f"embed stage, {count} photos of 500 x 375, {each}, ViT-B/{patch}, {dtype}"
    return [timing.Row(what, "bare forward, of its rate", target, rate / alone, equal=cosine >= 0.9999, detail=detail)]

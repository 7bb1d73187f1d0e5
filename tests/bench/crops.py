"""Crops at a model's size, ours against transformers' image processors, on one core."""

from __future__ import annotations

import numpy as np
import timing
import torch
from transformers import AutoImageProcessor, CLIPImageProcessorPil

from fgscore.encoders import ImageRegions, _pixels, _render
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.runtime import Runtime

COUNT = 32
MEAN = (122, 116, 104)


@torch.no_grad()
def rows(names: list[str], times: int = 10) -> list[timing.Row]:
    """A row a photo: 32 random crops, by transformers' default processor and by ours."""
    torch.set_num_threads(1)
    pil = CLIPImageProcessorPil()
    default = _default_processor()
    ours = _pixels.Pixels(pil, False, "cpu")
    crop = GeneratorPart(f"random_crop(n={COUNT})", Runtime())
    found = []
    for name, image in timing.photos(names).items():
        boxes = crop.propose(image, name).boxes_xyxy
        cuts = [_render.cut(image, box, None, "black", 0.0, MEAN) for box in boxes]
        ready = [_render.shape_to(cut, "crop", 224, MEAN) for cut in cuts]
        given = {"images": ready, "return_tensors": "pt", "input_data_format": "channels_last"}
        exact, mine = pil(**given).pixel_values, ours(ready)
        levels = ((mine - exact) * torch.tensor(pil.image_std).view(3, 1, 1) * 255).abs()
        cosine = _cosine(image, boxes)
        theirs, own, pillow = [], [], []
        for _ in range(times):  # in turn
            theirs.append(timing.best_cpu_ms(lambda: default(**given), 1))  # noqa: B023
            own.append(timing.best_cpu_ms(lambda: ours(ready), 1))  # noqa: B023
        pillow.append(timing.best_cpu_ms(lambda: pil(**given), 2))  # noqa: B023
        equal = bool(levels.max() <= 2.001 and levels.mean() < 0.25 and cosine >= 0.9999)
        detail = {
            "default_ms": min(theirs),
            "pillow_ms": min(pillow),
            "ours_ms": min(own),
            "largest_level": float(levels.max()),
            "mean_level": float(levels.mean()),
            "lowest_cosine": cosine,
        }
        print(f"{name}: pixels within {levels.max():.0f}/255, mean {levels.mean():.4f}/255, cosine {cosine:.6f}")
        what = f"{len(ready)} crops of {name} {image.shape[1]}x{image.shape[0]}"
        for reference, spent in (("transformers' default processor", theirs), ("its Pillow processor", pillow)):
            found.append(timing.Row(what, reference, "8x", min(spent) / min(own), equal=equal, detail=detail))
    return found


def _default_processor() -> object:
    import json
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        config = {**CLIPImageProcessorPil().to_dict(), "image_processor_type": "CLIPImageProcessor"}
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(config, default=str))
        return AutoImageProcessor.from_pretrained(folder)


def _cosine(image: np.ndarray, boxes: np.ndarray) -> float:
    """The lowest cosine of the demo CLIP's embeddings of the crops, with our pixels and with Pillow's."""
    made = []
    for implementation in ("exact", "upstream"):
        runtime = Runtime(device="cpu", offline=True, implementation=implementation)
        rows = EncoderPart("clip(model='demo')", runtime).regions([ImageRegions(image, boxes)])
        made.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return float((made[0] * made[1]).sum(1).min())

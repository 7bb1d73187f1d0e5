"""How good the two models are, on drawings that neither was trained on."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from segment_anything import SamAutomaticMaskGenerator
from torch.nn import functional
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from fgscore.demo.draw import Drawing, draw, image_rng
from fgscore.demo.kinds import ATTRIBUTES, GROUPS, KINDS
from fgscore.demo.models import load_sam

#: How the demo generates masks: the small model's IoU estimates and edges do not reach upstream's defaults.
MASK_SETTINGS: dict[str, Any] = {"points_per_side": 8, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.6}

#: Shares of the image that the demo keeps masks of.
MASK_AREA = (0.004, 0.5)


def evaluate_clip(folder: Path, *, per_kind: int = 10, seed: int = 0) -> dict[str, Any]:
    """Zero-shot accuracy over ``per_kind`` train and as many test images of each of the 24 kinds.

    ``zero_shot``: the right kind of 24; ``group``: the right one of 6 groups of siblings; ``attributes``: how
    often the predicted kind has the right value of each.
    """
    images, labels = _demo_images(per_kind, seed)
    similarity = zero_shot(folder, images)
    predicted = similarity.argmax(1)
    groups = np.array(GROUPS)
    values = {name: np.array([getattr(kind, name) for kind in KINDS]) for name in ATTRIBUTES}
    attributes = {name: _share(value[predicted] == value[labels]) for name, value in values.items()}
    return {
        "images": len(labels),
        "kinds": len(KINDS),
        "zero_shot": _share(predicted == labels),
        "group": _share(groups[predicted] == groups[labels]),
        "attributes": attributes,
    }


def zero_shot(folder: Path, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Cosine of n images ``(H, W, 3) uint8`` with "a photo of a <name>," of each kind: ``(n, 24)``."""
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer, processor = AutoTokenizer.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder)
    text = tokenizer([f"a photo of a {kind.name}," for kind in KINDS], padding=True, return_tensors="pt")
    rows = []
    with torch.inference_mode():
        text_rows = _unit(model.get_text_features(**text))
        for start in range(0, len(images), 64):
            pictures = [Image.fromarray(image) for image in images[start : start + 64]]
            batch = processor(pictures, return_tensors="pt")
            rows.append(_unit(model.get_image_features(pixel_values=batch["pixel_values"])) @ text_rows.T)
    return np.asarray(torch.cat(rows).numpy())


def evaluate_sam(folder: Path, *, images: int = 24, seed: int = 0) -> dict[str, Any]:
    """Automatic masks of ``images`` drawings, one of each kind in turn, against their whole parts.

    ``best_iou``: the mean, over whole parts in view, of the best IoU any mask reaches; ``by_part`` the same
    apart; ``masks`` and ``masks_kept`` an image: all, and those with an area within ``MASK_AREA``.
    """
    generator = SamAutomaticMaskGenerator(load_sam(folder=folder), **MASK_SETTINGS)
    best: dict[str, list[float]] = defaultdict(list)
    counts, kept = [], []
    seconds = 0.0
    for drawing in _check_images(images, seed):
        start = time.perf_counter()
        masks = [record["segmentation"] for record in generator.generate(drawing.image)]
        seconds += time.perf_counter() - start
        counts.append(len(masks))
        kept.append(sum(MASK_AREA[0] <= mask.mean() <= MASK_AREA[1] for mask in masks))
        for name, true in drawing.whole_parts():
            best[name].append(best_iou(true, masks))
    return {
        "images": images,
        "settings": MASK_SETTINGS,
        "best_iou": _share([value for values in best.values() for value in values]),
        "by_part": {name: _share(values) for name, values in best.items()},
        "masks": round(float(np.mean(counts)), 1),
        "masks_kept": round(float(np.mean(kept)), 1),
        "seconds_per_image": round(seconds / images, 2),
    }


def best_iou(true: NDArray[np.bool_], masks: list[NDArray[np.bool_]]) -> float:
    """The best IoU of any of ``masks (H, W)`` with the mask ``true (H, W)``; 0 without masks."""
    return max(((true & mask).sum() / (true | mask).sum() for mask in masks), default=0.0)


def _demo_images(per_kind: int, seed: int) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    jobs = [(label, split, j) for label in range(len(KINDS)) for split in ("train", "test") for j in range(per_kind)]
    images = [draw(KINDS[label], image_rng(seed, split, KINDS[label], j)).image for label, split, j in jobs]
    return images, np.array([label for label, _, _ in jobs])


def _check_images(count: int, seed: int) -> Iterator[Drawing]:
    for j in range(count):
        kind = KINDS[j % len(KINDS)]
        yield draw(kind, image_rng(seed, "sam-check", kind, j))


def _unit(features: Any) -> torch.Tensor:
    """Unit rows. Newer transformers wrap the features in an output object."""
    return functional.normalize(getattr(features, "pooler_output", features), dim=1)


def _share(values: Any) -> float:
    return round(float(np.mean(values)), 3)

"""Train the small SAM: on clicks on drawn birds, answered by the part, its group and the whole bird."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save
from segment_anything.modeling import Sam
from torch import nn
from torch.nn import functional

from fgscore.demo.draw import draw, image_rng
from fgscore.demo.kinds import training_kinds
from fgscore.demo.models import build_sam
from fgscore.demo.parts import PART_NAMES
from fgscore.demo.train.progress import Progress

IMAGES, BATCH, CLICKS = 3000, 6, 8
PART_STEPS, CLICK_STEPS = 500, 3000
_WARM_UP, _RATE, _LAST_RATE = 100, 1e-3, 1e-5

#: 1.1 million parameters; images of 192 px in patches of 8, masks of 96 px.
CONFIG: dict[str, Any] = {
    "image_size": 192,
    "patch_size": 8,
    "encoder_dim": 96,
    "encoder_depth": 5,
    "encoder_heads": 4,
    "window_size": 8,
    "global_blocks": [2, 4],
    "transformer_dim": 96,
    "decoder_depth": 2,
    "decoder_heads": 3,
    "decoder_mlp_dim": 256,
}

# The decoder's four masks: the group (given when a single mask is asked for), the part, the group, the bird.
_GROUP_OF = {"tail": 0, "body": 1, "breast": 1, "wing": 2, "wing_bar": 2, "bill": 3, "face": 3, "crown": 3}

# Finer click positions than upstream's 1, and steeper mask logits, which the stability score asks for.
_POSITION_SCALE, _STEEPER = 2.5, 4.0


@dataclass(frozen=True)
class Scenes:
    """``pixels (n, S, S, 3) uint8`` at the model's image size; labels ``parts (n, S / 2, S / 2) uint8``."""

    pixels: NDArray[np.uint8]
    parts: NDArray[np.uint8]


def train_sam(folder: Path, *, seed: int = 0, scale: float = 1.0) -> None:
    """Train from nothing and write config.json and model.safetensors (float16) into ``folder``.

    ``scale`` multiplies the numbers of steps and of images; what is written depends only on it and ``seed``.
    """
    part_steps, click_steps = (max(2, round(steps * scale)) for steps in (PART_STEPS, CLICK_STEPS))
    images = max(12, round(IMAGES * scale))
    scenes = draw_scenes(images, seed, Progress("sam: drawing"))
    torch.manual_seed(seed)
    sam = build_sam(CONFIG)
    sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix *= _POSITION_SCALE
    _look_where_clicked(sam)
    # Thrown away afterwards: it gives the encoder something to learn before the decoder is of any use.
    classifier = nn.Conv2d(CONFIG["transformer_dim"], len(PART_NAMES), 1)
    rng = np.random.default_rng([seed, 2])
    sam.train()
    _learn_parts(sam, classifier, scenes, part_steps, rng)
    _learn_clicks(sam, classifier, scenes, click_steps, rng)
    _steepen(sam, _STEEPER)
    write_sam(folder, sam)


def draw_scenes(count: int, seed: int, report: Callable[[int, int], None]) -> Scenes:
    """Draw ``count`` birds of kinds that are not evaluated."""
    size, pool = CONFIG["image_size"], training_kinds()
    pixels = np.empty((count, size, size, 3), np.uint8)
    parts = np.empty((count, size // 2, size // 2), np.uint8)
    for j, pick in enumerate(np.random.default_rng([seed, count]).integers(len(pool), size=count)):
        drawing = draw(pool[pick], image_rng(seed, "sam", pool[pick], j))
        pixels[j] = _resized(drawing.image, size, Image.Resampling.BILINEAR)
        parts[j] = _resized(drawing.parts, size // 2, Image.Resampling.NEAREST)
        report(j + 1, count)
    return Scenes(pixels, parts)


def _resized(array: NDArray[np.uint8], size: int, how: Image.Resampling) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(array).resize((size, size), how))


def write_sam(folder: Path, sam: Sam) -> None:
    """Write config.json and model.safetensors (float16) into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8", newline="\n")
    weights = {name: value.detach().half().contiguous() for name, value in sam.state_dict().items()}
    (folder / "model.safetensors").write_bytes(save(weights))


class _Course:
    """The parts of a training loop that its two phases share: AdamW, warm-up, cosine, progress."""

    def __init__(self, title: str, modules: list[nn.Module], steps: int):
        self.steps = steps
        self._weights = [weight for module in modules for weight in module.parameters()]
        self._optimiser = torch.optim.AdamW(self._weights, lr=_RATE, betas=(0.9, 0.98), weight_decay=0.05)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, lambda step: _rate(step, steps))
        self._progress = Progress(title)

    def step(self, number: int, loss: torch.Tensor, note: str) -> None:
        """Follow the gradient of ``loss`` by one step."""
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._weights, 1.0)
        self._optimiser.step()
        self._schedule.step()
        self._progress(number + 1, self.steps, f"loss {loss.item():.3f}  {note}")


def _learn_parts(sam: Sam, classifier: nn.Module, scenes: Scenes, steps: int, rng: np.random.Generator) -> None:
    """First phase: the encoder alone learns to tell the parts apart, patch by patch."""
    course = _Course("sam: parts, step", [sam.image_encoder, classifier], steps)
    right = 0.0
    for step in range(steps):
        pixels, parts = _batch(scenes, rng)
        scores, labels = classifier(sam.image_encoder(sam.preprocess(pixels))), _coarse(parts)
        on_bird = labels > 0
        right += 0.02 * (float((scores.argmax(1) == labels)[on_bird].float().mean()) - right)
        course.step(step, _part_loss(scores, labels), f"parts right {right:.2f}")


def _learn_clicks(sam: Sam, classifier: nn.Module, scenes: Scenes, steps: int, rng: np.random.Generator) -> None:
    """Second phase: everything learns to answer clicks."""
    witness = _Witness(sam.mask_decoder.transformer)
    course = _Course("sam: clicks, step", [sam, classifier, witness], steps)
    average = np.zeros(4)
    for step in range(steps):
        pixels, parts = _batch(scenes, rng)
        embeddings = sam.image_encoder(sam.preprocess(pixels))
        loss = _part_loss(classifier(embeddings), _coarse(parts))
        for embedding, labels in zip(embeddings, parts, strict=True):
            points, clicked = _clicks(labels, rng)
            targets = torch.stack([_answers(labels, int(label)) for label in clicked])
            answer_loss, ious = _answer_loss(sam, embedding[None], points, targets)
            loss = loss + (answer_loss + witness.loss(clicked)) / BATCH
            average += 0.01 * (ious.numpy() - average)
        slots = " ".join(f"{value:.2f}" for value in average[1:])
        course.step(step, loss, f"IoU part, group, bird {slots}")
    witness.leave()


class _Witness(nn.Module):
    """Names the clicked part from the decoder's token for the part mask; thrown away after training.

    It makes the tokens look exactly where the click is. The masks alone teach that slowly: a neighbour's mask is
    nearly as good as none.
    """

    def __init__(self, transformer: nn.Module):
        super().__init__()
        self._name = nn.Linear(CONFIG["transformer_dim"], len(PART_NAMES))
        self._handle = transformer.register_forward_hook(self._see)
        self._token = torch.empty(0)

    def _see(self, module: nn.Module, inputs: Any, outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
        # Token 0 is for the IoU, 1 for the single mask, 2 for the part.
        self._token = outputs[0][:, 2]

    def loss(self, clicked: torch.Tensor) -> torch.Tensor:
        """Cross-entropy for the labels ``(CLICKS,)`` of the parts clicked in the latest call of the decoder."""
        return functional.cross_entropy(self._name(self._token), clicked)

    def leave(self) -> None:
        """Stop watching the decoder."""
        self._handle.remove()


def _part_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of ``scores (B, parts, grid, grid)``; the wide background counts for less."""
    weight = torch.ones(len(PART_NAMES))
    weight[0] = 0.3
    return functional.cross_entropy(scores, labels, weight=weight)


def _rate(step: int, steps: int) -> float:
    """The learning rate at a step, as a share of the highest."""
    last = _LAST_RATE / _RATE
    cosine = last + (1 - last) * (1 + np.cos(np.pi * step / steps)) / 2
    return float(cosine * min(1.0, (step + 1) / _WARM_UP))


def _batch(scenes: Scenes, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """``(B, 3, S, S) float32`` in 0 to 255, ``(B, S / 2, S / 2) int64``; flipped, tinted at random."""
    picks = rng.integers(len(scenes.pixels), size=BATCH)
    pixels = np.moveaxis(scenes.pixels[picks], 3, 1).astype(np.float32)
    parts = scenes.parts[picks].astype(np.int64)
    for j in np.flatnonzero(rng.random(BATCH) < 0.5):
        pixels[j], parts[j] = pixels[j, :, :, ::-1].copy(), parts[j, :, ::-1].copy()
    pixels *= rng.uniform(0.85, 1.15, (BATCH, 3, 1, 1)).astype(np.float32)
    return torch.from_numpy(pixels), torch.from_numpy(parts)


def _coarse(parts: torch.Tensor) -> torch.Tensor:
    """Labels at the middle of each patch: ``(B, S / 2, S / 2)`` to ``(B, grid, grid)``."""
    step = CONFIG["patch_size"] // 2
    return parts[:, step // 2 :: step, step // 2 :: step]


def _clicks(labels: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Clicks on one image: ``(CLICKS, 2)`` xy in its pixels, and the labels clicked, ``(CLICKS,) int64``.

    One click in eight falls on the background, the others on parts, each part as often as another.
    """
    label_map = labels.numpy()
    seen = np.unique(label_map)
    clicked = [0, *rng.choice(seen[seen > 0], size=CLICKS - 1)]
    points = []
    for label in clicked:
        rows, columns = np.nonzero(label_map == label)
        at = rng.integers(len(rows))
        points.append((2 * columns[at] + 1.0, 2 * rows[at] + 1.0))
    return torch.tensor(points), torch.tensor(clicked)


def _answers(labels: torch.Tensor, label: int) -> torch.Tensor:
    """The true masks for a click on ``label``: group, part, group, bird; or four times background."""
    part = labels == label
    if label == 0:
        return part.expand(4, -1, -1)
    group_number = _GROUP_OF[PART_NAMES[label]]
    members = [PART_NAMES.index(name) for name, number in _GROUP_OF.items() if number == group_number]
    group = torch.isin(labels, torch.tensor(members))
    return torch.stack([group, part, group, labels > 0])


def _answer_loss(
    sam: Sam, embedding: torch.Tensor, points: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of the decoder's answers to the clicks on one image, and the mean IoU of each mask ``(4,)``."""
    labels = torch.ones(len(points), 1)
    sparse, dense = sam.prompt_encoder(points=(points[:, None], labels), boxes=None, masks=None)
    logits, predicted = sam.mask_decoder.predict_masks(
        image_embeddings=embedding,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
    )
    with torch.no_grad():
        true = _iou(logits > 0, targets)
    loss = _balanced_bce(logits, targets) + 2 * _dice(logits, targets) + functional.mse_loss(predicted, true)
    return loss, true.mean(0)


def _iou(masks: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """IoU of boolean masks ``(..., h, w)`` with their targets: ``(...)``."""
    union = (masks | targets).sum((-2, -1)).clamp(min=1)
    return (masks & targets).sum((-2, -1)) / union


def _balanced_bce(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, averaged over the mask and over the rest apart: else a small part has no say."""
    loss = functional.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none")
    inside = (loss * targets).sum((-2, -1)) / targets.sum((-2, -1)).clamp(min=1)
    outside = (loss * ~targets).sum((-2, -1)) / (~targets).sum((-2, -1)).clamp(min=1)
    return (inside + outside).mean()


def _dice(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    share = logits.sigmoid()
    overlap = (share * targets).sum((-2, -1))
    return (1 - (2 * overlap + 1) / (share.sum((-2, -1)) + targets.sum((-2, -1)) + 1)).mean()


def _look_where_clicked(sam: Sam) -> None:
    """Start the decoder with its tokens attending to the image near the click.

    Position encodings are most alike at equal positions, so a projection shared by queries and keys does it, once
    what else is in them is made small. From independent projections this is learned only slowly.
    """
    nn.init.constant_(sam.image_encoder.neck[-1].weight, 0.3)
    transformer = sam.mask_decoder.transformer
    for layer in transformer.layers:
        nn.init.constant_(layer.norm1.weight, 0.3)
    looks = [layer.cross_attn_token_to_image for layer in transformer.layers]
    for attention in [*looks, transformer.final_attn_token_to_image]:
        nn.init.orthogonal_(attention.q_proj.weight, gain=3.0)
        attention.k_proj.load_state_dict(attention.q_proj.state_dict())


def _steepen(sam: Sam, factor: float) -> None:
    """Multiply all mask logits by ``factor``, which leaves the masks as they are."""
    with torch.no_grad():
        for network in sam.mask_decoder.output_hypernetworks_mlps:
            network.layers[-1].weight *= factor
            network.layers[-1].bias *= factor

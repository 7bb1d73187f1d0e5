"""Train the small CLIP: contrastively, on views of drawn birds and captions of the parts they show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from fgscore.demo.train.captions import CAPTION_PARTS, Caption, also_true, attribute_codes, caption_pair, words
from fgscore.demo.train.progress import Progress
from fgscore.demo.train.tokenizer import BOS, EOS, MAX_LENGTH, write_tokenizer
from fgscore.demo.train.views import VIEW, VIEW_WEIGHTS, Views, draw_views

IMAGES, STEPS, BATCH = 8000, 2300, 128
_WARM_UP, _RATE, _LAST_RATE = 100, 1e-3, 1e-5

# As in the original CLIP.
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def train_clip(folder: Path, *, seed: int = 0, scale: float = 1.0) -> None:
    """Train from nothing and write a plain transformers folder.

    ``scale`` multiplies the numbers of steps and of images; what is written depends only on it and ``seed``.
    """
    steps, images = max(2, round(STEPS * scale)), max(16, round(IMAGES * scale))
    vocabulary = write_tokenizer(folder, words())
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    views = draw_views(images, seed, Progress("clip: drawing"))
    torch.manual_seed(seed)
    model = CLIPModel._from_config(clip_config(vocabulary), attn_implementation="eager")
    model.logit_scale.data.fill_(float(np.log(14.0)))
    _fit(model, tokenizer, views, steps, np.random.default_rng([seed, 1]))
    write_clip(folder, model)


def clip_config(vocabulary: dict[str, int]) -> CLIPConfig:
    """The architecture: 1.7 million parameters, images of 96 px in patches of 12."""
    layers = {"hidden_act": "gelu", "projection_dim": 128}
    vision = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 4}
    text = {"hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4}
    return CLIPConfig(
        projection_dim=128,
        vision_config={**layers, **vision, "image_size": VIEW, "patch_size": 12},
        text_config={
            **layers,
            **text,
            "vocab_size": len(vocabulary),
            "max_position_embeddings": MAX_LENGTH,
            "bos_token_id": vocabulary[BOS],
            "eos_token_id": vocabulary[EOS],
            "pad_token_id": vocabulary[EOS],
        },
    )


def write_clip(folder: Path, model: CLIPModel) -> None:
    """Write config.json, preprocessor_config.json and model.safetensors (float16) into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {**model.config.to_diff_dict(), "architectures": ["CLIPModel"], "dtype": "float16"}
    config.pop("transformers_version", None)
    _write_json(folder / "config.json", config)
    _write_json(folder / "preprocessor_config.json", _preprocessing())
    weights = {name: value.detach().half().contiguous() for name, value in model.state_dict().items()}
    (folder / "model.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))


def _preprocessing() -> dict[str, object]:
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": VIEW},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": VIEW, "width": VIEW},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": _MEAN,
        "image_std": _STD,
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def _fit(model: CLIPModel, tokenizer: CLIPTokenizer, views: Views, steps: int, rng: np.random.Generator) -> None:
    """The training loop: AdamW, warm-up, cosine."""
    codes = np.array([attribute_codes(kind) for kind in views.kinds])
    optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE, betas=(0.9, 0.98), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    progress = Progress("clip: step")
    model.train()
    for step in range(steps):
        picks = rng.integers(len(views.kinds), size=BATCH)
        shots = rng.choice(len(VIEW_WEIGHTS), size=BATCH, p=VIEW_WEIGHTS)
        visible = views.visible[picks, shots]
        pairs = [
            caption_pair(views.kinds[pick], [CAPTION_PARTS[part] for part in np.flatnonzero(seen)], rng)
            for pick, seen in zip(picks, visible, strict=True)
        ]
        right, wrong = zip(*pairs, strict=True)
        claims = np.array([caption.codes for caption in right])
        truth = torch.from_numpy(also_true(codes[picks], claims, np.logical_not(visible.any(1))))
        pixels = _augmented(views.pixels[picks, shots], rng)
        with torch.autocast("cpu", torch.bfloat16):
            image = model.get_image_features(pixel_values=pixels)
            text = model.get_text_features(**_tokens(tokenizer, [*right, *wrong]))
        loss = _loss(_unit(image), _unit(text), model.logit_scale.exp(), truth)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        progress(step + 1, steps, f"loss {loss.item():.3f}  scale {model.logit_scale.exp().item():.1f}")


def _rate(step: int, steps: int) -> float:
    """The learning rate at a step, as a share of the highest."""
    last = _LAST_RATE / _RATE
    cosine = last + (1 - last) * (1 + np.cos(np.pi * step / steps)) / 2
    return float(cosine * min(1.0, (step + 1) / _WARM_UP))


def _loss(image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Symmetric contrastive loss of ``image (B, d)`` and ``text (2B, d)``: B captions, then B wrong ones.

    ``truth (B, B) bool``: captions that hold for another image of the batch are no negatives of it. Each
    image also meets its own wrong caption.
    """
    right, wrong = text.chunk(2)
    same = torch.eye(len(image), dtype=torch.bool)
    logits = (scale * image @ right.T).masked_fill(truth & ~same, -torch.inf)
    own_wrong = scale * (image * wrong).sum(1, keepdim=True)
    target = torch.arange(len(image))
    from_image = functional.cross_entropy(torch.cat([logits, own_wrong], 1), target)
    return (from_image + functional.cross_entropy(logits.T, target)) / 2


def _unit(features: object) -> torch.Tensor:
    """Unit rows, float32. Newer transformers wrap the features in an output object."""
    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output  # type: ignore[attr-defined]
    return functional.normalize(tensor.float(), dim=1)


def _tokens(tokenizer: CLIPTokenizer, captions: list[Caption]) -> dict[str, torch.Tensor]:
    batch = tokenizer([caption.text for caption in captions], padding=True, return_tensors="pt")
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def _augmented(pixels: NDArray[np.uint8], rng: np.random.Generator) -> torch.Tensor:
    """``(B, S, S, 3) uint8`` to normalised ``(B, 3, S, S) float32``: flip, shift, gain, offset at random."""
    batch = np.moveaxis(pixels, 3, 1).astype(np.float32) / 255
    for j, (flip, down, right) in enumerate(rng.integers((0, -5, -5), (2, 6, 6), size=(len(batch), 3))):
        view = batch[j, :, :, ::-1] if flip else batch[j]
        batch[j] = np.roll(view, (down, right), (1, 2))
    batch = batch * rng.uniform(0.85, 1.15, (len(batch), 3, 1, 1)) + rng.uniform(-0.05, 0.05, (len(batch), 1, 1, 1))
    mean, std = np.array([_MEAN, _STD], np.float32)[:, :, None, None]
    return torch.from_numpy(((batch - mean) / std).astype(np.float32))

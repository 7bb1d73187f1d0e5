"""Checkpoints of SAM in the forms in which training and publishing leave them, and those of its kin.

``state`` is a state dict under segment_anything's own names. Each function of ``FORMS`` writes it to a path; those of
``OTHERS`` write something that no SAM can be loaded from.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import spoilt
import torch
from safetensors.torch import save_file

State = dict[str, torch.Tensor]


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: value for name, value in state.items()}


def wrapped(state: State, key: str) -> dict[str, object]:
    """Below ``key``, beside what a run needs to go on."""
    group = {"lr": 1e-4, "betas": (0.9, 0.999), "params": [0, 1]}
    moments = {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(4)}}
    return {"epoch": 3, key: state, "optimizer": {"state": moments, "param_groups": [group]}, "best_loss": 0.25}


def lightning(state: State) -> dict[str, object]:
    """As PyTorch Lightning writes a module whose attribute is ``model``."""
    return {
        "epoch": 3, "global_step": 100, "pytorch-lightning_version": "2.4.0", "state_dict": prefixed(state, "model."),
        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {}, "optimizer_states": [], "lr_schedulers": [],
        "hparams_name": "kwargs", "hyper_parameters": {"lr": 1e-4},
    }  # fmt: skip


def _save(make: Callable[[State], object], state: State, path: Path, **how: bool) -> None:
    torch.save(make(state), path, **how)


FORMS: dict[str, Callable[[State, Path], None]] = {
    "plain": partial(_save, dict),
    "torch's older form": partial(_save, dict, _use_new_zipfile_serialization=False),
    "with its constants": partial(
        _save, lambda s: {**s, "pixel_mean": torch.zeros(3, 1, 1), "pixel_std": torch.ones(3, 1, 1)}
    ),
    "{'model': ...}": partial(_save, partial(wrapped, key="model")),
    "{'state_dict': ...}": partial(_save, partial(wrapped, key="state_dict")),
    "{'model_state_dict': ...}": partial(_save, partial(wrapped, key="model_state_dict")),
    "module.": partial(_save, partial(prefixed, prefix="module.")),
    "{'model': module. ...}": partial(_save, lambda s: wrapped(prefixed(s, "module."), "model")),
    "module.sam.": partial(_save, partial(prefixed, prefix="module.sam.")),
    "_orig_mod.": partial(_save, partial(prefixed, prefix="_orig_mod.")),
    "lightning": partial(_save, lightning),
    "half precision": partial(_save, lambda s: {name: value.half() for name, value in s.items()}),
    "safetensors": lambda s, path: save_file(s, path),
}


def mobile(state: State) -> State:
    """MobileSAM: TinyViT for an image encoder, SAM's own prompt encoder and mask decoder."""
    rest = {name: value for name, value in state.items() if not name.startswith("image_encoder.")}
    names = ("patch_embed.seq.0.c.weight", "patch_embed.seq.0.bn.weight", "layers.0.blocks.0.conv1.c.weight",
             "layers.1.blocks.0.attn.attention_biases", "norm_head.weight", "neck.0.weight")  # fmt: skip
    return {**rest, **{f"image_encoder.{name}": torch.zeros(3) for name in names}}


def high_quality(state: State) -> State:
    """SAM-HQ: SAM, and more in its decoder."""
    names = ("hf_token.weight", "hf_mlp.layers.0.weight", "compress_vit_feat.0.weight", "embedding_encoder.0.weight",
             "embedding_maskfeature.0.weight")  # fmt: skip
    return {**state, **{f"mask_decoder.{name}": torch.zeros(3) for name in names}}


def sam2(_: State) -> dict[str, State]:
    names = ("image_encoder.trunk.pos_embed", "image_encoder.trunk.patch_embed.proj.weight",
             "image_encoder.neck.convs.0.conv.weight", "memory_attention.layers.0.norm1.weight", "maskmem_tpos_enc",
             "sam_mask_decoder.iou_token.weight", "sam_prompt_encoder.no_mask_embed.weight")  # fmt: skip
    return {"model": {name: torch.zeros(3) for name in names}}


def sam3(_: State) -> State:
    names = ("detector.backbone.vision_backbone.trunk.pos_embed", "detector.transformer.decoder.norm.weight",
             "tracker.maskmem_tpos_enc")  # fmt: skip
    return {name: torch.zeros(3) for name in names}


def of_transformers(_: State) -> State:
    """facebook/sam-vit-base, model.safetensors."""
    names = ("vision_encoder.pos_embed", "vision_encoder.patch_embed.projection.weight",
             "vision_encoder.layers.0.attn.qkv.weight", "shared_image_embedding.positional_embedding",
             "prompt_encoder.no_mask_embed.weight", "mask_decoder.iou_token.weight")  # fmt: skip
    return {name: torch.zeros(3) for name in names}


def decoder_alone(state: State) -> State:
    """What fine-tuning with a frozen image encoder may save."""
    return {name: value for name, value in state.items() if name.startswith("mask_decoder.")}


def without(state: State, name: str) -> State:
    return {key: value for key, value in state.items() if key != name}


def other_grid(state: State) -> State:
    """Fine-tuned on pictures of another size."""
    table = state["image_encoder.pos_embed"]
    return {**state, "image_encoder.pos_embed": table[:, : table.shape[1] // 2, : table.shape[2] // 2].clone()}


def other_width(state: State) -> State:
    table = state["image_encoder.pos_embed"]
    return {**state, "image_encoder.pos_embed": torch.zeros(*table.shape[:3], table.shape[3] + 8)}


def hostile(state: State, path: Path) -> None:
    """Runs code where pickles are trusted: makes ``spoilt.ran(path)``."""
    torch.save({**state, "mask_decoder.iou_token.weight": spoilt.Runs(spoilt.ran(path))}, path)


def _damaged(how: str, state: State, path: Path) -> None:
    torch.save(state, path)
    spoilt.damage(path, how)


# what is written, and what the sentence that refuses it has to say beside the file's name
OTHERS: dict[str, tuple[Callable[[State, Path], None], str]] = {
    "MobileSAM": (partial(_save, mobile), "MobileSAM|vit_t"),
    "MobileSAM, wrapped": (partial(_save, lambda s: wrapped(mobile(s), "model")), "MobileSAM|vit_t"),
    "SAM-HQ": (partial(_save, high_quality), "SAM-HQ|hf_token"),
    "SAM-HQ, module.": (partial(_save, lambda s: prefixed(high_quality(s), "module.")), "SAM-HQ|hf_token"),
    "SAM 2": (partial(_save, sam2), "SAM 2"),
    "SAM 3": (partial(_save, sam3), "SAM 3"),
    "transformers' names": (lambda s, path: save_file(of_transformers(s), path), "transformers"),
    "the decoder alone": (partial(_save, decoder_alone), r"mask_decoder\.|image_encoder\."),
    "one key missing": (
        partial(_save, lambda s: without(s, "mask_decoder.iou_token.weight")), r"mask_decoder\.iou_token\.weight"
    ),
    "one key in excess": (
        partial(_save, lambda s: {**s, "image_encoder.blocks.0.adapter.down.weight": torch.zeros(3)}), "adapter"
    ),
    "another grid": (partial(_save, other_grid), r"image_encoder\.pos_embed"),
    "another width": (partial(_save, other_width), "width"),
    "a CLIP": (partial(_save, lambda s: {"text_projection.weight": torch.zeros(3)}), "text_projection"),
    "nothing": (partial(_save, lambda s: {}), ""),
    "a list": (partial(_save, lambda s: [1, 2]), ""),
    "a run without weights": (partial(_save, lambda s: {"epoch": 3, "optimizer": {}}), "epoch|optimizer"),
    "code": (hostile, ""),
    **{how: (partial(_damaged, how), "") for how in spoilt.DAMAGE},
}  # fmt: skip

"""Build and load the demo's small SAM. Needs the ``extract`` extra: import it only where it is used."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from fgscore.demo import sam_folder


def build_sam(config: dict[str, Any]) -> Sam:
    """An untrained ``Sam`` of the widths in ``config`` (the keys of ``weights/sam/config.json``)."""
    dim, grid = config["transformer_dim"], config["image_size"] // config["patch_size"]
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=config["image_size"],
            patch_size=config["patch_size"],
            embed_dim=config["encoder_dim"],
            depth=config["encoder_depth"],
            num_heads=config["encoder_heads"],
            out_chans=dim,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=config["window_size"],
            global_attn_indexes=tuple(config["global_blocks"]),
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=dim,
            image_embedding_size=(grid, grid),
            input_image_size=(config["image_size"], config["image_size"]),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=dim,
            transformer=TwoWayTransformer(
                depth=config["decoder_depth"],
                embedding_dim=dim,
                num_heads=config["decoder_heads"],
                mlp_dim=config["decoder_mlp_dim"],
            ),
            iou_head_depth=3,
            iou_head_hidden_dim=dim,
        ),
    )


def load_sam(device: str | torch.device = "cpu", folder: Path | None = None) -> Sam:
    """The trained ``Sam`` of ``folder`` (default: the shipped one), float32, in evaluation mode."""
    folder = folder or sam_folder()
    sam = build_sam(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    weights = load_file(folder / "model.safetensors")
    sam.load_state_dict({name: value.float() for name, value in weights.items()})
    return sam.to(device).eval()

"""Tiny random SAM 2 and SAM 3 in the file layouts in which the known ones are published, and their kin.

Each function fills a folder and returns it. Names of files, fields of the JSON files and keys of the weights are the
published ones; the models see pictures of 64 or 56 pixels and draw masks of 16 x 16 cells.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from parts import State, random_state, save_safetensors
from tokens import write_json

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIDE_2, SIDE_3 = 64, 56  # pixels of the models' squares
MAPS = [[16, 16], [8, 8], [4, 4]]
# keys that processors of transformers 4.56 wrote and left empty
EMPTY = ("crop_size", "data_format", "device", "disable_grouping", "do_center_crop", "do_pad", "input_data_format",
         "mask_pad_size", "pad_size", "return_tensors", "segmentation_maps")  # fmt: skip
DECODER = {"hidden_size": 32, "iou_head_hidden_dim": 16, "mlp_dim": 32, "num_attention_heads": 2}
MEMORY = {
    "mask_downsampler_embed_dim": 32, "memory_attention_feed_forward_hidden_size": 32,
    "memory_attention_hidden_size": 32, "memory_attention_num_layers": 1, "memory_attention_rope_feat_sizes": [4, 4],
    "memory_encoder_hidden_size": 32, "memory_encoder_output_channels": 16, "memory_fuser_embed_dim": 32,
    "memory_fuser_intermediate_dim": 32, "memory_fuser_num_layers": 1,
}  # fmt: skip


def image_processor(kind: str, side: int, mean: list[float], std: list[float], cells: int = 16) -> dict[str, Any]:
    return {
        **dict.fromkeys(EMPTY), "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": mean, "image_processor_type": kind, "image_std": std,
        "mask_size": {"height": cells, "width": cells}, "resample": 2, "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }  # fmt: skip


@torch.no_grad()
def livened(config: dict[str, Any], kind: Any, side: int, prefix: str = "") -> State:
    """Random weights of ``config`` whose masks have shapes that follow the point and whose predicted IoUs differ,
    roughly what training does: kernels that upscale are nearly constant over their four pixels; what all points have in
    common is taken off the masks, and their logits have a deviation of 6; predicted IoUs lie about a half. ``kind`` is
    the class that draws by points, the names of whose weights follow ``prefix``."""
    state = random_state(config)
    for name, value in state.items():
        if name.startswith(f"{prefix}mask_decoder.upscale_conv") and value.ndim == 4:
            value.copy_(value.mean((2, 3), keepdim=True) * 2 + 0.1 * value)
        elif name.startswith(f"{prefix}mask_decoder.transformer") and value.ndim == 2:
            value *= 0.5
    model = kind.from_pretrained(
        None, config=transformers.AutoConfig.for_model(**config), state_dict=dict(state)
    ).eval()
    generator = torch.Generator().manual_seed(0)
    blots, points = torch.randn(1, 3, 5, 5, generator=generator), torch.rand(1, 64, 1, 2, generator=generator)
    picture = torch.nn.functional.interpolate(blots, (side, side), mode="bilinear")
    seen: dict[str, torch.Tensor] = {}
    for i, mlp in enumerate(model.mask_decoder.output_hypernetworks_mlps):
        mlp.register_forward_hook(lambda *given, name=f"output_hypernetworks_mlps.{i}": seen.update({name: given[2]}))
    found = model(pixel_values=picture, input_points=side * points, multimask_output=True)
    spread = (found.pred_masks - found.pred_masks.mean(1)).std()
    seen["iou_prediction_head"] = found.iou_scores.logit()
    for name, out in seen.items():
        weight, bias = (state[f"{prefix}mask_decoder.{name}.proj_out.{part}"] for part in ("weight", "bias"))
        factor = 1 / out.std() if name == "iou_prediction_head" else 6 / spread
        bias.sub_(out.mean() if name == "iou_prediction_head" else out.mean((0, 1))).mul_(factor)
        weight.mul_(factor)
    return state


def sam2_config() -> dict[str, Any]:
    backbone = {
        "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [8, 16, 32, 64], "global_attention_blocks": [3],
        "hidden_size": 8, "image_size": [SIDE_2, SIDE_2], "model_type": "sam2_hiera_det_model",
        "num_attention_heads": 1, "num_attention_heads_per_stage": [1, 1, 2, 2], "window_size_per_stage": [4, 2, 2, 2],
        "window_positional_embedding_background_size": [2, 2],
    }  # fmt: skip
    vision = {
        "backbone_channel_list": [64, 32, 16, 8], "backbone_config": backbone, "backbone_feature_sizes": MAPS,
        "fpn_hidden_size": 32, "model_type": "sam2_vision_model",
    }  # fmt: skip
    return {
        "architectures": ["Sam2VideoModel"], "image_size": SIDE_2, "initializer_range": 0.02,
        "mask_decoder_config": {**DECODER, "model_type": ""}, "model_type": "sam2_video", **MEMORY,
        "prompt_encoder_config": {"hidden_size": 32, "image_size": SIDE_2, "model_type": "", "patch_size": 16},
        "torch_dtype": "float32", "transformers_version": "4.56.0.dev0", "vision_config": vision,
    }  # fmt: skip


def sam2_video(path: Path) -> Path:
    """facebook/sam2.1-hiera-tiny: the video model's weights, beside the authors' own file."""
    path.mkdir(parents=True, exist_ok=True)
    config = sam2_config()
    write_json(path / "config.json", config)
    settings = image_processor("Sam2ImageProcessorFast", SIDE_2, IMAGENET_MEAN, IMAGENET_STD)
    write_json(path / "preprocessor_config.json", {**settings, "processor_class": "Sam2VideoProcessor"})
    write_json(path / "processor_config.json",
               {"point_pad_value": -10, "processor_class": "Sam2VideoProcessor", "target_size": SIDE_2})  # fmt: skip
    save_safetensors(livened(config, transformers.Sam2Model, SIDE_2), path / "model.safetensors")
    (path / "sam2.1_hiera_tiny.pt").write_bytes(b"the weights of the authors' own code")
    (path / "sam2.1_hiera_t.yaml").write_text("# of the authors' own code\n")
    return path


def sam3_config() -> dict[str, Any]:
    backbone = {
        "global_attn_indexes": [1], "hidden_size": 32, "image_size": SIDE_3, "intermediate_size": 32,
        "model_type": "sam3_vit_model", "num_attention_heads": 2, "num_hidden_layers": 2, "patch_size": 14,
        "pretrain_image_size": 28, "window_size": 2,
    }  # fmt: skip
    vision = {
        "backbone_config": backbone, "backbone_feature_sizes": MAPS, "fpn_hidden_size": 32,
        "model_type": "sam3_vision_model",
    }  # fmt: skip
    small = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_layers": 1}
    text = {
        "bos_token_id": 0, "eos_token_id": 1, "hidden_size": 16, "intermediate_size": 16, "max_position_embeddings": 32,
        "model_type": "clip_text_model", "num_attention_heads": 2, "num_hidden_layers": 1, "projection_dim": 16,
        "vocab_size": 64,
    }  # fmt: skip
    detector = {
        "detr_decoder_config": {**small, "num_queries": 4}, "detr_encoder_config": small,
        "geometry_encoder_config": small, "mask_decoder_config": {"hidden_size": 32, "num_attention_heads": 2},
        "model_type": "sam3", "text_config": text, "vision_config": vision,
    }  # fmt: skip
    prompts = {"hidden_size": 32, "image_size": SIDE_3, "patch_size": 14}
    tracker = {
        "image_size": SIDE_3, "mask_decoder_config": DECODER, **MEMORY, "model_type": "sam3_tracker_video",
        "prompt_encoder_config": prompts, "vision_config": vision,
    }  # fmt: skip
    return {
        "architectures": ["Sam3VideoModel"], "detector_config": detector, "dtype": "float32", "low_res_mask_size": 16,
        "model_type": "sam3_video", "tracker_config": tracker, "transformers_version": "5.0.0.dev0",
    }  # fmt: skip


def sam3_video(path: Path) -> Path:
    """facebook/sam3: a detector and a tracker in one file, the picture's settings in processor_config.json alone."""
    path.mkdir(parents=True, exist_ok=True)
    config = sam3_config()
    write_json(path / "config.json", config)
    settings = image_processor("Sam3ImageProcessorFast", SIDE_3, [0.5] * 3, [0.5] * 3)
    write_json(path / "processor_config.json",
               {"image_processor": settings, "point_pad_value": -10, "processor_class": "Sam3VideoProcessor",
                "target_size": SIDE_3})  # fmt: skip
    weights = livened(config, transformers.Sam3TrackerModel, SIDE_3, "tracker_model.")
    save_safetensors(weights, path / "model.safetensors")
    (path / "sam3.pt").write_bytes(b"the weights of the authors' own code")
    return path


FAMILIES: dict[str, Callable[[Path], Path]] = {"sam2": sam2_video, "sam3": sam3_video}


def alone(folder: Path, kind: str) -> Path:
    """The published model in ``folder`` as save_pretrained writes it, once it is loaded as the ``kind`` of model that
    draws by points."""
    made = {
        "sam2": transformers.Sam2Model,
        "sam3_tracker": transformers.Sam3TrackerModel,
        "sam3_tracker_video": transformers.Sam3TrackerVideoModel,
    }
    model = made[kind].from_pretrained(folder)
    state = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    (folder / "model.safetensors").unlink()
    save_safetensors(state, folder / "model.safetensors")
    whole = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**whole.get("tracker_config", whole), "model_type": kind})
    return folder

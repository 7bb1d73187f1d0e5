"""Tiny random models of pictures alone, and of open_clip and timm, in their published layouts, and how the library
embeds with them. As in ``layouts.py``, each function fills a folder and returns it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tokens
import torch
import transformers
from parts import CLIP_MEAN, CLIP_STD, HALF, SIDE, State, random_state, save_safetensors
from PIL import Image
from tokens import write_json

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SMALL = {"hidden_size": 24, "intermediate_size": 48, "num_attention_heads": 2, "num_hidden_layers": 2}


def drawn(model: torch.nn.Module) -> torch.nn.Module:
    """``model`` with weights large enough for inputs to make a difference."""
    for weight in model.parameters():
        weight.data += (0.3 if weight.ndim else 0.1) * torch.randn_like(weight)
    return model.eval()


def state_of(model: torch.nn.Module) -> State:
    return {name: value.contiguous() for name, value in model.state_dict().items()}


# -- transformers: pictures alone -------------------------------------------------------------------------------------


def _vision(path: Path, config: dict[str, Any], settings: dict[str, Any]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    write_json(path / "config.json", config)
    common = {"do_normalize": True, "do_rescale": True, "do_resize": True, "rescale_factor": 1 / 255}
    write_json(path / "preprocessor_config.json", {**common, **settings})
    save_safetensors(random_state(config), path / "model.safetensors")
    return path


BIT = {
    "crop_size": {"height": SIDE, "width": SIDE}, "do_center_crop": True, "do_convert_rgb": True,
    "image_mean": IMAGENET_MEAN, "image_processor_type": "BitImageProcessor", "image_std": IMAGENET_STD, "resample": 3,
    "size": {"shortest_edge": SIDE + 4},
}  # fmt: skip


def dinov2(path: Path) -> Path:
    """facebook/dinov2-base: made for a smaller picture than its table of positions."""
    config = {
        "architectures": ["Dinov2Model"], "image_size": 56, "mlp_ratio": 2, "model_type": "dinov2", "patch_size": 8,
        "qkv_bias": True, "torch_dtype": "float32", **SMALL,
    }  # fmt: skip
    return _vision(path, config, BIT)


def dinov2_registers(path: Path) -> Path:
    """facebook/dinov2-with-registers-base."""
    config = {
        "architectures": ["Dinov2WithRegistersModel"], "image_size": 56, "mlp_ratio": 2, "num_register_tokens": 3,
        "model_type": "dinov2_with_registers", "patch_size": 8, "torch_dtype": "float32", **SMALL,
    }  # fmt: skip
    return _vision(path, config, BIT)


def dinov3(path: Path) -> Path:
    """facebook/dinov3-vitb16-pretrain-lvd1689m: registers, and positions that turn."""
    config = {
        "architectures": ["DINOv3ViTModel"], "image_size": SIDE, "key_bias": False, "model_type": "dinov3_vit",
        "num_register_tokens": 4, "patch_size": 8, "torch_dtype": "float32", **SMALL,
    }  # fmt: skip
    settings = {
        "image_mean": IMAGENET_MEAN, "image_processor_type": "DINOv3ViTImageProcessorFast",
        "image_std": IMAGENET_STD, "resample": 2, "size": {"height": SIDE, "width": SIDE},
    }  # fmt: skip
    return _vision(path, config, settings)


def vit_like(path: Path, kind: str, more: dict[str, Any]) -> Path:
    """A model of another ``kind`` of ViT's settings."""
    settings = {"image_mean": HALF, "image_processor_type": "ViTImageProcessor", "image_std": HALF, "resample": 2,
                "size": {"height": SIDE, "width": SIDE}}  # fmt: skip
    return _vision(path, {"image_size": SIDE, "model_type": kind, "patch_size": 8, **SMALL, **more}, settings)


def vit(path: Path, pooler: bool = True) -> Path:
    """google/vit-base-patch16-224-in21k; without its pooler, as a classifier's backbone is saved."""
    config = {"architectures": ["ViTModel"], "image_size": SIDE, "model_type": "vit", "patch_size": 8, **SMALL}
    settings = {
        "feature_extractor_type": "ViTFeatureExtractor", "image_mean": HALF, "image_std": HALF, "resample": 2,
        "size": {"height": SIDE, "width": SIDE},
    }  # fmt: skip
    _vision(path, config, settings)
    if not pooler:
        state = random_state(config)
        save_safetensors({k: v for k, v in state.items() if "pooler" not in k}, path / "model.safetensors")
    return path


def resnet(path: Path) -> Path:
    """microsoft/resnet-50: a map of cells, and no class token."""
    config = {
        "architectures": ["ResNetModel"], "depths": [1, 1], "embedding_size": 8, "hidden_sizes": [8, 16],
        "layer_type": "basic", "model_type": "resnet", "num_channels": 3, "torch_dtype": "float32",
    }  # fmt: skip
    settings = {
        "crop_pct": 0.875, "feature_extractor_type": "ConvNextFeatureExtractor", "image_mean": IMAGENET_MEAN,
        "image_std": IMAGENET_STD, "resample": 3, "size": {"shortest_edge": SIDE},
    }  # fmt: skip
    return _vision(path, config, settings)


VISION: dict[str, Callable[[Path], Path]] = {
    "dinov2": dinov2,
    "dinov2 with registers": dinov2_registers,
    "dinov3": dinov3,
    "vit": vit,
    "vit, without a pooler": partial(vit, pooler=False),
}


def by_transformers(folder: Path, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """(B, T, d): the last hidden state of ``pictures`` (H, W, 3) uint8."""
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(images=[Image.fromarray(one) for one in pictures], return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).last_hidden_state.numpy()


# -- timm -------------------------------------------------------------------------------------------------------------


def timm_model(path: Path, architecture: str = "test_vit", classes: int = 5, **args: Any) -> Path:
    """timm/test_vit.r160_in1k: settings of pictures lie in config.json; weights in both containers."""
    import timm

    path.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = drawn(timm.create_model(architecture, num_classes=classes, **args))
    own = {**model.pretrained_cfg, "num_classes": classes, "tag": "r160_in1k", "crop_pct": 0.95, "mean": HALF}
    if "img_size" in args:
        own["input_size"] = [3, args["img_size"], args["img_size"]]
    settings = {k: v for k, v in own.items() if v is not None and k not in ("hf_hub_id", "source", "url")}
    config = {"architecture": architecture, "num_classes": classes, "num_features": model.num_features}
    args_too = {"model_args": args} if args else {}
    write_json(path / "config.json", {**config, "global_pool": "token", **args_too, "pretrained_cfg": settings})
    save_safetensors(state_of(model), path / "model.safetensors")
    torch.save(state_of(model), path / "pytorch_model.bin")
    return path


def clip_tower(path: Path) -> Path:
    """timm/vit_base_patch32_clip_224.openai: the tower of pictures for timm, all of the model for open_clip."""
    args = {"depth": 2, "embed_dim": 24, "img_size": SIDE, "num_heads": 2, "patch_size": 8}
    timm_model(path, "vit_base_patch32_clip_224", 12, **args)
    return laion(path)


TIMM: dict[str, Callable[[Path], Path]] = {
    "timm": timm_model,
    "timm, of convolutions": partial(timm_model, architecture="test_convnext"),
    "timm, a tower for two libraries": clip_tower,
}


def by_timm(folder: Path, pictures: Sequence[np.ndarray], **size: int) -> np.ndarray:
    """(B, d) of ``pictures`` (H, W, 3) uint8; ``size`` is timm's img_size, where it is another."""
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0, **size).eval()
    settings = timm.data.resolve_model_data_config(model, args=size)
    transform = timm.data.create_transform(**settings, is_training=False)
    with torch.no_grad():
        return model(torch.stack([transform(Image.fromarray(one)) for one in pictures])).numpy()


# -- open_clip --------------------------------------------------------------------------------------------------------

WORDS = {"heads": 2, "layers": 2, "vocab_size": 49408, "width": 16}
TINY_CLIP = {
    "embed_dim": 12, "text_cfg": {**WORDS, "context_length": 77},
    "vision_cfg": {"head_width": 12, "image_size": SIDE, "layers": 2, "patch_size": 8, "width": 24},
}  # fmt: skip
SQUASH = {"mean": HALF, "std": HALF, "interpolation": "bilinear", "resize_mode": "squash"}
SHORTEST = {"mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic", "resize_mode": "shortest"}


def _open_clip(path: Path, model: dict[str, Any], looks: dict[str, Any]) -> Path:
    import open_clip

    path.mkdir(parents=True, exist_ok=True)
    write_json(path / "open_clip_config.json", {"model_cfg": model, "preprocess_cfg": looks})
    torch.manual_seed(0)
    made = drawn(open_clip.create_model(f"local-dir:{path}", load_weights=False, pretrained_text=False))
    save_safetensors(state_of(made), path / "open_clip_model.safetensors")
    torch.save(state_of(made), path / "open_clip_pytorch_model.bin")
    return path


def laion(path: Path) -> Path:
    """laion/CLIP-ViT-B-32-laion2B-s34B-b79K, as open_clip reads it."""
    return _open_clip(path, TINY_CLIP, SHORTEST)


def laion_pickle(path: Path) -> Path:
    """The same, before it had safetensors."""
    laion(path)
    (path / "open_clip_model.safetensors").unlink()
    return path


def _by_timm(image_size: int, tower: str, pool: str, **text: Any) -> dict[str, Any]:
    vision = {"image_size": image_size, "timm_model_name": tower, "timm_model_pretrained": False, "timm_pool": pool}
    return {"custom_text": True, "embed_dim": 12, "text_cfg": {**WORDS, **text},
            "vision_cfg": {**vision, "timm_proj": "linear"}}  # fmt: skip


def pe_core(path: Path) -> Path:
    """timm/PE-Core-B-16: texts of 32 tokens, pictures squashed by bilinear, a tower of timm's."""
    return _open_clip(path, _by_timm(160, "test_vit", "token", context_length=32), SQUASH)


def mobileclip2(path: Path) -> Path:
    """timm/MobileCLIP2-S0-OpenCLIP: pictures as they are, and text that sees what follows."""
    text = {"context_length": 77, "no_causal_mask": True}
    looks = {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear", "resize_mode": "shortest"}
    return _open_clip(path, _by_timm(160, "test_convnext", "avg", **text), looks)


def dfn(path: Path) -> Path:
    """apple/DFN2B-CLIP-ViT-B-16: as LAION's, with OpenAI's activation."""
    return _open_clip(path, {**TINY_CLIP, "quick_gelu": True}, SHORTEST)


def eva(path: Path) -> Path:
    """timm/eva02_base_patch16_clip_224.merged2b_s8b_b131k: EVA's tower, which ends in a projection of its own."""
    model = _by_timm(224, "eva02_tiny_patch14_224", "token", context_length=77)
    return _open_clip(path, {**model, "vision_cfg": {**model["vision_cfg"], "timm_proj": None}}, SHORTEST)


def siglip2(path: Path) -> Path:
    """timm/ViT-B-16-SigLIP2: Gemma's tokenizer, and texts without capitals or punctuation."""
    path.mkdir(parents=True, exist_ok=True)
    text = {
        "act_kwargs": {"approximate": "tanh"}, "context_length": 64, "hf_tokenizer_name": "timm/ViT-B-16-SigLIP2",
        "no_causal_mask": True, "pool_type": "last", "proj_bias": True, "tokenizer_kwargs": {"clean": "canonicalize"},
        "vocab_size": tokens.gemma(path),
    }  # fmt: skip
    model = {**_by_timm(160, "test_vit", "token", **text), "init_logit_bias": -10}
    return _open_clip(path, model, {**SQUASH, "interpolation": "bicubic"})


OPEN_CLIP: dict[str, Callable[[Path], Path]] = {
    "laion": laion,
    "laion, a pickle": laion_pickle,
    "DFN": dfn,
    "EVA": eva,
    "PE-Core": pe_core,
    "MobileCLIP2": mobileclip2,
    "SigLIP 2": siglip2,
}


def by_open_clip(folder: Path, pictures: Sequence[np.ndarray], texts: Sequence[str]) -> Any:
    """Embeddings of ``pictures`` (H, W, 3) uint8 and ``texts``, and the logit scale, as open_clip makes them."""
    import open_clip
    from layouts import Embedded

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    read = open_clip.get_tokenizer(f"local-dir:{folder}")
    with torch.no_grad():
        images = model.eval().encode_image(torch.stack([transform(Image.fromarray(one)) for one in pictures]))
        rows = model.encode_text(read(list(texts)))
    return Embedded(images.numpy(), rows.numpy(), float(model.logit_scale.exp().detach()))


def settings_of(folder: Path) -> dict[str, Any]:
    """open_clip_config.json of a folder."""
    found: dict[str, Any] = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    return found

"""Tiny random models in the file layouts in which the known ones are published, and how the library embeds with them.

Each function fills a folder and returns it. Sizes are a few thousandths of the real ones; names of files, fields of the
JSON files and keys of the weights are theirs. Tests put this folder on ``sys.path``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import tokens
import torch
import transformers
from parts import (
    CLIP_MEAN,
    CLIP_STD,
    DUMP,
    HALF,
    PICTURE,
    SIDE,
    TEXT,
    VISION,
    State,
    clip_config,
    legacy_preprocessor,
    modern_clip_preprocessor,
    old_buffers,
    open_clip_files,
    random_model,
    random_state,
    save_safetensors,
    save_shards,
    siglip_preprocessor,
)
from safetensors.torch import load_file
from tokens import write_json

SHARD = "pytorch_model-0000{}-of-00002"


class Embedded(NamedTuple):
    """``images`` (B, d) and ``texts`` (T, d) float32, not normalised; logits are cosines times ``scale``."""

    images: np.ndarray
    texts: np.ndarray
    scale: float


# -- CLIP -------------------------------------------------------------------------------------------------------------


def clip_files(path: Path, eos: int = 2, **more: Any) -> tuple[Path, State]:
    """All files of OpenAI's CLIP but the weights, and these; end-of-text is ``eos`` in config.json."""
    path.mkdir(parents=True, exist_ok=True)
    vocabulary, _ = tokens.clip(path)
    config = clip_config(vocabulary, eos, **more)
    write_json(path / "config.json", config)
    legacy_preprocessor(path)
    return path, random_state(config)


def clip_bin(path: Path) -> Path:
    """openai/clip-vit-base-patch32: a pickle and files of other frameworks, no safetensors."""
    path, state = clip_files(path)
    torch.save(old_buffers(state), path / "pytorch_model.bin")
    for name in ("tf_model.h5", "flax_model.msgpack"):
        (path / name).write_bytes(b"weights of another framework")
    return path


def clip_both(path: Path) -> Path:
    """openai/clip-vit-large-patch14: both containers. A present ``text_config_dict`` without ids gives the end-of-text
    the class's own 49407, so the vocabulary is as large as the real one."""
    path.mkdir(parents=True, exist_ok=True)
    vocabulary, _ = tokens.clip(path, published_ids=True)
    text = {**TEXT, "hidden_size": 8, "projection_dim": 12, "vocab_size": vocabulary}
    config = clip_config(vocabulary, 2, text_config_dict=text, vision_config_dict={**VISION, **PICTURE})
    config["text_config"] |= text
    write_json(path / "config.json", config)
    legacy_preprocessor(path)
    state = random_state(config)
    save_safetensors(state, path / "model.safetensors")
    torch.save(old_buffers(state), path / "pytorch_model.bin")
    return path


def clip_safetensors(path: Path) -> Path:
    """One safetensors file beside everything else of OpenAI's CLIP."""
    path, state = clip_files(path)
    save_safetensors(state, path / "model.safetensors")
    return path


def clip_v5(path: Path) -> Path:
    """As transformers 5 saves: processor_config.json in place of preprocessor_config.json, tokenizer.json alone."""
    path.mkdir(parents=True, exist_ok=True)
    vocabulary, end = tokens.clip(path, slow=False)
    (path / "special_tokens_map.json").unlink()
    ids = {"bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": 1, "vocab_size": vocabulary}
    config = {
        "architectures": ["CLIPModel"], "dtype": "float32", "initializer_factor": 1.0,
        "logit_scale_init_value": 2.6592, "model_type": "clip", "projection_dim": 12,
        "text_config": {**TEXT, **ids, "projection_dim": 12, "model_type": "clip_text_model"},
        "transformers_version": "5.0.0",
        "vision_config": {**VISION, **PICTURE, "projection_dim": 12, "model_type": "clip_vision_model"},
    }  # fmt: skip
    write_json(path / "config.json", config)
    write_json(
        path / "processor_config.json",
        {"image_processor": modern_clip_preprocessor(), "processor_class": "CLIPProcessor"},
    )
    save_safetensors(random_state(config), path / "model.safetensors")
    return path


def clip_half(path: Path) -> Path:
    """Half precision on disk."""
    path, state = clip_files(path, torch_dtype="float16")
    save_safetensors({name: value.half() for name, value in state.items()}, path / "model.safetensors")
    return path


def clip_bin_shards(path: Path) -> Path:
    """Pickles in two parts with their index."""
    path, state = clip_files(path)
    save_shards(old_buffers(state), path, SHARD, "bin", "pytorch_model.bin.index.json")
    return path


def clip_shards(path: Path) -> Path:
    """Safetensors in two parts with their index, under the usual names."""
    path, state = clip_files(path)
    save_shards(state, path, "model-0000{}-of-00002", "safetensors", "model.safetensors.index.json")
    return path


def laion_both(path: Path) -> Path:
    """laion/CLIP-ViT-B-32-laion2B-s34B-b79K: weights for transformers and for open_clip, each in both containers."""
    path, state = clip_files(path, act="gelu")
    save_safetensors(state, path / "model.safetensors")
    torch.save(old_buffers(state), path / "pytorch_model.bin")
    open_clip_files(path, state)
    return path


def big_g(path: Path, index: bool = True, pickles: bool = True) -> Path:
    """laion/CLIP-ViT-bigG-14-laion2B-39B-b160k: safetensors shards that are named as pickles are, ``pickles`` of the
    same names beside them, and perhaps no ``index`` but theirs."""
    path, state = clip_files(path, act="gelu")
    save_shards(state, path, SHARD, "safetensors", "model.safetensors.index.json" if index else None)
    if pickles:
        save_shards(old_buffers(state), path, SHARD, "bin", "pytorch_model.bin.index.json")
    return path


def metaclip1(path: Path) -> Path:
    """facebook/metaclip-b32-400m: a pickle, slow tokenizer files, and sub-configurations that say little: end-of-text
    and activation are the class's."""
    path.mkdir(parents=True, exist_ok=True)
    tokens.clip(path, published_ids=True, fast=False)
    write_json(path / "added_tokens.json", {"<|endoftext|>": 49407, "<|startoftext|>": 49406})
    text = {**TEXT, "hidden_size": 8, "heads": 8, "layers": 12}
    config = {
        "architectures": ["CLIPModel"], "logit_scale_init_value": 2.6592, "model_type": "clip", "projection_dim": 12,
        "text_config": text, "torch_dtype": "float32", "transformers_version": "4.35.0.dev0",
        "vision_config": {**VISION, **PICTURE, "heads": 12, "layers": 12},
    }  # fmt: skip
    write_json(path / "config.json", config)
    write_json(
        path / "preprocessor_config.json", modern_clip_preprocessor(feature_extractor_type="CLIPFeatureExtractor")
    )
    torch.save(random_state(config), path / "pytorch_model.bin")
    (path / "metaclip_b32_400m.bin").write_bytes(b"the weights of the authors' own code")
    return path


# -- its kin ----------------------------------------------------------------------------------------------------------


def metaclip2(path: Path, mask: bool = True) -> Path:
    """facebook/metaclip-2-worldwide: XLM-R's tokenizer, whose end-of-text is 2; pictures are squashed. Without ``mask``
    the tokenizer gives ids alone."""
    path.mkdir(parents=True, exist_ok=True)
    vocabulary = tokens.xlm(path, **({} if mask else {"model_input_names": ["input_ids"]}))
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "vocab_size": vocabulary}
    width = {"hidden_act": "gelu", "projection_dim": 12}
    config = {
        "architectures": ["MetaClip2Model"], "dtype": "float32", "initializer_factor": 1.0,
        "logit_scale_init_value": 2.6592, "model_type": "metaclip_2", "projection_dim": 12,
        "text_config": {**TEXT, **ids, **width, "max_position_embeddings": 77, "model_type": "metaclip_2_text_model"},
        "transformers_version": "4.56.0.dev0",
        "vision_config": {**VISION, **PICTURE, **width, "model_type": "metaclip_2_vision_model"},
    }  # fmt: skip
    write_json(path / "config.json", config)
    square = {"height": SIDE, "width": SIDE}
    write_json(path / "preprocessor_config.json", modern_clip_preprocessor(size=square))
    save_safetensors(random_state(config), path / "model.safetensors")
    return path


def siglip1(path: Path, letters: bool = False) -> Path:
    """google/siglip-base-patch16-224: spiece.model, no tokenizer.json; weights in both containers. With ``letters`` its
    tokens are single ones."""
    path.mkdir(parents=True, exist_ok=True)
    text = {**TEXT, "hidden_size": 24, "vocab_size": tokens.siglip(path, "char" if letters else "unigram"),
            "model_type": "siglip_text_model"}  # fmt: skip
    config = {
        "architectures": ["SiglipModel"], "initializer_factor": 1.0, "model_type": "siglip", "text_config": text,
        "torch_dtype": "float32", "transformers_version": "4.37.0.dev0",
        "vision_config": {**VISION, **PICTURE, "model_type": "siglip_vision_model"},
    }  # fmt: skip
    write_json(path / "config.json", config)
    siglip_preprocessor(path, 3)
    state = random_state(config)
    save_safetensors(state, path / "model.safetensors")
    torch.save(state, path / "pytorch_model.bin")
    return path


def siglip2_fixed(path: Path) -> Path:
    """google/siglip2-base-patch16-224: SigLIP's type, Gemma's tokenizer, and a config.json without architectures."""
    path.mkdir(parents=True, exist_ok=True)
    config = {
        "initializer_factor": 1.0, "model_type": "siglip",
        "text_config": {**TEXT, "hidden_size": 24, "vocab_size": tokens.gemma(path), "model_type": "siglip_text_model"},
        "torch_dtype": "float32", "transformers_version": "4.49.0.dev0",
        "vision_config": {**VISION, **PICTURE, "model_type": "siglip_vision_model"},
    }  # fmt: skip
    write_json(path / "config.json", config)
    siglip_preprocessor(path, 2, do_convert_rgb=None)
    save_safetensors(random_state(config), path / "model.safetensors")
    return path


def naflex(path: Path) -> Path:
    """google/siglip2-base-patch16-naflex: patches of a grid that follows the picture, three inputs in place of one."""
    path.mkdir(parents=True, exist_ok=True)
    text = {**TEXT, "hidden_size": 24, "vocab_size": tokens.gemma(path), "model_type": "siglip2_text_model"}
    config = {
        "architectures": ["Siglip2Model"], "initializer_factor": 1.0, "model_type": "siglip2", "text_config": text,
        "torch_dtype": "float32", "transformers_version": "4.50.0.dev0",
        "vision_config": {**VISION, "patch_size": 8, "num_patches": 16, "model_type": "siglip2_vision_model"},
    }  # fmt: skip
    write_json(path / "config.json", config)
    settings = {
        "do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": HALF,
        "image_processor_type": "Siglip2ImageProcessorFast", "image_std": HALF, "max_num_patches": 16,
        "patch_size": 8, "processor_class": "Siglip2Processor", "resample": 2, "rescale_factor": 1 / 255,
    }  # fmt: skip
    write_json(path / "preprocessor_config.json", settings)
    save_safetensors(random_state(config), path / "model.safetensors")
    return path


def tipsv2(path: Path) -> Path:
    """google/tipsv2-b14: packed keys, no mean, a temperature that is in config.json alone."""
    path.mkdir(parents=True, exist_ok=True)
    text = {**TEXT, "hidden_size": 24, "vocab_size": tokens.c4(path / "tokenizer.model", "bpe")}
    vision = {key: VISION[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    config = {
        "architectures": ["Tipsv2Model"], "model_type": "tipsv2", "temperature_init_value": 0.02,
        "text_config": {**text, "model_type": "tipsv2_text_model"},
        "vision_config": {**vision, **PICTURE, "model_type": "tipsv2_vision_model"},
    }  # fmt: skip
    write_json(path / "config.json", config)
    settings = {
        "do_convert_rgb": True, "do_normalize": False, "do_rescale": True, "do_resize": True, "image_mean": None,
        "image_processor_type": "Tipsv2ImageProcessor", "image_std": None, "resample": 2, "rescale_factor": 1 / 255,
        "size": {"height": SIDE, "width": SIDE},
    }  # fmt: skip
    write_json(path / "preprocessor_config.json", settings)
    with TemporaryDirectory() as saved:  # transformers writes the published keys by itself
        random_model(config).save_pretrained(saved)
        state = load_file(Path(saved) / "model.safetensors")
    del state["temperature"]
    save_safetensors(state, path / "model.safetensors")
    return path


def chinese_clip(path: Path) -> Path:
    """OFA-Sys/chinese-clip-vit-base-patch16: a pickle, the authors' own checkpoint, and vocab.txt as the tokenizer."""
    path.mkdir(parents=True, exist_ok=True)
    text = {**TEXT, "vocab_size": tokens.bert(path), "max_position_embeddings": 512, "type_vocab_size": 2}
    config = {
        "architectures": ["ChineseCLIPModel"], "initializer_factor": 1.0, "logit_scale_init_value": 2.6592,
        "model_type": "chinese_clip", "projection_dim": 12,
        "text_config": {**DUMP, **text, "hidden_act": "gelu", "model_type": "chinese_clip_text_model"},
        "text_config_dict": None, "torch_dtype": "float32",
        "vision_config": {**DUMP, **VISION, **PICTURE, "model_type": "chinese_clip_vision_model"},
    }  # fmt: skip
    write_json(path / "config.json", config)
    settings = {
        "do_center_crop": False, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "ChineseCLIPFeatureExtractor", "image_mean": CLIP_MEAN, "image_std": CLIP_STD,
        "resample": 3, "size": {"height": SIDE, "width": SIDE},
    }  # fmt: skip
    write_json(path / "preprocessor_config.json", settings)
    torch.save(old_buffers(random_state(config)), path / "pytorch_model.bin")
    (path / "clip_cn_vit-b-16.pt").write_bytes(b"the weights of the authors' own code")
    return path


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "openai B/32, a pickle": clip_bin,
    "openai L/14, both containers": clip_both,
    "openai, safetensors": clip_safetensors,
    "saved by transformers 5": clip_v5,
    "half precision": clip_half,
    "shards": clip_shards,
    "shards of pickles": clip_bin_shards,
    "laion, with open_clip's copy": laion_both,
    "laion bigG, as published": partial(big_g, index=False),
    "laion bigG, with an index": partial(big_g, pickles=False),
    "metaclip": metaclip1,
    "metaclip 2": metaclip2,
    "metaclip 2, without masks": partial(metaclip2, mask=False),
    "siglip": siglip1,
    "siglip 2, a fixed size": siglip2_fixed,
    "siglip 2, naflex": naflex,
    "tipsv2": tipsv2,
    "chinese-clip": chinese_clip,
}
# of which four hold the same weights
SAFE, PICKLE, SHARDS, PICKLES = "openai, safetensors", "openai B/32, a pickle", "shards", "shards of pickles"
NEED_SENTENCEPIECE = ("siglip", "siglip 2, a fixed size", "siglip 2, naflex", "tipsv2")


# -- the library itself -----------------------------------------------------------------------------------------------

# tokens that a text is padded to, as the family was trained; the others pad to the longest and are cut at their context
PADDED = {"siglip": 64, "siglip2": 64, "tipsv2": 64, "metaclip_2": 77}
CONTEXT = {**PADDED, "clip": 77, "chinese_clip": 512}


def direct(folder: Path, pictures: Sequence[np.ndarray], texts: Sequence[str]) -> Embedded:
    """``pictures`` (H, W, 3) uint8 and ``texts`` as transformers embeds them in float32, by the model's own image
    processor and tokenizer, used as its family was trained."""
    from PIL import Image

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = config["model_type"]
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    backend = {} if kind == "tipsv2" else {"backend": "pil"}
    processor = transformers.AutoImageProcessor.from_pretrained(folder, **backend)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if kind in ("siglip", "siglip2"):
        texts = [text.lower() for text in texts]
    padding = "max_length" if kind in PADDED else True
    encoded = tokenizer(list(texts), padding=padding, truncation=True, max_length=CONTEXT[kind], return_tensors="pt")
    masked = kind in ("clip", "chinese_clip", "tipsv2")
    inputs = encoded if masked else {"input_ids": encoded["input_ids"]}
    with torch.no_grad():
        images = [
            model.get_image_features(**processor(images=[Image.fromarray(picture)], return_tensors="pt")).pooler_output
            for picture in pictures
        ]
        text = model.get_text_features(**inputs).pooler_output
    scale = 1 / model.temperature if kind == "tipsv2" else model.logit_scale.exp()
    return Embedded(torch.cat(images).numpy(), text.numpy(), float(scale.detach()))

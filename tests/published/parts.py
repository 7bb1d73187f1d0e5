"""What the layouts are made of: weights and the JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokens import write_json

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
HALF = [0.5, 0.5, 0.5]
SIDE = 32  # pixels of the models' square
TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**TEXT, "hidden_size": 24}
PICTURE = {"image_size": SIDE, "patch_size": 8}
SCALE = 3.9  # of the logits, as a logarithm

# what transformers 4.16 wrote of every configuration
DUMP = {
    "_name_or_path": "", "add_cross_attention": False, "architectures": None, "attention_dropout": 0.0,
    "bad_words_ids": None, "cross_attention_hidden_size": None, "decoder_start_token_id": None,
    "diversity_penalty": 0.0, "do_sample": False, "dropout": 0.0, "early_stopping": False, "finetuning_task": None,
    "hidden_act": "quick_gelu", "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "initializer_factor": 1.0,
    "initializer_range": 0.02, "is_decoder": False, "is_encoder_decoder": False,
    "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "layer_norm_eps": 1e-05, "length_penalty": 1.0, "max_length": 20,
    "min_length": 0, "num_beams": 1, "output_attentions": False, "output_hidden_states": False, "prefix": None,
    "problem_type": None, "pruned_heads": {}, "repetition_penalty": 1.0, "return_dict": True, "temperature": 1.0,
    "tie_word_embeddings": True, "top_k": 50, "top_p": 1.0, "torch_dtype": None, "torchscript": False,
    "transformers_version": "4.16.0.dev0", "use_bfloat16": False,
}  # fmt: skip

State = dict[str, torch.Tensor]


def random_model(config: dict[str, Any]) -> Any:
    """A model of ``config``, float32, with weights large enough for inputs to make a difference."""
    torch.manual_seed(len(json.dumps(config)))
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**config))
    for name, weight in model.named_parameters():
        if name in ("logit_scale", "logit_bias"):
            weight.data.fill_(SCALE if name == "logit_scale" else -10.0)
        elif "embedding" in name or weight.ndim == 0:
            weight.data.normal_()
        elif weight.ndim > 1:
            weight.data.normal_(0, 2 / np.sqrt(weight[0].numel()))
        else:
            weight.data += 0.2 * torch.randn_like(weight)
    return model.eval()


def random_state(config: dict[str, Any]) -> State:
    """Such a model's weights under transformers' own names."""
    return {name: value.contiguous() for name, value in random_model(config).state_dict().items()}


def save_safetensors(state: State, path: Path) -> None:
    save_file(state, path, metadata={"format": "pt"})


def old_buffers(state: State) -> State:
    """``state`` with the int64 buffers that pickles of before hold."""
    more = {}
    for tower in ("text_model", "vision_model"):
        table = state.get(f"{tower}.embeddings.position_embedding.weight")
        if table is not None:
            more[f"{tower}.embeddings.position_ids"] = torch.arange(len(table))[None]
    return {**state, **more}


def save_shards(state: State, folder: Path, stem: str, ending: str, index: str | None) -> None:
    """``state`` in two files ``stem`` (with its number in braces) and an index of that name."""
    names = sorted(state)
    where = {name: f"{stem.format(1 + (i >= len(names) // 2))}.{ending}" for i, name in enumerate(names)}
    for file in set(where.values()):
        part = {name: state[name] for name in names if where[name] == file}
        save_safetensors(part, folder / file) if ending == "safetensors" else torch.save(part, folder / file)
    if index:
        size = sum(value.numel() * value.element_size() for value in state.values())
        write_json(folder / index, {"metadata": {"total_size": size}, "weight_map": where})


def clip_config(vocabulary: int, eos: int, act: str = "quick_gelu", **more: Any) -> dict[str, Any]:
    """config.json of a CLIP as OpenAI's: everything stated, and ids that are not the tokenizer's."""
    ids = {"bos_token_id": 0, "eos_token_id": eos, "pad_token_id": 1, "vocab_size": vocabulary}
    width = {"hidden_act": act, "projection_dim": 12}
    return {
        "_commit_hash": None, "architectures": ["CLIPModel"], "initializer_factor": 1.0,
        "logit_scale_init_value": 2.6592, "model_type": "clip", "projection_dim": 12,
        "text_config": {**DUMP, **TEXT, **ids, **width, "max_position_embeddings": 77, "model_type": "clip_text_model"},
        "text_config_dict": None, "torch_dtype": "float32", "transformers_version": None,
        "vision_config": {**DUMP, **VISION, **PICTURE, **width, "model_type": "clip_vision_model"},
        "vision_config_dict": None, **more,
    }  # fmt: skip


def legacy_preprocessor(folder: Path) -> None:
    """Whole numbers for sizes, and the name of a feature extractor."""
    settings = {
        "crop_size": SIDE, "do_center_crop": True, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": CLIP_MEAN, "image_std": CLIP_STD,
        "resample": 3, "size": SIDE,
    }  # fmt: skip
    write_json(folder / "preprocessor_config.json", settings)


def modern_clip_preprocessor(**more: Any) -> dict[str, Any]:
    return {
        "crop_size": {"height": SIDE, "width": SIDE}, "do_center_crop": True, "do_convert_rgb": True,
        "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": CLIP_MEAN,
        "image_processor_type": "CLIPImageProcessor", "image_std": CLIP_STD, "resample": 3,
        "rescale_factor": 1 / 255, "size": {"shortest_edge": SIDE}, **more,
    }  # fmt: skip


def siglip_preprocessor(folder: Path, resample: int, **more: Any) -> None:
    settings = {
        "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": HALF,
        "image_processor_type": "SiglipImageProcessor", "image_std": HALF, "processor_class": "SiglipProcessor",
        "resample": resample, "rescale_factor": 1 / 255, "size": {"height": SIDE, "width": SIDE}, **more,
    }  # fmt: skip
    write_json(folder / "preprocessor_config.json", settings)


def open_clip_files(path: Path, state: State) -> None:
    """open_clip's copy of the weights, in both containers, and its configuration."""
    theirs = {f"visual.{name}": value.clone() for name, value in state.items()}
    save_safetensors(theirs, path / "open_clip_model.safetensors")
    torch.save(theirs, path / "open_clip_pytorch_model.bin")
    model = {"embed_dim": 12, "vision_cfg": {"image_size": SIDE}, "text_cfg": {"context_length": 77}}
    write_json(path / "open_clip_config.json", {"model_cfg": model, "preprocess_cfg": {"mean": CLIP_MEAN}})

"""Folders that no dual encoder can be read from as they are: other kinds of model, weights that do not fit, and damage.

The first group fills a folder and returns it; the second changes a folder of ``layouts.py``, the third one file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import layouts
import torch
import transformers
from parts import (
    CLIP_MEAN,
    CLIP_STD,
    PICTURE,
    SIDE,
    VISION,
    State,
    legacy_preprocessor,
    open_clip_files,
    random_state,
    save_safetensors,
)
from safetensors.torch import load_file
from tokens import write_json

# -- other kinds of model ---------------------------------------------------------------------------------------------


def vision_only(path: Path) -> Path:
    """An image tower with its projection, as image prompts for diffusion models use it: no text, no tokenizer."""
    config = transformers.CLIPVisionConfig(**VISION, **PICTURE, projection_dim=12)
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(path)
    legacy_preprocessor(path)
    return path


def dinov2(path: Path) -> Path:
    """facebook/dinov2-base."""
    path.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["Dinov2Model"], "hidden_size": 24, "image_size": 56, "mlp_ratio": 2, "model_type": "dinov2",
        "num_attention_heads": 2, "num_hidden_layers": 2, "patch_size": 8, "torch_dtype": "float32",
    }  # fmt: skip
    write_json(path / "config.json", config)
    settings = {
        "crop_size": {"height": SIDE, "width": SIDE}, "do_center_crop": True, "do_normalize": True,
        "do_rescale": True, "do_resize": True, "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "BitImageProcessor", "image_std": [0.229, 0.224, 0.225], "resample": 3,
        "rescale_factor": 1 / 255, "size": {"shortest_edge": SIDE + 8},
    }  # fmt: skip
    write_json(path / "preprocessor_config.json", settings)
    state = random_state(config)
    save_safetensors(state, path / "model.safetensors")
    torch.save(state, path / "pytorch_model.bin")
    return path


def timm_config(path: Path) -> Path:
    """timm/vit_base_patch32_clip_224.openai: timm's own config.json, beside open_clip's files and a tokenizer."""
    path, state = layouts.clip_files(path)
    (path / "preprocessor_config.json").unlink()
    pretrained = {"tag": "openai", "input_size": [3, SIDE, SIDE], "interpolation": "bicubic", "mean": CLIP_MEAN,
                  "std": CLIP_STD, "first_conv": "patch_embed.proj", "classifier": "head"}  # fmt: skip
    config = {"architecture": "vit_base_patch32_clip_224", "num_classes": 12, "num_features": 24}
    write_json(path / "config.json", {**config, "global_pool": "token", "pretrained_cfg": pretrained})
    tower = {"patch_embed.proj.weight": torch.zeros(24, 3, 8, 8), "head.weight": torch.zeros(12, 24)}
    save_safetensors(tower, path / "model.safetensors")
    torch.save(tower, path / "pytorch_model.bin")
    open_clip_files(path, state)
    return path


def open_clip_only(path: Path) -> Path:
    """timm/PE-Core-B-16: open_clip's weights and a tokenizer, and no config.json."""
    path, state = layouts.clip_files(path)
    open_clip_files(path, state)
    (path / "config.json").unlink()
    (path / "preprocessor_config.json").unlink()
    return path


def ran(path: Path) -> Path:
    """The file that appears if code out of the folder ``path`` runs."""
    return path.with_name(f"{path.name}.ran")


def _with_code(path: Path, model_type: str, change: Callable[[State], State]) -> Path:
    path, state = layouts.clip_files(path)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    code = {"AutoConfig": f"configuration_{model_type}.Config", "AutoModel": f"modeling_{model_type}.Model"}
    code["AutoModelForCausalLM"] = code["AutoModel"]
    write_json(path / "config.json", {**config, "auto_map": code, "model_type": model_type})
    for kind in ("configuration", "modeling"):
        lines = [f"open({str(ran(path))!r}, 'w').close()", "class Config: pass", "class Model: pass"]
        (path / f"{kind}_{model_type}.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    save_safetensors(change(state), path / "model.safetensors")
    return path


def fgclip1(path: Path) -> Path:
    """qihoo360/fg-clip-base: CLIP's type with code of its own, weights that CLIP's class has no place for, and the
    position table under two other names."""

    def change(state: State) -> State:
        table = state.pop("text_model.embeddings.position_embedding.weight")
        more = {f"text_model.embeddings.position_embedding_{kind}.weight": table.clone() for kind in ("res", "ori")}
        return {**state, **more, "text_filip_projection.weight": torch.zeros(12, 16)}

    return _with_code(path, "clip", change)


def fgclip2(path: Path) -> Path:
    """qihoo360/fg-clip2-base: a type that transformers does not know, with code of its own."""
    return _with_code(path, "fgclip2", lambda state: state)


def wrong_end(path: Path) -> Path:
    """A CLIP whose configuration names an end-of-text that its tokenizer never gives: every text is one vector."""
    path, state = layouts.clip_files(path, eos=49407)
    save_safetensors(state, path / "model.safetensors")
    return path


# -- weights that do not fit ------------------------------------------------------------------------------------------


def change_weights(folder: Path, change: Callable[[State], State]) -> Path:
    """``folder`` with its model.safetensors or pytorch_model.bin as ``change`` makes it."""
    path = folder / "model.safetensors"
    if path.is_file():
        save_safetensors({k: v.contiguous() for k, v in change(load_file(path)).items()}, path)
    else:
        path = folder / "pytorch_model.bin"
        torch.save(change(torch.load(path, weights_only=True)), path)
    return folder


def without(folder: Path, *beginnings: str) -> Path:
    """All keys with one of these beginnings are gone."""
    found = []

    def change(state: State) -> State:
        found.extend(name for name in state if name.startswith(beginnings))
        return {name: value for name, value in state.items() if not name.startswith(beginnings)}

    change_weights(folder, change)
    assert found, f"no key begins with {beginnings}"
    return folder


def prefixed(folder: Path, prefix: str = "module.") -> Path:
    """As a training wrapper saves them: 'module.' of DistributedDataParallel, '_orig_mod.' of torch.compile."""
    return change_weights(folder, lambda state: {prefix + name: value for name, value in state.items()})


def reshaped(folder: Path, name: str) -> Path:
    """One tensor has a row more."""
    return change_weights(folder, lambda state: {**state, name: torch.cat([state[name], state[name][:1]])})


def nested(folder: Path, key: str = "state_dict") -> Path:
    """Weights below a key of a training checkpoint, in a pickle."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({key: state, "epoch": 3, "optimizer": {"lr": 0.1}}, folder / "pytorch_model.bin")
    return folder


def other_family(folder: Path) -> Path:
    """Weights of a ResNet in the place of a dual encoder's."""
    return change_weights(folder, lambda state: {f"layer{i}.0.conv1.weight": torch.zeros(8, 8) for i in range(1, 5)})


def with_excess(folder: Path) -> Path:
    """Keys that the model has no place for: a classifier, and a buffer of before."""
    more = {"classifier.weight": torch.zeros(5, 12), "classifier.bias": torch.zeros(5)}
    more["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    return change_weights(folder, lambda state: {**state, **more})


# -- damage -----------------------------------------------------------------------------------------------------------

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nsize 605247071\n"
)
PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Sign in to go on</body></html>\n"
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "cut in its header": lambda data: data[:40],
    "empty": lambda data: b"",
    "a git-lfs pointer": lambda data: POINTER.encode(),
    "a web page": lambda data: PAGE.encode(),
    "zeros": lambda data: bytes(len(data)),
}


def damage(path: Path, how: str) -> None:
    """Replace a file's content as ``DAMAGE`` says."""
    path.write_bytes(DAMAGE[how](path.read_bytes()))


class Runs:
    """Makes a file when it is unpickled by anything that trusts it."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.made), "w"))


def hostile(folder: Path, zipped: bool = True) -> Path:
    """A pytorch_model.bin that runs code where pickles are trusted; see :func:`ran`."""
    state = random_state(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    content = {**state, "logit_scale": Runs(ran(folder))}
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    return folder

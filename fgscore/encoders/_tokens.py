"""A model of pictures alone of transformers, driven: its class token, or the mean of its patches."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgscore.encoders import _looks
from fgscore.encoders._looks import Inputs, Processed
from fgscore.errors import BadParameter, MissingWeights

if TYPE_CHECKING:
    import torch

CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")  # what models call theirs
TOWER = "_vision_model"  # how the types of one tower of a dual encoder end


def check_kind(kind: Any, config: Any, folder: Path) -> None:
    """Raises :class:`MissingWeights` unless ``kind`` is the class of a model of pictures alone."""
    name = getattr(kind, "__name__", config.model_type)
    if hasattr(kind, "get_text_features"):
        raise MissingWeights(f"{folder}: {name} reads pictures and text; name it by clip(model=...)")
    if config.model_type.endswith(TOWER):
        raise MissingWeights(
            f"{folder}: {name} is one tower of a dual encoder; name the whole model by clip(model=...)"
        )
    takes = inspect.signature(kind.forward).parameters if kind else {}
    if "pixel_values" not in takes or {"input_ids", "decoder_input_ids", "input_values"} & set(takes):
        raise MissingWeights(f"expected a model of pictures in {folder}, found {name}; name another")


def looks(processor: Any, config: Any, size: int | None, folder: Path) -> Processed:
    """How the model of ``config`` looks at pictures, at its processor's size or at ``size``. Raises
    :class:`BadParameter` for a size of no whole patches."""
    if size is None or size == _looks.input_size(processor):
        return Processed(processor)
    patch = getattr(config, "patch_size", None)
    if not isinstance(patch, int):
        raise BadParameter(f"{folder}: a {config.model_type} model has no square patches; leave size out")
    return Processed(_looks.resized(processor, size, patch))


def _run(model: Any, inputs: Inputs) -> torch.Tensor:
    """The last hidden state; positions are interpolated where they are more or fewer than the model's own."""
    side, own = inputs["pixel_values"].shape[-1], getattr(model.config, "image_size", None)
    takes = inspect.signature(model.forward).parameters
    other = isinstance(own, int) and side != own and "interpolate_pos_encoding" in takes
    found: torch.Tensor = model(**inputs, **({"interpolate_pos_encoding": True} if other else {})).last_hidden_state
    return found


def _has_class_token(model: Any) -> bool:
    return any(name.rpartition(".")[2] in CLASS_TOKENS for name, _ in model.named_parameters())


def check_pool(model: Any, pool: str, folder: Path) -> None:
    """Raises :class:`BadParameter` where ``model`` has no class token, and that is asked for."""
    if pool == "cls" and not _has_class_token(model):
        raise BadParameter(f"{folder}: a {model.config.model_type} model has no class token; use pool='mean'")


def pooled(model: Any, inputs: Inputs, pool: str) -> torch.Tensor:
    """(B, d): the class token, or the mean of the patches' tokens, or of the cells of a map (B, d, h, w)."""
    tokens = _run(model, inputs)
    if tokens.ndim == 4:
        return tokens.mean(dim=(2, 3))
    if pool == "cls":
        return tokens[:, 0]
    patch = getattr(model.config, "patch_size", None)
    if not _has_class_token(model) or not isinstance(patch, int):
        return tokens[:, int(_has_class_token(model)) :].mean(dim=1)
    height, width = inputs["pixel_values"].shape[-2:]
    return tokens[:, tokens.shape[1] - (height // patch) * (width // patch) :].mean(dim=1)


def outputs(model: Any, sample: Inputs, pool: str) -> torch.Tensor:
    """A number that depends on all that the embedding of ``sample`` depends on."""
    parameter = next(model.parameters())
    return pooled(model, {k: v.to(parameter.device, parameter.dtype) for k, v in sample.items()}, pool).sum()

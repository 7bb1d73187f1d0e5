"""Both towers of a dual encoder of transformers, driven as its family is: positions, tokens, and the logits' scale."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgscore.encoders import _looks
from fgscore.encoders._looks import Inputs, Processed
from fgscore.errors import BadParameter, MissingWeights

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

# of models that read long texts in another way too, what has them read a short one, and its tokens
SHORT: Mapping[str, tuple[Any, int]] = {"walk_type": ("short", 64), "walk_short_pos": (True, 77)}


def looks(processor: Any, config: Any, size: int | None, folder: Path) -> Processed:
    """How the model of ``config`` looks at pictures, at its own size or at ``size``. Raises :class:`MissingWeights`
    where its processor makes other pictures than it sees, :class:`BadParameter` for a size of no whole patches."""
    vision = config.vision_config
    own, patch = getattr(vision, "image_size", None), getattr(vision, "patch_size", None)
    made, settings = _looks.input_size(processor), f"{folder}: preprocessor_config.json"
    if _looks.is_naflex(processor) and processor.patch_size != patch:
        raise MissingWeights(f"{settings} makes patches of {processor.patch_size} pixels, the model sees {patch}")
    if isinstance(own, int) and own != made and not _looks.is_naflex(processor):
        raise MissingWeights(f"{settings} makes pictures of {made} pixels, the model sees {own}; fetch it again")
    if size is None or size == made:
        return Processed(processor)
    if not isinstance(patch, int):
        raise BadParameter(f"{folder}: a {config.model_type} model sees {made} pixels alone; leave size out")
    return Processed(_looks.resized(processor, size, patch))


def images(model: Any, inputs: Inputs, **more: Any) -> Any:
    """Features of pictures, whose model is given ``more``; positions are interpolated where they are more or fewer than
    the model's own."""
    side, own = inputs["pixel_values"].shape[-1], getattr(model.config.vision_config, "image_size", None)
    takes = inspect.signature(model.get_image_features).parameters
    other = isinstance(own, int) and side != own and "interpolate_pos_encoding" in takes
    return model.get_image_features(**inputs, **more, **({"interpolate_pos_encoding": True} if other else {}))


def texts(model: Any, inputs: Inputs) -> Any:
    """Features of texts, read as short ones."""
    takes = inspect.signature(model.get_text_features).parameters
    return model.get_text_features(**inputs, **{name: value for name, (value, _) in SHORT.items() if name in takes})


def room(kind: Any) -> int | None:
    """Tokens of a text that a model of the class ``kind`` reads as a short one, where it reads long ones too."""
    takes = inspect.signature(kind.get_text_features).parameters
    return next((tokens for name, (_, tokens) in SHORT.items() if name in takes), None)


def scale(model: Any) -> float:
    """What multiplies its cosines: by a logarithm of it, or a temperature that divides them; 1, and said, where the
    model has neither."""
    found = _scaling(model)
    if found is None:
        log.warning("%s has no logit scale; its cosines count as they are", type(model).__name__)
        return 1.0
    number = found.detach().float()
    return float(number.exp() if hasattr(model, "logit_scale") else 1 / number)


def _scaling(model: Any) -> torch.Tensor | None:
    if hasattr(model, "logit_scale"):
        return model.logit_scale
    return model.temperature if hasattr(model, "temperature") else None


def check_kind(kind: Any, config: Any, folder: Path) -> None:
    """Raises :class:`MissingWeights` unless a model of the class ``kind`` has features of pictures and of texts."""
    if hasattr(kind, "get_image_features") and hasattr(kind, "get_text_features"):
        return
    name = getattr(kind, "__name__", config.model_type)
    raise MissingWeights(
        f"expected a model with image and text features in {folder}, found {name}; name another, or a model of "
        "pictures alone by vision(model=...)"
    )


def outputs(model: Any, sample: Inputs) -> torch.Tensor:
    """A number that depends on all that the embeddings of ``sample`` and of a text, and the scale, depend on."""
    import torch

    parameter = next(model.parameters())
    placed = {k: v.to(parameter.device, parameter.dtype if v.is_floating_point() else None) for k, v in sample.items()}
    ids = torch.zeros((1, 4), dtype=torch.long, device=parameter.device)
    features = images(model, placed), texts(model, {"input_ids": ids})
    of_scale = _scaling(model)
    return sum(
        (getattr(f, "pooler_output", f).sum() for f in features),
        torch.zeros(()) if of_scale is None else of_scale.sum(),
    )

"""SAM's checkpoints: the published ones, and the same as training wraps and renames it; others are named."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgscore import weights
from fgscore.errors import MissingWeights

if TYPE_CHECKING:
    import torch

ENCODER_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
POSITIONS = "image_encoder.pos_embed"  # which every SAM has, and whose width tells which it is
BUFFERS = ("pixel_mean", "pixel_std")  # constants, which some files hold
SAM_2 = "SAM 2, which is named by sam2(model='facebook/sam2.1-hiera-tiny') and read in transformers' layout"
SAM_3 = "SAM 3, which is named by sam3(model='facebook/sam3') and read in transformers' layout"
# what no other family's names hold: what it is
FAMILIES = {
    "mask_decoder.hf_token": "SAM-HQ, whose decoder has more to it, is not supported",
    "image_encoder.patch_embed.seq": "MobileSAM (vit_t) is not supported",
    "tracker_model.": SAM_3,
    "detector.": SAM_3,
    "image_encoder.trunk": SAM_2,
    "memory_attention": SAM_2,
    "vision_encoder.backbone": SAM_2,
    "vision_encoder.": "these are transformers' names of SAM; get the original file with `fgscore download sam`",
    **dict.fromkeys((*weights.ADAPTERS, "w_as.", "w_bs."), "weights of an adapter must be merged into SAM's"),
}


def state_dict(path: Path) -> dict[str, torch.Tensor]:
    """SAM's own names to tensors, mapped from the file at ``path``, out of what training wraps around them
    (``{'model': ...}``) and without what it puts before every name (``module.``).

    Raises :class:`MissingWeights` that says what the file is, where it is no SAM.
    """
    content = weights.read(path)
    try:
        tensors = weights.unwrapped(content, POSITIONS, path)
    except MissingWeights as error:
        raise MissingWeights(f"expected a SAM state dict: {error}{_family(_names(content))}") from None
    prefixes = sorted({name[: -len(POSITIONS)] for name in tensors if name.endswith(POSITIONS)})
    if len(prefixes) > 1:
        raise MissingWeights(f"{path} holds several SAMs ({', '.join(map(repr, prefixes))}); save one by itself")
    beside = [name for name in tensors if not name.startswith(prefixes[0])]
    if beside:
        raise MissingWeights(
            f"{path}: beside SAM's weights, under {prefixes[0]!r}, are {weights.listed(beside)}{_family(beside)}; save "
            "SAM by itself"
        )
    own = {name.removeprefix(prefixes[0]): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in own.items() if name not in BUFFERS}


def _names(content: Mapping[str, Any]) -> list[str]:
    """Every name in a training checkpoint."""
    inner = [_names(value) for value in content.values() if isinstance(value, Mapping)]
    return [*map(str, content), *(name for names in inner for name in names)]


def _family(names: Collection[str]) -> str:
    found = (why for part, why in FAMILIES.items() if any(part in name.lower() for name in names))
    why = next(found, "")
    return f": {why}" if why else ""


def kind(tensors: Mapping[str, torch.Tensor], path: Path) -> str:
    """vit_b, vit_l or vit_h; raises :class:`MissingWeights` for another width."""
    width = tensors[POSITIONS].shape[-1]
    if width not in ENCODER_WIDTHS:
        known = ", ".join(f"{name} ({wide})" for wide, name in ENCODER_WIDTHS.items())
        raise MissingWeights(
            f"expected the image encoder of {known} in {path}, found one of width {width}{_family(tensors)}"
        )
    return ENCODER_WIDTHS[width]


def check_fit(model: Any, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raises :class:`MissingWeights` unless the weights are those of ``model``: all of them, and no more."""
    own = {name: tensor.shape for name, tensor in model.state_dict().items() if name not in BUFFERS}
    missing, excess = own.keys() - tensors.keys(), tensors.keys() - own.keys()
    other = [name for name in own.keys() & tensors.keys() if tensors[name].shape != own[name]]
    whole = [name for name, tensor in tensors.items() if not tensor.is_floating_point()]
    wrong = [
        f"{len(names)} {what}: {weights.listed(names)}"
        for what, names in (
            ("are missing", missing),
            ("are in excess", excess),
            ("are of another shape", other),
            ("are whole numbers", whole),
        )
        if names
    ]
    if wrong:
        raise MissingWeights(f"{path}: of SAM's {len(own)} weights {'; '.join(wrong)}{_family(tensors)}")

"""The demo's drawn birds, and the two small models trained on them. Importing this loads no torch."""

from __future__ import annotations

from pathlib import Path

__all__ = ["clip_folder", "sam_folder", "weights_folder"]


def weights_folder() -> Path:
    """Where the shipped weights lie."""
    return Path(__file__).parent / "weights"


def clip_folder() -> Path:
    """The small CLIP: a plain transformers folder, which ``from_pretrained`` loads."""
    return weights_folder() / "clip"


def sam_folder() -> Path:
    """The small SAM: ``config.json`` and ``model.safetensors``, for ``fgscore.demo.models.load_sam``."""
    return weights_folder() / "sam"

"""What known backbones take for one picture, to compare with: multiply-accumulates as :mod:`fgscore.machine.macs` has
them, so that no model is needed to draw a scale; a test counts them again."""

from __future__ import annotations

from collections.abc import Mapping

BACKBONES: Mapping[str, int] = {
    "ViT-B/32": 4_408_811_520,
    "ViT-B/16": 17_563_453_440,
    "ViT-L/14": 81_012_768_768,
    "ViT-L/14@336": 190_959_894_528,
}  # CLIP's vision towers, with their projection

"""Masks in half the precision, for those who accept a mean IoU of 0.98 with upstream's: ``sam(fast=True)``.

Attention and MLPs of the image encoder are bfloat16. On a GPU the largest arrays of the decoder are float16 (bfloat16
there costs more IoU than all else) and other products TF32. On the CPU, kernels read and write bfloat16 up to the first
upscaling and compute in float32; without kernels all stays float32, as little would be gained.
Masks are measured by their low-resolution logits first: what is clearly unstable goes, and so do the duplicates; what
is left is measured at the size of the image.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from fgscore.machine import float32
from fgscore.regions.sam.decoder import Decoder
from fgscore.regions.sam.exact import ExactGenerator
from fgscore.regions.sam.frame import Frame, measure_roughly
from fgscore.regions.sam.kernels.native import together
from fgscore.regions.sam.masks import Candidates

ARRAYS = {"cuda": torch.float16}  # of the decoder
SOME = 16  # masks that are measured at one time
MARGIN = 0.03  # of stability, about what low resolution is off by


def half(device: torch.device) -> torch.dtype:
    """bfloat16 where the device has it; elsewhere it would be slower than float32."""
    if device.type == "cpu":
        has = (
            getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
            or getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
        )
        return torch.bfloat16 if has else torch.float32
    return torch.bfloat16 if device.type != "cuda" or torch.cuda.is_bf16_supported() else torch.float16


class FastGenerator(ExactGenerator):
    """``generate(image) -> Masks`` with the settings of an upstream ``SamAutomaticMaskGenerator``, nearly its masks."""

    _float32 = staticmethod(float32.tf32)

    def __init__(self, upstream: Any) -> None:
        super().__init__(upstream)
        self._least_stability -= MARGIN
        precision = half(self._predictor.device)
        if self._own_encoder:
            self._encoder = copy.deepcopy(self._encoder)
            for block in self._encoder.blocks:
                block.attn.to(precision)
                block.mlp.to(precision)
        with torch.no_grad():
            arrays = precision if self._decoder.by_kernels else torch.float32
            self._decoder = Decoder(self._sam, ARRAYS.get(self._predictor.device.type, arrays))

    def _measure(self, logits: Tensor, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        return measure_roughly(logits, frame, self._threshold, self._settings.stability_score_offset)

    def _settled(self, found: Candidates, frame: Frame) -> Candidates:
        """Measured at the size of the image."""
        if not found.logits:
            return found
        logits = torch.stack(found.logits)
        measure = super()._measure
        parts = together(lambda some: measure(some, frame), logits.split(SOME), logits.device)
        found.area, found.stability, found.boxes = (torch.cat(column) for column in zip(*parts, strict=True))
        return found.keep((found.stability >= self._settings.stability_score_thresh).nonzero()[:, 0])

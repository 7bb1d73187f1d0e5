"""SAM's own masks: those of segment_anything's generator, by our encoder and decoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fgscore.regions.sam import encoder
from fgscore.regions.sam.decoder import Decoder
from fgscore.regions.sam.frame import Frame
from fgscore.regions.sam.masks import MaskGenerator


class ExactGenerator(MaskGenerator):
    """``generate(image) -> Masks`` with the settings of an upstream ``SamAutomaticMaskGenerator``."""

    _decoder: Decoder

    def __init__(self, upstream: Any) -> None:
        self._predictor, self._sam = upstream.predictor, upstream.predictor.model
        super().__init__(upstream, self._predictor.device, self._sam.mask_threshold)
        self._encoder = self._sam.image_encoder
        self._own_encoder = encoder.supports(self._encoder)
        with torch.no_grad():
            self._decoder = Decoder(self._sam)

    def _embed(self, image: np.ndarray) -> tuple[Tensor, tuple[int, int]]:
        """Embedding (1, c, h, w) of ``image`` (H, W, 3) uint8, and its size in the model's square."""
        pixels = torch.as_tensor(self._predictor.transform.apply_image(image), device=self._device)
        square = self._sam.preprocess(pixels.permute(2, 0, 1)[None])
        return self._encode(square), (int(pixels.shape[0]), int(pixels.shape[1]))

    def _encode(self, square: Tensor) -> Tensor:
        return encoder.encode(self._encoder, square) if self._own_encoder else self._encoder(square)

    def _frame(self, input_hw: tuple[int, int], crop: tuple[int, int, int, int], image_hw: tuple[int, int]) -> Frame:
        """Logits are brought to the model's square first, and what of it is the crop to the size of that."""
        return Frame(self._sam.image_encoder.img_size, input_hw, crop, image_hw)

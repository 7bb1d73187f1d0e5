"""SAM 2's and SAM 3's masks at points, by transformers' models.

They see a crop squashed to a square, and their logits are brought to the crop's size in one bilinear step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fgscore.machine.macs import macs_of
from fgscore.regions.sam.decoder import prompts_at_a_time
from fgscore.regions.sam.frame import Frame
from fgscore.regions.sam.generator import Settings
from fgscore.regions.sam.masks import MaskGenerator

MASK_THRESHOLD = 0.0  # of logits, as theirs are trained


@dataclass(frozen=True)
class Drawn:
    """The ``logits`` (b, M, h, w) of a batch of b points."""

    logits: Tensor

    def take(self, rows: Tensor) -> Drawn:
        """Those at ``rows`` alone."""
        return Drawn(self.logits[rows])


class PointDecoder:
    """The prompt encoder and mask decoder of ``model``, a ``Sam2Model`` or one of its kin, for single foreground points
    in pixels of its square."""

    def __init__(self, model: Any) -> None:
        self._prompts, self._masks = model.prompt_encoder, model.mask_decoder
        self._position = model.get_image_wide_positional_embeddings()
        self.cells = 4 * int(self._prompts.image_embedding_size[0])  # rows and columns of the logits

    def image(self, embedding: Sequence[Tensor]) -> Sequence[Tensor]:
        """The embedding itself: feature maps (1, c, h, w), the finest first."""
        return embedding

    def batches(self, points: Tensor) -> tuple[Tensor, ...]:
        """``points`` (B, 2) in batches of a size that suits the device."""
        upscaled = self._masks.hidden_size // 8 * self.cells**2  # the largest array of a point
        return points.split(prompts_at_a_time(points, upscaled))

    def prompts(self, image: Sequence[Tensor], points: Tensor) -> tuple[Drawn, Tensor]:
        """The masks at ``points`` (b, 2), and their predicted IoU (b, M)."""
        labels = torch.ones(1, len(points), 1, dtype=torch.int, device=points.device)
        sparse, dense = self._prompts(points.float()[None, :, None], labels, None, None)
        logits, iou, *_ = self._masks(
            image_embeddings=image[-1],
            image_positional_embeddings=self._position,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            high_resolution_features=list(image[:-1]),
        )
        return Drawn(logits[0]), iou[0]

    def logits(self, image: Sequence[Tensor], batch: Drawn, keep: Tensor) -> Tensor:
        """Low-resolution logits (k, h, w) of the k masks that ``keep`` (b, M) chooses of a batch."""
        return batch.logits[keep]


class PointGenerator(MaskGenerator):
    """``generate(image) -> Masks`` by ``model`` on its device, whose input ``processor`` makes of a picture."""

    _decoder: PointDecoder

    def __init__(self, model: Any, processor: Any, settings: Settings) -> None:
        super().__init__(settings, model.device, MASK_THRESHOLD)
        self._model, self._processor = model, processor
        with torch.no_grad():
            self._decoder = PointDecoder(model)

    def _embed(self, image: np.ndarray) -> tuple[Sequence[Tensor], tuple[int, int]]:
        """Feature maps of ``image`` (H, W, 3) uint8, and the sides of the square that it is squashed to."""
        picture = image.copy()  # torch warns of one that cannot be written to
        inputs = self._processor(images=[picture], return_tensors="pt", input_data_format="channels_last")
        pixels = inputs["pixel_values"].to(self._device)
        return self._model.get_image_embeddings(pixels), (int(pixels.shape[-2]), int(pixels.shape[-1]))

    def _frame(self, input_hw: tuple[int, int], crop: tuple[int, int, int, int], image_hw: tuple[int, int]) -> Frame:
        """The logits are all of a crop, so that the first of a frame's two steps leaves them as they are."""
        cells = self._decoder.cells
        return Frame(cells, (cells, cells), crop, image_hw)


def macs_of_crop(model: Any) -> tuple[int, int]:
    """Multiply-accumulates of embedding one crop by ``model`` on the meta device, and of the masks at one point."""
    side = int(model.prompt_encoder.input_image_size)
    maps: list[Sequence[Tensor]] = []
    picture, points = torch.empty(1, 3, side, side, device="meta"), torch.empty(1, 2, device="meta")
    crop = macs_of(lambda: maps.append(model.get_image_embeddings(picture)))
    with torch.inference_mode():
        decoder = PointDecoder(model)
    return crop, macs_of(lambda: decoder.prompts(maps[0], points))


def outputs(model: Any) -> Tensor:
    """A number that depends on all that masks at a point and their predicted IoU depend on; what makes feature maps of
    an image is taken as a whole, since to run it would take long."""
    decoder, width = PointDecoder(model), model.mask_decoder.hidden_size
    shapes = ((width // 8, decoder.cells), (width // 4, decoder.cells // 2), (width, decoder.cells // 4))
    maps = [torch.zeros(1, channels, side, side, device=model.device) for channels, side in shapes]
    drawn, iou = decoder.prompts(maps, torch.zeros(1, 2, device=model.device))
    of_image = model.vision_encoder, model.mask_decoder.conv_s0, model.mask_decoder.conv_s1
    total = drawn.logits.sum() + iou.sum() + model.no_memory_embedding.sum()
    return total + sum(weight.sum() for module in of_image for weight in module.parameters())

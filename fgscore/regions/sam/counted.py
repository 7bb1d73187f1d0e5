"""Multiply-accumulates of SAM's own model, as upstream has it; see :meth:`SegmentEverything.macs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fgscore.machine.macs import macs_of

if TYPE_CHECKING:
    import torch


def macs_of_crop(sam: Any) -> tuple[int, int]:
    """Multiply-accumulates of embedding one crop by a ``Sam`` on the meta device, and of the masks at one point."""
    import torch

    prompts, side = sam.prompt_encoder, sam.image_encoder.img_size
    maps: list[torch.Tensor] = []
    crop = macs_of(lambda: maps.append(sam.image_encoder(torch.empty(1, 3, side, side, device="meta"))))
    with torch.inference_mode():
        everywhere = prompts.get_dense_pe()

    def point() -> None:
        both = torch.empty(1, 2, 2, device="meta")  # the point, and padding
        sparse = prompts.pe_layer.forward_with_coords(both, (side, side))
        sam.mask_decoder(maps[0], everywhere, sparse, torch.empty_like(maps[0]), multimask_output=True)

    return crop, macs_of(point)

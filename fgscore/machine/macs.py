"""Multiply-accumulates of models, counted by torch from shapes alone: nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of an image: those whatever its regions, and those of each region."""

    image: int
    region: int = 0

    def of(self, regions: float = 0) -> float:
        """Those of an image with so many regions, on average."""
        return self.image + regions * self.region

    @classmethod
    def read(cls, found: Any) -> Macs | None:
        """As a sidecar keeps them; None where it says that they are not known, or nothing that could be meant."""
        if not isinstance(found, Mapping) or set(found) != {"image", "region"}:
            return None
        image, region = found["image"], found["region"]
        return cls(image, region) if type(image) is type(region) is int and min(image, region) >= 0 else None


def macs_of(forward: Callable[[], Any]) -> int:
    """How many multiply-accumulates ``forward`` takes, a call of a model on the meta device: half of what torch's
    counter of floating point operations finds in its matrix products, attention and convolutions."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        forward()
    return counter.get_total_flops() // 2

"""What a generator that asks for it is told of the images of a data set, beside their pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fgscore.types import RegionBatch

ASKED = ("paths", "boxes")


@dataclass(frozen=True, eq=False)
class Known:
    """The N images of a data set. ``image_ids`` (N,) strings, ``sizes_wh`` (N, 2) int32 pixels, zero while they are not
    known, ``root`` the folder of the photos; what is not asked for is None.

    ``paths`` (N,) strings, below ``root``, with '/'; ``boxes_xyxy`` (N, 4) float32 object boxes in pixels, NaN where
    unknown. ``regions(image_id)`` are those of the parent, a record of that image alone, ``masked`` whether they have
    masks.
    """

    image_ids: np.ndarray
    sizes_wh: np.ndarray
    root: Path
    paths: np.ndarray | None = None
    boxes_xyxy: np.ndarray | None = None
    regions: Callable[[str], RegionBatch] | None = None
    masked: bool = False

"""The ten crops of test-time augmentation: corners and centre, and these in a mirror."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Gt

from fgscore.errors import BadParameter
from fgscore.regions import Generator, Proposals


def ten_crop(*, scale: Annotated[float, Gt(0)] = 0.875) -> TenCrop:
    """Five crops, top left, top right, bottom left, bottom right and centre, then their mirror images.

    Each is a square of ``scale`` (at most 1) times the shorter side of the image: 0.875 is a crop of 224 pixels of an
    image of 256. A mirror image is embedded as the crop at the mirrored place of the mirrored image.
    """
    if scale > 1:
        raise BadParameter(f"expected scale of at most 1, found {scale:g}")
    return TenCrop(scale)


class TenCrop(Generator):
    """See :func:`ten_crop`."""

    mirrors = True

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def propose(self, image: np.ndarray, image_id: str) -> Proposals:
        """Ten regions, whose boxes are where their pixels lie in the image as it stands."""
        height, width = image.shape[:2]
        side = max(1, round(self._scale * min(height, width)))
        five = [_square(x, y, side) for y in (0, height - side) for x in (0, width - side)]
        five.append(_square(round((width - side) / 2), round((height - side) / 2), side))
        # where the five of the mirrored image lie in the image as it stands
        seen = [(width - x1, y0, width - x0, y1) for x0, y0, x1, y1 in five]
        made = Proposals.of_boxes(np.array(five + seen, np.int32), image.shape)
        return replace(made, mirrored=np.arange(10) >= 5)


def _square(x: int, y: int, side: int) -> tuple[int, int, int, int]:
    return x, y, x + side, y + side

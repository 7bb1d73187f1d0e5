"""Cut a region out of its image and bring it to the shape an encoder wants: numpy and Pillow, no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

Fit = Literal["crop", "pad", "squash"]
Outside = Literal["black", "mean", "blur", "keep"]
MAX_ASPECT = 16
BLUR_SHARE = 0.1  # of the longer side of the cut


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """How a region becomes a picture that an encoder can look at: parameters of every encoder.

    ``fit`` is how the picture comes to the model's square, see :func:`shape_to`; ``outside`` what becomes of pixels
    outside a mask; ``margin`` the context around a box, in box sides.
    """

    fit: Fit = "crop"
    outside: Outside = "black"
    margin: Annotated[float, Ge(0)] = 0.0

    def cut(self, image: np.ndarray, box: np.ndarray, mask: np.ndarray | None, mean_rgb: Sequence[int]) -> np.ndarray:
        """The region as (h, w, 3) uint8, see :func:`cut`."""
        return cut(image, box, mask, self.outside, self.margin, mean_rgb)

    def picture(
        self, image: np.ndarray, box: np.ndarray, mask: np.ndarray | None, size: int, mean_rgb: Sequence[int]
    ) -> np.ndarray:
        """The region cut and shaped for a model that sees a square of ``size`` pixels: (h, w, 3) uint8, a copy."""
        return np.array(shape_to(self.cut(image, box, mask, mean_rgb), self.fit, size, mean_rgb))


def grow(box: Sequence[int] | np.ndarray, margin: float, width: int, height: int) -> tuple[int, int, int, int]:
    """``box`` (x0, y0, x1, y1) with ``margin`` times its own sides added on each side, within the image."""
    x0, y0, x1, y1 = (int(v) for v in box)
    dx, dy = round(margin * (x1 - x0)), round(margin * (y1 - y0))
    return max(0, x0 - dx), max(0, y0 - dy), min(width, x1 + dx), min(height, y1 + dy)


def cut(
    image: np.ndarray,
    box: Sequence[int] | np.ndarray,
    mask: np.ndarray | None,
    outside: Outside,
    margin: float,
    mean_rgb: Sequence[int],
) -> np.ndarray:
    """The region as (h, w, 3) uint8: its box with a margin; pixels outside ``mask`` as ``outside`` says.

    ``mask`` (H', W') bool covers the whole image, perhaps at a lower resolution: a pixel takes the nearest value.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = grow(box, margin, width, height)
    region = image[y0:y1, x0:x1]
    if mask is None or outside == "keep":
        return region
    inside = _covered(mask, (y0, y1, height), (x0, x1, width))
    # rows of values, not of pixels: numpy is slow to broadcast over three channels
    inside = np.repeat(inside, 3, axis=1)
    rows = np.where(inside, region.reshape(inside.shape), _backdrop(region, outside, mean_rgb))
    return rows.reshape(region.shape)


def _covered(mask: np.ndarray, *spans: tuple[int, int, int]) -> np.ndarray:
    """``mask`` at the pixels of a box: (start, stop, length of the image) for rows, then for columns."""
    for axis, (start, stop, length) in enumerate(spans):
        if mask.shape[axis] == length:
            mask = mask[start:stop] if axis == 0 else mask[:, start:stop]
        else:
            mask = mask.take(nearest(start, stop, length, mask.shape[axis]), axis=axis)
    return mask


def nearest(start: int, stop: int, length: int, cells: int) -> np.ndarray:
    """(stop - start,) int: which of a mask's ``cells`` each pixel of ``start`` to ``stop`` takes, of ``length``."""
    return ((np.arange(start, stop) + 0.5) * (cells / length)).astype(int)


def _backdrop(region: np.ndarray, outside: Outside, mean_rgb: Sequence[int]) -> np.ndarray:
    """Rows of ``region`` (h, w, 3), or one for all, as (h or 1, 3 w) uint8."""
    height, width = region.shape[:2]
    if outside == "blur":
        from PIL import Image, ImageFilter

        radius = BLUR_SHARE * max(region.shape[:2])
        blurred = np.asarray(Image.fromarray(region).filter(ImageFilter.GaussianBlur(radius)))
        return blurred.reshape(height, 3 * width)
    colour = (0, 0, 0) if outside == "black" else mean_rgb
    return np.tile(np.array(colour, np.uint8), width)[None]


def shape_to(region: np.ndarray, fit: Fit, size: int, mean_rgb: Sequence[int]) -> np.ndarray:
    """Prepare ``region`` for a processor that resizes the shorter edge to ``size`` and cuts the centre.

    ``crop`` leaves it so, and loses the ends of long regions; ``pad`` makes it square with the mean colour around;
    ``squash`` resizes it to (size, size), whatever its aspect.
    """
    height, width = region.shape[:2]
    if fit == "squash":
        from PIL import Image

        picture = Image.fromarray(np.ascontiguousarray(region))
        return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))
    if fit == "crop" or height == width:
        return _middle(region)
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = mean_rgb
    y, x = (side - height) // 2, (side - width) // 2
    square[y : y + height, x : x + width] = region
    return square


def _middle(region: np.ndarray) -> np.ndarray:
    """Of a region longer than 16 times its width, the middle: resizing all of a one-pixel column to the model's width
    would take gigabytes, for pixels that the centre crop drops."""
    (y, y1), (x, x1) = _middle_of(*region.shape[:2])
    return region[y:y1, x:x1]


def _middle_of(height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns, from and to, of that middle."""
    long = MAX_ASPECT * min(height, width)
    y, x = max(0, (height - long) // 2), max(0, (width - long) // 2)
    return (y, y + min(height, long)), (x, x + min(width, long))


def placed(
    height: int, width: int, fit: Fit, size: int, seen: Callable[[int, int], tuple[float, float, float, float]]
) -> tuple[float, float, float, float]:
    """Where in a picture of ``height`` and ``width`` the square lies that a model sees of it, (x0, y0, x1, y1) in its
    pixels, beyond its edges where it is padded: after :func:`shape_to`, of what comes of which the model has ``seen``
    some, given its height and width."""
    if fit == "squash":
        x0, y0, x1, y1 = seen(size, size)
        return x0 * width / size, y0 * height / size, x1 * width / size, y1 * height / size
    side = max(height, width)
    y, x = (-((side - height) // 2), -((side - width) // 2)) if fit == "pad" else (0, 0)
    tall, wide = side, side
    if fit == "crop" or height == width:
        (y, y_end), (x, x_end) = _middle_of(height, width)
        tall, wide = y_end - y, x_end - x
    x0, y0, x1, y1 = seen(tall, wide)
    return x + x0, y + y0, x + x1, y + y1

"""The parts of the bird, the size of a drawing, and the maps that say which pixel is of which part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import regular
from fgscore.errors import DataError

#: Pixels a side of a drawing, unless it is asked for otherwise.
SIZE = 320


@dataclass(frozen=True)
class Frame:
    """The size of a drawing in pixels. What a drawing of SIZE has so many pixels wide is ``unit`` times as wide."""

    width: int = SIZE
    height: int = SIZE

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as Pillow has them."""
        return self.width, self.height

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, as arrays have them."""
        return self.height, self.width

    @property
    def unit(self) -> float:
        """The shorter side against that of a drawing of SIZE."""
        return min(self.size) / SIZE

    def stroke(self, pixels: float | np.integer[Any]) -> int:
        """The width of a line that is so many pixels wide in a drawing of SIZE."""
        return max(1, round(float(pixels) * self.unit))

    def places(self, dtype: type[np.floating[Any]]) -> np.ndarray:
        """``(2, H, W)`` of ``dtype``: how far each pixel lies below and right of the middle, -0.5 to 0.5 from edge
        to edge."""
        scale = np.array(self.shape, dtype)[:, None, None]
        return np.asarray(np.mgrid[: self.height, : self.width].astype(dtype) / scale - 0.5)


FRAME = Frame()

#: Values of a label map: ``PART_NAMES[label]``. 0 is everything that is not bird (legs and perch included).
PART_NAMES: tuple[str, ...] = (
    "background", "tail", "body", "breast", "wing", "wing_bar", "bill", "face", "crown",
)  # fmt: skip

#: Whole parts, as a person would cut the bird up, and the labels that make up each.
WHOLE_PARTS: dict[str, tuple[str, ...]] = {
    "head": ("bill", "face", "crown"),
    "wing": ("wing", "wing_bar"),
    "torso": ("body", "breast"),
    "tail": ("tail",),
    "breast": ("breast",),
    "crown": ("crown",),
    "bird": PART_NAMES[1:],
}


def read_map(root: Path, path: str) -> np.ndarray:
    """(H, W) uint8: the label of each pixel of the drawing at ``path`` below ``root``. Raises :class:`DataError` where
    there is no map of it."""
    from PIL import Image

    file = root / "parts" / Path(path).with_suffix(".png")
    try:
        regular.check(file)
        with Image.open(file) as picture:
            return np.asarray(picture)
    except OSError as error:
        raise DataError(
            f"expected a part map at {file}, found none ({error.__class__.__name__}); name the folder of the photos "
            "with --root DIR"
        ) from error

"""The parts of the bird, the size of a drawing, and the maps that say which pixel is of which part."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fgscore import regular
from fgscore.errors import DataError

#: Pixels a side of every drawing.
SIZE = 320

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

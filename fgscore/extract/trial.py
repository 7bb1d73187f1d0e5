"""An encoder of a user's own, tried on a little invented input before hours are spent on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fgscore.encoders import ImageRegions, PromptSet
from fgscore.errors import UsageError
from fgscore.types import Runs

if TYPE_CHECKING:
    from fgscore.extract.parts import EncoderPart

SIZES_HW = (40, 56), (56, 40)


def check(encoder: EncoderPart) -> None:
    """Two pictures of noise, regions of both without masks and with them, two texts where it reads text. Raises
    :class:`UsageError` or :class:`StoreError` for anything but a finite row for each, and for two pictures that come
    out the same."""
    made = encoder.loaded
    if not isinstance(made.dim, int | np.integer) or made.dim < 1:
        raise UsageError(f"{encoder.who}: expected its dim to be a whole number above 0, found {made.dim!r}")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES_HW]
    rows, _ = encoder.unit(encoder.images(p.copy() for p in pictures), "a picture of noise")
    if np.abs(rows[0] - rows[1]).max() < 1e-6:
        raise UsageError(f"{encoder.who}: two pictures that differ get the same embedding; embed_images must look at "
                         "its images")  # fmt: skip
    for masked in (False, True):
        given = [_regions(picture, masked) for picture in pictures]
        encoder.unit(encoder.regions(given), "a region of noise")
    if made.reads_text:
        bank, _ = encoder.sentences(("crow", "jay"), PromptSet("", ("a photo of a {}",)))
        if not (np.isfinite(bank.logit_scale) and bank.logit_scale > 0):
            raise UsageError(
                f"{encoder.who}: expected its logit_scale to be a number above 0, found {bank.logit_scale}"
            )


def _regions(picture: np.ndarray, masked: bool) -> ImageRegions:
    """Two regions, the upper left quarter and everything; with masks, the left half of a coarser one and all of it."""
    height, width = picture.shape[:2]
    boxes = np.array([[0, 0, width // 2, height // 2], [0, 0, width, height]], np.int32)
    runs = [Runs(np.array(counts, np.uint32), (10, 12)) for counts in ([0, 60, 60], [0, 120])]
    return ImageRegions(picture.copy(), boxes, runs if masked else None)

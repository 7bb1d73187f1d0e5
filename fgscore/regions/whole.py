"""The whole image as its one region: what regions must be better than."""

from __future__ import annotations

import numpy as np

from fgscore.regions import Generator


def whole() -> Whole:
    """The whole image as its one region."""
    return Whole()


class Whole(Generator):
    """See :func:`whole`."""

    def propose(self, image: np.ndarray, image_id: str) -> np.ndarray:
        """The one box (1, 4)."""
        height, width = image.shape[:2]
        return np.array([[0, 0, width, height]], np.int32)

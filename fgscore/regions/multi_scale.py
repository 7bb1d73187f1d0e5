"""Random squares of many sizes, in the manner of WCA (Li et al., ICML 2024)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from fgscore.errors import BadParameter
from fgscore.regions import Generator
from fgscore.regions.random_crop import uniforms


def multi_scale(
    *,
    n: int = 60,
    alpha: Annotated[float, Gt(0)] = 0.5,
    beta: Annotated[float, Gt(0)] = 0.9,
    seed: Annotated[int, Ge(0)] = 0,
) -> Squares:
    """Random squares of many sizes, in the manner of WCA; its numbers are ours to choose.

    ``n`` of them, the side uniform from ``alpha`` to ``beta`` times the shorter side of the image, the position
    uniform. Raises :class:`BadParameter` unless alpha <= beta <= 1."""
    if not alpha <= beta <= 1:
        raise BadParameter(f"expected alpha <= beta <= 1, found alpha={alpha:g}, beta={beta:g}")
    return Squares(n, alpha, beta, seed)


class Squares(Generator):
    """See :func:`multi_scale`."""

    def __init__(self, n: int, alpha: float, beta: float, seed: int) -> None:
        self.n, self._count = n, n
        self._alpha, self._beta, self._seed = alpha, beta, seed

    def propose(self, image: np.ndarray, image_id: str) -> np.ndarray:
        """Boxes (n, 4) int32."""
        height, width = image.shape[:2]
        return np.array([self._square(width, height, image_id, j) for j in range(self._count)], np.int32)

    def _square(self, width: int, height: int, image_id: str, j: int) -> tuple[int, int, int, int]:
        """Crop ``j``, of seed, image id and j alone."""
        u = uniforms(f"{self._seed}\0{image_id}\0{j}")
        share = self._alpha + u[0] * (self._beta - self._alpha)
        side = max(1, int(share * min(width, height)))
        x, y = int(u[1] * (width - side + 1)), int(u[2] * (height - side + 1))
        return x, y, x + side, y + side

"""Masks of a file as regions of their photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fgscore import regular
from fgscore.errors import BadImage
from fgscore.regions._files.rows import CELLS, SHARES, Mask, Polygons
from fgscore.regions._proposals import Proposals
from fgscore.types import Runs


def proposals(
    masks: Sequence[Mask | None],
    boxes: np.ndarray,
    size_hw: tuple[int, ...],
    frame_wh: tuple[float, ...] | None,
) -> Proposals:
    """``masks`` of one photo of ``size_hw``, each at the size of the frame, that of the photo where it is not known. A
    row without a mask, or with polygons that cover no pixel, is all of its box: ``boxes`` (M, 4) pixels of the
    photo."""
    known = frame_wh is not None and not np.isnan(frame_wh[0]) and tuple(frame_wh) != SHARES
    grid = (int(frame_wh[1]), int(frame_wh[0])) if known and frame_wh else (size_hw[0], size_hw[1])
    made = [Proposals.of_masks(np.zeros((0, *grid), bool), size_hw)]
    for mask, box in zip(masks, boxes, strict=True):
        cells = _cells(mask, grid, tuple(frame_wh) == SHARES if frame_wh else False)
        if cells is None or not cells.any():
            cells = _of_box(box, grid, size_hw)
        made.append(Proposals.of_masks(cells[None], size_hw))
    return Proposals.joined(made)


def _of_box(box: np.ndarray, grid: tuple[int, int], size_hw: tuple[int, ...]) -> np.ndarray:
    cells = np.zeros(grid, bool)
    y, x = ((int(box[axis] * n / length), int(np.ceil(box[axis + 2] * n / length - 1e-9)))
            for axis, n, length in ((1, grid[0], size_hw[0]), (0, grid[1], size_hw[1])))  # fmt: skip
    cells[y[0] : max(y[1], y[0] + 1), x[0] : max(x[1], x[0] + 1)] = True
    return cells


def _cells(mask: Mask | None, grid: tuple[int, int], shares: bool) -> np.ndarray | None:
    if mask is None:
        return None
    if isinstance(mask, Runs):
        return mask.decode()
    return _filled(mask, grid, shares) if isinstance(mask, Polygons) else _picture(mask, grid)


def _filled(polygons: Polygons, grid: tuple[int, int], shares: bool) -> np.ndarray:
    """Polygons filled as COCO's own tools fill them."""
    from pycocotools import mask as coco

    height, width = grid
    scale = np.array([width, height]) if shares else np.ones(2)
    outlines = [(points.reshape(-1, 2) * scale).clip(-4 * max(grid), 5 * max(grid)) for points in polygons.outlines]
    codes = coco.frPyObjects([points.ravel().tolist() for points in outlines], height, width)
    return np.asarray(coco.decode(coco.merge(codes)), bool)


def _picture(path: Path, grid: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    try:
        regular.check(path)
        with Image.open(path) as picture:
            if picture.width * picture.height > CELLS or (picture.height, picture.width) != grid:
                raise BadImage(
                    f"mask {path.name} has {picture.width} x {picture.height} pixels, not those of its photo"
                )
            return np.asarray(picture.convert("L")) > 0
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"mask {path.name} cannot be read ({error.__class__.__name__})") from None

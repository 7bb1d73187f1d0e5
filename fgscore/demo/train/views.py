"""Views of drawn birds for the training of CLIP: whole images, crops and cut-out parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fgscore.demo.draw import Drawing, draw, image_rng
from fgscore.demo.kinds import Kind, training_kinds
from fgscore.demo.parts import PART_NAMES, SIZE, WHOLE_PARTS
from fgscore.demo.train.captions import CAPTION_PARTS

#: Pixels a side of a view: the image size of the small CLIP.
VIEW = 96

#: How often each stored view is trained on: the whole image, a large crop, two crops, a cut-out part.
VIEW_WEIGHTS: tuple[float, ...] = (0.42, 0.10, 0.16, 0.16, 0.16)

_SMALL_AREA, _SMALL_ASPECT = (0.02, 0.5), (0.5, 2.0)
_LARGE_AREA, _LARGE_ASPECT = (0.5, 1.0), (0.75, 1.33)

# A part is named in a caption from the first share on, and must not show at all beyond the second where
# the caption is "background".
_SHOWN, _TRACE = 0.6, 0.1

# Which labels make up each of CAPTION_PARTS: (5, number of labels).
_MEMBERS = np.array(
    [[name in WHOLE_PARTS.get(part, (part,)) for name in PART_NAMES] for part in CAPTION_PARTS], np.float64
)

Box = tuple[float, float, float, float]

# An image, the box of it that is shown, and the mask of what is kept of it (None: all).
Frame = tuple[NDArray[np.uint8], Box, NDArray[np.bool_] | None]


@dataclass(frozen=True)
class Views:
    """``pixels (n, V, S, S, 3) uint8`` with S = ``VIEW``; ``visible (n, V, 5) bool`` by ``CAPTION_PARTS``."""

    pixels: NDArray[np.uint8]
    visible: NDArray[np.bool_]
    kinds: tuple[Kind, ...]


def draw_views(count: int, seed: int, report: Callable[[int, int], None]) -> Views:
    """Draw ``count`` birds of kinds that are not evaluated, and take the views of each."""
    pool = training_kinds()
    picks = np.random.default_rng([seed, count]).permutation(max(count, len(pool)))[:count] % len(pool)
    kinds = tuple(pool[pick] for pick in picks)
    pixels = np.empty((count, len(VIEW_WEIGHTS), VIEW, VIEW, 3), np.uint8)
    visible = np.empty((count, len(VIEW_WEIGHTS), len(CAPTION_PARTS)), bool)
    for j, kind in enumerate(kinds):
        rng = image_rng(seed, "clip", kind, j)
        _take_views(draw(kind, rng), rng, pixels[j], visible[j])
        report(j + 1, count)
    return Views(pixels, visible, kinds)


def _take_views(
    drawing: Drawing, rng: np.random.Generator, pixels: NDArray[np.uint8], visible: NDArray[np.bool_]
) -> None:
    for at in range(len(VIEW_WEIGHTS)):
        while True:
            image, box, mask = _frame(drawing, rng, at)
            if rng.random() < 0.5:
                box = central_square(box)
            shares = _shares(drawing, box, mask)
            if (shares >= _SHOWN).any() or (shares < _TRACE).all():
                break
        view = Image.fromarray(image).resize((VIEW, VIEW), Image.Resampling.BICUBIC, box=box)
        pixels[at], visible[at] = np.asarray(view), shares >= _SHOWN


def _frame(drawing: Drawing, rng: np.random.Generator, at: int) -> Frame:
    """What view ``at`` (in the order of ``VIEW_WEIGHTS``) is taken of."""
    if at == 0:
        return drawing.image, (0.0, 0.0, SIZE, SIZE), None
    if at == 1:
        return drawing.image, _crop(drawing, rng, _LARGE_AREA, _LARGE_ASPECT), None
    if at == len(VIEW_WEIGHTS) - 1:
        return _cut_out(drawing, rng)
    return drawing.image, _crop(drawing, rng, _SMALL_AREA, _SMALL_ASPECT), None


def central_square(box: Box) -> Box:
    """What is left of ``box`` (x0, y0, x1, y1 in pixels) when its middle is cut out square, as CLIP does."""
    x0, y0, x1, y1 = box
    side = min(x1 - x0, y1 - y0)
    x0, y0 = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    return x0, y0, x0 + side, y0 + side


def _crop(drawing: Drawing, rng: np.random.Generator, area: tuple[float, float], aspect: tuple[float, float]) -> Box:
    """A box of random area and aspect inside the image; every second one is aimed at a part."""
    size, ratio = rng.uniform(*area) * SIZE * SIZE, np.exp(rng.uniform(*np.log(aspect)))
    width, height = min(np.sqrt(size * ratio), SIZE), min(np.sqrt(size / ratio), SIZE)
    if rng.random() < 0.5:
        rows, columns = np.nonzero(drawing.mask(str(rng.choice(CAPTION_PARTS))))
    else:
        rows = columns = np.zeros(0, int)
    if len(rows):
        at = rng.integers(len(rows))
        x0, y0 = columns[at] - width * rng.uniform(0.25, 0.75), rows[at] - height * rng.uniform(0.25, 0.75)
    else:
        x0, y0 = rng.uniform(0, SIZE - width), rng.uniform(0, SIZE - height)
    x0, y0 = float(np.clip(x0, 0, SIZE - width)), float(np.clip(y0, 0, SIZE - height))
    return x0, y0, x0 + float(width), y0 + float(height)


def _cut_out(drawing: Drawing, rng: np.random.Generator) -> Frame:
    """A whole part in its bounding box; what is not part of it is black, grey, or kept."""
    while not (mask := drawing.mask(str(rng.choice(list(WHOLE_PARTS))))).any():
        pass
    rows, columns = np.nonzero(mask)
    box = (float(columns.min()), float(rows.min()), columns.max() + 1.0, rows.max() + 1.0)
    how = rng.random()
    if how < 0.25:
        return drawing.image, box, None
    fill = np.zeros(3) if how < 0.75 else np.array((122, 117, 104))
    return np.where(mask[..., None], drawing.image, fill).astype(np.uint8), box, mask


def _shares(drawing: Drawing, box: Box, mask: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """How much of each of ``CAPTION_PARTS`` the box (and mask) shows of what the image shows: ``(5,)``."""
    x0, y0, x1, y1 = (round(edge) for edge in box)
    shown = drawing.parts if mask is None else drawing.parts * mask
    return _part_areas(shown[y0:y1, x0:x1]) / np.maximum(_part_areas(drawing.parts), 1)


def _part_areas(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pixels of each of ``CAPTION_PARTS`` in a label map: ``(5,)``."""
    return _MEMBERS @ np.bincount(labels.ravel(), minlength=len(PART_NAMES))

"""Draw one bird with its true part masks: a pure function of the kind and a random generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from fgscore.demo.background import background
from fgscore.demo.easel import Easel, barbs, markings
from fgscore.demo.kinds import Kind
from fgscore.demo.parts import FRAME, PART_NAMES, WHOLE_PARTS, Frame
from fgscore.demo.shapes import FEET, FloatArray, outlines

#: What an image is drawn for. Each use has its own images.
SPLITS: tuple[str, ...] = ("train", "test", "clip", "sam", "sam-check")

_COLOURS: dict[str, tuple[int, int, int]] = {
    "yellow": (238, 196, 44),
    "red": (206, 44, 36),
    "blue": (46, 92, 206),
    "black": (30, 29, 33),
    "white": (238, 236, 228),
    "green": (58, 158, 66),
}

# Body colours are dull, so that they never pass for an attribute's.
_PLUMAGES = np.array(
    [(132, 104, 76), (122, 122, 104), (112, 112, 118), (160, 138, 108), (150, 112, 100), (106, 92, 86)],
    np.float32,
)
_PALE, _BARK, _LEG = (226, 212, 186), (92, 72, 54), (70, 58, 50)


@dataclass(frozen=True)
class Drawing:
    """One drawn image.

    ``image``: ``(H, W, 3) uint8`` RGB. ``parts``: ``(H, W) uint8``, the label (see ``PART_NAMES``) of the
    topmost visible part at each pixel.
    """

    image: NDArray[np.uint8]
    parts: NDArray[np.uint8]

    def mask(self, name: str) -> NDArray[np.bool_]:
        """``(H, W) bool`` of a whole part (a key of ``WHOLE_PARTS``), or else of a single part."""
        return part_mask(self.parts, name)

    def whole_parts(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Name and mask of each whole part of which anything can be seen."""
        for name in WHOLE_PARTS:
            mask = self.mask(name)
            if mask.any():
                yield name, mask


def part_mask(parts: NDArray[np.uint8], name: str) -> NDArray[np.bool_]:
    """Where a label map ``(H, W)`` shows a whole part (a key of ``WHOLE_PARTS``), or else a single part."""
    members = WHOLE_PARTS.get(name, (name,))
    return np.isin(parts, [PART_NAMES.index(member) for member in members])


def image_rng(seed: int, split: str, kind: Kind, j: int) -> np.random.Generator:
    """The generator for image ``j`` of a kind: no image depends on which others are drawn, or when."""
    return np.random.default_rng([seed, SPLITS.index(split), kind.code, j])


def draw(kind: Kind, rng: np.random.Generator, frame: Frame = FRAME) -> Drawing:
    """Draw one bird of ``kind``; pose, colours, light and scene come from ``rng``, and are the same in any frame."""
    shapes = outlines(kind, rng)
    affine, shift = _pose(np.concatenate(list(shapes.values())), rng, frame)
    scene = background(rng, frame)
    _legs(scene, affine, shift, rng, frame)
    easel = Easel(scene, affine, shift, rng, frame)
    _plumage(easel, kind, shapes, rng)
    if rng.random() < 0.35:
        easel.cover(rng)
    return Drawing(_photograph(easel.canvas, rng, frame), easel.parts)


def _plumage(easel: Easel, kind: Kind, shapes: dict[str, FloatArray], rng: np.random.Generator) -> None:
    """Paint the bird, from the hindmost part to the foremost."""
    dull = _PLUMAGES[rng.integers(len(_PLUMAGES))] * rng.uniform(0.85, 1.15, 3)
    body = dull * rng.uniform(0.9, 1.25)
    easel.paint("tail", shapes["tail"], dull * rng.uniform(0.5, 0.8), texture=barbs(rng))
    easel.paint("body", shapes["body"], body)
    pale = np.array(_PALE, np.float32) * rng.uniform(0.8, 1.05) * rng.uniform(0.94, 1.06, 3)
    easel.paint("breast", shapes["breast"], pale, within="body", texture=markings(kind.breast, rng))
    easel.paint("wing", shapes["wing"], dull * rng.uniform(0.55, 0.8), texture=barbs(rng))
    if "wing_bar" in shapes:
        easel.paint("wing_bar", shapes["wing_bar"], _tint(kind.wing, rng), within="wing")
    easel.paint("bill", shapes["bill"], _tint(kind.bill_colour, rng))
    easel.paint("face", shapes["face"], body * rng.uniform(0.85, 1.25))
    easel.paint("crown", shapes["crown"], _tint(kind.crown, rng))
    easel.eye(shapes["eye"])


def _pose(points: FloatArray, rng: np.random.Generator, frame: Frame) -> tuple[FloatArray, FloatArray]:
    """Bird coordinates to pixels: ``(2, 2)``, ``(2,)``. The bird fills 0.66 to 0.92 of the side that it is nearest to
    filling."""
    turn, shear = rng.uniform(-0.65, 0.15), rng.uniform(-0.12, 0.12)
    flip = np.diag([1.0 if rng.random() < 0.5 else -1.0, rng.uniform(0.92, 1.08)])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    affine = flip @ rotation @ np.array([[1.0, shear], [0.0, 1.0]])
    posed = points @ affine.T
    low, extent = posed.min(0), np.ptp(posed, axis=0)
    scale = (rng.uniform(0.66, 0.92) * np.array(frame.size) / extent).min()
    corner = rng.uniform(0.1, 0.9, 2) * (frame.size - scale * extent)
    return affine * scale, corner - scale * low


def _legs(scene: Image.Image, affine: FloatArray, shift: FloatArray, rng: np.random.Generator, frame: Frame) -> None:
    """Two legs and the perch they stand on, drawn onto ``scene``. Background to the label map."""
    pen = ImageDraw.Draw(scene)
    hips = np.array(FEET) @ affine.T + shift
    toes = hips + np.array([rng.uniform(-4, 4), rng.uniform(24, 40)]) * frame.unit
    slope = rng.uniform(-0.35, 0.35)
    along = np.array([np.cos(slope), np.sin(slope)]) * 2 * max(frame.size)
    middle = toes.mean(0)
    bark = tuple(int(c) for c in rng.uniform(0.5, 1.2) * np.array(_BARK))
    pen.line(
        [*(middle - along).tolist(), *(middle + along).tolist()], fill=bark, width=frame.stroke(rng.integers(6, 16))
    )
    for hip, toe in zip(hips - (toes - hips) * 0.4, toes, strict=True):
        pen.line([*hip.tolist(), *toe.tolist()], fill=_LEG, width=frame.stroke(3))


def _tint(colour: str, rng: np.random.Generator) -> FloatArray:
    """A named colour, a little off: ``(3,)``."""
    return np.asarray(np.array(_COLOURS[colour], np.float32) * rng.uniform(0.88, 1.08, 3))


def _photograph(canvas: FloatArray, rng: np.random.Generator, frame: Frame) -> NDArray[np.uint8]:
    """Light, colour cast, blur and sensor noise: ``(H, W, 3) float32`` to ``uint8``."""
    cast = rng.uniform(0.75, 1.2) * rng.uniform(0.93, 1.07, 3)
    y, x = frame.places(np.float64)
    gradient = 1 + x * rng.uniform(-0.25, 0.25) + y * rng.uniform(-0.25, 0.25)
    picture = canvas * (gradient[..., None] * cast).astype(np.float32)
    if rng.random() < 0.6:
        sharp = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
        picture = np.asarray(sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1) * frame.unit)), np.float32)
    picture = picture + rng.uniform(1, 7) * rng.standard_normal((*frame.shape, 1), np.float32)
    return np.asarray(np.clip(picture + 0.5, 0, 255), np.uint8)

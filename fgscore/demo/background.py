"""What lies behind (and now and then before) the bird: out-of-focus ground, leaves, discs and twigs."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from fgscore.demo.parts import Frame
from fgscore.demo.shapes import FloatArray

#: Three colours each: foliage, sky, sand, water, earth.
PALETTES = np.array(
    [
        [(38, 62, 30), (92, 128, 58), (160, 178, 96)],
        [(120, 158, 200), (176, 204, 230), (232, 238, 242)],
        [(168, 146, 110), (204, 186, 148), (232, 220, 190)],
        [(40, 78, 96), (88, 128, 146), (160, 188, 192)],
        [(62, 48, 36), (112, 88, 66), (156, 134, 104)],
    ],
    np.float32,
)

_LEAVES = np.array([(60, 96, 40), (104, 138, 54), (150, 128, 62), (84, 66, 46), (48, 70, 52)], np.float32)


def smooth_noise(rng: np.random.Generator, frame: Frame, cells: int) -> FloatArray:
    """``(H, W)`` float32 in about [0, 1]: ``cells`` random values a side, enlarged bicubically."""
    coarse = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
    return np.asarray(coarse.resize(frame.size, Image.Resampling.BICUBIC), np.float32)


def background(rng: np.random.Generator, frame: Frame) -> Image.Image:
    """A blurred scene, RGB."""
    palette = PALETTES[rng.integers(len(PALETTES))] * rng.uniform(0.75, 1.2)
    octaves = ((3, 0.55), (8, 0.3), (26, 0.15))
    level = sum(weight * smooth_noise(rng, frame, cells) for cells, weight in octaves)
    scene = Image.fromarray(_between(palette, np.clip((level - 0.2) / 0.6, 0, 1)))
    far = int(rng.integers(3, 9))
    scene = _clutter(scene, rng, frame, far, palette).filter(
        ImageFilter.GaussianBlur(rng.uniform(2.0, 5.0) * frame.unit)
    )
    near = int(rng.integers(1, 7))
    return _clutter(scene, rng, frame, near, palette).filter(
        ImageFilter.GaussianBlur(rng.uniform(0.6, 2.2) * frame.unit)
    )


def leaf_outline(rng: np.random.Generator, centre: FloatArray, length: float) -> FloatArray:
    """A leaf: closed outline ``(24, 2)`` in pixels, turned at random about ``centre``."""
    along = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    width = rng.uniform(0.25, 0.5) * np.abs(np.sin(along / 2)) ** 0.5
    points = np.stack([np.cos(along) / 2, np.sin(along) * width / 2], 1) * length
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(points @ rotation.T + centre)


def leaf_colour(rng: np.random.Generator) -> FloatArray:
    """The RGB colour ``(3,)`` of a leaf, 0 to 255."""
    return np.asarray(np.clip(_LEAVES[rng.integers(len(_LEAVES))] * rng.uniform(0.6, 1.4, 3), 0, 255))


def _between(palette: FloatArray, level: FloatArray) -> np.ndarray:
    """Palette colours ``(3, 3)`` mixed by ``level (H, W)`` in [0, 1]; ``(H, W, 3) uint8``."""
    channels = [np.interp(level, (0.0, 0.5, 1.0), palette[:, channel]) for channel in range(3)]
    return np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8)


def _clutter(
    scene: Image.Image, rng: np.random.Generator, frame: Frame, count: int, palette: FloatArray
) -> Image.Image:
    """Draw ``count`` leaves, discs and twigs over ``scene``, in place."""
    pen = ImageDraw.Draw(scene)
    size = frame.size
    side = min(size)
    for what in rng.integers(3, size=count):
        centre = rng.uniform(0, size, 2)
        colour = leaf_colour(rng) if rng.random() < 0.5 else palette[rng.integers(3)] * rng.uniform(0.6, 1.4)
        fill = tuple(int(c) for c in np.clip(colour, 0, 255))
        if what == 0:
            outline = leaf_outline(rng, centre, rng.uniform(0.1, 0.35) * side)
            pen.polygon([tuple(point) for point in outline.tolist()], fill=fill)
        elif what == 1:
            radius = rng.uniform(0.02, 0.1) * side
            pen.ellipse([*(centre - radius).tolist(), *(centre + radius).tolist()], fill=fill)
        else:
            end = centre + rng.uniform(-0.6, 0.6, 2) * side
            pen.line([*centre.tolist(), *end.tolist()], fill=fill, width=frame.stroke(rng.integers(2, 9)))
    return scene

"""Painting parts onto a scene, and keeping the label map in step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from fgscore.demo.background import leaf_colour, leaf_outline, smooth_noise
from fgscore.demo.parts import PART_NAMES, Frame
from fgscore.demo.shapes import BODY_AXIS, FloatArray

#: Maps bird coordinates ``(h, w, 2)`` to a factor ``(h, w)`` on the colour.
Texture = Callable[[FloatArray], FloatArray]

#: Rows and columns of the frame.
Window = tuple[slice, slice]


class Easel:
    """The picture while it is painted: ``canvas (H, W, 3) float32`` in 0 to 255, ``parts (H, W) uint8``.

    ``affine (2, 2)`` and ``shift (2,)`` take bird coordinates to pixels.
    """

    def __init__(
        self, scene: Image.Image, affine: FloatArray, shift: FloatArray, rng: np.random.Generator, frame: Frame
    ):
        self._frame = frame
        self.canvas: FloatArray = np.asarray(scene, np.float32).copy()
        self.parts: NDArray[np.uint8] = np.zeros(frame.shape, np.uint8)
        self._affine, self._shift, self._inverse = affine, shift, np.linalg.inv(affine)
        self._coverage: dict[str, FloatArray] = {}
        light = rng.uniform(-np.pi, 0)
        y, x = frame.places(np.float32)
        slope = x * np.cos(light) + y * np.sin(light)
        grain = smooth_noise(rng, frame, 64) + smooth_noise(rng, frame, 150) - 1
        self._shade = np.asarray((1 + rng.uniform(0.1, 0.6) * slope + 0.14 * grain)[..., None], np.float32)

    def paint(
        self,
        part: str,
        outline: FloatArray,
        colour: ArrayLike,
        *,
        within: str = "",
        texture: Texture | None = None,
    ) -> None:
        """Paint one part over what is there; of ``outline`` only what lies on the part ``within`` counts."""
        points = outline @ self._affine.T + self._shift
        alpha, window = coverage(points, self._frame)
        if alpha.size == 0:
            return
        if within:
            alpha = alpha * self._coverage[within][window]
        self._coverage[part] = np.zeros(self._frame.shape, np.float32)
        self._coverage[part][window] = alpha
        paint = np.asarray(colour, np.float32) * self._shade[window] * _roundness(window, points)
        if texture is not None:
            paint = paint * texture(self._bird_coordinates(window))[..., None]
        self._blend(paint, alpha, window)
        self.parts[window][alpha > 0.5] = PART_NAMES.index(part)

    def eye(self, outline: FloatArray) -> None:
        """A dark eye with a glint; it belongs to the part it lies on."""
        points = outline @ self._affine.T + self._shift
        centre, radius = points.mean(0), np.ptp(points[:, 0]) / 2
        self._blend(np.array((18, 15, 14), np.float32), *coverage(points, self._frame))
        self._blend(
            np.array((250, 250, 250), np.float32),
            *coverage((points - centre) * 0.35 + centre - radius * 0.35, self._frame),
        )

    def cover(self, rng: np.random.Generator) -> None:
        """A leaf in the foreground, over the bird or at its edge."""
        side = min(self._frame.size)
        rows, columns = np.nonzero(self.parts)
        at = rng.integers(len(rows))
        centre = np.array([columns[at], rows[at]]) + rng.uniform(-0.1, 0.1, 2) * side
        alpha, window = coverage(leaf_outline(rng, centre, rng.uniform(0.08, 0.2) * side), self._frame)
        self._blend(leaf_colour(rng) * self._shade[window], alpha, window)
        self.parts[window][alpha > 0.5] = 0

    def _blend(self, paint: FloatArray, alpha: FloatArray, window: Window) -> None:
        patch = self.canvas[window]
        patch += (paint - patch) * alpha[..., None]

    def _bird_coordinates(self, window: Window) -> FloatArray:
        y, x = np.mgrid[window]
        return np.asarray((np.stack([x, y], -1) + 0.5 - self._shift) @ self._inverse.T)


def coverage(points: FloatArray, frame: Frame) -> tuple[FloatArray, Window]:
    """How much of each pixel a polygon covers: ``(h, w) float32`` in [0, 1], and where in the frame."""
    low = np.clip(np.floor(points.min(0)), 0, frame.size).astype(int)
    high = np.clip(np.ceil(points.max(0)) + 1, 0, frame.size).astype(int)
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    width, height = high - low
    if width <= 0 or height <= 0:
        return np.zeros((max(height, 0), max(width, 0)), np.float32), window
    # Twice the size and averaged: soft edges.
    stencil = Image.new("L", (2 * int(width), 2 * int(height)))
    ImageDraw.Draw(stencil).polygon([tuple(point) for point in ((points - low) * 2).tolist()], fill=255)
    return np.asarray(stencil.reduce(2), np.float32) / 255, window


def _roundness(window: Window, points: FloatArray) -> FloatArray:
    """``(h, 1, 1)``: a part darkens towards its lower edge, which sets it off from its neighbours."""
    top, bottom = points[:, 1].min(), points[:, 1].max()
    depth = (np.arange(window[0].start, window[0].stop) + 0.5 - top) / max(bottom - top, 1.0)
    return np.asarray((1.12 - 0.32 * np.clip(depth, 0, 1) ** 2)[:, None, None], np.float32)


def barbs(rng: np.random.Generator) -> Texture:
    """Faint feather lines along the bird."""
    pitch, phase, depth = rng.uniform(0.05, 0.08), rng.uniform(0, 2 * np.pi), rng.uniform(0.04, 0.14)

    def texture(uv: FloatArray) -> FloatArray:
        wave = np.sin(2 * np.pi * (uv[..., 1] + 0.25 * uv[..., 0]) / pitch + phase)
        return np.asarray(1 - depth * (wave > 0.2))

    return texture


def markings(pattern: str, rng: np.random.Generator) -> Texture:
    """The markings of a breast (a value of the attribute), fixed to the bird, so that they turn with it."""
    depth, phase = rng.uniform(0.55, 0.8), rng.uniform(0, 1, 2)
    pitch = rng.uniform(0.095, 0.125)

    def texture(uv: FloatArray) -> FloatArray:
        along = uv @ BODY_AXIS / pitch + phase[0]
        across = uv @ np.array([-BODY_AXIS[1], BODY_AXIS[0]]) / pitch + phase[1]
        if pattern == "banded":
            dark = along % 1 < 0.45
        elif pattern == "streaked":
            dark = (across % 1 < 0.4) & ((along / 3 + np.floor(across) * 0.37) % 1 < 0.86)
        elif pattern == "spotted":
            shifted = along + 0.5 * (np.floor(across) % 2)
            dark = (shifted % 1 - 0.5) ** 2 + (across % 1 - 0.5) ** 2 < 0.32**2
        else:
            dark = np.zeros(uv.shape[:2], bool)
        return np.asarray(1 - depth * dark)

    return texture

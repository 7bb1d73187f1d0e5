"""Outlines of the bird's parts, in bird coordinates.

The bird looks to the right; x runs from tail to bill and y runs down; the body is about one unit long.
Outlines are closed polygons ``(n, 2)`` of float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fgscore.demo.kinds import Kind

FloatArray = NDArray[Any]

NECK = np.array([0.26, -0.28])
RUMP = np.array([-0.36, 0.11])
HEAD_CENTRE = np.array([0.38, -0.47])
HEAD_RADIUS = 0.265
EYE = HEAD_CENTRE + (0.11, -0.01)
FEET = (np.array([0.02, 0.38]), np.array([0.14, 0.37]))
#: Unit vector from rump to breast: streaks run along it, bands across it.
BODY_AXIS = np.array([0.82, -0.57])

# From the middle of the bill's root.
_BILLS: dict[str, ArrayLike] = {
    "cone": [(-0.05, -0.17), (0.08, -0.145), (0.27, 0.03), (0.08, 0.155), (-0.05, 0.16)],
    "dagger": [(-0.05, -0.09), (0.14, -0.075), (0.52, 0.01), (0.14, 0.08), (-0.05, 0.09)],
    "hook": [
        (-0.05, -0.15), (0.12, -0.155), (0.26, -0.095), (0.34, 0.03), (0.335, 0.20), (0.275, 0.235),
        (0.235, 0.12), (0.17, 0.075), (0.07, 0.09), (-0.05, 0.125),
    ],
}  # fmt: skip

# Pointing back along -x from the rump.
_TAILS: dict[str, ArrayLike] = {
    "fork": [
        (0.10, -0.11), (-0.2, -0.15), (-0.56, -0.29), (-0.27, 0.0), (-0.56, 0.29), (-0.2, 0.15), (0.10, 0.11),
    ],
    "fan": [
        (0.10, -0.10), (-0.08, -0.14), (-0.30, -0.31), (-0.39, -0.24), (-0.44, -0.12), (-0.46, 0.0),
        (-0.44, 0.12), (-0.39, 0.24), (-0.30, 0.31), (-0.08, 0.14), (0.10, 0.10),
    ],
    "pin": [
        (0.10, -0.11), (-0.20, -0.125), (-0.44, -0.085), (-0.70, 0.0),
        (-0.44, 0.085), (-0.20, 0.125), (0.10, 0.11),
    ],
}  # fmt: skip

_BODY = [
    (0.44, -0.282), (0.47, -0.077), (0.43, 0.128), (0.32, 0.294), (0.12, 0.397), (-0.12, 0.371),
    (-0.33, 0.256), (-0.46, 0.115), (-0.40, 0.013), (-0.22, -0.154), (-0.02, -0.294),
    (0.16, -0.435), (0.32, -0.461),
]  # fmt: skip
_BREAST = [
    (0.30, -0.166), (0.50, -0.179), (0.60, 0.064), (0.45, 0.384), (0.12, 0.576), (-0.10, 0.512),
    (-0.02, 0.282), (0.14, 0.128), (0.24, -0.013),
]  # fmt: skip
_WING = [
    (0.23, -0.256), (0.25, -0.102), (0.16, 0.077), (0.0, 0.179), (-0.22, 0.218), (-0.45, 0.243),
    (-0.60, 0.218), (-0.46, 0.077), (-0.28, -0.064), (-0.06, -0.23), (0.10, -0.333),
]  # fmt: skip
_WING_BAR = [(0.06, -0.435), (-0.08, -0.435), (-0.25, 0.358), (-0.11, 0.358)]
# From the middle of the head.
_CROWN = [
    (0.181, -0.13), (0.125, -0.254), (0.025, -0.332), (-0.10, -0.325), (-0.213, -0.234), (-0.312, -0.065),
    (-0.35, 0.091), (-0.25, 0.007), (-0.125, -0.072), (0.025, -0.111),
]  # fmt: skip


def smooth(points: ArrayLike, steps: int = 5) -> FloatArray:
    """A closed Catmull-Rom curve through ``points (n, 2)``: ``(n * steps, 2)``."""
    p1 = np.asarray(points, float)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None] for p in (p0, p1, p2, p3))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.asarray(curve.reshape(-1, 2))


def turned(points: ArrayLike, angle: float, pivot: FloatArray) -> FloatArray:
    """``points (n, 2)`` turned by ``angle`` radians about ``pivot (2,)``."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray((np.asarray(points, float) - pivot) @ np.array([[cos, sin], [-sin, cos]]) + pivot)


def outlines(kind: Kind, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Outline of every part of one posed bird, from the hindmost to the foremost.

    ``breast`` and ``wing_bar`` reach beyond ``body`` and ``wing``, which clip them; a plain wing has no bar.
    ``eye`` is a small disc. Head and tail turn by a random angle.
    """
    nod, wag = rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)
    circle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    disc = np.stack([np.cos(circle), np.sin(circle)], 1)
    bill = np.asarray(_BILLS[kind.bill_shape], float) + HEAD_CENTRE + (0.215, 0.035)
    tail = np.asarray(_TAILS[kind.tail], float)
    shapes = {
        "tail": turned(turned(tail, -0.3, np.zeros(2)) + RUMP, wag, RUMP),
        "body": smooth(_BODY),
        "breast": smooth(_BREAST),
        "wing": turned(smooth(_WING), rng.uniform(-0.1, 0.1), NECK),
        "wing_bar": np.asarray(_WING_BAR, float),
        "bill": turned(smooth(bill) if kind.bill_shape == "hook" else bill, nod, NECK),
        "face": turned(disc * HEAD_RADIUS * (1.0, 0.95) + HEAD_CENTRE, nod, NECK),
        "crown": turned(smooth(_CROWN) + HEAD_CENTRE, nod, NECK),
        "eye": turned(disc * 0.036 + EYE, nod, NECK),
    }
    if kind.wing == "plain":
        del shapes["wing_bar"]
    return shapes

"""What no cheaper thing beats: accuracy against cost, as measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DIGITS = 9  # accuracies that agree in these are equal: a mean of several may differ in its last bit


def unbeaten(costs: Sequence[float | None], accuracies: Sequence[float]) -> np.ndarray:
    """Which of n things are on the frontier, (n,) bool: no other is more accurate that costs as much or less, and none
    as accurate that costs less. What has no known cost neither is nor beats anything."""
    cost = np.array([np.inf if one is None else one for one in costs], float)
    accuracy = np.round(np.asarray(accuracies, float), DIGITS)
    known = np.isfinite(cost)
    better = (accuracy[None] > accuracy[:, None]) & (cost[None] <= cost[:, None])
    cheaper = (accuracy[None] == accuracy[:, None]) & (cost[None] < cost[:, None])
    return known & ~((better | cheaper) & known[None]).any(axis=1)

"""Which class a region is scored against (section 3.4, label-free pseudo-labels)."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from fgscore.errors import unknown
from fgscore.types import ScoreInputs

Mode = Literal["global", "local", "oracle"]
MODES: tuple[str, ...] = get_args(Mode)


def check(mode: str) -> str:
    """``mode`` itself; raises :class:`UnknownName` for anything but global, local and oracle."""
    if mode not in MODES:
        raise unknown("target", mode, MODES)
    return mode


def resolve(inputs: ScoreInputs, mode: str, *, labels: np.ndarray | None = None) -> np.ndarray:
    """(R,) int64: the class of each region.

    ``global``: the zero-shot class of its image (eq. 4); ``local``: its own zero-shot class (eq. 5); ``oracle``: the
    true label of its image, given as ``labels`` (N,) (Table 2's True). Ties go to the first class. Raises ValueError
    when labels are given for any other mode, or missing for the oracle.
    """
    if (labels is not None) != (check(mode) == "oracle"):
        raise ValueError(f"labels: expected for target 'oracle' only, found target {mode!r}")
    if mode == "local":
        return inputs.top_class.copy()
    per_image = inputs.global_text.argmax(axis=1) if labels is None else np.asarray(labels)
    if len(per_image) != len(inputs.globals):
        raise ValueError(f"labels: expected ({len(inputs.globals)},), found {per_image.shape}")
    return per_image.astype(np.int64)[inputs.image_of_region]

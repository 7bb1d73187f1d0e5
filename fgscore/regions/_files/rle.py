"""Run lengths of masks as COCO writes them in a string."""

from __future__ import annotations

import numpy as np


def to_string(runs: np.ndarray) -> str:
    """Run lengths (K,) as COCO's compressed string: from the fourth on the difference to the last but one, in groups
    of five bits, low ones first, a sixth bit where more follow, plus 48."""
    x = np.asarray(runs, np.int64).copy()
    x[3:] -= np.asarray(runs, np.int64)[1:-2]
    groups, alive = [], np.ones(len(x), bool)
    while alive.any():
        bits = x & 0x1F
        x >>= 5
        more = alive & np.where(bits & 0x10, x != -1, x != 0)
        groups.append(np.where(alive, np.where(more, bits | 0x20, bits) + 48, 0))
        alive = more
    codes = np.stack(groups, axis=1).ravel() if groups else np.zeros(0, np.int64)
    return codes[codes > 0].astype(np.uint8).tobytes().decode("ascii")


def from_string(text: str | bytes) -> np.ndarray:
    """(K,) int64: the run lengths that :func:`to_string` wrote. Raises ValueError for what is no such string."""
    codes = np.frombuffer(text.encode("ascii") if isinstance(text, str) else text, np.uint8).astype(np.int64) - 48
    if not len(codes):
        return codes
    more = codes & 0x20 > 0
    if codes.min() < 0 or codes.max() > 63 or more[-1]:
        raise ValueError("no run lengths of COCO")
    starts = np.flatnonzero(np.append(True, ~more[:-1]))
    lengths = np.diff(np.append(starts, len(codes)))
    if lengths.max() > 8:  # 40 bits: more than any run has
        raise ValueError("a run length that no mask has")
    place = np.arange(len(codes)) - np.repeat(starts, lengths)
    x = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    x -= np.where(codes[starts + lengths - 1] & 0x10, np.int64(1) << (5 * lengths), 0)
    x[1::2] = np.cumsum(x[1::2])
    x[2::2] = np.cumsum(x[2::2])
    return x

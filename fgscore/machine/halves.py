"""float16 to float32, several times as fast as numpy's own cast, which takes one number at a time."""

from __future__ import annotations

import numpy as np

_MASK = np.int32(-0x70002000)  # 0x8fffe000: the sign, and where exponent and mantissa of a half go
_SCALE = np.float32(2.0**112)  # from a half's bias of the exponent to that of a float: 127 - 15
_TOO_LARGE = 65536  # the first number beyond the largest half


def to_float32(halves: np.ndarray) -> np.ndarray:
    """``halves`` as a new float32 array of the same shape, exactly as ``astype`` gives it; other dtypes too."""
    if halves.dtype != np.float16 or not halves.dtype.isnative:
        return halves.astype(np.float32)
    bits = halves.view(np.int16).astype(np.int32)  # the sign fills the upper half
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _MASK, out=bits)
    floats = bits.view(np.float32)
    np.multiply(floats, _SCALE, out=floats)
    if np.abs(floats).max(initial=0) >= _TOO_LARGE:  # infinities and NaN have no place in these bits
        return halves.astype(np.float32)
    return floats

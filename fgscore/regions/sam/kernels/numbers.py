"""Compiled code: the decorators, and what kernels ask of single numbers.

numba compiles a function when it is first called, for this processor; nothing is kept on disk. LLVM makes vectors of
loops over contiguous float32 if a loop has few arrays, no promotion to float64 and no call that it cannot inline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

C = TypeVar("C", bound=Callable[..., Any])
F: Any = np.float32


def compiled(function: C) -> C:
    """For loops whose sums may be in any order; infinities may come in, NaN may not."""
    flags = {"contract", "reassoc", "nsz", "arcp", "nnan"}
    return cast(C, njit(nogil=True, error_model="numpy", fastmath=flags)(function))


def in_order(function: C) -> C:
    """For numbers that are rounded as it is written."""
    return cast(C, njit(nogil=True, error_model="numpy")(function))


def inlined(function: C) -> C:
    """For a few operations on single numbers, which become part of the loop around them."""
    return cast(C, njit(inline="always", error_model="numpy")(function))


@intrinsic
def _multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    return types.float32(types.float32, types.float32, types.float32), lambda _, at, __, numbers: at.fma(*numbers)


@in_order
def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """a b + c of float32, rounded once."""
    return _multiply_add(F(a), F(b), F(c))  # type: ignore[call-arg]


# Least-maximum fits: of (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2, to 3e-9, and of erf(x / sqrt(2)) / x for
# |x| <= REACH as a polynomial in 2 (x / REACH)^2 - 1, to 3e-8
EXP = tuple(np.array([0.49999994, 0.1666652, 0.041668393, 0.008368781, 0.0013814464], F))
REACH = F(5.2)
ERF = tuple(
    np.array(
        [
            *(0.27189997, -0.13548762, 0.10005222, -0.07985079, 0.06392465, -0.0495269, 0.036267847, -0.02470672),
            *(0.01602018, -0.010134735, 0.005324884, -0.0019570317, 0.0012015204, -0.0011245807, 0.00040477936),
        ],
        F,
    )
)
LOG2_HIGH, LOG2_LOW = F(0.693359375), F(-2.12194440e-4)  # the first with so few digits that n times it is exact


@inlined
def exp(x: Any) -> Any:
    """exp(x) of x <= 88, to 3e-7 of its value; below -87 as there."""
    x = max(x, F(-87.0))
    n = np.floor(x * F(1.44269504) + F(0.5))
    r = (x - n * LOG2_HIGH) - n * LOG2_LOW
    y = EXP[4]
    for k in range(3, -1, -1):
        y = y * r + EXP[k]
    power = (np.int32(n) + np.int32(127)) << np.int32(23)
    return (y * (r * r) + r + F(1.0)) * np.int32(power).view(np.float32)


@inlined
def gelu(x: Any) -> Any:
    """x Phi(x), to 1e-6."""
    z = min(max(x, -REACH), REACH)
    t = z * z * F(2.0 / 5.2**2) - F(1.0)
    y = ERF[14]
    for k in range(13, -1, -1):
        y = y * t + ERF[k]
    return x * F(0.5) * (F(1.0) + z * y)


@inlined
def _widen(bits: Any) -> Any:
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@inlined
def _narrow(x: Any) -> Any:
    bits = np.float32(x).view(np.uint32)
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


def wide(x: Any) -> Any:
    """A number of an array as float32."""


def fit(x: Any, array: Any) -> Any:
    """The float32 ``x`` as ``array`` holds it, rounded to nearest, ties to even."""


@overload(wide, strict=False)
def _wide(x: Any) -> Any:
    return (lambda x: _widen(x)) if isinstance(x, types.Integer) else (lambda x: x)


@overload(fit, strict=False)
def _fit(x: Any, array: Any) -> Any:
    return (lambda x, array: _narrow(x)) if isinstance(array.dtype, types.Integer) else (lambda x, array: x)


@compiled
def largest(x: Any) -> Any:
    """The largest of ``x`` (n,): of whole numbers in the same order as the floats, which LLVM has vectors for."""
    most, rest = np.int32(-(2**31)), np.int32(2**31 - 1)
    for p in range(len(x)):
        bits = np.float32(x[p]).view(np.int32)
        most = max(most, np.int32(bits ^ ((bits >> np.int32(31)) & rest)))
    return np.int32(most ^ ((most >> np.int32(31)) & rest)).view(np.float32)

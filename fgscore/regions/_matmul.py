"""Matrix products by oneDNN in place of MKL, where that changes nothing but the time.

Torch sends float32 products on the CPU to MKL, which takes its slower paths on processors that are not Intel's: half of
oneDNN's speed was measured on an AMD EPYC. Torch has no switch for the library, but allowing bfloat16 products sends
them to oneDNN, which makes use of the permission only where the processor has matrix units for it (AMX). So it is
tried first, on products small and large: where one of them loses more than float32's rounding, nothing is switched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

SWITCH = "matmul"  # of torch.backends.mkldnn, since torch 2.9
SHAPES = ((1, 7, 256, 2048), (1, 512, 768, 512), (8, 112, 112, 1024))  # (batch, m, k, n)


@contextmanager
def quick_float32() -> Iterator[None]:
    """float32 products of this process by oneDNN while the context lasts; the setting is put back after it."""
    if not _keeps_float32():
        yield
        return
    with _bfloat16_allowed():
        yield


@contextmanager
def _bfloat16_allowed() -> Iterator[None]:
    switch: Any = getattr(torch.backends.mkldnn, SWITCH)
    before = switch.fp32_precision
    switch.fp32_precision = "bf16"
    try:
        yield
    finally:
        switch.fp32_precision = before


@cache
def _keeps_float32() -> bool:
    """Whether products stay as near to float64 as they are without the switch, within a factor of four."""
    if not hasattr(getattr(torch.backends.mkldnn, SWITCH, None), "fp32_precision"):
        return False
    generator = torch.Generator().manual_seed(0)
    for b, m, k, n in SHAPES:
        left, right = torch.randn(b, m, k, generator=generator), torch.randn(b, k, n, generator=generator)
        exact = left.double() @ right.double()
        plain = (left @ right - exact).abs().max()
        with _bfloat16_allowed():
            switched = (left @ right - exact).abs().max()
        if switched > 4 * plain:
            return False
    return True

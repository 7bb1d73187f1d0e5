"""What float32 means while a model runs: settings of torch's that belong to the process, made for a while.

On the CPU torch sends float32 products to MKL, which takes its slower paths on processors that are not Intel's: half of
oneDNN's speed was measured on an AMD EPYC. Torch has no switch for the library, but allowing bfloat16 products sends
them to oneDNN, which makes use of the permission only where the processor has matrix units for it (AMX). So it is
tried first, on products small and large: where one of them loses more than float32's rounding, nothing is switched.

On a GPU torch convolves in TF32 (10 bits of mantissa) unless told otherwise. `full_float32` says so for convolutions
and products, `tf32` allows it for both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch

SHAPES = ((1, 7, 256, 2048), (1, 512, 768, 512), (8, 112, 112, 1024))  # (batch, m, k, n)


class _Setting:
    """A setting of the process that threads ask for at the same time: the first makes it, the last puts it back."""

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self._read, self._write = read, write
        self._lock, self._users, self._before = threading.Lock(), 0, None

    @contextmanager
    def __call__(self, value: Any) -> Iterator[None]:
        with self._lock:
            if not self._users:
                self._before = self._read()
                self._write(value)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._write(self._before)


def _of(owner: Any, name: str) -> _Setting:
    return _Setting(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


_backends: Any = torch.backends
_onednn = getattr(_backends.mkldnn, "matmul", None)
NAMED = hasattr(_onednn, "fp32_precision")  # since torch 2.9
_cpu: _Setting | None = _of(_onednn, "fp32_precision") if NAMED else None
if NAMED:
    _gpu = [_of(owner, "fp32_precision") for owner in (_backends.cuda.matmul, _backends.cudnn.conv)]
else:
    _gpu = [_of(owner, "allow_tf32") for owner in (_backends.cuda.matmul, _backends.cudnn)]


@contextmanager
def quick_float32() -> Iterator[None]:
    """float32 products on the CPU by oneDNN while the context lasts, where that changes nothing but the time."""
    if not _keeps_float32():
        yield
        return
    with _bfloat16_allowed():
        yield


@contextmanager
def full_float32() -> Iterator[None]:
    """On a GPU: no TF32 while the context lasts. On the CPU: :func:`quick_float32`."""
    with quick_float32(), _on_gpu("ieee" if NAMED else False):
        yield


@contextmanager
def tf32() -> Iterator[None]:
    """On a GPU: TF32 while the context lasts. On the CPU: :func:`quick_float32`."""
    with quick_float32(), _on_gpu("tf32" if NAMED else True):
        yield


@contextmanager
def _on_gpu(value: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for setting in _gpu:
            stack.enter_context(setting(value))
        yield


@contextmanager
def _bfloat16_allowed() -> Iterator[None]:
    assert _cpu is not None, "asked for without a look at whether it keeps float32"
    with _cpu("bf16"):
        yield


@cache
def _keeps_float32() -> bool:
    """Whether products stay as near to float64 as they are without the switch, within a factor of four."""
    if _cpu is None:
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

"""float16 to float32: every half there is."""

import numpy as np
import pytest

from fgscore.machine import halves

EVERY = np.arange(1 << 16, dtype=np.uint16).view(np.float16)


def test_every_finite_half_is_the_same_float():
    finite = EVERY[np.isfinite(EVERY)]
    assert len(finite) == 63488
    found = halves.to_float32(finite)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), finite.astype(np.float32).view(np.uint32))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_so(value):
    row = np.array([0.5, value, -65504, 6e-8], np.float16)
    np.testing.assert_array_equal(halves.to_float32(row), row.astype(np.float32))
    np.testing.assert_array_equal(halves.to_float32(EVERY), EVERY.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f2"])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (4, 6)])
def test_any_shape_and_dtype(dtype, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    before = array.copy()
    found = halves.to_float32(array)
    np.testing.assert_array_equal(found, before.astype(np.float32))
    found += 1
    np.testing.assert_array_equal(array, before)  # a new array


def test_parts_of_an_array():
    array = np.arange(60).reshape(10, 6).astype(np.float16)
    for part in (array[3:5], array[::2], array[:, 1:4], array.T):
        np.testing.assert_array_equal(halves.to_float32(part), part.astype(np.float32))

"""Batches that a device can hold."""

import numpy as np
import pytest

from fgscore.encoders._batches import Batches
from fgscore.errors import StoreError


class Device:
    """Embeds numbers as rows, with room for a few at a time."""

    def __init__(self, room):
        self.room, self.seen = room, []

    def embed(self, block):
        self.seen.append(len(block))
        if len(block) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return np.array([[i, -i] for i in block], np.float32)


def test_batches_are_halved_until_they_fit_and_stay_so():
    device, batches = Device(room=20), Batches(64, "cuda:0")
    found = np.concatenate(list(batches.embed(device.embed, iter(range(150)))))
    np.testing.assert_array_equal(found[:, 0], np.arange(150))
    assert batches.size == 16
    device.seen.clear()
    list(batches.embed(device.embed, iter(range(50))))
    assert device.seen == [16, 16, 16, 2]


def test_nothing_gives_no_rows():
    assert not list(Batches(0, "cpu").embed(Device(1).embed, []))


def test_a_single_image_that_does_not_fit_says_what_to_do():
    with pytest.raises(StoreError, match=r"no memory for a single image.*--device cpu"):
        list(Batches(4, "cuda").embed(Device(room=0).embed, range(3)))


def test_other_errors_are_not_taken_for_it():
    def broken(block):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        list(Batches(4, "cpu").embed(broken, range(3)))


def test_the_size_suits_the_device():
    assert Batches(0, "cpu").size < Batches(0, "cuda:1").size
    assert Batches(7, "cuda").size == 7

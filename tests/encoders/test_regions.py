"""What an encoder is given of an image, and what the contract makes of it where the encoder has no way of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaded import runs_of

from fgscore.encoders import Encoder, ImageRegions, Rendering
from fgscore.errors import StoreError, UsageError
from fgscore.extract.parts import EncoderPart
from fgscore.runtime import Runtime


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def boxes_of(height: int, width: int, m: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = rng.integers(0, (width, height), (m, 2))
    high = low + 1 + rng.integers(0, (width, height), (m, 2)) % np.maximum((width, height) - low, 1)
    return np.concatenate([low, high], axis=1).astype(np.int32)


def plainly(inside: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The share of each cell that lies in a mask, by a fine enough grid over both."""
    height, width = inside.shape
    fine = inside.repeat(rows, axis=0).repeat(columns, axis=1)  # each cell is whole pixels of it
    return fine.reshape(rows, height, columns, width).mean(axis=(1, 3))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9), st.integers(1, 9), st.booleans(), st.integers(0, 99))
def test_cover_is_the_share_of_each_cell(
    height: int, width: int, rows: int, columns: int, masked: bool, seed: int
) -> None:
    boxes = boxes_of(height, width, 3, seed)
    inside = np.zeros((3, height, width), bool)
    for mask, (x0, y0, x1, y1) in zip(inside, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    one = ImageRegions(noise(height, width), boxes, [runs_of(mask) for mask in inside] if masked else None)
    found = one.cover(rows, columns)
    assert found.shape == (3, rows, columns) and found.dtype == np.float32
    for region, mask in enumerate(inside):
        np.testing.assert_allclose(found[region], plainly(mask, rows, columns), atol=1e-5)
    assert (found.sum(axis=(1, 2)) > 0).all(), "no region covers nothing"


def test_masks_of_a_coarser_image_cover_as_much() -> None:
    coarse = np.zeros((4, 6), bool)
    coarse[:2, :3] = True
    one = ImageRegions(noise(40, 60), np.array([[0, 0, 30, 20]], np.int32), [runs_of(coarse)])
    np.testing.assert_allclose(one.cover(2, 2), [[[1, 0], [0, 0]]], atol=1e-6)
    (mask,) = one.masks()
    np.testing.assert_array_equal(mask, coarse)


class Means(Encoder):
    """Colours of all pixels it is shown, of which it keeps count; writes to them afterwards."""

    dim, size, mean_rgb = 4, 16, (9, 9, 9)

    def __init__(self) -> None:
        self.shown: list[int] = []

    def embed_images(self, images: Any) -> np.ndarray:
        self.shown.append(len(images))
        rows = np.stack([np.append(image.mean((0, 1)), 1.0 + image.std()) for image in images])
        for image in images:
            image[:] = 0
        return rows


def given_of(seed: int = 0) -> list[ImageRegions]:
    """Three images: two regions with masks, none, five without."""
    first, last = noise(30, 40, seed), noise(25, 20, seed + 1)
    masks = [np.random.default_rng(seed).random((30, 40)) < 0.5 for _ in range(2)]
    return [
        ImageRegions(first, boxes_of(30, 40, 2, seed), [runs_of(mask) for mask in masks]),
        ImageRegions(noise(9, 9), np.zeros((0, 4), np.int32)),
        ImageRegions(last, boxes_of(25, 20, 5, seed)),
    ]


def test_left_out_each_region_is_cut_and_embedded_as_an_image() -> None:
    encoder = EncoderPart(Means(), Runtime(batch_size=3))
    found = encoder.regions(iter(given_of()))
    wanted = []
    for one in given_of():
        for (x0, y0, x1, y1), mask in zip(one.boxes_xyxy, one.masks(), strict=True):
            inside = np.ones((y1 - y0, x1 - x0), bool) if mask is None else mask[y0:y1, x0:x1]
            pixels = np.where(inside[..., None], one.image[y0:y1, x0:x1], 0)
            wanted.append(np.append(pixels.mean((0, 1)), 1.0 + pixels.std()))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    model = encoder.made
    assert isinstance(model, Means) and model.shown[-3:] == [3, 3, 1], "regions of several images in one batch"


@pytest.mark.parametrize(
    ("rendering", "shape", "colour"),
    [
        (Rendering(fit="squash"), (16, 16), 200),
        (Rendering(fit="pad"), (20, 20), 200),
        (Rendering(margin=0.5), (20, 40), 0),
        (Rendering(outside="mean"), (10, 20), 9),
        (Rendering(outside="keep"), (10, 20), 200),
        (Rendering(), (10, 20), 0),
    ],
)
def test_the_renderer_does_what_its_parameters_say(rendering: Rendering, shape: tuple[int, int], colour: int) -> None:
    image, mask = np.full((60, 80, 3), 200, np.uint8), np.zeros((60, 80), bool)
    mask[20:30, 30:50] = True
    mask[25, 40] = False
    picture = rendering.picture(image, np.array([30, 20, 50, 30]), mask, 16, (9, 9, 9))
    assert picture.shape[:2] == shape
    if rendering.fit == "crop":
        assert picture[shape[0] // 2, shape[1] // 2].tolist() == [colour] * 3
    assert not np.shares_memory(picture, image)


class ByImage(Means):
    """By one pass an image, as a model of patch tokens has it."""

    def embed_regions(self, images: Any) -> Iterator[np.ndarray]:
        for one in images:
            self.shown.append(len(one))
            if len(one):
                yield np.stack([np.append(box[:3], 1.0) for box in one.boxes_xyxy]).astype(np.float32)


def test_a_method_of_its_own_is_given_each_image_once() -> None:
    encoder = EncoderPart(ByImage(), Runtime())
    _ = encoder.loaded
    encoder.made.shown.clear()  # type: ignore[attr-defined]
    found = encoder.regions(given_of())
    assert encoder.made.shown == [2, 0, 5]  # type: ignore[attr-defined]
    boxes = np.concatenate([one.boxes_xyxy for one in given_of()])
    np.testing.assert_array_equal(found[:, :3], boxes[:, :3])
    assert not encoder.made.renders and not encoder.made.reads_text


def test_what_goes_wrong_in_reading_photos_is_not_the_encoders_fault() -> None:
    def photos() -> Iterator[ImageRegions]:
        yield given_of()[0]
        raise OSError(5, "the disk is gone")

    for model in (Means(), ByImage()):
        with pytest.raises(OSError, match="the disk is gone"):
            EncoderPart(model, Runtime()).regions(photos())
        with pytest.raises(OSError, match="the disk is gone"):
            EncoderPart(model, Runtime()).images(one.image for one in photos())


class Full(Means):
    """Has memory for two pictures at a time."""

    def embed_images(self, images: Any) -> np.ndarray:
        if len(images) > 2:
            raise RuntimeError("CUDA out of memory")
        return super().embed_images(images)


def test_batches_are_halved_where_memory_ends_and_nobody_is_blamed() -> None:
    encoder = EncoderPart(Full(), Runtime(batch_size=8))
    assert len(encoder.regions(given_of())) == 7 and encoder.made.batches.size == 2

    class None_(Means):
        def embed_images(self, images: Any) -> np.ndarray:
            raise MemoryError

    with pytest.raises(StoreError, match="no memory for a single image"):
        EncoderPart(None_(), Runtime()).images([noise(3, 3)])


def test_rows_in_excess_are_refused() -> None:
    class More(ByImage):
        def embed_regions(self, images: Any) -> Iterator[np.ndarray]:
            yield from super().embed_regions(images)
            yield np.ones((1, 4), np.float32)

    with pytest.raises(UsageError, match="found 5 rows in place of 4, one for each region"):
        _ = EncoderPart(More(), Runtime()).loaded

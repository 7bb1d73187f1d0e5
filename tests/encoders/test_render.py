"""Cutting regions out of images, pixel by pixel, and bringing them to shape."""

from fractions import Fraction

import numpy as np
import pytest

from fgscore.encoders import _render

MEAN = (123, 117, 104)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(1, 256, (30, 40, 3), np.uint8)


def mask_of(height, width):
    return np.random.default_rng(1).random((height, width)) < 0.5


def covers(mask, x, y, width, height):
    """The value of the mask's cell that the centre of pixel (x, y) lies in, in exact arithmetic."""
    row = (Fraction(2 * y + 1, 2 * height)) * mask.shape[0]
    column = (Fraction(2 * x + 1, 2 * width)) * mask.shape[1]
    return bool(mask[int(row), int(column)])


def grown(box, margin, width, height):
    x0, y0, x1, y1 = box
    dx, dy = round(margin * (x1 - x0)), round(margin * (y1 - y0))
    return max(0, x0 - dx), max(0, y0 - dy), min(width, x1 + dx), min(height, y1 + dy)


@pytest.mark.parametrize("mask_hw", [(30, 40), (15, 20), (7, 11), (1, 1), (60, 80)], ids=str)
@pytest.mark.parametrize("margin", [0.0, 0.25, 5.0])
@pytest.mark.parametrize("outside", ["black", "mean", "keep"])
def test_a_cut_is_its_box_with_a_margin_and_pixels_outside_the_mask_as_asked(image, mask_hw, margin, outside):
    mask, box = mask_of(*mask_hw), (5, 8, 17, 28)
    found = _render.cut(image, box, mask, outside, margin, MEAN)
    x0, y0, x1, y1 = grown(box, margin, 40, 30)
    assert found.shape == (y1 - y0, x1 - x0, 3)
    assert found.dtype == np.uint8
    for y in range(y0, y1):
        for x in range(x0, x1):
            seen = outside == "keep" or covers(mask, x, y, 40, 30)
            wanted = image[y, x].tolist() if seen else list({"black": (0, 0, 0), "mean": MEAN}[outside])
            assert found[y - y0, x - x0].tolist() == wanted, (x, y)


def test_blur_leaves_the_mask_alone_and_smooths_the_rest(image):
    mask = np.zeros((30, 40), bool)
    mask[10:20, 10:20] = True
    found = _render.cut(image, (0, 0, 40, 30), mask, "blur", 0.0, MEAN)
    np.testing.assert_array_equal(found[mask], image[mask])
    assert found[~mask].std() < 0.3 * image[~mask].std()
    assert abs(found[~mask].mean() - image[~mask].mean()) < 5


@pytest.mark.parametrize("outside", ["black", "mean", "blur", "keep"])
def test_a_crop_has_no_outside(image, outside):
    found = _render.cut(image, (3, 4, 9, 20), None, outside, 0.0, MEAN)
    np.testing.assert_array_equal(found, image[4:20, 3:9])


def test_a_cut_leaves_the_image_alone(image):
    before = image.copy()
    for outside in ("black", "mean", "blur"):
        _render.cut(image, (0, 0, 40, 30), mask_of(30, 40), outside, 0.5, MEAN)
    np.testing.assert_array_equal(image, before)


def test_a_region_of_one_pixel_is_cut(image):
    for outside in ("black", "mean", "blur", "keep"):
        assert _render.cut(image, (39, 29, 40, 30), mask_of(15, 20), outside, 0.1, MEAN).shape == (1, 1, 3)


def test_the_margin_is_a_share_of_each_side_and_stops_at_the_image():
    assert _render.grow((10, 20, 30, 24), 0.5, 100, 100) == (0, 18, 40, 26)
    assert _render.grow(np.array([10, 20, 30, 24], np.int32), 0.0, 100, 100) == (10, 20, 30, 24)
    assert _render.grow((1, 1, 9, 9), 1.0, 10, 12) == (0, 0, 10, 12)


@pytest.mark.parametrize(("height", "width"), [(4, 9), (9, 4), (5, 6), (1, 7), (6, 6)])
def test_pad_centres_the_region_in_a_square_of_the_mean_colour(image, height, width):
    region = image[:height, :width]
    found = _render.shape_to(region, "pad", 224, MEAN)
    side = max(height, width)
    assert found.shape == (side, side, 3)
    top, left = (side - height) // 2, (side - width) // 2
    for y in range(side):
        for x in range(side):
            inside = 0 <= y - top < height and 0 <= x - left < width
            assert found[y, x].tolist() == (region[y - top, x - left].tolist() if inside else list(MEAN))


@pytest.mark.parametrize("size", [8, 224])
def test_squash_gives_the_size_asked_whatever_the_aspect(image, size):
    assert _render.shape_to(image, "squash", size, MEAN).shape == (size, size, 3)


def test_squash_keeps_both_ends(image):
    image[:, :20], image[:, 20:] = 10, 200
    found = _render.shape_to(image, "squash", 32, MEAN)
    assert (found[:, :12] == 10).all()
    assert (found[:, 20:] == 200).all()


def test_crop_leaves_the_region_to_the_processor(image):
    np.testing.assert_array_equal(_render.shape_to(image, "crop", 8, MEAN), image)

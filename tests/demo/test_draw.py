"""The drawings and their part masks."""

from __future__ import annotations

import numpy as np
import pytest

from fgscore.demo.draw import Drawing, draw, image_rng
from fgscore.demo.kinds import KINDS, all_kinds
from fgscore.demo.parts import PART_NAMES, SIZE, WHOLE_PARTS, Frame


@pytest.fixture(scope="module")
def drawings() -> list[Drawing]:
    return [draw(kind, image_rng(7, "test", kind, j)) for kind in KINDS for j in range(4)]


def test_shapes_and_dtypes(drawings: list[Drawing]) -> None:
    for drawing in drawings:
        assert drawing.image.shape == (SIZE, SIZE, 3) and drawing.image.dtype == np.uint8
        assert drawing.parts.shape == (SIZE, SIZE) and drawing.parts.dtype == np.uint8
        assert drawing.parts.max() < len(PART_NAMES)


def test_an_image_is_the_same_whatever_was_drawn_before(drawings: list[Drawing]) -> None:
    for number in (50, 3, 95):
        kind = KINDS[number // 4]
        again = draw(kind, image_rng(7, "test", kind, number % 4))
        np.testing.assert_array_equal(again.image, drawings[number].image)
        np.testing.assert_array_equal(again.parts, drawings[number].parts)


def test_seed_split_and_number_each_give_another_image() -> None:
    kind = KINDS[0]
    choices = [(0, "train", 0), (1, "train", 0), (0, "test", 0), (0, "train", 1)]
    images = {draw(kind, image_rng(seed, split, kind, j)).image.tobytes() for seed, split, j in choices}
    assert len(images) == len(choices)


def test_parts_lie_within_the_bird_and_make_it_up(drawings: list[Drawing]) -> None:
    for drawing in drawings:
        masks = dict(drawing.whole_parts())
        assert set(masks) <= set(WHOLE_PARTS)
        for mask in masks.values():
            assert not (mask & ~masks["bird"]).any()
        together = np.logical_or.reduce([masks[name] for name in ("head", "wing", "torso", "tail")])
        np.testing.assert_array_equal(together, masks["bird"])


@pytest.mark.parametrize(
    ("part", "low", "high"),
    [
        ("bird", 0.12, 0.25),
        ("head", 0.04, 0.09),
        ("wing", 0.03, 0.08),
        ("torso", 0.03, 0.08),
        ("tail", 0.012, 0.05),
        ("breast", 0.02, 0.05),
        ("crown", 0.012, 0.035),
        ("bill", 0.006, 0.025),
    ],
)
def test_median_areas_are_plausible(drawings: list[Drawing], part: str, low: float, high: float) -> None:
    assert low < np.median([drawing.mask(part).mean() for drawing in drawings]) < high


def test_a_plain_wing_has_no_bar(drawings: list[Drawing]) -> None:
    for number, drawing in enumerate(drawings):
        assert drawing.mask("wing_bar").any() == (KINDS[number // 4].wing != "plain")


def test_many_poses_draw_without_leaving_the_frame() -> None:
    # A foreground leaf may hang over the edge, which is a case of its own.
    for kind in all_kinds()[::10]:
        drawing = draw(kind, image_rng(3, "sam", kind, 0))
        assert drawing.mask("bird").any()
        border = np.concatenate([drawing.parts[0], drawing.parts[-1], drawing.parts[:, 0], drawing.parts[:, -1]])
        assert not border.any()


def test_twice_the_size_is_the_same_picture_in_more_pixels() -> None:
    # Sensor noise is of pixels, and no part of the picture: both are compared in blocks of 8.
    for j, kind in enumerate(KINDS[::6]):
        small = draw(kind, image_rng(5, "test", kind, j))
        large = draw(kind, image_rng(5, "test", kind, j), Frame(2 * SIZE, 2 * SIZE))
        assert large.image.shape == (2 * SIZE, 2 * SIZE, 3)
        apart = np.abs(_blocks(small.image, 8) - _blocks(large.image, 16)).mean()
        assert apart < 4  # of two pictures of one kind it is 40 and more
        assert np.mean(small.parts == large.parts[::2, ::2]) > 0.97


@pytest.mark.parametrize("frame", [Frame(500, 375), Frame(200, 450)])
def test_a_drawing_fills_a_frame_of_any_shape(frame: Frame) -> None:
    for kind in KINDS[::5]:
        drawing = draw(kind, image_rng(3, "test", kind, 0), frame)
        assert drawing.image.shape == (frame.height, frame.width, 3) and drawing.parts.shape == frame.shape
        rows, columns = np.nonzero(drawing.parts)
        filled = max(np.ptp(rows) / frame.height, np.ptp(columns) / frame.width)
        assert 0.5 < filled < 0.95


def _blocks(image: np.ndarray, side: int) -> np.ndarray:
    """The mean of each block of ``side`` x ``side`` pixels."""
    h, w, _ = image.shape
    return image.reshape(h // side, side, w // side, side, 3).mean((1, 3))

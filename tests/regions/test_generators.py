"""Boxes and masks of any generator: what is taken, what is refused, what is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaded import runs_of

from fgscore import regions
from fgscore.errors import UsageError
from fgscore.regions import Proposals
from fgscore.types import Runs

SIZE_HW = (40, 60)


@pytest.mark.parametrize(
    "found",
    [
        [(0, 0, 60, 40), (3, 4, 5, 6)],
        np.array([[0, 0, 60, 40], [3, 4, 5, 6]], np.uint8),
        np.array([[0, 0, 60, 40], [3, 4, 5, 6]], np.float64),
    ],
    ids=["a list", "bytes", "floats that are whole"],
)
def test_boxes_are_whole_pixels_and_have_their_share_of_the_image(found: Any) -> None:
    made = regions.checked(found, SIZE_HW, masks=False)
    assert made.boxes_xyxy.dtype == np.int32 and made.boxes_xyxy.tolist() == [[0, 0, 60, 40], [3, 4, 5, 6]]
    assert made.area.tolist() == [1.0, 4 / 2400] and np.isnan(made.predicted_iou).all() and made.runs is None


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("found", [[], np.zeros((0, 4)), ()])
def test_no_region_is_a_normal_case(found: Any, masks: bool) -> None:
    made = regions.checked(found, SIZE_HW, masks)
    batch = regions.batch(["a"], [regions.select(made, 3, 0, 1)], masks)
    assert len(made.area) == 0 and batch.offsets.tolist() == [0, 0] and (batch.masks is not None) == masks


def proposals(**changed: Any) -> Proposals:
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 5:10, 3:9] = masks[1, 0, 0] = True
    return replace(Proposals.of_masks(masks, SIZE_HW), **changed)


@pytest.mark.parametrize(
    ("changed", "masks", "says"),
    [
        ({"area": np.ones(3)}, True, r"expected area \(2,\), found \(3,\)"),
        ({"area": np.array([0.5, np.nan])}, True, "every area from 0 to 1"),
        ({"area": np.array([0.5, 7.0])}, True, "every area from 0 to 1"),
        ({"stability": 1.0}, True, r"expected stability \(2,\), found \(\)"),
        ({"runs": None}, True, "expected masks, as it declares, found none"),
        ({}, False, "expected no masks, as it declares, found some"),
        ({"runs": [np.array([600])]}, True, "a mask for each of 2 boxes, found 1"),
        ({"runs": [np.array([600]), np.array([1, 2])]}, True, "mask 1: expected runs that add up to 20 x 30"),
        ({"mask_hw": (20, 31)}, True, "mask 0: expected runs that add up to 20 x 31"),
        ({"boxes_xyxy": np.array([[0, 0, 1, 1], [0, 0, 0, 1]])}, True, "box 1: expected .* found 0, 0, 0, 1"),
    ],
)
def test_what_does_not_agree_is_refused(changed: dict[str, Any], masks: bool, says: str) -> None:
    regions.checked(proposals(), SIZE_HW, masks=True)
    with pytest.raises(UsageError, match=says):
        regions.checked(proposals(**changed), SIZE_HW, masks)


def test_boxes_alone_are_refused_of_who_declares_masks() -> None:
    with pytest.raises(UsageError, match="expected Proposals with masks, as it declares them, found boxes alone"):
        regions.checked([(0, 0, 1, 1)], SIZE_HW, masks=True)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.integers(0, 99))
def test_masks_have_the_runs_boxes_and_areas_of_their_cells(height: int, width: int, times: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((3, height, width)) < rng.random()
    masks[np.arange(3), rng.integers(0, height, 3), rng.integers(0, width, 3)] = True
    size_hw = times * height, times * width
    made = regions.checked(Proposals.of_masks(masks, size_hw, np.arange(3)), size_hw, masks=True)
    for mask, box, area, runs in zip(masks, made.boxes_xyxy, made.area, made.runs or (), strict=True):
        np.testing.assert_array_equal(runs, runs_of(mask).counts)
        np.testing.assert_array_equal(Runs(runs, (height, width)).decode(), mask)
        rows, columns = np.nonzero(mask)
        cells = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert box.tolist() == [times * int(cell) for cell in cells] and area == pytest.approx(mask.mean())
    assert made.predicted_iou.tolist() == [0, 1, 2]


def test_a_mask_that_covers_nothing_is_refused() -> None:
    masks = np.ones((2, 4, 4), bool)
    masks[1] = False
    with pytest.raises(ValueError, match="mask 1 covers nothing"):
        Proposals.of_masks(masks, (4, 4))


def test_without_a_number_all_are_kept_as_they_stand() -> None:
    masks = np.stack([np.arange(16).reshape(4, 4) < k for k in (9, 3, 6)])
    made = Proposals.of_masks(masks, (4, 4), np.array([0.1, 0.9, 0.5]))
    assert regions.select(made, None, 0, 1).area.tolist() == made.area.tolist()
    assert regions.select(made, None, 0.2, 0.5).area.tolist() == [6 / 16]
    assert regions.select(made, 2, 0, 1).predicted_iou.tolist() == [0.9, 0.5]

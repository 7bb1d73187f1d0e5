"""Numbers and names that come in are what they say: refused by row and column where not, and never changed in silence.

Tests values, numerals, arrays and labelled.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore.errors import DataError
from fgscore.exchange import values
from fgscore.exchange.numerals import What, from_text
from fgscore.upkeep.verify import verify

N, R = 4, 6
UNIT = np.eye(N, 8, dtype=np.float32)
BOXES = np.tile([[1, 2, 11, 22]], (R, 1))
GOOD: dict[str, Any] = {
    "image_ids": np.array(list("abcd")),
    "labels": np.arange(N) % 2,
    "split": np.array(["train", "train", "test", "test"]),
    "globals": UNIT,
    "text": np.eye(2, 8, dtype=np.float32),
    "offsets": np.array([0, 2, 2, 4, 6]),
    "regions": np.eye(R, 8, dtype=np.float32),
    "boxes_xyxy": BOXES,
    "area": np.full(R, 0.25, np.float32),
    "sizes_wh": np.tile([[40, 30]], (N, 1)),
}


def put(array: np.ndarray, at: Any, value: float) -> np.ndarray:
    changed = np.array(array, np.float64)
    changed[at] = value
    return changed


@pytest.mark.parametrize(
    ("name", "array", "named"),
    [
        ("globals", put(UNIT, (2, 5), np.nan), "finite globals, found nan in row 2, column 5"),
        ("globals", put(UNIT, (1, 3), -np.inf), "finite globals, found -inf in row 1, column 3"),
        ("globals", UNIT * 1e30, "globals that float32 can measure, found 1e\\+30 in row 0"),
        ("globals", UNIT.T, "image_ids 4, labels 4, split 4, globals 8|equal length"),
        ("globals", UNIT.astype(str), "numbers as globals, found text"),
        ("text", put(np.eye(2, 8), (1, 0), np.nan), "finite text, found nan in row 1, column 0"),
        ("text", np.eye(8, 2), "text for the 2 classes of the index, found 8 rows .*transposed"),
        ("regions", put(np.eye(R, 8), (5, 7), np.inf), "finite regions, found inf in row 5, column 7"),
        ("logit_scale", np.array([np.nan]), "finite logit_scale, found nan"),
        ("logit_scale", np.array([0.0]), "one number above 0 as logit_scale, found 0.0"),
        ("logit_scale", np.array([-100.0]), "one number above 0 as logit_scale, found -100.0"),
        ("logit_scale", np.array([]), "one number above 0 as logit_scale, found 0 of them"),
        ("area", put(np.full(R, 0.5), 3, np.inf), "area as fractions of the image.*found inf in row 3"),
        ("area", put(np.full(R, 0.5), 3, 1200), "area as fractions of the image.*found 1200.0 in row 3"),
        ("area", put(np.full(R, 0.5), 3, -0.5), "area as fractions of the image.*found -0.5 in row 3"),
        ("predicted_iou", put(np.full(R, 0.5), 1, np.inf), "finite predicted_iou, or NaN, found inf in row 1"),
        ("boxes_xyxy", BOXES / 40, "boxes_xyxy in pixels, found none beyond 0.55, fractions of the image"),
        ("boxes_xyxy", put(BOXES, (2, 1), np.nan), "boxes_xyxy of every region, found NaN in row 2"),
        ("boxes_xyxy", put(BOXES, (2, 3), np.inf), "boxes_xyxy in pixels, found inf in row 2, column 3"),
        ("boxes_xyxy", np.tile([[20, 20, 10, 5]], (R, 1)), r"x0 y0 x1 y1, found \[20, 20, 10, 5\] in row 0"),
        ("boxes_xyxy", BOXES * 2, r"inside their images, found \[2, 4, 22, 44\] in row 0 of a, which has 40 x 30"),
        ("boxes_xyxy", BOXES[1:], "regions 6, boxes_xyxy 5"),
        ("offsets", np.array([0, 2.5, 3, 4, 6]), "whole numbers as offsets, found 2.5 in row 1"),
        ("shard", np.array([0, 0, 10**9, 10**9]), "shard of 0 to 16777215, found 1000000000 in row 2"),
        ("shard", np.array([0, 2, 1, 1]), "non-decreasing shard, found 1 in row 2"),
        ("orientation", np.array([1, 1, 9, 1]), "orientation of 1 to 8, found 9 in row 2"),
        ("sizes_wh", put(GOOD["sizes_wh"], (0, 1), -3), "sizes_wh of 0 to .*found -3 in row 0, column 1"),
        ("paths", np.array(["a", "../../etc/passwd", "c", "d"]), "found '../../etc/passwd' in row 1"),
        ("notes", np.array("[1]"), "JSON object in notes, found list"),
        ("notes", np.array("[" * 100_000), "JSON in notes, found something else"),
        ("global_norms", np.array([1, 0, 1, 1.0]), "global_norms above 0, found 0.0 in row 1"),
        ("image_ids", np.array([b"\xe9", b"b", b"c", b"d"]), "utf-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_with_its_place_and_nothing_is_written(
    bring, elsewhere, tmp_path, name, array, named
):
    np.savez(tmp_path / "a.npz", **{**GOOD, name: array})
    with pytest.raises(DataError, match=named):
        bring(tmp_path / "a.npz")
    assert not elsewhere.layout.cache.exists()


def test_what_is_good_is_kept_and_the_store_is_sound(bring, tmp_path):
    np.savez(tmp_path / "a.npz", **GOOD)
    came = bring(tmp_path / "a.npz")
    np.testing.assert_array_equal(came.arrays("regions")["boxes_xyxy"], BOXES)
    assert list(verify(came.store)) == []


def test_regions_without_areas_are_sound_too(bring, tmp_path):
    np.savez(tmp_path / "a.npz", **{key: array for key, array in GOOD.items() if key not in ("area", "boxes_xyxy")})
    assert list(verify(bring(tmp_path / "a.npz").store)) == []


def test_boxes_of_whole_floats_are_no_rounding(bring, tmp_path):
    np.savez(tmp_path / "a.npz", **{**GOOD, "boxes_xyxy": BOXES.astype(np.float32)})
    assert not any("rounded" in line for line in bring(tmp_path / "a.npz").said)


def test_masks_must_fill_their_image(bring, tmp_path):
    sizes = np.tile([[30, 40]], (N, 1))
    runs = {"mask_counts": np.tile([600, 600], R), "mask_offsets": np.arange(R + 1) * 2, "mask_size_hw": sizes}
    np.savez(tmp_path / "a.npz", **GOOD, **runs)
    assert "mask_counts" in bring(tmp_path / "a.npz").arrays("regions")
    runs["mask_counts"][7] = 599
    np.savez(tmp_path / "a.npz", **GOOD, **runs)
    with pytest.raises(DataError, match="found 1199 of 1200 pixels in mask 3"):
        bring(tmp_path / "a.npz")


@pytest.mark.parametrize(("scale", "said"), [(4.6052, "if it is a logarithm.* bring 100"), (None, "none came, 100 of")])
def test_a_scale_that_may_be_wrong_is_said(bring, tmp_path, scale, said):
    np.savez(tmp_path / "a.npz", **GOOD, **({} if scale is None else {"logit_scale": [scale]}))
    came = bring(tmp_path / "a.npz")
    assert any(re.match(f"logit_scale: .*{said}", line) for line in came.said)
    assert came.arrays("text")["logit_scale"] == pytest.approx(scale or 100)


def test_numbers_without_names_are_counted_and_gaps_said(bring, tmp_path):
    np.savez(tmp_path / "a.npz", **{**GOOD, "labels": np.array([0, 3, 3, 0]), "text": np.eye(4, 8)})
    came = bring(tmp_path / "a.npz")
    assert "class names: none came, classes are called 0 to 3, of which 2 have no image" in came.said


WHAT = What("a.csv", "area")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_read_from_text_are_the_numbers(numbers):
    np.testing.assert_array_equal(from_text(np.array([repr(n) for n in numbers]), WHAT), np.array(numbers))


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20))
def test_whole_numbers_are_exact(numbers):
    assert from_text(np.array([str(n) for n in numbers]), WHAT).tolist() == numbers
    assert values.ids(np.array(numbers), WHAT).tolist() == [str(n) for n in numbers]
    assert values.whole(np.array(numbers), WHAT).tolist() == numbers


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2), min_size=1, max_size=5))
def test_lists_read_from_text_are_the_lists(rows):
    np.testing.assert_array_equal(from_text(np.array([str(row) for row in rows]), WHAT), np.array(rows))

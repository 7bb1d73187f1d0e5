"""Random crops: what crop j depends on, and how the crops are spread."""

import hashlib
import math

import numpy as np
import pytest

from fgscore import specs
from fgscore.errors import BadParameter
from fgscore.extract.parts import GeneratorPart
from fgscore.runtime import Runtime

IMAGE = np.zeros((300, 400, 3), np.uint8)


def crops(image=IMAGE, image_id="an image", **params):
    return GeneratorPart(specs.text("random_crop", params), Runtime()).propose(image, image_id)


def test_crops_depend_on_the_seed_and_the_image_id():
    boxes = crops().boxes_xyxy
    np.testing.assert_array_equal(crops(image=IMAGE + 7).boxes_xyxy, boxes)  # not on the pixels
    assert (crops(seed=1).boxes_xyxy != boxes).any(axis=1).all()
    assert (crops(image_id="another").boxes_xyxy != boxes).any(axis=1).all()


def test_crops_are_the_same_on_every_machine():
    # pinned, since a change would make every cached embedding one of another crop
    wanted = [[188, 4, 372, 286], [12, 30, 121, 240], [38, 19, 255, 170]]
    assert crops(n=3, image_id="a").boxes_xyxy.tolist() == wanted


def test_crop_j_is_the_recipe_written_down():
    for j, box in enumerate(crops(n=20, image_id="a", seed=5).boxes_xyxy.tolist()):
        for attempt in range(10):
            key = hashlib.sha256(f"5\0a\0{j}\0{attempt}".encode()).digest()
            u = [int.from_bytes(key[8 * i : 8 * i + 8], "big") // 2**11 / 2**53 for i in range(4)]
            pixels = (0.02 + u[0] * 0.48) * 400 * 300
            aspect = 0.5 * 4.0 ** u[1]
            w, h = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
            if w <= 400 and h <= 300 and 0.02 <= w * h / 120_000 <= 0.5:
                break
        x, y = int(u[2] * (401 - w)), int(u[3] * (301 - h))
        assert box == [x, y, x + w, y + h]


def test_area_is_that_of_the_box():
    found = crops()
    x0, y0, x1, y1 = found.boxes_xyxy.T
    np.testing.assert_allclose(found.area, (x1 - x0) * (y1 - y0) / (300 * 400))
    assert np.isnan(found.predicted_iou).all()
    assert np.isnan(found.stability).all()
    assert found.runs is None


def test_aspects_stay_in_their_range_but_for_rounding():
    x0, y0, x1, y1 = crops(n=200, aspect_min=1.0, aspect_max=1.5).boxes_xyxy.T
    w, h = x1 - x0, y1 - y0
    assert ((w + 0.5) / (h - 0.5) >= 1.0).all()
    assert ((w - 0.5) / (h + 0.5) <= 1.5).all()


def test_crops_reach_all_of_the_image_and_of_the_ranges():
    found = crops(n=1000, area_max=0.3)
    x0, y0, x1, y1 = found.boxes_xyxy.T
    assert (x0.min(), y0.min(), x1.max(), y1.max()) == (0, 0, 400, 300)
    quarters = np.histogram(found.area, bins=4, range=(0.02, 0.3))[0]
    assert quarters.min() > 190  # uniform: 250 each
    assert 0.4 < (x1 - x0 > y1 - y0).mean() < 0.6  # log-uniform aspect: as many wide as tall


def test_the_first_of_each_image_differ():
    assert len({tuple(crops(n=1, image_id=str(i)).boxes_xyxy[0].tolist()) for i in range(50)}) == 50


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ("area_min=0.5, area_max=0.5", "area_min < area_max"),
        ("area_min=-0.1", "0 <= area_min"),
        ("area_max=1.5", "area_max <= 1"),
        ("n=0", "n of at least 1, found n=0"),
        ("aspect_min=0", "0 < aspect_min"),
        ("aspect_min=3", "aspect_min <= aspect_max"),
    ],
)
def test_an_empty_range_is_refused(params, says):
    with pytest.raises(BadParameter, match=says):
        _ = GeneratorPart(f"random_crop({params})", Runtime()).made

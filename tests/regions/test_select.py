"""The area filter and the cap, shared by all generators, and the record of several images."""

import numpy as np
import pytest

from fgscore.errors import BadParameter
from fgscore.regions import Proposals, batch, check_area, select


def proposals(area, iou=None):
    """Proposals whose box and run lengths tell which one they are; masks where ``iou`` is given."""
    m = len(area)
    boxes = np.array([[i, i, i + 1, i + 1] for i in range(m)], np.int32).reshape(-1, 4)
    masks = iou is not None
    return Proposals(
        boxes_xyxy=boxes,
        area=np.array(area, float),
        predicted_iou=np.array(iou if masks else [np.nan] * m, float),
        stability=np.arange(m) / 10 if masks else np.full(m, np.nan),
        runs=[np.array([i, abs(12 - i)], np.uint32) for i in range(m)] if masks else None,
        mask_hw=(3, 4) if masks else (0, 0),
    )


def kept(found):
    return found.boxes_xyxy[:, 0].tolist()


def test_areas_out_of_range_are_dropped_and_the_ends_belong_to_it():
    assert kept(select(proposals([0.019, 0.02, 0.3, 0.5, 0.51]), 10, 0.02, 0.5)) == [1, 2, 3]


def test_crops_are_cut_by_position():
    assert kept(select(proposals([0.1, 0.9, 0.1, 0.1]), 2, 0.02, 0.5)) == [0, 2]


def test_masks_are_cut_by_predicted_iou_and_ties_by_position():
    found = select(proposals([0.1] * 6, [0.9, 0.95, 0.9, 0.8, 0.95, 0.99]), 4, 0.02, 0.5)
    assert kept(found) == [5, 1, 4, 0]
    many = select(proposals([0.1] * 100, [0.9, 0.8] * 50), 60, 0.02, 0.5)
    assert kept(many) == [*range(0, 100, 2), *range(1, 20, 2)]


def test_the_filter_comes_before_the_cap():
    assert kept(select(proposals([0.9, 0.9, 0.1, 0.2], [0.99, 0.98, 0.5, 0.6]), 2, 0.02, 0.5)) == [3, 2]


def test_every_column_moves_together():
    found = select(proposals([0.1, 0.2, 0.3, 0.4], [0.1, 0.4, 0.2, 0.3]), 3, 0.02, 0.5)
    assert kept(found) == [1, 3, 2]
    assert found.area.tolist() == [0.2, 0.4, 0.3]
    assert found.predicted_iou.tolist() == [0.4, 0.3, 0.2]
    assert found.stability.tolist() == [0.1, 0.3, 0.2]
    assert [run.tolist() for run in found.runs] == [[1, 11], [3, 9], [2, 10]]
    assert found.mask_hw == (3, 4)


@pytest.mark.parametrize("iou", [None, [0.9, 0.8]], ids=["crops", "masks"])
def test_nothing_may_be_left(iou):
    found = select(proposals([0.9, 0.001], iou), 5, 0.02, 0.5)
    assert kept(found) == []
    assert found.boxes_xyxy.shape == (0, 4)


def test_a_record_holds_the_regions_and_masks_of_every_image():
    images = [proposals([0.1, 0.2], [0.9, 0.8]), proposals([], []), proposals([0.3], [0.7])]
    record = batch(["a", "b", "c"], images, masks=True)
    assert record.image_ids.tolist() == ["a", "b", "c"]
    assert record.offsets.tolist() == [0, 2, 2, 3]
    np.testing.assert_allclose(record.area, [0.1, 0.2, 0.3], rtol=1e-6)
    assert record.masks.size_hw.tolist() == [[3, 4]] * 3
    for region, (image, i) in enumerate([(0, 0), (0, 1), (2, 0)]):
        flat = np.ones(12, bool)
        flat[:i] = False
        np.testing.assert_array_equal(record.masks.decode(region, image), flat.reshape(4, 3).T)


@pytest.mark.parametrize("masks", [True, False])
def test_a_record_without_any_region_is_well_formed(masks):
    none = proposals([], [] if masks else None)
    for images in ([], [none], [none, none]):
        record = batch([str(i) for i in range(len(images))], images, masks)
        assert record.boxes_xyxy.shape == (0, 4)
        assert record.offsets.tolist() == [0] * (len(images) + 1)
        assert (record.masks is not None) == masks


@pytest.mark.parametrize("limits", [(0.5, 0.5), (0.6, 0.5), (-0.1, 0.5), (0.1, 1.1), (float("nan"), 0.5)], ids=str)
def test_an_empty_area_range_is_refused(limits):
    with pytest.raises(BadParameter, match="expected 0 <= area_min < area_max <= 1, found area_min="):
        check_area(*limits, 32)


def test_a_range_may_be_everything():
    check_area(0, 1, 1)
    with pytest.raises(BadParameter, match="n of at least 1"):
        check_area(0, 1, 0)

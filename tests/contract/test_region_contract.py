"""What every region generator without weights promises."""

import numpy as np
import pytest

from fgscore import regions
from fgscore.extract.parts import GeneratorPart
from fgscore.regions import GeneratorMaker
from fgscore.types import Runtime

WITHOUT_WEIGHTS = [
    name for name in GeneratorMaker.ours_named() if "torch" not in GeneratorPart(name, Runtime()).made.needs
]
SIZES_WH = [(320, 240), (97, 301), (40, 40), (1, 400), (400, 1), (2, 3), (1, 1)]


def test_there_is_a_generator_to_test():
    assert "random_crop" in WITHOUT_WEIGHTS


@pytest.fixture(params=WITHOUT_WEIGHTS)
def make(request):
    """A function of parameters: the generator as a run has it, area filter and cap included."""

    def make(**params):
        given = ", ".join(f"{k}={v}" for k, v in params.items())
        return GeneratorPart(f"{request.param}({given})", Runtime()).propose

    return make


def picture(width, height):
    return np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(("width", "height"), SIZES_WH)
def test_boxes_lie_in_the_image_and_areas_in_their_range(make, width, height):
    found = make(area_min=0.05, area_max=0.4)(picture(width, height), "an image")
    x0, y0, x1, y1 = found.boxes_xyxy.T
    assert ((x0 >= 0) & (y0 >= 0) & (x1 <= width) & (y1 <= height)).all()
    assert ((x1 > x0) & (y1 > y0)).all()
    assert ((found.area >= 0.05) & (found.area <= 0.4)).all()
    assert (found.area <= (x1 - x0) * (y1 - y0) / (width * height) + 1e-9).all()


@pytest.mark.parametrize("n", [1, 7, 32])
def test_an_ordinary_image_gives_n_regions_and_never_more(make, n):
    found = make(n=n)(picture(320, 240), "an image")
    assert len(found.area) == len(found.boxes_xyxy) == len(found.predicted_iou) == len(found.stability) == n


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1, 400)])
def test_the_first_of_many_are_those_of_a_smaller_run(make, width, height):
    image = picture(width, height)
    few, many = make(n=32)(image, "an image"), make(n=160)(image, "an image")
    assert len(many.area) > len(few.area) > 0
    np.testing.assert_array_equal(many.boxes_xyxy[: len(few.boxes_xyxy)], few.boxes_xyxy)
    np.testing.assert_array_equal(many.area[: len(few.area)], few.area)


def test_the_order_of_images_does_not_matter(make):
    images = {f"image {i}": picture(100 + i, 90) for i in range(4)}
    forward, backward = make(), make()
    first = {name: forward(image, name).boxes_xyxy for name, image in images.items()}
    second = {name: backward(images[name], name).boxes_xyxy for name in reversed(images)}
    for name, boxes in first.items():
        np.testing.assert_array_equal(second[name], boxes)


def test_images_are_not_written_to(make):
    image = picture(64, 48)
    image.setflags(write=False)
    before = image.copy()
    make()(image, "an image")
    np.testing.assert_array_equal(image, before)


def test_records_of_several_images_hold_the_regions_of_each(make):
    sizes = [(320, 240), (1, 1), (97, 301)]
    found = [make(n=5)(picture(*size), f"{size}") for size in sizes]
    batch = regions.batch([f"{size}" for size in sizes], found, masks=False)
    assert np.diff(batch.offsets).tolist() == [len(p.area) for p in found] == [5, 0, 5]  # one pixel is all of its image
    np.testing.assert_array_equal(batch.boxes_xyxy, np.concatenate([p.boxes_xyxy for p in found]))

"""Pictures brought to a model's size by our own code, against transformers' image processor with Pillow."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from fgscore.demo.draw import draw, image_rng  # noqa: E402
from fgscore.demo.kinds import KINDS  # noqa: E402
from fgscore.encoders import _pixels, _render  # noqa: E402

MEAN = (122, 116, 104)
CLIP = transformers.CLIPImageProcessorPil
SIGLIP = transformers.SiglipImageProcessorPil
SMALL = CLIP(size={"shortest_edge": 96}, crop_size={"height": 96, "width": 96})
SIZES_WH = [(320, 240), (97, 301), (224, 224), (30, 41), (500, 60), (3, 2), (1, 1), (1, 400)]


@pytest.fixture(scope="module")
def drawn():
    return draw(KINDS[0], image_rng(0, "test", KINDS[0], 0)).image


def noise(width, height):
    return np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)


def by_transformers(processor, pictures, fit):
    """What transformers makes of the pictures, in levels of 255 before normalisation."""
    size = processor.crop_size.height if processor.crop_size else processor.size.height
    ready = [_render.shape_to(picture, fit, size, MEAN) for picture in pictures]
    return levels(
        processor, processor(images=ready, return_tensors="pt", input_data_format="channels_last").pixel_values
    )


def levels(processor, pixels):
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (processor.image_mean, processor.image_std))
    return 255 * (pixels * std + mean)


def by_us(processor, pictures, fit):
    assert _pixels.supports(processor)
    ready = pictures if fit == "squash" else [_render.shape_to(p, fit, 0, MEAN) for p in pictures]
    return levels(processor, _pixels.Pixels(processor, fit == "squash", "cpu")(ready))


def assert_near(ours, theirs):
    assert ours.shape == theirs.shape
    difference = (ours - theirs).abs()
    assert difference.max() <= 2.001
    assert difference.mean() < 0.25


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("processor", [CLIP(), SMALL, SIGLIP()], ids=["clip", "small", "siglip"])
def test_pixels_are_pillows_within_two_levels(drawn, processor, fit):
    pictures = [np.asarray(Image.fromarray(drawn).resize(size)) for size in SIZES_WH]
    pictures += [
        drawn,
        drawn[30:200, 40:150],
        drawn[::-1],
        noise(240, 180),
        noise(60, 300),
        noise(250, 300),
        noise(300, 250),
    ]
    assert_near(by_us(processor, pictures, fit), by_transformers(processor, pictures, fit))


def test_a_picture_of_the_models_size_is_left_as_it_is():
    picture = noise(96, 96)
    ours = by_us(SMALL, [picture], "crop")[0].permute(1, 2, 0)
    np.testing.assert_allclose(ours, picture, atol=1e-3)


def test_a_picture_does_not_depend_on_those_beside_it(drawn):
    one, other = drawn[:200, :120], drawn[50:90, 30:300]
    together = by_us(SMALL, [one, other], "crop")
    torch.testing.assert_close(together[:1], by_us(SMALL, [one], "crop"), rtol=0, atol=0)
    torch.testing.assert_close(together[1:], by_us(SMALL, [other], "crop"), rtol=0, atol=0)


def test_pictures_are_not_written_to(drawn):
    picture = drawn.copy()
    picture.setflags(write=False)
    by_us(SMALL, [picture, picture[10:60, 20:90]], "crop")
    np.testing.assert_array_equal(picture, drawn)


def test_pixels_of_a_real_photo(real_data):
    for path in sorted((real_data / "photos").glob("*.jpg"))[:2]:
        photo = np.asarray(Image.open(path).convert("RGB"))
        height, width = photo.shape[:2]
        pictures = [photo, photo[: height // 2, : width // 3], photo[height // 3 :, width // 4 : width // 2]]
        assert_near(by_us(CLIP(), pictures, "crop"), by_transformers(CLIP(), pictures, "crop"))


@pytest.mark.parametrize(
    "processor",
    [
        CLIP(resample=2),
        CLIP(do_resize=False),
        CLIP(do_normalize=False),
        CLIP(size={"shortest_edge": 256}),
        CLIP(size={"height": 224, "width": 224}),
        SIGLIP(size={"height": 224, "width": 112}),
        transformers.ViTImageProcessorPil(),
    ],
    ids=["bilinear", "no resize", "raw", "256 to 224", "square then crop", "not square", "another"],
)
def test_processors_that_do_something_else_are_left_to_transformers(processor):
    assert not _pixels.supports(processor)

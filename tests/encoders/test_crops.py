"""Crops by matrix products, as a GPU makes them, against Pillow's by transformers' own processor on the same cut."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil  # noqa: E402

from fgscore.encoders import _crops, _render  # noqa: E402
from fgscore.types import MaskRLE, Runs  # noqa: E402

CLIP = CLIPImageProcessorPil()
SMALL = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
MEAN = (122, 116, 104)


def picture(height, width, seed=0):
    """Blobs, an edge and some noise: overshoot, flat parts and detail."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
    image = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    image[: height // 2] = np.clip(
        image[: height // 2].astype(int) + rng.integers(-20, 20, (height // 2, width, 3)), 0, 255
    )
    image[:, : width // 3] = 255
    return np.ascontiguousarray(image)


def by_pillow(processor, cuts, fit, outside="black", margin=0.0):
    size = 224 if processor is CLIP else 32
    mean = tuple(round(255 * m) for m in processor.image_mean)
    cuts = [_render.cut(i, b, m.decode() if isinstance(m, Runs) else m, outside, margin, mean) for i, b, m in cuts]
    ready = [_render.shape_to(c, fit, size, mean) for c in cuts]
    return processor(images=ready, return_tensors="pt", input_data_format="channels_last").pixel_values


def by_products(processor, cuts, fit, outside="black", margin=0.0):
    size = 224 if processor is CLIP else 32
    return _crops.Crops(processor, size, fit, outside, margin, "cpu", torch.float32)(cuts)


def assert_near(processor, ours, theirs):
    std = torch.tensor(processor.image_std).view(3, 1, 1)
    levels = ((ours - theirs) * std * 255).abs()
    assert ours.shape == theirs.shape
    assert levels.max() <= 2.001
    assert levels.mean() < 0.3


def boxes_of(image, n, seed=0):
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    low = rng.integers(0, (width - 2, height - 2), (n, 2))
    high = low + 1 + rng.integers(1, (width, height), (n, 2))
    return np.concatenate([low, np.minimum(high, (width, height))], axis=1).astype(np.int32)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_pixels_are_pillows_within_two_levels(fit):
    image, other = picture(375, 500), picture(90, 61, seed=1)
    cuts = [(image, box, None) for box in boxes_of(image, 12)] + [(other, box, None) for box in boxes_of(other, 5)]
    assert_near(CLIP, by_products(CLIP, cuts, fit), by_pillow(CLIP, cuts, fit))


def test_siglip_squashes_by_itself():
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    image = picture(70, 120)
    cuts = [(image, box, None) for box in boxes_of(image, 6)]
    assert_near(processor, by_products(processor, cuts, "squash"), by_pillow(processor, cuts, "squash"))


@pytest.mark.parametrize("outside", ["black", "mean", "keep"])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_masks_cover_what_they_cover(fit, outside):
    image = picture(120, 160)
    whole, half = np.zeros((120, 160), bool), np.zeros((60, 80), bool)
    whole[20:90, 30:150], half[5:50, 10:70] = True, True
    whole[40:60, 60:90] = False
    cuts = [(image, np.array([25, 15, 155, 95]), whole), (image, np.array([20, 10, 140, 100]), half)]
    found = by_products(SMALL, cuts, fit, outside, margin=0.1)
    assert_near(SMALL, found, by_pillow(SMALL, cuts, fit, outside, margin=0.1))


def test_run_lengths_are_the_mask_they_say():
    image, mask = picture(50, 70), np.zeros((50, 70), bool)
    mask[10:30, 20:60], mask[0, 0], mask[49, 69] = True, True, True
    flat = mask.T.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    counts = np.diff(np.concatenate([[0, 0], ends]))  # begins with foreground: no background before it
    runs = Runs(counts.astype(np.uint32), (50, 70))
    np.testing.assert_array_equal(runs.decode(), mask)
    cuts = [(image, np.array([0, 0, 70, 50]), m) for m in (runs, mask)]
    found = by_products(SMALL, cuts, "squash")
    assert torch.equal(found[0], found[1])
    assert_near(SMALL, found, by_pillow(SMALL, cuts, "squash"))


def test_runs_of_another_size_are_refused():
    masks = MaskRLE(np.array([3, 2], np.uint32), np.array([0, 2]), np.array([[2, 3]], np.int32))
    with pytest.raises(ValueError, match="runs add up to 5, expected 2 x 3"):
        masks.runs(0, 0).ends()


def test_large_images_are_cut_before_they_are_resized(monkeypatch):
    image = picture(120, 160)
    mask = np.zeros((120, 160), bool)
    mask[30:100, 20:140] = True
    cuts = [(image, box, mask) for box in boxes_of(image, 6)]
    expected = by_products(SMALL, cuts, "pad", "mean", 0.1)
    monkeypatch.setattr(_crops, "SHARED", 100)
    assert (by_products(SMALL, cuts, "pad", "mean", 0.1) - expected).abs().max() < 0.02


def test_a_picture_does_not_depend_on_those_beside_it(monkeypatch):
    image = picture(60, 80)
    cuts = [(image, box, None) for box in boxes_of(image, 9)]
    together = by_products(SMALL, cuts, "crop")
    monkeypatch.setattr(_crops, "TOGETHER", 4)
    assert (by_products(SMALL, cuts, "crop") - together).abs().max() < 0.02


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["crop", "pad", "squash"]), st.integers(0, 9))
def test_any_size_and_shape(height, width, fit, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    cuts = [(image, np.array([0, 0, width, height]), None)]
    assert_near(SMALL, by_products(SMALL, cuts, fit), by_pillow(SMALL, cuts, fit))


def test_crops_of_a_real_photo(real_data):
    from PIL import Image

    image = np.array(Image.open(real_data / "photos" / "dog.jpg").convert("RGB"))
    cuts = [(image, box, None) for box in boxes_of(image, 16)]
    assert_near(CLIP, by_products(CLIP, cuts, "crop"), by_pillow(CLIP, cuts, "crop"))

"""What every encoder without weights promises."""

import numpy as np
import pytest
from loaded import runs_of

from fgscore import encoders
from fgscore.encoders import EncoderMaker, ImageRegions
from fgscore.extract.parts import EncoderPart
from fgscore.types import Runtime

WITHOUT_WEIGHTS = [name for name in EncoderMaker.ours_named() if "torch" not in EncoderPart(name, Runtime()).made.needs]
SIZES_WH = [(64, 48), (48, 64), (1, 30), (30, 1), (1, 1), (32, 32), (200, 10)]


def test_there_is_an_encoder_to_test():
    assert "fake" in WITHOUT_WEIGHTS


@pytest.fixture(params=[f"{n}({p})" for n in WITHOUT_WEIGHTS for p in ("", "fit='pad'", "fit='squash', margin=0.3")])
def load(request):
    return lambda: EncoderPart(request.param, Runtime()).loaded


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for width, height in SIZES_WH]


@pytest.fixture(scope="module")
def whole(images):
    """Each of the images with one region."""
    rng = np.random.default_rng(1)
    made = []
    for i, image in enumerate(images):
        height, width = image.shape[:2]
        mask = None if i % 2 else rng.random((max(1, height // 2), max(1, width // 2))) < 0.5
        box = np.array([[0, 0, max(1, width // 2), height]], np.int32)
        made.append(ImageRegions(image, box, None if mask is None else [runs_of(mask)]))
    return made


def embed(encoder, what, given):
    """(B, d), one row for each of what is given."""
    if what == "regions":
        return np.concatenate(list(encoder.embed_regions(given)))
    return encoder.embed_images(given) if what == "images" else encoder.embed_texts(given)


TEXTS = ["a photo of a crow,", "a photo of a raven,", "", "ein Rotkehlchen ä"]


@pytest.mark.parametrize("what", ["images", "regions", "texts"])
def test_embeddings_are_finite_float32_rows_of_the_stated_width(load, images, whole, what):
    encoder = load()
    given = {"images": images, "regions": whole, "texts": TEXTS}[what]
    raw = embed(encoder, what, given)
    assert raw.shape == (len(given), encoder.dim)
    assert raw.dtype == np.float32
    rows, norms = encoders.unit(raw, what)  # refuses what is not finite
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert (norms > 0).all()
    assert len(np.unique(raw, axis=0)) == len(given)


@pytest.mark.parametrize("what", ["images", "regions", "texts"])
def test_embeddings_depend_neither_on_the_instance_nor_on_the_batch(load, images, whole, what):
    given = {"images": images, "regions": whole, "texts": TEXTS}[what]
    expected = embed(load(), what, given)
    for size in (1, 3):
        encoder = load()
        parts = np.concatenate([embed(encoder, what, block) for block in encoders.batched(given, size)])
        np.testing.assert_allclose(parts, expected, rtol=0, atol=1e-5)


def test_inputs_are_not_written_to(load, images, whole):
    kept = [image.copy() for image in images]
    encoder = load()
    encoder.embed_images(images)
    embed(encoder, "regions", whole)
    for now, before in zip(images, kept, strict=True):
        np.testing.assert_array_equal(now, before)


def test_the_logit_scale_is_a_positive_number(load):
    assert np.isfinite(load().logit_scale)
    assert load().logit_scale > 0

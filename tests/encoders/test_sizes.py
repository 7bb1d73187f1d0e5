"""Another size than a model's own: its positions are interpolated as transformers does it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("sentencepiece")

import layouts  # noqa: E402
import loaded  # noqa: E402
from PIL import Image  # noqa: E402

from fgscore.encoders import EncoderMaker  # noqa: E402
from fgscore.errors import BadParameter  # noqa: E402
from fgscore.runtime import Runtime  # noqa: E402

PICTURES = loaded.noise()
UPSTREAM = Runtime(device="cpu", offline=True, implementation="upstream")
SQUARES = [layouts.clip_safetensors, layouts.metaclip2, layouts.siglip1, layouts.siglip2_fixed, layouts.tipsv2,
           layouts.chinese_clip]  # fmt: skip


def directly(folder, size):
    """PICTURES by transformers, with the image processor told to make squares of ``size``."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    backend = {} if model.config.model_type == "tipsv2" else {"backend": "pil"}
    processor = transformers.AutoImageProcessor.from_pretrained(folder, **backend)
    square, own = {"height": size, "width": size}, {}
    if hasattr(processor, "max_num_patches"):
        own = {"max_num_patches": (size // processor.patch_size) ** 2}
    elif getattr(processor, "do_center_crop", False) and "shortest_edge" in processor.size:
        own = {"size": {"shortest_edge": size}, "crop_size": square}
    else:
        own = {"size": square} | ({"crop_size": square} if getattr(processor, "do_center_crop", False) else {})
    more = {} if model.config.model_type in ("tipsv2", "siglip2") else {"interpolate_pos_encoding": True}
    with torch.no_grad():
        rows = [
            model.get_image_features(
                **processor(images=[Image.fromarray(one)], return_tensors="pt", **own), **more
            ).pooler_output
            for one in PICTURES
        ]
    return torch.cat(rows).numpy()


@pytest.mark.parametrize("size", [24, 64])
@pytest.mark.parametrize("make", [*SQUARES, layouts.naflex], ids=lambda make: make.__name__)
def test_as_the_library_does(make, size, made):
    folder = made(make)
    ours = loaded.encoder("clip", UPSTREAM, model=str(folder), size=size)
    assert ours.size == size
    loaded.assert_alike(ours.embed_images(PICTURES), directly(folder, size))
    exact = loaded.encoder("clip", model=str(folder), size=size)
    loaded.assert_alike(exact.embed_images(PICTURES), directly(folder, size), 0.9999)


def test_the_models_own_size_changes_nothing(made):
    folder = made(layouts.clip_safetensors)
    own, said = (loaded.encoder("clip", model=str(folder), **more) for more in ({}, {"size": 32}))
    np.testing.assert_array_equal(own.embed_images(PICTURES), said.embed_images(PICTURES))


@pytest.mark.parametrize("make", [layouts.clip_safetensors, layouts.naflex], ids=lambda make: make.__name__)
def test_a_size_of_no_whole_patches_is_refused_at_once(make, made):
    with pytest.raises(BadParameter, match="size=50.*8 pixels.*48 or 56"):
        EncoderMaker.bind(f"clip(model='{made(make)}', size=50)").make(loaded.CPU).check()


def test_regions_and_whole_images_are_of_the_size(made):
    folder, image = made(layouts.clip_safetensors), PICTURES[0]
    encoder = loaded.encoder("clip", model=str(folder), size=64)
    height, width = image.shape[:2]
    whole = loaded.regions(encoder, [(image, (0, 0, width, height), None)])
    loaded.assert_alike(whole, encoder.embed_images([image]), 0.999999)


def test_naflex_follows_the_pictures_aspect_and_pad_makes_it_square(made):
    """A padded picture has a square grid of patches, a plain one its own."""
    folder = made(layouts.naflex)
    wide = np.random.default_rng(0).integers(0, 256, (20, 80, 3), np.uint8)
    shapes = {}
    for fit in ("crop", "pad", "squash"):
        encoder = loaded.encoder("clip", model=str(folder), fit=fit)
        rows, columns = encoder._inputs([wide])["spatial_shapes"][0].tolist()
        shapes[fit] = rows, columns
        assert rows * columns <= 16
    assert shapes["crop"][1] > 2 * shapes["crop"][0]
    assert shapes["pad"] == shapes["squash"] == (4, 4)

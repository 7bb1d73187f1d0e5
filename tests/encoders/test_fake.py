"""The fake encoder: its embeddings follow pixels, text and parameters."""

import loaded
import numpy as np
import pytest

from fgscore.errors import BadParameter
from fgscore.extract.parts import EncoderPart
from fgscore.runtime import Runtime


def load(parameters=""):
    return EncoderPart(f"fake({parameters})", Runtime()).loaded


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


BOX = np.array([20, 10, 70, 50], np.int32)


def test_images_are_told_apart_and_a_copy_is_not(image):
    one, two, copy = load().embed_images([image, 255 - image, image.copy()])
    np.testing.assert_array_equal(one, copy)
    assert np.abs(one - two).max() > 0.1


def test_a_region_without_mask_is_embedded_as_the_image_it_cuts(image):
    encoder = load()
    found = loaded.regions(encoder, [(image, BOX, None)])
    np.testing.assert_array_equal(found, encoder.embed_images([image[10:50, 20:70]]))


def differ(one, other, embed):
    return np.abs(embed(load(one)) - embed(load(other))).max() > 1e-3


def test_each_parameter_reaches_the_embeddings_that_depend_on_it(image):
    mask = np.zeros((30, 45), bool)
    mask[8:20, 15:30] = True

    def regions(encoder):
        return loaded.regions(encoder, [(image, BOX, mask)])

    def images(encoder):
        return encoder.embed_images([image])

    def texts(encoder):
        return encoder.embed_texts(["a crow", "a raven"])

    assert all(differ("seed=1", "", embed) for embed in (regions, images, texts))
    assert all(differ("fit='squash'", "fit='pad'", embed) for embed in (regions, images))
    assert differ("outside='mean'", "outside='black'", regions)
    assert differ("outside='mean'", "outside='keep'", regions)
    assert differ("outside='blur'", "outside='keep'", regions)
    assert differ("margin=0.2", "", regions)
    for parameters in ("outside='mean'", "margin=0.2"):
        assert not differ(parameters, "", images)
        assert not differ(parameters, "", texts)
    assert not differ("fit='pad'", "", texts)


@pytest.mark.parametrize("dim", [1, 7])
def test_dim_is_the_width_of_all_embeddings(image, dim):
    encoder = load(f"dim={dim}")
    assert encoder.dim == dim
    assert encoder.embed_images([image]).shape == encoder.embed_texts(["x"]).shape == (1, dim)


@pytest.mark.parametrize("parameters", ["dim=0", "dim=-3", "seed=-1", "margin=-0.5"])
def test_parameters_out_of_range_are_refused(parameters):
    name, _, value = parameters.partition("=")
    with pytest.raises(BadParameter, match=f"{name} must be .*, found {value}"):
        load(parameters)

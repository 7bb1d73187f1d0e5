"""Which patches are a region's, in what a model sees of a picture."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("timm")
pytest.importorskip("open_clip")

import layouts  # noqa: E402
import loaded  # noqa: E402
import pictures  # noqa: E402

from fgscore.encoders import ImageRegions  # noqa: E402
from fgscore.encoders._one_pass import Together, views  # noqa: E402
from fgscore.errors import BadParameter  # noqa: E402

SIDE, GRID = pictures.SIDE, pictures.SIDE // 8


def encoder_of(folder, kind="clip", **params):
    return loaded.encoder(kind, model=str(folder), regions="one_pass", **params)


def noise(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def rows_of(encoder, image, boxes, masks=None, mirrored=None):
    runs = None if masks is None else [loaded.runs_of(mask) for mask in masks]
    return np.concatenate(list(encoder.embed_regions([ImageRegions(image, np.array(boxes, np.int32), runs, mirrored)])))


def belongs(encoder, one, **how):
    """(M, rows, columns): how much of each patch is a region's, by one view of the picture."""
    (view,) = views.views(one, encoder._one_pass._grid, Together(**how))
    grid = encoder._one_pass._grid
    return view.belongs.reshape(-1, grid.rows, grid.columns), view.unseen


LOOKS = [
    ("clip", layouts.clip_safetensors),
    ("clip", layouts.metaclip2),
    ("vision", pictures.dinov2),
    ("timm", pictures.timm_model),
    ("open_clip", pictures.laion),
    ("open_clip", pictures.pe_core),
]


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize(("kind", "make"), LOOKS, ids=lambda value: getattr(value, "__name__", value))
def test_the_share_of_a_patch_is_what_the_models_own_picture_shows_of_the_region(kind, make, fit, made):
    """A white region on black: the mean of each patch of what the model is given, from black at 0 to white at 1."""
    encoder = encoder_of(made(make), kind, fit=fit)
    for width, height, box in [
        (300, 200, (40, 30, 210, 120)),
        (201, 333, (0, 100, 201, 170)),
        (640, 64, (300, 0, 640, 40)),
    ]:
        black, white, painted = (np.zeros((height, width, 3), np.uint8) for _ in range(3))
        white[:] = 255
        painted[box[1] : box[3], box[0] : box[2]] = 255
        if fit == "pad":  # what lies beyond the picture is of its colour in all three
            encoder.mean_rgb = (0, 0, 0)
        low, high, seen = (encoder._inputs([one])["pixel_values"][0].double() for one in (black, white, painted))
        middle = seen.shape[1] // 2
        shown = (seen - low) / (high - low)[:, middle : middle + 1, middle : middle + 1]
        grid = encoder._one_pass._grid
        shown = shown.mean(0).unflatten(0, (grid.rows, -1)).unflatten(2, (grid.columns, -1)).mean((1, 3)).numpy()
        share, unseen = belongs(encoder, ImageRegions(painted, np.array([box], np.int32)))
        assert unseen == 0
        np.testing.assert_allclose(share[0], shown, atol=0.06)


def test_a_box_belongs_by_the_area_of_each_patch_that_it_covers(made):
    encoder = encoder_of(made(layouts.clip_safetensors))
    share, _ = belongs(encoder, ImageRegions(noise(SIDE, SIDE), np.array([[4, 8, 16, 14]], np.int32)))
    wanted = np.zeros((GRID, GRID))
    wanted[1, :2] = 0.5 * 0.75, 0.75
    np.testing.assert_allclose(share[0], wanted)
    for member, patches in ((0.5, [(1, 1)]), (0.3, [(1, 0), (1, 1)]), (0.75, [(1, 1)]), (0.9, [(1, 1)])):
        share, _ = belongs(
            encoder, ImageRegions(noise(SIDE, SIDE), np.array([[4, 8, 16, 14]], np.int32)), member=member
        )
        assert [tuple(at) for at in np.argwhere(share[0])] == patches, member
        assert set(np.unique(share)) == {0, 1}


@pytest.mark.parametrize("size", [(SIDE, SIDE), (SIDE // 2, SIDE // 4)])
def test_a_mask_belongs_by_its_own_area(size, made):
    """Also one of a lower resolution than its image, as SAM's are kept."""
    encoder, rng = encoder_of(made(layouts.clip_safetensors)), np.random.default_rng(0)
    mask = rng.random(size) < 0.4
    one = ImageRegions(noise(SIDE, SIDE), np.array([[0, 0, SIDE, SIDE]], np.int32), [loaded.runs_of(mask)])
    share, _ = belongs(encoder, one)
    large = np.kron(mask, np.ones((SIDE // size[0], SIDE // size[1])))
    np.testing.assert_allclose(share[0], large.reshape(GRID, 8, GRID, 8).mean(axis=(1, 3)), atol=1e-6)


def test_a_mask_that_fills_its_box_is_the_box(made):
    encoder, image, box = encoder_of(made(layouts.clip_safetensors)), noise(70, 50), (10, 5, 41, 33)
    mask = np.zeros((50, 70), bool)
    mask[5:33, 10:41] = True
    np.testing.assert_allclose(rows_of(encoder, image, [box], [mask]), rows_of(encoder, image, [box]), rtol=1e-5)


def test_a_region_outside_of_what_is_seen_takes_the_nearest_patch_and_is_counted(made):
    """Of a picture three times as wide as high, the middle third is seen."""
    encoder, image = encoder_of(made(layouts.clip_safetensors)), noise(3 * SIDE, SIDE)
    outside = [(0, 0, 10, 7), (80, 20, 96, 32), (70, 9, 75, 15)]
    nearest = [(32, 0, 40, 8), (56, 24, 64, 32), (56, 8, 64, 16)]
    seen = (20, 0, 40, 32)
    np.testing.assert_allclose(rows_of(encoder, image, outside), rows_of(encoder, image, nearest), rtol=1e-5)
    rows_of(encoder, image, [*outside, seen])
    assert encoder.unseen == 3
    rows_of(encoder, image, [seen])
    assert encoder.unseen == 0
    squashed = encoder_of(made(layouts.clip_safetensors), fit="squash")
    rows_of(squashed, image, outside)
    assert squashed.unseen == 0


def test_a_region_within_a_tile_is_one_of_that_tile_alone(made):
    folder, image = made(layouts.clip_safetensors), noise(80, 60)
    tiled, whole = encoder_of(folder, tiles=2), encoder_of(folder)
    within = {(0, 0): (5, 5, 30, 28), (0, 1): (40, 0, 80, 30), (1, 0): (10, 30, 40, 60), (1, 1): (50, 40, 55, 44)}
    spanning = (30, 20, 50, 40)
    boxes = [within[0, 0], spanning, *list(within.values())[1:]]
    found = rows_of(tiled, image, boxes)
    np.testing.assert_allclose(found[1:2], rows_of(whole, image, [spanning]), rtol=1e-4, atol=1e-5)
    for (row, column), box in within.items():
        quarter = image[30 * row : 30 * row + 30, 40 * column : 40 * column + 40]
        moved = np.array(box) - (40 * column, 30 * row) * 2
        at = boxes.index(box)
        np.testing.assert_allclose(found[at : at + 1], rows_of(whole, quarter, [moved]), rtol=1e-4, atol=1e-5)


def test_masks_are_looked_for_in_tiles_too(made):
    folder, image = made(layouts.clip_safetensors), noise(80, 60)
    mask = np.zeros((60, 80), bool)
    mask[32:50, 45:60] = np.random.default_rng(1).random((18, 15)) < 0.7
    found = rows_of(encoder_of(folder, tiles=2), image, [(45, 32, 60, 50)], [mask])
    alone = rows_of(encoder_of(folder), image[30:, 40:], [(5, 2, 20, 20)], [mask[30:, 40:]])
    np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)


def test_a_region_that_its_tile_does_not_show_is_looked_for_in_the_whole(made):
    """A tile of 60 x 20 is seen from 20 to 40, all of a picture of 120 x 40 from 40 to 80."""
    folder, image, box = made(layouts.clip_safetensors), noise(120, 40), (44, 5, 58, 18)
    tiled, whole = encoder_of(folder, tiles=2), encoder_of(folder)
    np.testing.assert_allclose(rows_of(tiled, image, [box]), rows_of(whole, image, [box]), rtol=1e-4, atol=1e-5)
    assert tiled.unseen == 0


def test_a_mirrored_region_is_one_of_the_mirrored_image(made):
    encoder, image = encoder_of(made(layouts.clip_safetensors)), noise(50, 40)
    boxes, masks = (
        [(0, 0, 20, 20), (5, 10, 30, 40), (10, 0, 50, 12)],
        np.random.default_rng(0).random((3, 40, 50)) < 0.5,
    )
    found = rows_of(encoder, image, boxes, masks, np.array([False, True, False]))
    as_is = rows_of(encoder, image, [boxes[0], boxes[2]], masks[[0, 2]])
    turned = rows_of(encoder, np.ascontiguousarray(image[:, ::-1]), [(20, 10, 45, 40)], masks[1:2, :, ::-1])
    np.testing.assert_allclose(found, [as_is[0], turned[0], as_is[1]], rtol=1e-4, atol=1e-5)


def test_a_transform_of_unknown_steps_is_refused(made, monkeypatch):
    encoder = encoder_of(made(pictures.timm_model), "timm")
    torchvision = pytest.importorskip("torchvision")
    steps = encoder._looks._transform.transforms
    monkeypatch.setattr(encoder._looks._transform, "transforms", [torchvision.transforms.RandomCrop(8), *steps])
    with pytest.raises(BadParameter, match="RandomCrop leaves of a picture is not known"):
        encoder._looks.seen(10, 10)

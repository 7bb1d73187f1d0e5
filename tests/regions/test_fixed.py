"""Regions that follow from the size of the image alone, and random squares: whole, grid, ten_crop, multi_scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaded import generator

from fgscore.encoders import ImageRegions
from fgscore.errors import BadParameter, UsageError
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.regions import Proposals
from fgscore.runtime import Runtime
from fgscore.store.cache import Store

SIDES = st.integers(1, 70)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def found(text: str, height: int, width: int, image_id: str = "a") -> Proposals:
    return GeneratorPart(text, Runtime(device="cpu")).propose(noise(height, width), image_id)


def test_the_whole_image_is_one_region() -> None:
    made = found("whole", 40, 60)
    assert made.boxes_xyxy.tolist() == [[0, 0, 60, 40]] and made.area.tolist() == [1.0]


@given(SIDES, SIDES, st.integers(1, 6), st.integers(1, 6), st.sampled_from([0.0, 0.2, 0.5]))
def test_a_grid_covers_every_pixel_and_without_overlap_each_once(
    height: int, width: int, rows: int, cols: int, overlap: float
) -> None:
    times = np.zeros((height, width), int)
    boxes = found(f"grid(rows={rows}, cols={cols}, overlap={overlap})", height, width).boxes_xyxy.tolist()
    for x0, y0, x1, y1 in boxes:
        times[y0:y1, x0:x1] += 1
    assert times.min() >= 1
    if not overlap and height >= rows and width >= cols:
        assert times.max() == 1 and len(boxes) == rows * cols


def test_neighbours_of_a_grid_share_what_they_are_told_to() -> None:
    boxes = found("grid(rows=1, cols=3, overlap=0.5)", 10, 80).boxes_xyxy.tolist()
    assert boxes == [[0, 0, 40, 10], [20, 0, 60, 10], [40, 0, 80, 10]]


@given(st.integers(2, 60), st.integers(2, 60), st.sampled_from([0.5, 0.875, 1.0]))
def test_ten_crops_are_those_of_torchvision_pixel_by_pixel(height: int, width: int, scale: float) -> None:
    functional = pytest.importorskip("torchvision.transforms.functional")
    from PIL import Image

    image = noise(height, width)
    side = max(1, round(scale * min(height, width)))
    wanted = functional.ten_crop(Image.fromarray(image), [side, side])
    made = found(f"ten_crop(scale={scale})", height, width)
    given_cuts = ImageRegions(image, made.boxes_xyxy, None, made.mirrored).cuts()
    for (whole, (x0, y0, x1, y1), _), theirs in zip(given_cuts, wanted, strict=True):
        np.testing.assert_array_equal(whole[y0:y1, x0:x1], np.asarray(theirs))


@given(st.integers(0, 99))
def test_a_mirrored_region_is_cut_out_of_the_mirrored_image_with_its_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, mask = noise(9, 14), rng.random((9, 14)) < 0.5
    made = Proposals.of_masks(mask[None], (9, 14))
    (plain,) = ImageRegions(image, made.boxes_xyxy, [runs(mask)], np.array([False])).cuts()
    (turned,) = ImageRegions(image, made.boxes_xyxy, [runs(mask)], np.array([True])).cuts()
    x0, y0, x1, y1 = plain[1]
    a, b, c, d = turned[1]
    np.testing.assert_array_equal(turned[0][b:d, a:c], plain[0][y0:y1, x0:x1][:, ::-1])
    assert turned[2] is not None
    np.testing.assert_array_equal(turned[2].decode(), mask[:, ::-1])


def runs(mask: np.ndarray) -> Any:
    from loaded import runs_of

    return runs_of(mask)


def test_the_embedding_of_a_mirrored_region_is_that_of_the_mirrored_picture() -> None:
    encoder = EncoderPart("fake", Runtime(device="cpu"))
    image = noise(20, 20)
    box = np.array([[0, 0, 20, 20]] * 2, np.int32)
    rows = encoder.regions([ImageRegions(image, box, None, np.array([False, True]))])
    np.testing.assert_allclose(rows, encoder.images([image, image[:, ::-1]]), rtol=1e-6)
    assert np.abs(rows[0] - rows[1]).max() > 1e-3


def test_patches_of_a_mirrored_region_are_refused() -> None:
    one = ImageRegions(noise(4, 4), np.array([[0, 0, 2, 2]], np.int32), None, np.array([True]))
    with pytest.raises(UsageError, match="some of these are to be mirrored"):
        one.cover(2, 2)


def test_mirrored_regions_are_exported_and_imported_as_they_are(
    store: Store, run: Any, photos: Path, tmp_path: Path
) -> None:
    assert run("regions", "folder", "--root", photos, "--regions", "ten_crop").code == 0
    out = ("--kind", "regions", "--regions", "ten_crop", "--to", tmp_path / "out")
    assert run("export", "folder", *out).code == 0
    assert run("import", "folder", tmp_path / "out", "--regions", "again").code == 0
    assert run("embed", "folder", "--root", photos, "--encoder", "fake", "--regions", "again").code == 0
    one, two = ({a.recipe.name: a for a in store.artefacts("regions")}[name] for name in ("ten_crop", "again"))
    for number in one.shard_sizes:
        ours, theirs = store.read(one, number), store.read(two, number)
        assert ours.mirrored.tolist() == ([False] * 5 + [True] * 5) * len(ours.image_ids)
        np.testing.assert_array_equal(ours.mirrored, theirs.mirrored)


@given(SIDES, SIDES, st.integers(0, 5))
def test_squares_are_of_the_stated_sides_and_few_are_the_first_of_many(height: int, width: int, seed: int) -> None:
    many, few = (found(f"multi_scale(n={n}, alpha=0.4, seed={seed})", height, width).boxes_xyxy for n in (64, 32))
    sides = many[:, 2:] - many[:, :2]
    assert (sides[:, 0] == sides[:, 1]).all() and len(many) == 64
    low, high = (int(share * min(height, width)) for share in (0.4, 0.9))
    assert sides.min() >= max(1, low) and sides.max() <= max(1, high)
    np.testing.assert_array_equal(many[:32], few)


def test_squares_lie_everywhere_and_differ_from_image_to_image() -> None:
    boxes = found("multi_scale(n=400)", 50, 90).boxes_xyxy
    assert boxes[:, 0].min() == 0 and boxes[:, 2].max() == 90 and boxes[:, 3].max() == 50
    assert (found("multi_scale(n=400)", 50, 90, "b").boxes_xyxy != boxes).any(axis=1).mean() > 0.9


@pytest.mark.parametrize(
    "text",
    ["ten_crop(scale=1.5)", "ten_crop(scale=0)", "multi_scale(alpha=0.95)", "multi_scale(n=0)", "grid(overlap=1)"],
)
def test_values_that_make_no_region_are_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="expected|must be"):
        found(text, 10, 10)


def test_what_has_no_area_range_declares_none() -> None:
    for name in ("whole", "grid", "ten_crop", "multi_scale"):
        assert not {"area_min", "area_max"} & set(vars(GeneratorPart(name, Runtime()).maker)["params"])
        assert (generator(name).area_min, generator(name).area_max) == (0, 1)

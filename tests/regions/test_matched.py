"""Regions matched to a parent's: as many, as large, of one shape, and elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore import regions
from fgscore.extract.parts import GeneratorPart
from fgscore.regions import Known, Proposals
from fgscore.runtime import Runtime
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.types import RegionBatch, Runs

Run = Callable[..., Any]


def masks_of(seed: int, m: int, height: int, width: int) -> np.ndarray:
    """(m, height, width) bool: rectangles with holes, none empty."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((m, height, width), bool)
    for mask in masks:
        y0, x0 = rng.integers(0, height), rng.integers(0, width)
        y1, x1 = rng.integers(y0, height) + 1, rng.integers(x0, width) + 1
        mask[y0:y1, x0:x1] = rng.random((y1 - y0, x1 - x0)) < 0.7
        mask[y0, x0] = True
    return masks


def matched(parent: Proposals, size: tuple[int, int], written: str = "", image_id: str = "a") -> Proposals:
    part = GeneratorPart(f"matched(to=theirs{written})", Runtime(device="cpu"))
    masked = parent.runs is not None

    def of_parent(asked: str) -> RegionBatch:
        return regions.batch([asked], [parent], masked)

    part.meet(Known(np.array([image_id]), np.array([size[::-1]]), Path(), regions=of_parent, masked=masked))
    return part.propose(np.zeros((*size, 3), np.uint8), image_id)


@given(st.integers(0, 200), st.integers(0, 6), st.integers(1, 40), st.integers(1, 40))
def test_crops_keep_their_sides_and_masks_their_area_as_nearly_as_any_rectangle(
    seed: int, m: int, height: int, width: int
) -> None:
    masks = masks_of(seed, m, height, width)
    theirs = Proposals.of_masks(masks, (height, width))
    ours = matched(theirs, (height, width))
    assert len(ours.area) == m and ours.runs is None
    of_boxes = matched(Proposals.of_boxes(theirs.boxes_xyxy, (height, width)), (height, width))
    np.testing.assert_array_equal(of_boxes.area, Proposals.of_boxes(theirs.boxes_xyxy, (height, width)).area)
    for mask, box in zip(masks, ours.boxes_xyxy.tolist(), strict=True):
        pixels, sides = int(mask.sum()), (box[2] - box[0], box[3] - box[1])
        low, high = max(1, -(-pixels // height)), width
        best = min(abs(w * max(1, min(height, round(pixels / w))) - pixels) for w in range(low, high + 1))
        assert abs(sides[0] * sides[1] - pixels) <= max(best, max(sides) / 2)


@pytest.mark.parametrize("pixels", [1, 36, 100, 120, 576, 899])
def test_an_area_that_has_a_rectangle_is_met_to_the_pixel(pixels: int) -> None:
    side = int(np.ceil(np.sqrt(pixels)))
    inner = np.zeros((60, 60), bool)
    inner[:side, :side] = (np.arange(side * side) < pixels).reshape(side, side)
    (box,) = matched(Proposals.of_masks(inner[None], (60, 60)), (60, 60)).boxes_xyxy.tolist()
    assert (box[2] - box[0]) * (box[3] - box[1]) == pixels


@given(st.integers(0, 200), st.integers(1, 30), st.integers(1, 30))
def test_a_moved_mask_is_the_same_mask_elsewhere(seed: int, height: int, width: int) -> None:
    masks = masks_of(seed, 3, height, width)
    ours = matched(Proposals.of_masks(masks, (2 * height, 2 * width)), (2 * height, 2 * width), ", same=shape")
    for mask, runs in zip(masks, ours.runs or (), strict=True):
        moved = Runs(runs, (height, width)).decode()
        cut, other = (cropped(one) for one in (mask, moved))
        np.testing.assert_array_equal(cut, other)
        if cut.shape != mask.shape:
            assert (mask != moved).any(), "there was room to lie elsewhere"


def cropped(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def some_boxes(m: int) -> Proposals:
    rng = np.random.default_rng(m)
    low = rng.integers(0, 40, (m, 2))
    return Proposals.of_boxes(
        np.concatenate([low, low + rng.integers(1, 20, (m, 2))], axis=1).astype(np.int32), (60, 60)
    )


@pytest.mark.parametrize("same", ["area", "count", "'area,count'", "shape"])
def test_few_are_the_first_of_many_whatever_is_the_same(same: str) -> None:
    many, few = some_boxes(64), some_boxes(64).keep(np.arange(32))
    more = matched(many, (60, 60), f", same={same}, n=64").boxes_xyxy
    assert len(more) == 64
    np.testing.assert_array_equal(more[:32], matched(many, (60, 60), f", same={same}, n=32").boxes_xyxy)
    if same != "area":
        np.testing.assert_array_equal(more[:32], matched(few, (60, 60), f", same={same}").boxes_xyxy)


def test_the_same_area_is_of_as_many_as_are_asked_for() -> None:
    theirs = some_boxes(3)
    areas = matched(theirs, (60, 60), ", same=area").area
    np.testing.assert_allclose(areas, np.resize(theirs.area, 32))
    assert len(matched(some_boxes(0), (60, 60), ", same=area").area) == 0


def test_no_region_lies_where_the_parents_does_and_all_places_are_taken() -> None:
    theirs = Proposals.of_boxes(np.array([[1, 0, 3, 2]] * 400, np.int32), (2, 4))
    places = {tuple(box) for box in matched(theirs, (2, 4)).boxes_xyxy.tolist()}
    assert places == {(0, 0, 2, 2), (2, 0, 4, 2)}


def test_what_the_image_has_no_room_for_stays() -> None:
    theirs = Proposals.of_boxes(np.array([[0, 0, 4, 2]], np.int32), (2, 4))
    assert matched(theirs, (2, 4)).boxes_xyxy.tolist() == [[0, 0, 4, 2]]


def test_the_seed_and_the_image_decide_where() -> None:
    theirs = some_boxes(20)
    made = [matched(theirs, (60, 60), seed, i) for seed, i in (("", "a"), (", seed=1", "a"), ("", "b"))]
    for other in made[1:]:
        assert (other.boxes_xyxy != made[0].boxes_xyxy).any(axis=1).mean() > 0.8
        np.testing.assert_array_equal(other.area, made[0].area)


def test_a_parent_is_named_until_it_is_one(store: Store, run: Run, photos: Path) -> None:
    by_root = ("regions", "folder", "--root", photos, "--regions")
    refused = run(*by_root, "matched(to=sam)")
    assert refused.code == 1 and "expected cached regions of folder by sam, found random_crop(n=4)" in refused.message
    assert run(*by_root, "random_crop(n=2)").code == 0
    refused = run(*by_root, "matched(to=random_crop)")
    assert refused.code == 2 and "random_crop(n=2), random_crop(n=4); name one of them in full" in refused.message
    done = run(*by_root, "matched(to='random_crop(n=4)')", "--json")
    assert [a["regions"] for a in done.json["artefacts"]] == [0, 40]


def test_a_parent_of_the_same_run_is_made_first_and_its_content_stands_with_each_shard(
    extract: Callable[..., Any], run: Run, data: Path, photos: Path
) -> None:
    extract("--regions", "matched(to='random_crop(n=4)')")
    store = Store(Layout(data))
    (made,) = (a for a in store.artefacts("regions") if a.recipe.name == "matched")
    parent = store.parent(made, "regions")
    assert parent.recipe.component == "random_crop(n=4)"
    for number in made.shard_sizes:
        theirs, ours = store.read(parent, number), store.read(made, number)
        np.testing.assert_array_equal(theirs.offsets, ours.offsets)
        np.testing.assert_array_equal(theirs.area, ours.area)
        assert made.sidecar(number)["parents"]["regions"] == parent.content(number)  # type: ignore[index]
    scored = run("score", "folder", "--regions", "matched", "--scorer", "region_global")
    assert scored.code == 0, scored.err
    refused = run(
        "probe", "folder", "--regions", "matched", "--scorer", "region_global", "--save-probe", "p.safetensors"
    )
    assert refused.code == 2 and "made of more than the photo" in refused.message


OWN = """import numpy as np


class Wider:
    parent, asks = "random_crop", ("paths",)

    def meet(self, known):
        self.known = known
        return {"photos called 0": [path for path in known.paths if path.endswith("/0.png")]}

    def propose(self, image, image_id):
        x0, y0, x1, y1 = self.known.regions(image_id).boxes_xyxy.T
        return np.stack([x0 // 2, y0 // 2, x1, y1], axis=1)


class Strange:
    asks = ("moon",)

    def propose(self, image, image_id):
        return []


wider, strange = lambda: Wider(), lambda: Strange()
"""


def test_a_generator_of_ones_own_is_given_what_it_asks_for(
    store: Store, run: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    named = ("regions", "folder", "--root", photos, "--regions")
    done = run(*named, f"{tmp_path}/mine.py:wider", "--json")
    assert done.code == 0 and len(done.json["notes"]["photos called 0"]) == 4, done.err
    made = {a.recipe.name: a for a in store.artefacts("regions")}
    for number in made["mine.py:wider"].shard_sizes:
        ours, theirs = (store.read(made[name], number).boxes_xyxy for name in ("mine.py:wider", "random_crop"))
        np.testing.assert_array_equal(ours, np.concatenate([theirs[:, :2] // 2, theirs[:, 2:]], axis=1))
    refused = run(*named, f"{tmp_path}/mine.py:strange")
    assert refused.code == 2 and "asks must be of paths, boxes, found 'moon'" in refused.message

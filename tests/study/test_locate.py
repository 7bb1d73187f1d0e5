"""Where the best regions lie: pixel by pixel in loops, boxes and masks, part maps, the chance level."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgscore.demo.parts import PART_NAMES
from fgscore.evaluate.score import runs_for, score
from fgscore.scorers import Scorer
from fgscore.store import index as index_store
from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.study.annotations import shares
from fgscore.targets import Target

Run = Callable[..., Any]


def bundle_of(store: Store, dataset: str, generator: str) -> RegionBundle:
    (bundle,) = match.bundles(store, dataset, generator)
    assert isinstance(bundle, RegionBundle)
    return bundle


def pixels(bundle: RegionBundle) -> dict[str, list[np.ndarray]]:
    """Image id to its regions as bool arrays."""
    found = {}
    for number in bundle.regions.shard_sizes:
        batch = bundle.store.read(bundle.regions, number)
        for i, image_id in enumerate(batch.image_ids.tolist()):
            own = []
            for x0, y0, x1, y1 in batch.boxes_xyxy[batch.offsets[i] : batch.offsets[i + 1]].tolist():
                mask = np.zeros((40, 40), bool)  # the invented masks fill their boxes
                mask[y0:y1, x0:x1] = True
                own.append(mask)
            found[image_id] = own
    return found


def scores(bundle: RegionBundle, scorer: str, target: str) -> dict[str, np.ndarray]:
    (run,) = runs_for(bundle, [Scorer.bind(scorer)], [Target.bind(target)])
    score([run])
    found = {}
    for number in bundle.regions.shard_sizes:
        shard = bundle.store.read(run.artefact, number)
        for i, image_id in enumerate(shard.image_ids.tolist()):
            found[image_id] = shard.scores[shard.offsets[i] : shard.offsets[i + 1]]
    return found


@pytest.mark.parametrize("generator", ["random_crop", "sam"])
@pytest.mark.parametrize("k", ["1", "3", "all"])
def test_the_share_on_the_object_is_counted_pixel_by_pixel(study: Store, run: Run, generator: str, k: str) -> None:
    args = ("cub", "--regions", generator, "--scorer", "soft_margin", "--target", "local", "--k", k)
    (row,) = run("locate", *args, "--json").json["located"]
    bundle = bundle_of(study, "cub", generator)
    there = np.zeros((40, 40), bool)
    there[10:30, 10:30] = True
    found: dict[str, list[float]] = {key: [] for key in ("on", "covers", "hits", "on_chance", "covers_chance")}
    of = scores(bundle, "soft_margin", "local")
    for image_id, regions in pixels(bundle).items():
        if not regions:
            continue
        on = [(r & there).sum() / r.sum() for r in regions]
        covers = [(r & there).sum() / there.sum() for r in regions]
        best = sorted(range(len(on)), key=lambda j: -of[image_id][j])[: None if k == "all" else int(k)]
        found["on"].append(np.mean([on[j] for j in best]))
        found["hits"].append(np.mean([on[j] >= 0.5 for j in best]))
        found["covers"].append(np.mean([covers[j] for j in best]))
        found["on_chance"].append(np.mean(on))
        found["covers_chance"].append(np.mean(covers))
    assert (row["annotation"], row["images"]) == ("object", len(found["on"]))
    for key, values in found.items():
        assert row[key] == pytest.approx(np.mean(values), abs=1e-9), key
    assert row["difference"] == pytest.approx(row["on"] - row["on_chance"])
    assert row["low"] <= row["difference"] <= row["high"]
    if k == "all":
        assert row["difference"] == pytest.approx(0)


def test_a_scorer_that_looks_for_the_class_finds_the_object(study: Store, run: Run) -> None:
    """The invented regions tell their class by how much of the object they hold; true labels find them best."""
    args = ("cub", "--regions", "random_crop", "--scorer", "soft_margin", "--target", "oracle", "--k", "2")
    (row,) = run("locate", *args, "--json").json["located"]
    assert row["low"] > 0
    out = run("locate", *args).out
    assert "oracle (upper bound)" in out


def test_images_without_a_box_do_not_count(study: Store, run: Run) -> None:
    bundle = bundle_of(study, "cub", "random_crop")
    boxes = bundle.index.boxes_xyxy.copy()
    boxes[:40] = np.nan
    index_store.write(study.layout, dataclasses.replace(bundle.index, boxes_xyxy=boxes), bundle.index_artefact.recipe)
    rows = run("locate", "cub", "--regions", "random_crop", "--json").json["located"]
    assert {r["images"] for r in rows} == {50}


def test_a_data_set_without_annotations_is_refused_or_left_out(
    study: Store, run: Run, invent_into: Callable[..., None]
) -> None:
    bundle = bundle_of(study, "pets", "sam")
    boxes = np.full((90, 4), np.nan)
    index_store.write(study.layout, dataclasses.replace(bundle.index, boxes_xyxy=boxes), bundle.index_artefact.recipe)
    refused = run("locate", "pets")
    assert refused.code == 1
    assert "expected object boxes or part maps, found none of pets" in refused.message
    out = run("locate", "--scorer", "region_text").out
    assert "left out pets: no annotations" in out and "cub: random_crop" in out


def test_boxes_of_heads_are_called_that(study: Store, run: Run, invent_into: Callable[..., None]) -> None:
    invent_into(study.layout, "pets_again", seed=2, component="pets")
    rows = run("locate", "--scorer", "region_text", "--json").json["located"]
    assert {(r["dataset"], r["annotation"]) for r in rows} == {
        ("cub", "object"), ("pets", "object"), ("pets_again", "head"),
    }  # fmt: skip


@pytest.fixture
def drawn(study: Store, invent_into: Callable[..., None]) -> Store:
    """An invented data set that says it is the drawn one, with a part map an image: left half tail, top row bill."""
    invent_into(study.layout, "demo", seed=8, component="demo")
    for image_id in bundle_of(study, "demo", "sam").index.image_ids.tolist():
        labels = np.zeros((40, 40), np.uint8)
        labels[:, :20] = PART_NAMES.index("tail")
        labels[:10] = PART_NAMES.index("bill")
        path = study.layout.raw("demo") / "parts" / f"{image_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(path)
    return study


@pytest.mark.parametrize("generator", ["random_crop", "sam"])
def test_parts_of_the_drawn_set_are_counted_pixel_by_pixel(drawn: Store, generator: str) -> None:
    bundle = bundle_of(drawn, "demo", generator)
    ids = bundle.index.image_ids
    found = shares(bundle, None, ids)
    assert found is not None
    part = {name: np.zeros((40, 40), bool) for name in found.names}
    part["head"][:10] = True
    part["tail"][10:, :20] = True
    part["object"] = part["head"] | part["tail"]
    of = pixels(bundle)
    regions = [r for image_id in ids.tolist() for r in of[image_id]]
    assert found.on.shape == found.covers.shape == (len(regions), len(found.names))
    for column, name in enumerate(found.names):
        if not part[name].any():
            assert np.isnan(found.on[:, column]).all(), name
            continue
        on = [(r & part[name]).sum() / r.sum() for r in regions]
        covers = [(r & part[name]).sum() / part[name].sum() for r in regions]
        np.testing.assert_allclose(found.on[:, column], on)
        np.testing.assert_allclose(found.covers[:, column], covers)


def test_parts_come_one_under_the_other_and_those_that_are_nowhere_are_left_out(drawn: Store, run: Run) -> None:
    rows = run("locate", "demo", "--regions", "sam", "--scorer", "region_text", "--json").json["located"]
    assert [r["annotation"] for r in rows] == ["object", "head", "tail"]


def test_the_cache_alone_is_enough(drawn: Store, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from fgscore.components import DECLARED
    from fgscore.datasets import demo

    before = run("locate", "demo", "--json").json
    drawings = drawn.layout.raw("demo")
    elsewhere = drawings.rename(drawings.with_name("elsewhere"))
    traits = vars(demo.demo)[DECLARED]["traits"]
    monkeypatch.setitem(traits, "prepare", lambda root, progress: elsewhere.rename(root))
    assert run("locate", "demo", "--json").json == before


def test_a_missing_part_map_is_named_with_the_option(drawn: Store, run: Run) -> None:
    next((drawn.layout.raw("demo") / "parts").rglob("*.png")).unlink()
    failed = run("locate", "demo")
    assert failed.code == 1
    assert "expected a part map at" in failed.err and "--root DIR" in failed.err

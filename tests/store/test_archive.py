"""Stores that earlier versions wrote stay readable and keep their numbers. ``tests/data/archive/make_v1.py`` says how
the store was made; it is never made anew."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

ARCHIVE = Path(__file__).resolve().parent.parent / "data" / "archive" / "v1"


@pytest.fixture
def old(data: Path) -> dict[str, RegionBundle]:
    """The bundles of a copy of the archive, by region generator."""
    shutil.copytree(ARCHIVE, data)
    found = match.bundles(Store(Layout(data)))
    return {b.regions.recipe.component: b for b in found if isinstance(b, RegionBundle)}


def read(bundle: RegionBundle, artefact: Any) -> list[Any]:
    return [bundle.store.read(artefact, number) for number in (0, 1)]


def child(bundle: RegionBundle, kind: str) -> list[Any]:
    """Both shards of the scores or features made from the bundle's region embeddings."""
    parent = bundle.region_embeddings.recipe.digest
    artefacts = [a for a in bundle.store.artefacts(kind) if a.recipe.parents["region_embeddings"] == parent]
    (only,) = artefacts
    return read(bundle, only)


def test_the_archive_is_small_and_holds_every_kind() -> None:
    files = [p for p in ARCHIVE.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 200_000
    kinds = {p.relative_to(ARCHIVE).parts[2] for p in files}
    assert kinds == {"index", "regions", "region_embeddings", "globals", "text", "scores", "features", "thumbnails"}


def test_the_index(old: dict[str, RegionBundle]) -> None:
    assert set(old) == {"random_crop(n=3)", "by_hand"}
    index = old["by_hand"].index
    assert index.class_names == ("Brewer's Sparrow", "Käfer")
    assert index.image_ids.tolist() == [
        "train/Brewer's_Sparrow/0.png",
        "train/Brewer's_Sparrow/1.png",
        "train/Käfer/0.png",
        "train/Käfer/1.png",
        "test/Brewer's_Sparrow/2.png",
        "test/Käfer/2.png",
    ]
    assert index.labels.tolist() == [0, 0, 1, 1, 0, 1]
    assert index.split.tolist() == ["train"] * 4 + ["test"] * 2
    assert index.shard.tolist() == [0, 0, 0, 0, 1, 1]
    assert index.sizes_wh.tolist() == [[24, 16]] * 6
    assert index.sha256[0] == "837a551d609f32de9f20ea605222fd0efe74e7aaf3f6b810da3d12a317b69d8a"
    assert index.images_digest() == "61a629397f6be3ee8094ff940e833f01abf20b29a13dc2b40eb28a1face6566f"
    assert index.labels_digest() == "33da719e7ba361508f06eac5c91b88540858694bae5ec8e672fdbdbb47eb4207"


def test_crops(old: dict[str, RegionBundle]) -> None:
    first, second = read(old["random_crop(n=3)"], old["random_crop(n=3)"].regions)
    assert first.masks is None
    assert first.offsets.tolist() == [0, 3, 6, 9, 12] and second.offsets.tolist() == [0, 3, 6]
    assert first.boxes_xyxy[:3].tolist() == [[6, 0, 16, 10], [14, 4, 24, 16], [10, 7, 23, 15]]
    assert second.boxes_xyxy[3:].tolist() == [[15, 0, 24, 16], [4, 2, 15, 13], [0, 0, 11, 14]]
    np.testing.assert_allclose(second.area[3:], [144 / 384, 121 / 384, 154 / 384], rtol=1e-6)
    assert np.isnan(first.predicted_iou).all()


def test_masks(old: dict[str, RegionBundle]) -> None:
    first, second = read(old["by_hand"], old["by_hand"].regions)
    assert first.offsets.tolist() == [0, 2, 2, 3, 5] and second.offsets.tolist() == [0, 0, 1]
    half, quarter = np.zeros((16, 24), bool), np.zeros((16, 24), bool)
    half[:, :12], quarter[:8, :12] = True, True
    expected = [(half, 0), (quarter, 0), (half, 2), (half, 3), (quarter, 3)]
    for region, (mask, image) in enumerate(expected):
        np.testing.assert_array_equal(first.masks.decode(region, image), mask)
    np.testing.assert_array_equal(second.masks.decode(0, 1), half)
    np.testing.assert_allclose(first.area, [0.5, 0.25, 0.5, 0.5, 0.25])
    np.testing.assert_allclose(first.predicted_iou, [0.9, 0.875, 0.85, 0.825, 0.8], rtol=1e-6)


def test_embeddings(old: dict[str, RegionBundle]) -> None:
    first = read(old["random_crop(n=3)"], old["random_crop(n=3)"].region_embeddings)[0]
    assert first.regions.dtype == np.float16 and first.regions.shape == (12, 8)
    row = [-0.51708984375, -0.25048828125, -0.07470703125, 0.33154296875]
    row += [-0.25927734375, 0.1177978515625, 0.472900390625, -0.499755859375]
    assert first.regions[0].tolist() == row
    np.testing.assert_allclose(first.norms[:3], [35.185432, 25.303114, 25.303114], rtol=1e-6)
    whole = read(old["by_hand"], old["by_hand"].globals)[1]
    assert whole.globals[0, :3].tolist() == [-0.517578125, 0.1605224609375, 0.51708984375]
    np.testing.assert_allclose(whole.norms, [9.804997, 13.467463], rtol=1e-6)


def test_text(old: dict[str, RegionBundle]) -> None:
    bank = old["by_hand"].text_bank
    assert bank.class_names == ("Brewer's Sparrow", "Käfer")
    assert bank.templates == ("a photo of a {},",)
    assert bank.logit_scale == 100.0
    expected = [
        [-0.325595, -0.44526, 0.155328, -0.104016, -0.33063, -0.633966, -0.386111, 0.021774],
        [-0.569469, -0.145599, 0.109789, -0.64766, -0.373416, -0.050023, -0.100828, -0.266235],
    ]
    np.testing.assert_allclose(bank.text, expected, atol=1e-6)


SCORES = {
    "random_crop(n=3)": [
        [0.182968, 0.107028, 0.107028, 0.783709, 0.716936, 0.783709, 0.96339, 0.912075, 0.931091, 0.958228, 0.952279]
        + [0.954435],
        [0.208452, 0.208452, 0.133381, 0.95341, 0.559104, 0.974681],
    ],
    "by_hand": [[0.259499, 0.56458, 0.944665, 0.91081, 0.953776], [0.916069]],
}


@pytest.mark.parametrize("regions", SCORES)
def test_scores(regions: str, old: dict[str, RegionBundle]) -> None:
    for record, expected in zip(child(old[regions], "scores"), SCORES[regions], strict=True):
        np.testing.assert_allclose(record.scores, expected, atol=2e-6)


def test_features(old: dict[str, RegionBundle]) -> None:
    first, second = child(old["by_hand"], "features")
    assert first.n_pooled.tolist() == [2, 0, 1, 2] and second.n_pooled.tolist() == [0, 1]
    local = [-0.05957, 0.440918, 0.06311, -0.009636, 0.456787, 0.224121, 0.638184, -0.362793]
    np.testing.assert_allclose(second.features[1, 8:], local, atol=1e-6)
    np.testing.assert_array_equal(second.features[0, 8:], second.features[0, :8])
    pooled = [-0.387292, 0.140831, 0.170967, -0.279594, -0.024619, 0.370318, 0.499763, -0.37115]
    np.testing.assert_allclose(child(old["random_crop(n=3)"], "features")[1].features[1, 8:], pooled, atol=2e-6)


def test_thumbnails(old: dict[str, RegionBundle]) -> None:
    store = old["by_hand"].store
    (artefact,) = store.artefacts("thumbnails")
    assert artefact.recipe.component == "jpeg(size=16)"
    first, second = (store.read(artefact, number) for number in (0, 1))
    assert first.sizes_wh.tolist() == [[16, 11]] * 4 and second.original_wh.tolist() == [[24, 16]] * 2
    assert second.image_ids.tolist() == ["test/Brewer's_Sparrow/2.png", "test/Käfer/2.png"]
    assert [hashlib.sha256(second.file(i)).hexdigest()[:16] for i in (0, 1)] == ["d6038cc0fe5bc45e", "33ae3a370d6e1ce6"]
    assert second.file(0)[:2] == b"\xff\xd8" and second.file(0)[-2:] == b"\xff\xd9"


def test_commands_find_what_is_there_and_compute_nothing_again(
    old: dict[str, RegionBundle], run: Callable[..., Any]
) -> None:
    scorer = ("--scorer", "entropy(tau=5)")
    rows = run("score", *scorer, "--json").json["scores"]
    assert [(r["computed"], r["reused"]) for r in rows] == [(0, 2), (0, 2)]
    rows = run("aggregate", *scorer, "--k", "2", "--json").json["features"]
    assert [(r["computed"], r["reused"]) for r in rows] == [(0, 2), (0, 2)]


def test_scores_computed_now_are_those_of_then(old: dict[str, RegionBundle], run: Callable[..., Any]) -> None:
    cache = old["by_hand"].store.layout.cache
    shutil.rmtree(cache / "archive" / "scores")
    assert run("score", "--scorer", "entropy(tau=5)").code == 0
    for regions, expected in SCORES.items():
        for record, values in zip(child(old[regions], "scores"), expected, strict=True):
            np.testing.assert_allclose(record.scores, values, atol=2e-6)


def test_the_old_store_is_sound_and_can_be_probed(old: dict[str, RegionBundle], run: Callable[..., Any]) -> None:
    assert run("verify").code == 0
    results = run("probe", "--scorer", "entropy(tau=5)", "--k", "2", "--head", "zeroshot", "--json").json["results"]
    found = {r["regions"]: (r["n_test"], r["without_regions"]) for r in results}
    assert found == {"random_crop(n=3)": (2, 0), "by_hand": (2, 2)}

"""The GPU half, with the fake encoder: what is computed, what is left alone, what is quarantined."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import loaded
import numpy as np
import pytest

from fgscore import encoders
from fgscore.encoders import fake
from fgscore.errors import BadImage
from fgscore.extract.extraction import Extraction
from fgscore.extract.index import make_index
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.extract.photos import Kept, Photos
from fgscore.regions import random_crop
from fgscore.runtime import Runtime
from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Extract = Callable[..., dict[str, Any]]
IMAGE_KINDS = ("thumbnails", "globals", "regions", "region_embeddings")
KINDS = ("index", "text", *IMAGE_KINDS)


def work(made: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Kind to (shards computed, shards reused)."""
    return {kind: (s["computed"], s["reused"]) for kind, s in made.items()}


def test_everything_is_made_once_and_then_nothing(extract: Extract, data: Path) -> None:
    first = work(extract())
    assert first == {"index": (1, 0), "text": (1, 0), **dict.fromkeys(IMAGE_KINDS, (3, 0))}
    before = {p: p.stat().st_mtime_ns for p in data.rglob("*") if p.is_file()}
    assert work(extract()) == {"index": (0, 1), "text": (0, 1), **dict.fromkeys(IMAGE_KINDS, (0, 3))}
    assert {p: p.stat().st_mtime_ns for p in data.rglob("*") if p.is_file()} == before


def test_the_counts_are_those_of_the_photos(extract: Extract) -> None:
    made = extract()
    assert {kind: made[kind]["images"] for kind in IMAGE_KINDS} == dict.fromkeys(IMAGE_KINDS, 10)
    assert made["regions"]["regions"] == made["region_embeddings"]["regions"] == 40


def test_a_new_photo_costs_only_its_own_shard(
    store: Store, extract: Extract, photos: Path, draw: Callable[..., None]
) -> None:
    draw(photos / "train" / "blue_jay" / "00.png", seed=99)
    made = extract()
    assert work(made) == {"index": (1, 0), "text": (0, 1), **dict.fromkeys(IMAGE_KINDS, (1, 3))}
    assert made["globals"]["images"] == 11


def test_a_changed_photo_costs_only_its_own_shard(
    store: Store, extract: Extract, photos: Path, draw: Callable[..., None]
) -> None:
    (bundle,) = match.bundles(store)
    before = {n: store.read(bundle.globals, n) for n in range(3)}
    changed = bundle.index.image_ids[5]
    draw(photos / changed, seed=99)
    assert work(extract()) == {"index": (1, 0), "text": (0, 1), **dict.fromkeys(IMAGE_KINDS, (1, 2))}
    after = Store(store.layout)
    (bundle,) = match.bundles(after)
    for number, old in before.items():
        same = (after.read(bundle.globals, number).globals == old.globals).all(axis=1)
        assert same.tolist() == [image_id != changed for image_id in old.image_ids.tolist()]


def test_a_photo_that_went_away_costs_only_its_own_shard(store: Store, extract: Extract, photos: Path) -> None:
    (photos / "train" / "crow" / "1.png").unlink()
    made = extract()
    assert work(made) == {"index": (1, 0), "text": (0, 1), **dict.fromkeys(IMAGE_KINDS, (1, 2))}
    assert made["regions"]["images"] == 9


def test_another_class_name_costs_only_text(store: Store, extract: Extract, photos: Path) -> None:
    (photos.parent / "names.txt").write_text("aardvark\nblue jay\ncrow\n")
    assert work(extract("--classes", photos.parent / "names.txt")) == {
        "index": (1, 0),
        "text": (1, 0),
        **dict.fromkeys(IMAGE_KINDS, (0, 3)),
    }


def test_another_prompt_costs_only_text(store: Store, run: Callable[..., Any], photos: Path, extract: Extract) -> None:
    made = extract("--prompt", "a drawing of a {}.")
    assert work(made) == {"index": (0, 1), "text": (1, 0), **dict.fromkeys(IMAGE_KINDS, (0, 3))}


def test_other_crops_are_another_directory(store: Store, extract: Extract, data: Path) -> None:
    extract("--regions", "random_crop(n=4, seed=1)")
    folders = sorted(p.name.rpartition("-")[0] for p in (data / "cache" / "folder" / "regions").iterdir())
    assert folders == ["random_crop-n-4", "random_crop-n-4-seed-1"]
    assert len(list((data / "cache" / "folder" / "region_embeddings").iterdir())) == 2
    assert len(list((data / "cache" / "folder" / "globals").iterdir())) == 1


def test_an_option_of_regions_alone_leaves_globals_and_text(store: Store, extract: Extract, data: Path) -> None:
    extract("--encoder", "fake(margin=0.25)")
    cache = data / "cache" / "folder"
    assert {kind: len(list((cache / kind).iterdir())) for kind in ("text", *IMAGE_KINDS)} == {
        "text": 1,
        "thumbnails": 1,
        "globals": 1,
        "regions": 1,
        "region_embeddings": 2,
    }


def test_a_default_that_is_written_out_is_no_other_recipe(store: Store, extract: Extract) -> None:
    made = extract("--encoder", "fake(dim=32, margin=0)", "--regions", "random_crop(n=4, seed=0)")
    assert work(made)["region_embeddings"] == (0, 3)


def test_a_lost_shard_is_made_again_alone(store: Store, extract: Extract, data: Path) -> None:
    (path,) = data.glob("cache/folder/region_embeddings/*/shard-00001.h5")
    old = path.read_bytes()
    path.unlink()
    assert work(extract())["region_embeddings"] == (1, 2)
    assert path.read_bytes() == old


def test_batch_size_and_workers_change_nothing(store: Store, extract: Extract) -> None:
    assert work(extract("--batch-size", 1, "--workers", 3))["region_embeddings"] == (0, 3)


def test_what_keeps_a_gpu_busy_changes_nothing_either(
    store: Store, extract: Extract, photos: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards at a time by threads, photos by processes, one of which is broken."""
    from fgscore.extract import extraction as stage

    old = {p: p.read_bytes() for p in data.glob("cache/folder/*/*/shard-*.h5")}
    for path in old:
        path.unlink()
    monkeypatch.setattr(stage, "_at_a_time", lambda component: 3)
    seen: list[bool] = []
    real = stage.Photos.read_all
    monkeypatch.setattr(stage.Photos, "read_all", lambda self, *of: seen.append(self.in_processes) or real(self, *of))
    assert work(extract("--profile")) == {"index": (0, 1), "text": (1, 0), **dict.fromkeys(IMAGE_KINDS, (3, 0))}
    assert {p: p.read_bytes() for p in data.glob("cache/folder/*/*/shard-*.h5")} == old
    assert any(seen)
    next(photos.rglob("*.png")).write_bytes(b"no picture")
    again = extract("--force", "--allow-failures")
    assert again["globals"]["images"] == 9


def test_a_photo_is_decoded_once_for_all_that_a_run_makes_of_it(
    photos: Path, data: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[int] = Counter()
    plain = Photos.read

    def read(self: Photos, row: int) -> np.ndarray:
        decoded[row] += 1
        return plain(self, row)

    monkeypatch.setattr(Photos, "read", read)
    made = ("--encoder", "fake", "--regions", "random_crop(n=4)", "--regions", "random_crop(n=3)", "--json")
    assert run("extract", "folder", "--root", photos, *made).code == 0
    assert set(decoded.values()) == {1} and len(decoded) == 10
    of_before = {p.parts[-3:]: p.read_bytes() for p in data.glob("cache/folder/*/*/shard-*.h5")}
    monkeypatch.setattr("fgscore.extract.fill.Kept", partial(Kept, 3 * 60 * 40 * 2))  # of two photos of a shard
    assert run("extract", "folder", "--root", photos, *made, data=data.parent / "again").code == 0
    assert sorted(set(decoded.values())) == [2, 7], "kept as far as there is room, else decoded again"
    again = (data.parent / "again").glob("cache/folder/*/*/shard-*.h5")
    assert {p.parts[-3:]: p.read_bytes() for p in again} == of_before


def test_what_one_artefact_does_to_a_photos_pixels_is_not_seen_by_the_next() -> None:
    kept, pixels = Kept(), np.zeros((2, 2, 3), np.uint8)
    kept.keep(0, pixels)
    pixels += 1
    kept.get(0)[:] = 2
    assert (kept.get(0) == 0).all()


def test_the_profile_says_where_the_seconds_went(run: Callable[..., Any], photos: Path) -> None:
    asked = ("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=4)", "--profile")
    made = run(*asked)
    assert made.code == 0
    assert "Where the seconds went" in made.out
    assert all(word in made.out for word in ("decode", "write", "clock"))


def test_an_interrupted_run_goes_on_where_it_stopped(
    run: Callable[..., Any], photos: Path, extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))
    real = fake.Fake.embed_regions

    def interrupted(self: Any, images: Any) -> Any:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return real(self, images)

    monkeypatch.setattr(fake.Fake, "embed_regions", interrupted)
    stopped = run("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=4)")
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1] == "interrupted; the same command goes on where this one stopped"
    monkeypatch.setattr(fake.Fake, "embed_regions", real)
    made = work(extract())
    assert made["region_embeddings"] == (2, 1)
    assert made["globals"] == (1, 2), "shard by shard, not artefact by artefact"


# ---- what is stored


def test_stored_embeddings_are_those_of_the_encoder(store: Store, photos: Path) -> None:
    from PIL import Image

    (bundle,) = match.bundles(store)
    assert isinstance(bundle, RegionBundle)
    model = loaded.encoder("fake")
    for number in range(3):
        batch, rows = store.read(bundle.regions, number), store.read(bundle.region_embeddings, number)
        whole = store.read(bundle.globals, number)
        for i, image_id in enumerate(batch.image_ids.tolist()):
            image = np.asarray(Image.open(photos / image_id).convert("RGB"))
            boxes = batch.boxes_xyxy[batch.offsets[i] : batch.offsets[i + 1]]
            raw = loaded.regions(model, [(image, box, None) for box in boxes])
            norm = np.linalg.norm(raw, axis=1)
            mine = slice(rows.offsets[i], rows.offsets[i + 1])
            np.testing.assert_allclose(rows.regions[mine], raw / norm[:, None], atol=1e-3)
            np.testing.assert_allclose(rows.norms[mine], norm, rtol=1e-5)
            own = model.embed_images([image])[0]
            np.testing.assert_allclose(whole.globals[i], own / np.linalg.norm(own), atol=1e-3)


def test_stored_rows_are_unit_length(store: Store) -> None:
    (bundle,) = match.bundles(store)
    assert isinstance(bundle, RegionBundle)
    rows = store.read(bundle.region_embeddings, 1).regions.astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(bundle.text_bank.text, axis=1), 1, atol=1e-6)


def test_stored_crops_are_those_of_the_generator(store: Store) -> None:
    (bundle,) = match.bundles(store)
    assert isinstance(bundle, RegionBundle)
    batch = store.read(bundle.regions, 2)
    expected = [
        random_crop.crop(60, 40, image_id, j, 0, 0.02, 0.5, 0.5, 2.0)
        for image_id in batch.image_ids.tolist()
        for j in range(4)
    ]
    assert batch.boxes_xyxy.tolist() == [list(box) for box in expected]
    sides = batch.boxes_xyxy[:, 2:] - batch.boxes_xyxy[:, :2]
    np.testing.assert_allclose(batch.area, sides[:, 0] * sides[:, 1] / (60 * 40), rtol=1e-6)


def test_sidecars_say_how_but_not_where(store: Store, tmp_path: Path) -> None:
    sidecars = list(store.layout.cache.rglob("shard-*.json"))
    assert sidecars
    for path in sidecars:
        content = json.loads(path.read_text())
        assert {"numpy", "python", "fgscore"} <= set(content["provenance"]["versions"])
        assert str(tmp_path) not in path.read_text() and "/tmp" not in path.read_text()


# ---- photos that cannot be read


@pytest.fixture
def bad_photo(photos: Path) -> Path:
    path = photos / "train" / "crow" / "1.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    return path


def test_an_unreadable_photo_is_quarantined_and_the_rest_goes_on(
    bad_photo: Path, run: Callable[..., Any], extract: Extract
) -> None:
    made = extract(code=3)
    assert {kind: made[kind]["images"] for kind in IMAGE_KINDS} == dict.fromkeys(IMAGE_KINDS, 9)
    for kind in IMAGE_KINDS:
        (failure,) = made[kind]["failures"]
        assert failure["image_id"] == "train/crow/1.png"
        assert failure["reason"]
    (result,) = run("probe", "--json").json["results"]
    assert (result["n_train"], result["n_test"], result["without_regions"]) == (5, 4, 0)
    (scored,) = run("score", "--json").json["scores"]
    assert scored["reused"] == 3


def test_a_quarantined_photo_is_said_again_the_next_time(bad_photo: Path, extract: Extract) -> None:
    extract(code=3)
    made = extract(code=3)
    assert work(made)["globals"] == (0, 3)
    assert len(made["globals"]["failures"]) == 1


def test_failures_can_be_allowed(bad_photo: Path, extract: Extract) -> None:
    assert len(extract("--allow-failures", code=0)["globals"]["failures"]) == 1


def test_a_mended_photo_costs_only_its_own_shard(bad_photo: Path, extract: Extract, draw: Callable[..., None]) -> None:
    extract(code=3)
    draw(bad_photo, seed=7)
    made = extract()
    assert work(made) == {"index": (1, 0), "text": (0, 1), **dict.fromkeys(IMAGE_KINDS, (1, 2))}
    assert made["globals"]["images"] == 10


def test_no_readable_photo_in_a_shard_is_no_fault_of_the_others(photos: Path, extract: Extract) -> None:
    for name in ("blue_jay/0", "blue_jay/1", "blue_jay/2", "crow/0"):
        (photos / "train" / f"{name}.png").write_bytes(b"no")
    made = extract(code=3)
    assert made["region_embeddings"]["images"] == 6
    assert len(made["region_embeddings"]["failures"]) == 4


def test_a_photo_that_failed_for_its_regions_alone_says_so_and_is_retried_in_its_place(
    photos: Path, data: Path, small_shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: Photos, row: int) -> np.ndarray:
        if row == 1:
            raise BadImage("cannot be decoded today")
        return plain(self, row)

    plain, store, runtime = Photos.read, Store(Layout(data)), Runtime()
    indexed = make_index(store, "folder", root=photos)
    ids = indexed.index.image_ids[:small_shards].tolist()
    generator = GeneratorPart("random_crop(n=4)", runtime)
    encoder = EncoderPart("fake", runtime)
    extraction = Extraction(store, indexed, runtime)
    with monkeypatch.context() as patched:
        patched.setattr(Photos, "read", read)
        (regions,) = extraction.fill([extraction.regions(generator)])
    (first,) = extraction.fill([extraction.region_embeddings(encoder, regions)])
    assert extraction.summaries[-1].failures == [{"image_id": ids[1], "reason": "has no regions record"}]
    before = store.read(first, 0)
    assert before.image_ids.tolist() == [ids[0], *ids[2:]]

    again = Extraction(store, indexed, runtime, retry_failed=True)
    again.fill(again.embedded(generator, [encoder]))
    assert again.summaries[-1].failures == []
    batch, after = store.read(regions, 0), store.read(first, 0)
    assert batch.image_ids.tolist() == after.image_ids.tolist() == ids
    assert np.diff(batch.offsets).tolist() == np.diff(after.offsets).tolist() == [4] * small_shards
    assert np.array_equal(after.regions[[0, 1, 2, 3, *range(8, 16)]], before.regions)


# ---- images without a region


def test_an_image_without_any_region_goes_all_the_way(
    photos: Path, data: Path, run: Callable[..., Any], draw: Callable[..., None], small_shards: int
) -> None:
    for seed, split in enumerate(("train", "test")):
        draw(photos / split / "crow" / "tiny.png", seed=seed, size=(2, 2))  # its smallest crop is a quarter of it
    crops = "random_crop(n=4, area_max=0.2)"
    made = run("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", crops, "--json")
    assert made.code == 0, made.err
    by_kind = {a["kind"]: a for a in made.json["artefacts"]}
    assert by_kind["regions"]["images"] == by_kind["region_embeddings"]["images"] == 12
    assert by_kind["regions"]["regions"] == 40
    assert run("score", "--scorer", "all", "--target", "local", "--target", "global").code == 0
    results = run("probe", "--pool", "none", "--pool", "mean", "--pool", "topk", "--head", "zeroshot", "--json").json
    assert {r["pool"]: r["without_regions"] for r in results["results"]} == {"none": 0, "mean": 2, "topk": 2}
    assert {r["n_test"] for r in results["results"]} == {5}
    assert "without regions 2" in run("probe").out


def test_no_image_with_any_region_goes_all_the_way(
    photos: Path, run: Callable[..., Any], draw: Callable[..., None]
) -> None:
    for seed, path in enumerate(sorted(photos.rglob("*.png"))):
        draw(path, seed=seed, size=(2, 2))
    crops = "random_crop(n=4, area_max=0.2)"
    assert run("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", crops).code == 0
    assert run("score", "--scorer", "all").code == 0
    (result,) = run("probe", "--json").json["results"]
    assert result["without_regions"] == 10


def test_no_masks_of_one_image_and_some_of_another_are_embedded(
    photos: Path, data: Path, small_shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator of masks that finds none in some images, in place of SAM."""
    from fgscore.regions import Proposals

    def propose(self: Any, image: np.ndarray, image_id: str) -> Proposals:
        m = 0 if image_id.endswith("0.png") else 2
        boxes = np.tile([0, 0, 30, 40], (m, 1))
        runs = [np.array([0, 1200, 1200])] * m  # the left half of 60 x 40, column by column
        ones = np.ones(m)
        return Proposals(boxes, 0.5 * ones, ones, ones, runs, (40, 60))

    store = Store(Layout(data))
    runtime = Runtime()
    extraction = Extraction(store, make_index(store, "folder", root=photos), runtime)
    generator = GeneratorPart("random_crop(n=4, seed=9)", runtime)
    generator.made.__class__ = type("Halves", (random_crop.RandomCrops,), {"masks": True, "propose": propose})
    encoder = EncoderPart("fake(outside='black')", runtime)
    regions, embedded, _ = extraction.fill([*extraction.embedded(generator, [encoder]), extraction.globals(encoder)])
    for number in range(3):
        batch, rows = store.read(regions, number), store.read(embedded, number)
        expected = [0 if i.endswith("0.png") else 2 for i in batch.image_ids.tolist()]
        assert np.diff(batch.offsets).tolist() == np.diff(rows.offsets).tolist() == expected
        assert batch.masks is not None and batch.masks.size_hw.tolist() == [[40, 60]] * len(expected)
        for r, image in enumerate(np.repeat(np.arange(len(expected)), expected)):
            mask = batch.masks.decode(r, image)
            assert mask[:, :30].all() and not mask[:, 30:].any()


def test_an_encoder_that_returns_nonsense_is_refused_before_any_image_is_stored(
    photos: Path, run: Callable[..., Any], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        fake.Fake, "embed_images", lambda self, images: np.full((len(images), self.dim), np.nan, np.float32)
    )
    result = run("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop")
    assert result.code == 1
    assert "non-finite or zero embedding for train/blue_jay/0.png" in result.err.splitlines()[-1]
    assert {path.parents[1].name for path in data.rglob("shard-*.h5")} <= {"text"}


def test_unit_rows_are_divided_by_their_own_norm() -> None:
    rows, norms = encoders.unit(np.array([[3.0, 4.0], [0.0, 2.0]]), ["a", "b"])
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 1]], rtol=1e-6)
    np.testing.assert_allclose(norms, [5, 2])

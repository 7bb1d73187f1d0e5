"""Thumbnails: what they show, how large they are, and that they are an artefact like any other."""

from __future__ import annotations

import dataclasses
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgscore.errors import StaleParent, StoreError
from fgscore.extract.extraction import Extraction
from fgscore.extract.index import make_index
from fgscore.runtime import Runtime
from fgscore.store import manifest
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.types import ThumbnailShard
from fgscore.upkeep.status import status

Run = Callable[..., Any]


def only(store: Store) -> manifest.Artefact:
    (artefact,) = store.artefacts("thumbnails")
    return artefact


def pictures(store: Store) -> dict[str, Image.Image]:
    """Image id to the decoded thumbnail, of every shard."""
    artefact, found = only(store), {}
    for number in artefact.shard_sizes:
        record = store.read(artefact, number)
        assert isinstance(record, ThumbnailShard)
        for i, image_id in enumerate(record.image_ids.tolist()):
            found[image_id] = Image.open(io.BytesIO(record.file(i)))
            assert found[image_id].format == "JPEG"
            assert found[image_id].size == tuple(record.sizes_wh[i])
    return found


def extract(root: Path, data: Path, run: Run, *more: Any, code: int = 0) -> Store:
    parts = ("--encoder", "fake", "--regions", "random_crop(n=2)")
    done = run("extract", "folder", *parts, "--root", root, "--force", *more)
    assert done.code == code, done.err
    return Store(Layout(data))


def four_corners(path: Path, size: tuple[int, int], orientation: int | None = None) -> None:
    """A photo of four plain quarters: red and green above, blue and white below."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 255)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, exif=exif)


def corners(picture: Image.Image) -> list[str]:
    """Names of the colours at top left, top right, bottom left and bottom right."""
    named = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    width, height = picture.size
    found = []
    for x, y in ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8)):
        pixel = np.array(picture.convert("RGB").getpixel((int(x * width), int(y * height))), int)
        found.append(min(named, key=lambda name, pixel=pixel: int(np.abs(pixel - named[name]).sum())))
    return found


def test_small_photos_come_back_in_their_own_size_and_look_the_same(store: Store, photos: Path) -> None:
    found = pictures(store)
    assert len(found) == 10
    for image_id, picture in found.items():
        original = np.asarray(Image.open(photos / image_id).convert("RGB"), int)
        shown = np.asarray(picture.convert("RGB"), int)
        assert shown.shape == original.shape
        assert np.abs(shown - original).mean() < 8  # a JPEG of quality 80, and of the same picture


def test_large_photos_are_shrunk_in_proportion(tmp_path: Path, data: Path, run: Run) -> None:
    for split in ("train", "test"):
        for name, size in (("a", (800, 600)), ("b", (300, 900)), ("c", (1000, 3))):
            four_corners(tmp_path / "own" / split / name / "0.png", size)
    store = extract(tmp_path / "own", data, run, "--no-thumbnails")
    assert not list(store.artefacts("thumbnails"))
    store = extract(tmp_path / "own", data, run)
    assert pictures(store)["train/a/0.png"].size == (256, 192)
    assert pictures(store)["train/b/0.png"].size == (85, 256)
    assert pictures(store)["test/c/0.png"].size == (256, 1)
    record = store.read(only(store), 0)
    assert dict(zip(record.image_ids.tolist(), record.original_wh.tolist(), strict=True))["train/b/0.png"] == [300, 900]
    extract(tmp_path / "own", data, run, "--thumbnail-size", 64)
    assert sorted(a.recipe.component for a in store.artefacts("thumbnails")) == ["jpeg", "jpeg(size=64)"]


def test_rotation_is_applied(tmp_path: Path, data: Path, run: Run) -> None:
    for split in ("train", "test"):
        for name, orientation in (("a", None), ("b", 6)):  # 6: shown turned clockwise by a quarter
            four_corners(tmp_path / "own" / split / name / "0.jpg", (400, 200), orientation)
    found = pictures(extract(tmp_path / "own", data, run))
    assert corners(found["test/a/0.jpg"]) == ["red", "green", "blue", "white"]
    assert found["test/a/0.jpg"].size == (256, 128)
    assert corners(found["test/b/0.jpg"]) == ["blue", "red", "white", "green"]
    assert found["test/b/0.jpg"].size == (128, 256)


def test_the_banner_is_cut(tmp_path: Path, data: Path) -> None:
    for split in ("train", "test"):
        four_corners(tmp_path / "own" / split / "a" / "0.png", (100, 80))
    store = Store(Layout(data))
    indexed = make_index(store, "folder", root=tmp_path / "own", force=True)
    cut = dataclasses.replace(indexed, index=dataclasses.replace(indexed.index, banner=40))
    extraction = Extraction(store, cut, Runtime())
    extraction.fill([extraction.thumbnails()])
    picture = pictures(store)["train/a/0.png"]
    assert picture.size == (100, 40)
    assert corners(picture) == ["red", "green", "red", "green"]


def test_a_mended_photo_takes_its_place_among_the_others(
    photos: Path, data: Path, run: Run, small_shards: int, draw: Callable[..., None]
) -> None:
    bad = photos / "train" / "blue_jay" / "1.png"
    content = bad.read_bytes()
    bad.write_bytes(content[:200])
    store = extract(photos, data, run, code=3)
    assert len(pictures(store)) == 9
    bad.write_bytes(content)
    store = extract(photos, data, run)
    artefact = only(store)
    ids = [i for number in artefact.shard_sizes for i in store.read(artefact, number).image_ids.tolist()]
    (index,) = store.artefacts("index")
    assert ids == store.index(index).image_ids.tolist()


def test_retrying_adds_the_bytes_of_just_that_image(
    store: Store, photos: Path, data: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fgscore.errors import BadImage
    from fgscore.extract.photos import Photos

    whole = {image_id: picture.tobytes() for image_id, picture in pictures(store).items()}
    real = Photos.read

    def failing(self: Photos, row: int) -> np.ndarray:
        if self.index.image_ids[row] == "train/blue_jay/1.png":
            raise BadImage("was not ready")
        return real(self, row)

    fresh = data.parent / "fresh"
    monkeypatch.setattr(Photos, "read", failing)
    args = ("extract", "folder", "--encoder", "fake", "--regions", "random_crop(n=4)", "--root", photos)
    assert run(*args, data=fresh).code == 3
    monkeypatch.setattr(Photos, "read", real)
    assert run(*args, "--retry-failed", data=fresh).code == 0
    found = pictures(Store(Layout(fresh)))
    assert list(found) == list(whole)
    assert {image_id: picture.tobytes() for image_id, picture in found.items()} == whole


def test_they_can_be_left_out(photos: Path, data: Path, run: Run) -> None:
    for command in (("regions", "folder"), ("embed", "folder", "--encoder", "fake", "--no-thumbnails")):
        assert run(*command, "--regions", "random_crop(n=2)", "--root", photos).code == 0
    assert not list(Store(Layout(data)).artefacts("thumbnails"))


# ---- an artefact like any other


def test_damage_is_found_and_only_that_shard_made_again(
    store: Store, run: Run, extract: Callable[..., Any], data: Path
) -> None:
    (path,) = data.glob("cache/folder/thumbnails/*/shard-00001.h5")
    good = path.read_bytes()
    path.write_bytes(good[:-100] + bytes([good[-100] ^ 1]) + good[-99:])
    found = run("verify", "--json")
    assert found.code == 1
    (problem,) = found.json["problems"]
    assert problem["severity"] == "damaged" and "thumbnails" in problem["paths"][0]
    assert run("repair").code == 0
    made = extract()["thumbnails"]
    assert (made["computed"], made["reused"]) == (1, 2)
    assert path.read_bytes() == good
    assert run("verify").code == 0


def test_thumbnails_of_other_photos_are_refused(
    store: Store, run: Run, photos: Path, draw: Callable[..., None]
) -> None:
    draw(photos / "train" / "blue_jay" / "1.png", seed=77)
    assert run("index", "folder", "--root", photos).code == 0
    fresh = Store(store.layout)
    with pytest.raises(StaleParent, match="made from other images"):
        fresh.read(only(fresh), 0)
    fresh.read(only(fresh), 2)


def test_prune_lists_those_without_an_index(store: Store, run: Run) -> None:
    (index,) = store.artefacts("index")
    shutil.rmtree(index.path)
    rows = run("prune", "--json").json["unused"]
    assert [r["why"] for r in rows if "thumbnails" in r["path"]] == ["its parents are not in the cache"]


def test_status_says_how_to_finish_them(store: Store, data: Path) -> None:
    (path,) = data.glob("cache/folder/thumbnails/*/shard-00001.json")
    path.unlink()
    (row,) = [r for r in status(store) if r["kind"] == "thumbnails"]
    same = '--regions "random_crop(n=4)" --encoder fake --prompt photo'
    assert (row["shards"], row["next"]) == ("2 of 3", f"fgscore extract folder {same} --thumbnail-size 256")


def test_they_are_pictures_and_not_exported(store: Store, run: Run, tmp_path: Path) -> None:
    done = run("export", "--kind", "thumbnails", "--to", tmp_path / "out")
    assert done.code == 2 and "expected kinds of index" in done.message
    assert {row["kind"] for row in run("export", "--to", tmp_path / "out", "--json").json["files"]} == {
        "index",
        "regions",
        "region_embeddings",
        "globals",
        "text",
    }


def test_a_killed_writer_leaves_no_thumbnails(store: Store, data: Path, extract: Callable[..., Any]) -> None:
    (path,) = data.glob("cache/folder/thumbnails/*/shard-00000.h5")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(StoreError, match="not the file that its sidecar describes"):
        store.read(only(store), 0)
    assert extract()["thumbnails"]["computed"] == 1

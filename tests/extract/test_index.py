"""From a folder of photos to the index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.errors import DataError
from fgscore.extract.index import make_index
from fgscore.store.cache import Store
from fgscore.store.paths import Layout


@pytest.fixture
def empty(data: Path) -> Store:
    return Store(Layout(data))


def test_the_index_lists_every_photo_once(empty: Store, photos: Path) -> None:
    index = make_index(empty, "folder", root=photos).index
    assert index.class_names == ("blue jay", "crow")
    assert sorted(index.image_ids.tolist()) == sorted(p.relative_to(photos).as_posix() for p in photos.rglob("*.png"))
    assert [index.class_names[i].replace(" ", "_") for i in index.labels] == [p.split("/")[1] for p in index.paths]
    assert index.split.tolist() == [p.split("/")[0] for p in index.paths]
    assert index.sizes_wh.tolist() == [[60, 40]] * 10


def test_indexing_again_computes_nothing(empty: Store, photos: Path) -> None:
    first = make_index(empty, "folder", root=photos)
    again = make_index(empty, "folder", root=photos)
    assert (first.summary.computed, first.summary.reused) == (1, 0)
    assert (again.summary.computed, again.summary.reused) == (0, 1)


def test_the_folder_of_the_photos_is_not_in_the_store(empty: Store, photos: Path) -> None:
    make_index(empty, "folder", root=photos)
    for path in empty.layout.cache.rglob("*"):
        if path.is_file():
            assert str(photos).encode() not in path.read_bytes(), path


def test_photos_may_lie_elsewhere_the_next_time(empty: Store, photos: Path, tmp_path: Path) -> None:
    make_index(empty, "folder", root=photos)
    moved = photos.rename(tmp_path / "moved")
    assert make_index(empty, "folder", root=moved).summary.reused == 1


def test_a_new_photo_comes_after_the_old_ones(
    empty: Store, photos: Path, draw: Callable[..., None], small_shards: int
) -> None:
    before = make_index(empty, "folder", root=photos).index
    draw(photos / "train" / "blue_jay" / "00.png", seed=99)
    after = make_index(empty, "folder", root=photos).index
    assert after.image_ids.tolist() == [*before.image_ids.tolist(), "train/blue_jay/00.png"]
    assert after.shard.tolist() == [*before.shard.tolist(), before.shard[-1] + 1]


def test_a_limit_takes_the_first_of_each_class_and_split(empty: Store, photos: Path) -> None:
    limited = make_index(empty, "folder", root=photos, limit=1)
    assert sorted(limited.index.image_ids.tolist()) == [
        f"{split}/{name}/0.png" for split in ("test", "train") for name in ("blue_jay", "crow")
    ]
    assert make_index(empty, "folder", root=photos).artefact.path != limited.artefact.path


def test_two_folders_under_names_of_their_own_do_not_meet(empty: Store, photos: Path, tmp_path: Path) -> None:
    a = make_index(empty, "folder(name='a')", root=photos).artefact
    b = make_index(empty, "folder(name='b')", root=photos).artefact
    assert (a.dataset, b.dataset) == ("a", "b")


def test_other_photos_under_the_same_name_are_refused(
    empty: Store, photos: Path, draw: Callable[..., None], tmp_path: Path
) -> None:
    make_index(empty, "folder", root=photos)
    for split in ("train", "test"):
        draw(tmp_path / "others" / split / "owl" / "x.png", seed=5)
    with pytest.raises(DataError, match=r"knows 'folder' as 10 other photos"):
        make_index(empty, "folder", root=tmp_path / "others")


def test_a_damaged_index_is_made_anew(empty: Store, photos: Path) -> None:
    first = make_index(empty, "folder", root=photos)
    (path,) = first.artefact.path.glob("*.parquet")
    path.write_bytes(b"gone")
    again = make_index(Store(empty.layout), "folder", root=photos)
    assert again.summary.computed == 1
    assert again.index.images_digest() == first.index.images_digest()


@pytest.mark.parametrize("layout", ["nothing", "no classes", "no photos"])
def test_a_folder_of_another_layout_is_refused(layout: str, empty: Store, tmp_path: Path) -> None:
    root = tmp_path / "wrong"
    if layout != "nothing":
        (root / "train").mkdir(parents=True)
    if layout == "no photos":
        (root / "train" / "crow").mkdir()
    with pytest.raises(DataError, match="wrong") as caught:
        make_index(empty, "folder", root=root)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_image_is_indexed_without_a_size(empty: Store, photos: Path) -> None:
    (photos / "train" / "crow" / "1.png").write_bytes(b"not an image")
    index = make_index(empty, "folder", root=photos).index
    sizes: dict[str, Any] = dict(zip(index.image_ids.tolist(), index.sizes_wh.tolist(), strict=True))
    assert sizes.pop("train/crow/1.png") == [0, 0]
    assert np.array_equal(list(sizes.values()), [[60, 40]] * 9)

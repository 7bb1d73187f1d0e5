"""The index on disk, and how it grows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fgscore.errors import StoreError
from fgscore.store import index as index_store
from fgscore.store.paths import Layout
from fgscore.types import ImageIndex


def make(ids: list[str], shard: list[int] | None = None) -> ImageIndex:
    n = len(ids)
    return ImageIndex(
        dataset="birds",
        image_ids=np.array(ids, np.str_),
        paths=np.array([f"train/{i}.jpg" for i in ids], np.str_),
        labels=np.arange(n) % 2,
        split=np.array(["train", "val", "test"] * n)[:n],
        class_names=("Jay", "Brewer's Sparrow – ß"),
        sizes_wh=np.stack([np.arange(n) + 10, np.arange(n) + 20], axis=1),
        sha256=np.array([f"{i:064x}" for i in range(n)], np.str_),
        orientation=np.full(n, 6),
        shard=np.array(shard or [0] * n),
        boxes_xyxy=np.where(np.arange(n)[:, None] == 0, np.nan, [[1.5, 2, 3, 4]]),
        banner=20,
        notes={"partial": {"expected": 9, "found": n}},
    )


def written(index: ImageIndex, tmp_path: Path) -> index_store.manifest.Artefact:
    return index_store.write(Layout(tmp_path), index, index_store.recipe("birds", {}, 1, None))


@pytest.mark.parametrize("rows", [1, 2, 4096])
def test_an_index_comes_back_field_by_field(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_store, "ROWS", rows)
    index = make(["a", "ü/ñ.jpg", "日本"], [0, 0, 3])
    back = index_store.read(written(index, tmp_path))
    for field in dataclasses.fields(ImageIndex):
        a, b = getattr(index, field.name), getattr(back, field.name)
        np.testing.assert_array_equal(a, b, err_msg=field.name)
        assert type(a) is type(b), field.name
    assert list(back.shards) == [0, 3]
    assert (back.images_digest(), back.labels_digest()) == (index.images_digest(), index.labels_digest())


def test_writing_again_leaves_one_file(tmp_path: Path) -> None:
    written(make(["a"]), tmp_path)
    artefact = written(make(["a", "b"]), tmp_path)
    assert len(list(artefact.path.glob("*.parquet"))) == 1
    assert len(index_store.read(artefact)) == 2


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_index_is_refused(damage: str, tmp_path: Path) -> None:
    artefact = written(make(["a", "b"]), tmp_path)
    (path,) = artefact.path.glob("*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if damage == "gone":
        path.unlink()
    with pytest.raises(StoreError, match=rf"{path.name}: missing or changed; run `fgscore index birds`"):
        index_store.read(artefact)


def test_a_number_that_is_missing_is_refused(tmp_path: Path) -> None:
    (path,) = written(make(["a", "b"]), tmp_path).path.glob("*.parquet")
    table = pq.read_table(path)
    place = table.schema.get_field_index("width")
    pq.write_table(table.set_column(place, "width", pa.array([0, None], pa.int32())), path)
    with pytest.raises(StoreError, match="not an index"):
        index_store._from_table(path, "run `fgscore index` again")


def test_a_limit_is_another_index() -> None:
    digests = {index_store.recipe("birds", {}, 1, limit).digest for limit in (None, 1, 2)}
    assert len(digests) == 3


@pytest.fixture(autouse=True)
def _shards_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_store, "IMAGES_PER_SHARD", 2)


def assign(ids: list[str], earlier: ImageIndex | None = None) -> list[tuple[str, int]]:
    order, shard = index_store.assign_shards(np.array(ids, np.str_), earlier)
    return [(ids[i], int(s)) for i, s in zip(order, shard, strict=True)]


def test_a_first_index_fills_shard_after_shard() -> None:
    assert assign(list("abcde")) == [("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 2)]


def test_new_images_form_new_shards_and_leave_the_old_ones_alone() -> None:
    earlier = make(list("bde"), [0, 0, 1])
    assert assign(list("abcdef"), earlier) == [("b", 0), ("d", 0), ("e", 1), ("a", 2), ("c", 2), ("f", 3)]


def test_the_same_images_stay_where_they_are_in_any_order() -> None:
    earlier = make(list("bde"), [0, 0, 1])
    assert assign(list("edb"), earlier) == [("b", 0), ("d", 0), ("e", 1)]


def test_an_image_that_went_away_moves_no_other() -> None:
    earlier = make(list("abcde"), [0, 0, 1, 1, 2])
    assert assign(list("ade"), earlier) == [("a", 0), ("d", 1), ("e", 2)]
    assert assign(list("acdez"), earlier) == [("a", 0), ("c", 1), ("d", 1), ("e", 2), ("z", 3)]


def test_image_and_label_digests_are_apart() -> None:
    index = make(["a", "b"])
    relabelled = dataclasses.replace(index, labels=np.array([1, 1]))
    renamed = dataclasses.replace(index, class_names=("Jay", "Crow"))
    repainted = dataclasses.replace(index, sha256=np.array(["0" * 64, "f" * 64]))
    assert index.images_digest() == relabelled.images_digest() == renamed.images_digest() != repainted.images_digest()
    assert index.labels_digest() == repainted.labels_digest() != relabelled.labels_digest()
    assert index.names_digest() == relabelled.names_digest() != renamed.names_digest()


@pytest.mark.parametrize("field", ["orientation", "sizes_wh", "banner", "image_ids"])
def test_all_that_pixels_depend_on_is_in_the_image_digest(field: str) -> None:
    index = make(["a", "b"])
    change = {
        "orientation": np.array([6, 1]),
        "sizes_wh": np.array([[10, 20], [11, 22]]),
        "banner": 0,
        "image_ids": np.array(["a", "c"]),
    }[field]
    assert dataclasses.replace(index, **{field: change}).images_digest() != index.images_digest()


def some_without(labels: list[int], names: tuple[str, ...] = ("jay", "crow")) -> ImageIndex:
    ids = [f"{i}.png" for i in range(len(labels))]
    return dataclasses.replace(make(ids), labels=np.array(labels), class_names=names)


@pytest.mark.parametrize(
    ("labels", "names"), [([1, -1, 0], ("jay", "crow")), ([-1, -1], ("jay",)), ([-1, -1, -1], ())], ids=str
)
def test_an_image_without_a_label_is_null_on_disk(labels: list[int], names: tuple[str, ...], tmp_path: Path) -> None:
    artefact = written(some_without(labels, names), tmp_path)
    (path,) = artefact.path.glob("*.parquet")
    table = pq.read_table(path)
    assert table["label"].to_pylist() == [None if label == -1 else label for label in labels]
    assert table["class_name"].to_pylist() == [None if label == -1 else names[label] for label in labels]
    assert (table["label"].type, table["class_name"].type) == (pa.int64(), pa.string())
    back = index_store.read(artefact)
    assert back.labels.tolist() == labels and back.labels.dtype == np.int64 and back.class_names == names


def test_losing_a_label_changes_the_labels_digest_alone() -> None:
    with_label, lost = some_without([1, 0, 0]), some_without([1, 0, -1])
    assert with_label.labels_digest() != lost.labels_digest()
    assert (with_label.images_digest(), with_label.names_digest()) == (lost.images_digest(), lost.names_digest())

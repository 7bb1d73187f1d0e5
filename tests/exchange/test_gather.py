"""Files as others write them: parts, splits, pairs and names of theirs become one data set, and what was done is said.

Tests gather, choose, names, pieces, relative and account.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore.errors import DataError, UsageError
from fgscore.exchange.names import Address, address
from fgscore.exchange.relative import relative
from fgscore.types import SPLIT_NAMES

N, D = 12, 8
ROWS = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)
LABELS = np.arange(N) % 3
SPLIT = np.array(["train"] * 8 + ["test"] * 4)
OF = {"train": slice(0, 8), "test": slice(8, 12)}


def globals_of(came: Any) -> np.ndarray:
    return came.arrays("globals")["globals"]


def assert_whole(came: Any) -> None:
    """All rows, in order, with their labels and splits."""
    index = came.arrays("index")
    np.testing.assert_array_equal(globals_of(came), ROWS.astype(np.float16))
    np.testing.assert_array_equal(index["labels"], LABELS)
    np.testing.assert_array_equal(index["split"], SPLIT)


@pytest.fixture
def retrieval(tmp_path: Path) -> Path:
    """What clip-retrieval writes: three parts of embeddings, of captions and of metadata."""
    for part in range(3):
        rows = slice(4 * part, 4 * part + 4)
        for kind in ("img_emb", "text_emb", "metadata"):
            (tmp_path / "out" / kind).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / f"out/img_emb/img_emb_{part}.npy", ROWS[rows].astype(np.float16))
        np.save(tmp_path / f"out/text_emb/text_emb_{part}.npy", -ROWS[rows].astype(np.float16))
        table = {"image_path": [f"/data/photos/{i}.jpg" for i in range(N)][rows], "caption": ["x", None, "y", "z"],
                 "label": LABELS[rows], "split": SPLIT[rows].tolist()}  # fmt: skip
        pq.write_table(pa.table(table), tmp_path / f"out/metadata/metadata_{part}.parquet")
    (tmp_path / "out" / "stats.json").write_text("{}")
    return tmp_path / "out"


class TestClipRetrieval:
    def test_a_folder_of_it(self, bring, retrieval):
        came = bring(retrieval)
        assert_whole(came)
        assert came.arrays("index")["paths"][:2].tolist() == ["0.jpg", "1.jpg"]
        said = "\n".join(came.said)
        assert "passed over caption (text)" in said and "text_emb_0.npy, text_emb_1.npy and 1 more: passed over" in said
        assert "passed over stats.json" in said

    def test_parts_go_by_their_numbers_not_by_the_order_they_are_named_in(self, bring, retrieval):
        assert_whole(bring(*sorted(retrieval.glob("*/[im]*_?.*"), reverse=True)))

    def test_more_than_ten_parts(self, bring, tmp_path):
        for part in range(N):
            np.save(tmp_path / f"img_emb_{part}.npy", ROWS[part : part + 1])
            table = {"image_path": [f"{part}.jpg"], "label": LABELS[part : part + 1], "split": [str(SPLIT[part])]}
            pq.write_table(pa.table(table), tmp_path / f"metadata_{part}.parquet")
        assert_whole(bring(*sorted(tmp_path.glob("*_*"))))

    def test_rows_that_do_not_fit_are_named_with_both_numbers(self, bring, retrieval):
        np.save(retrieval / "img_emb/img_emb_1.npy", ROWS[:3])
        with pytest.raises(DataError, match=r"img_emb_1.npy as in .*metadata_1.parquet, found globals 3 and labels 4"):
            bring(retrieval)

    def test_a_part_that_lacks_its_other_half_is_named(self, bring, retrieval):
        (retrieval / "metadata/metadata_2.parquet").unlink()
        with pytest.raises(UsageError, match=r"img_emb_2.npy: expected labels .*, found none for part 2"):
            bring(retrieval)

    def test_a_part_that_is_not_there_is_said(self, bring, retrieval):
        for path in retrieval.glob("*/*_1.*"):
            path.unlink()
        assert "of parts 0 to 2 there is no 1" in bring(retrieval).said


class TestTorchLayouts:
    @pytest.fixture(autouse=True)
    def torch(self) -> Any:
        return pytest.importorskip("torch")

    def test_clip_benchmark(self, bring, tmp_path, torch):
        for split, rows in OF.items():
            torch.save(torch.from_numpy(ROWS[rows]), tmp_path / f"features_{split}.pt")
            torch.save(torch.from_numpy(LABELS[rows]), tmp_path / f"targets_{split}.pt")
        came = bring(*sorted(tmp_path.glob("*.pt")))
        assert_whole(came)
        assert "features_train.pt, targets_train.pt: train, by the name" in came.said
        assert came.arrays("index")["image_ids"][[0, 8]].tolist() == ["train/000000", "test/000000"]

    def test_a_split_may_be_named_otherwise(self, bring, tmp_path, torch):
        torch.save(torch.from_numpy(ROWS), tmp_path / "features_val.pt")
        torch.save(torch.from_numpy(LABELS), tmp_path / "targets_val.pt")
        came = bring(*sorted(tmp_path.glob("*.pt")))
        assert "split: no image is of test, which a probe is measured on" in came.said
        came = bring(*sorted(tmp_path.glob("*.pt")), sources=["globals:test=features_val", "labels:test=targets_val"])
        assert set(came.arrays("index")["split"].tolist()) == {"test"}

    def test_tip_adapter(self, bring, tmp_path, torch):
        text = np.eye(3, D, dtype=np.float32)
        torch.save(torch.from_numpy(ROWS[OF["train"]]).T, tmp_path / "keys_16shots.pt")
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(LABELS[OF["train"]])).half()
        torch.save(one_hot, tmp_path / "values_16shots.pt")
        torch.save(torch.from_numpy(ROWS[OF["test"]]), tmp_path / "test_f.pt")
        torch.save(torch.from_numpy(LABELS[OF["test"]]), tmp_path / "test_l.pt")
        torch.save(torch.from_numpy(text).T, tmp_path / "text_weights.pt")
        came = bring(tmp_path)
        assert_whole(came)
        np.testing.assert_array_equal(came.arrays("text")["text"], text)

    def test_values_that_are_no_one_hot_are_refused(self, bring, tmp_path, torch):
        torch.save(torch.from_numpy(ROWS).T, tmp_path / "keys_1shots.pt")
        torch.save(torch.full((N, 3), 0.5), tmp_path / "values_1shots.pt")
        with pytest.raises(DataError, match="a one and zeros in every row of labels .*row 0"):
            bring(tmp_path)

    def test_dictionaries_in_dictionaries(self, bring, tmp_path, torch):
        content = {
            split: {"features": torch.from_numpy(ROWS[rows]), "labels": torch.from_numpy(LABELS[rows])}
            for split, rows in OF.items()
        }
        torch.save({**content, "classnames": ["a", "b", "c"], "epoch": 3}, tmp_path / "a.pt")
        came = bring(tmp_path / "a.pt")
        assert_whole(came)
        assert came.arrays("index")["class_names"].tolist() == ["a", "b", "c"]
        assert "a.pt: passed over epoch (int64)" in came.said


class TestSplits:
    def test_a_file_a_split(self, bring, tmp_path):
        for split, rows in OF.items():
            np.savez(tmp_path / f"{split}.npz", feature_list=ROWS[rows], label_list=LABELS[rows])
        assert_whole(bring(tmp_path / "test.npz", tmp_path / "train.npz"))

    def test_a_folder_a_split(self, bring, tmp_path):
        for split, rows in OF.items():
            (tmp_path / "out" / split).mkdir(parents=True)
            np.save(tmp_path / "out" / split / "features.npy", ROWS[rows])
            np.save(tmp_path / "out" / split / "labels.npy", LABELS[rows])
        assert_whole(bring(tmp_path / "out"))

    def test_keys_that_say_it(self, bring, tmp_path):
        arrays = {
            f"{kind}_{split}": array[rows] for split, rows in OF.items() for kind, array in (("X", ROWS), ("y", LABELS))
        }
        np.savez(tmp_path / "a.npz", **arrays)
        assert_whole(bring(tmp_path / "a.npz"))

    def test_several_parts_of_each(self, bring, tmp_path):
        parts = {"train-00000-of-00002": slice(0, 5), "train-00001-of-00002": slice(5, 8)}
        parts["test-00000-of-00001"] = OF["test"]
        for name, rows in parts.items():
            table = {"embedding": list(ROWS[rows]), "label": LABELS[rows], "id": np.arange(N)[rows]}
            pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
        came = bring(tmp_path)
        assert_whole(came)
        assert came.arrays("index")["image_ids"].tolist() == [str(i) for i in range(N)]

    def test_ids_that_are_in_two_splits_carry_theirs_and_that_is_said(self, bring, tmp_path):
        for split, rows in OF.items():
            ids = [f"{i}.jpg" for i in range(len(ROWS[rows]))]
            np.savez(tmp_path / f"{split}.npz", image_ids=ids, globals=ROWS[rows], labels=LABELS[rows])
        came = bring(tmp_path / "test.npz", tmp_path / "train.npz")
        assert came.arrays("index")["image_ids"][[0, 8]].tolist() == ["train/0.jpg", "test/0.jpg"]
        assert any("image ids carry their split" in line for line in came.said)

    def test_a_split_array_counts_before_the_name_of_a_file(self, bring, tmp_path):
        np.savez(tmp_path / "test.npz", globals=ROWS, labels=LABELS, split=SPLIT)
        assert_whole(bring(tmp_path / "test.npz"))

    @pytest.mark.parametrize("name", ["Training", "VALID", "dev", " validation ", "testing"])
    def test_by_its_usual_names(self, bring, tmp_path, name):
        np.savez(tmp_path / "a.npz", globals=ROWS, labels=LABELS, split=[name] * N)
        assert set(bring(tmp_path / "a.npz").arrays("index")["split"].tolist()) == {SPLIT_NAMES[name.strip().lower()]}

    def test_widths_that_differ_are_named(self, bring, tmp_path):
        np.savez(tmp_path / "train.npz", globals=ROWS[:8], labels=LABELS[:8])
        np.savez(tmp_path / "test.npz", globals=ROWS[8:, :4], labels=LABELS[8:])
        with pytest.raises(DataError, match="globals of one width in all parts, found 8 x 8 and 4 x 4"):
            bring(tmp_path / "train.npz", tmp_path / "test.npz")

    def test_class_names_that_differ_are_refused(self, bring, tmp_path):
        for split, names in (("train", ["a", "b", "c"]), ("test", ["a", "c", "b"])):
            rows = OF[split]
            np.savez(tmp_path / f"{split}.npz", globals=ROWS[rows], labels=LABELS[rows], class_names=names)
        with pytest.raises(DataError, match="expected the same class_names in "):
            bring(tmp_path / "train.npz", tmp_path / "test.npz")


class TestBeside:
    """A file without ids goes by position."""

    def meta(self, folder: Path, n: int = N) -> Path:
        rows = "".join(f"{i:03d},{i % 3},{SPLIT[i]}\n" for i in range(n))
        (folder / "meta.csv").write_text(f"image_id,label,split\n{rows}")
        return folder / "meta.csv"

    def test_one_that_has_them(self, bring, tmp_path):
        np.save(tmp_path / "emb.npy", ROWS)
        came = bring(tmp_path / "emb.npy", self.meta(tmp_path))
        assert_whole(came)
        assert came.arrays("globals")["image_ids"][:2].tolist() == ["000", "001"]

    def test_not_of_another_length(self, bring, tmp_path):
        np.save(tmp_path / "emb.npy", ROWS)
        with pytest.raises(DataError, match="found globals 12 and image_ids 11"):
            bring(tmp_path / "emb.npy", self.meta(tmp_path, 11))

    def test_a_name_that_nobody_knows_is_said_and_may_be_named(self, bring, tmp_path):
        np.save(tmp_path / "dino.npy", ROWS)
        came = bring(tmp_path / "dino.npy", self.meta(tmp_path))
        assert any("if 'dino' is what they are called, add --array globals=dino" in line for line in came.said)
        assert_whole(bring(tmp_path / "dino.npy", tmp_path / "meta.csv", sources=["globals=dino"]))

    def test_alone_it_cannot_join_an_index(self, bring, tmp_path):
        np.save(tmp_path / "emb.npy", ROWS)
        bring(self.meta(tmp_path))
        with pytest.raises(DataError, match="expected image_ids beside globals, found none"):
            bring(tmp_path / "emb.npy")


def test_a_table_of_boxes_and_embeddings_is_one_of_regions(bring, tmp_path):
    rows = {
        "image_id": np.repeat(["a", "b"], 6),
        "embedding": list(ROWS),
        "x0": [0.25] * N,
        "y0": [0] * N,
        "x1": [9] * N,
        "y1": [9] * N,
    }
    pq.write_table(pa.table(rows), tmp_path / "regions.parquet")
    (tmp_path / "images.csv").write_text("image_id,label,split\na,0,train\nb,1,test\n")
    came = bring(tmp_path / "images.csv", tmp_path / "regions.parquet")
    assert came.arrays("regions")["offsets"].tolist() == [0, 6, 12]
    np.testing.assert_array_equal(came.arrays("region_embeddings")["regions"], ROWS.astype(np.float16))
    assert "boxes_xyxy: 12 of 12 boxes are rounded to whole pixels" in came.said


def test_class_names_beside_each_row_name_the_numbers(bring, tmp_path):
    table = {"id": np.arange(N), "embedding": list(ROWS), "label": LABELS + 1, "split": SPLIT.tolist()}
    pq.write_table(
        pa.table({**table, "class_name": np.array(["a", "b", "c"])[LABELS].tolist()}), tmp_path / "a.parquet"
    )
    assert bring(tmp_path / "a.parquet").arrays("index")["class_names"].tolist() == ["0", "a", "b", "c"]
    pq.write_table(pa.table({**table, "class_name": [str(i) for i in range(N)]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="one class name for label 1, found '0' and, in row 3, '3'"):
        bring(tmp_path / "a.parquet")


def test_what_others_call_labels_makes_no_index_where_one_is_there(bring, tmp_path):
    np.savez(tmp_path / "a.npz", image_ids=[f"i{i}" for i in range(N)], labels=LABELS, split=SPLIT)
    bring(tmp_path / "a.npz")
    table = {"id": [f"i{i}" for i in range(N)], "embedding": list(ROWS), "class": np.zeros(N, np.int64)}
    pq.write_table(pa.table(table), tmp_path / "b.parquet")
    came = bring(tmp_path / "b.parquet")
    assert_whole(came)
    assert "b.parquet: passed over class (int64)" in came.said


def test_a_column_that_is_called_as_its_file_is_named(bring, tmp_path):
    table = {"id": np.arange(N), "embedding": list(ROWS), "label": LABELS, "split": SPLIT.tolist()}
    table["caption"] = ["x"] * N
    pq.write_table(pa.table(table), tmp_path / "caption.parquet")
    assert "caption.parquet: passed over caption (text)" in bring(tmp_path / "caption.parquet").said


def test_what_nothing_makes_use_of_is_named(bring, tmp_path):
    np.savez(tmp_path / "a.npz", globals=ROWS, labels=LABELS, split=SPLIT, logit_scale=[50.0], templates=["a {}"])
    assert (
        "a.npz: passed over logit_scale, templates, of which what came makes no use" in bring(tmp_path / "a.npz").said
    )


@pytest.mark.parametrize(
    ("name", "numbered", "found"),
    [
        ("features_train", False, Address("features", "train")),
        ("test/image_features", False, Address("image_features", "test")),
        ("imageFeatures", False, Address("image_features")),
        ("img_emb_07", True, Address("img_emb", None, 7)),
        ("img_emb_07", False, Address("img_emb_07")),
        ("train-00003-of-00010", True, Address("", "train", 3)),
        ("keys_16shots", True, Address("keys", "train")),
        ("train_test", False, Address("train_test")),
        ("mine-globals-clip-12345678", True, Address("mine_globals_clip_12345678")),
    ],
)
def test_what_a_name_says(name, numbered, found):
    assert address(name, numbered) == found


FOLDERS = st.lists(st.text("abc", min_size=1, max_size=3), max_size=3).map("/".join)


@given(st.lists(FOLDERS.map(lambda folder: f"{folder}/x.jpg".lstrip("/")), min_size=1, max_size=5), FOLDERS)
def test_absolute_paths_end_as_they_were_and_have_no_folder_in_common(paths, root):
    notes: list[str] = []
    found = relative(np.array([f"/home/{root}/{path}" for path in paths]), "a.npz", notes).tolist()
    assert all(f"/home/{root}/{path}".endswith(f"/{short}") for path, short in zip(paths, found, strict=True))
    assert len({short.split("/")[0] for short in found}) > 1 or any("/" not in short for short in found)
    assert notes


@pytest.mark.parametrize("path", ["../a.jpg", "a/../../b.jpg", "/x/../y.jpg"])
def test_paths_that_lead_up_are_refused(path):
    with pytest.raises(DataError, match="in row 1; write it without"):
        relative(np.array(["a.jpg", path]), "a.npz", [])


def test_windows_paths_are_written_with_slashes():
    assert relative(np.array([r"C:\photos\a\1.jpg", r"C:\photos\b\2.jpg"]), "", []).tolist() == ["a/1.jpg", "b/2.jpg"]
    assert relative(np.array([r"a\1.jpg"]), "", []).tolist() == ["a/1.jpg"]

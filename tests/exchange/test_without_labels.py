"""Images without a label, in and out of every format."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fgscore.errors import DataError
from fgscore.exchange.export import Chosen, collect, export
from fgscore.exchange.import_ import Names, import_files
from fgscore.store.arrays import FORMATS
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

N = 4
IDS = [f"i{i}" for i in range(N)]
SPLIT = ["train", "train", "test", "test"]
GLOBALS = np.eye(N, 8, dtype=np.float32)
NONE = ["", "", "", "", "", ""]


def whole_index(came):
    return came.store.index(next(came.store.artefacts("index")))


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("named", [True, False], ids=["class names", "no class names"])
@pytest.mark.parametrize("labels", [NONE, ["crow", "", "owl", "", "", "owl"]], ids=["none", "some"])
def test_what_is_exported_comes_back_exactly(birds, data, elsewhere, tmp_path, suffix, named, labels):
    birds.label(labels)
    assert birds.extract(*(["--classes", birds.names] if named else [])).code == 0
    store = Store(Layout(data))
    kinds = [
        k for k in ("index", "globals", "regions", "region_embeddings", "text") if any(store.artefacts(k, "birds"))
    ]
    assert ("text" in kinds) == (named or labels != NONE)
    export(store, Chosen(kinds=tuple(kinds)), tmp_path / "out", suffix)
    files = sorted((tmp_path / "out").iterdir())
    import_files(elsewhere, "birds", files)
    for kind in kinds:
        ((before,), (after,)) = (list(one.artefacts(kind)) for one in (store, elsewhere))
        first, second = collect(store, before), collect(elsewhere, after)
        assert set(first) == set(second)
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name], err_msg=f"{kind}: {name}")
    assert not any(one.computed for one in import_files(elsewhere, "birds", files))


def test_a_label_that_is_not_there_is_null_in_parquet_and_minus_one_elsewhere(birds, data, tmp_path):
    birds.label(["crow", "", "owl", "", "", "owl"])
    birds.extract()
    for suffix in ("parquet", "npz"):
        export(Store(Layout(data)), Chosen(kinds=("index",)), tmp_path / suffix, suffix)
    (path,) = (tmp_path / "parquet").iterdir()
    assert pq.read_table(path)["labels"].to_pylist() == [0, None, 1, None, None, 1]
    (path,) = (tmp_path / "npz").iterdir()
    assert np.load(path)["labels"].tolist() == [0, -1, 1, -1, -1, 1]


@pytest.mark.parametrize(
    "column",
    [
        pa.nulls(N),
        pa.array([None] * N, pa.int64()),
        pa.array([""] * N),
        pa.array([None] * N, pa.string()),
        pa.array([None] * N, pa.string()).dictionary_encode(),
    ],
    ids=["null", "int64", "empty text", "text", "dictionary"],
)
def test_a_column_of_empty_cells_is_no_label(bring, tmp_path, column):
    table = {"image_id": IDS, "label": column, "split": SPLIT, "embedding": list(GLOBALS)}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    came = bring(tmp_path / "a.parquet")
    index = whole_index(came)
    assert index.labels.tolist() == [-1] * N and index.class_names == () and index.split.tolist() == SPLIT
    assert f"labels: none of {N} photos has a label" in came.said


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.float64(), pa.dictionary(pa.int32(), pa.string()), pa.binary()], ids=str
)
def test_cells_between_others_are_no_label(bring, tmp_path, kind):
    values = [3, None, 1, None] if kind in (pa.int64(), pa.float64()) else ["owl", None, "crow", None]
    values = [v if v is None or kind != pa.binary() else v.encode() for v in values]
    table = {"image_id": IDS, "label": pa.array(values, kind), "split": SPLIT, "embedding": list(GLOBALS)}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    came = bring(tmp_path / "a.parquet")
    index = whole_index(came)
    wanted = ["3", None, "1", None] if kind in (pa.int64(), pa.float64()) else ["owl", None, "crow", None]
    assert [index.class_of(row) for row in range(N)] == wanted
    assert f"labels: 2 of {N} photos have no label: i1, i3" in came.said


def test_without_labels_and_an_index_the_images_have_none(bring, tmp_path):
    np.savez(tmp_path / "a.npz", image_ids=IDS, globals=GLOBALS)
    came = bring(tmp_path / "a.npz")
    assert whole_index(came).labels.tolist() == [-1] * N
    assert "split: none came, all images are of test" in came.said
    assert any("none of 4 photos has a label; none came, or name them with --array labels=KEY" in s for s in came.said)


def test_class_names_come_with_text_where_no_label_does(bring, tmp_path):
    names = ["crow", "owl"]
    np.savez(tmp_path / "a.npz", image_ids=IDS, globals=GLOBALS, text=np.eye(2, 8), class_names=names)
    assert whole_index(bring(tmp_path / "a.npz")).class_names == ("crow", "owl")


def test_minus_one_is_no_label_where_class_names_say_what_the_others_are(bring, tmp_path):
    arrays = {"image_ids": IDS, "split": SPLIT, "globals": GLOBALS, "labels": [1, -1, 0, -1]}
    np.savez(tmp_path / "a.npz", **arrays, class_names=["crow", "owl"])
    assert whole_index(bring(tmp_path / "a.npz")).labels.tolist() == [1, -1, 0, -1]


@pytest.mark.parametrize(
    ("labels", "names"), [([1, -1, 0, -1], None), ([1, -2, 0, 0], ["crow", "owl"])], ids=["no names", "minus two"]
)
def test_other_numbers_below_zero_are_refused(bring, tmp_path, labels, names):
    more = {} if names is None else {"class_names": names}
    np.savez(tmp_path / "a.npz", image_ids=IDS, split=SPLIT, globals=GLOBALS, labels=labels, **more)
    with pytest.raises(
        DataError, match="labels from 0 on, found -[12] in row 1.*an empty cell, or -1 where class_names"
    ):
        bring(tmp_path / "a.npz")


def test_a_class_name_beside_no_number_is_refused(bring, tmp_path):
    table = {"image_id": IDS, "label": [0, None, 1, 1], "class_name": ["a", "b", "b", "b"], "split": SPLIT}
    pq.write_table(pa.table({**table, "embedding": list(GLOBALS)}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="expected a label beside class name 'b' in row 1"):
        bring(tmp_path / "a.parquet")


def test_the_store_s_own_index_file_comes_in(birds, data, bring):
    """The Parquet of an index is documented for others to read, and so for us."""
    birds.label(["crow", "", "owl", "", "", "owl"])
    birds.extract()
    (path,) = (data / "cache" / "birds" / "index").glob("*/index-*.parquet")
    index = whole_index(bring(path))
    assert [index.class_of(row) for row in range(6)] == ["crow", None, "owl", None, None, "owl"]
    assert json.loads(pq.read_schema(path).metadata[b"fgscore"])["class_names"] == ["crow", "owl"]


def test_the_same_import_changes_nothing_more_images_replace_it_and_others_join_it(bring, tmp_path):
    np.savez(tmp_path / "a.npz", image_ids=IDS[:3], globals=GLOBALS[:3])
    came = bring(tmp_path / "a.npz")
    assert not any(one.computed for one in import_files(came.store, "mine", [tmp_path / "a.npz"]))
    np.savez(tmp_path / "more.npz", image_ids=IDS, globals=GLOBALS)
    assert len(whole_index(bring(tmp_path / "more.npz"))) == N
    np.savez(tmp_path / "text.npz", text=np.eye(2, 8), class_names=["crow", "owl"])
    with pytest.raises(DataError, match="class names in the index.*found none; import text together with the embedd"):
        bring(tmp_path / "text.npz")
    assert whole_index(bring(tmp_path / "more.npz", tmp_path / "text.npz")).class_names == ("crow", "owl")
    np.savez(tmp_path / "other.npz", image_ids=IDS[1:], globals=-GLOBALS[1:])
    bring(tmp_path / "other.npz", names=Names(encoder="other"))
    assert len(whole_index(came)) == N and len(list(came.store.artefacts("globals"))) == 2


def test_a_labelled_index_is_never_replaced_by_images_without_a_label(bring, tmp_path):
    np.savez(tmp_path / "a.npz", image_ids=IDS, globals=GLOBALS, labels=[0, 1, 0, 1], split=SPLIT)
    bring(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", image_ids=["stranger"], globals=GLOBALS[:1])
    with pytest.raises(DataError, match="found stranger"):
        bring(tmp_path / "b.npz")

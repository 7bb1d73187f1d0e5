"""Files of embeddings that came in wrongly or not at all, each after a public report, as a user imports them."""

from __future__ import annotations

import datetime
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fgscore.store.cache import Store
from fgscore.store.paths import Layout

N = 12
LABELS = np.arange(N) % 3
SPLIT = ["train", "train", "test", "test"] * 3
IDS = [f"i{i}" for i in range(N)]
TEXT = np.eye(3, 8, dtype=np.float32)
BASE: dict[str, Any] = {"image_ids": IDS, "labels": LABELS, "split": SPLIT, "globals": TEXT[LABELS]}
COLUMNS: dict[str, Any] = {"image_id": IDS, "label": LABELS, "split": SPLIT, "embedding": list(TEXT[LABELS])}


@pytest.fixture
def bring(run: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """``bring("a.npz", labels=...)`` imports a file of these arrays, beside the others that make a data set of it; None
    leaves one out."""

    def call(name: str, *more: Any, **arrays: Any) -> Any:
        path = tmp_path / name
        base = BASE if name.endswith(".npz") else COLUMNS
        content = {key: array for key, array in {**base, **arrays}.items() if array is not None}
        if name.endswith(".npz"):
            np.savez(path, **content)
        elif name.endswith(".parquet"):
            pq.write_table(pa.table(content), path)
        else:
            rows = zip(*content.values(), strict=True)
            cells = [[v.tolist() if isinstance(v, np.ndarray) else v for v in row] for row in rows]
            lines = [",".join(content), *(",".join(f'"{cell}"' for cell in row) for row in cells)]
            path.write_text("\n".join(lines), encoding="utf-8")
        return run("import", "mine", path, *more)

    return call


@pytest.fixture
def index(data: Path) -> Callable[[], Any]:
    """``index()`` is what the cache has."""

    def call() -> Any:
        store = Store(Layout(data))
        return store.index(next(store.artefacts("index")))

    return call


def accuracy(run: Callable[..., Any]) -> float:
    found = run("probe", "mine", "--pool", "none", "--head", "zeroshot", "--json")
    assert found.code == 0, found.err
    return float(found.json["results"][0]["accuracy"])


class TestClassNamesTwice:
    """import_class_names_twice: two classes of one name are two classes, or are refused by name."""

    def test_by_position_where_the_names_are_those_of_the_index(self, bring, run):
        done = bring("a.npz", text=TEXT, class_names=["crane", "jay", "crane"])
        assert done.code == 0 and "'crane' for 0 and for 2, which are told apart by number" in done.err
        assert accuracy(run) == 1.0

    def test_by_position_in_a_file_that_joins_the_index(self, bring, run, tmp_path):
        assert bring("a.npz", class_names=["crane", "jay", "crane"]).code == 0
        np.savez(tmp_path / "text.npz", text=TEXT, class_names=["crane", "jay", "crane"])
        assert run("import", "mine", tmp_path / "text.npz").code == 0
        assert accuracy(run) == 1.0

    def test_in_another_order_they_are_refused(self, bring, run, tmp_path):
        assert bring("a.npz", class_names=["crane", "jay", "crane"]).code == 0
        np.savez(tmp_path / "text.npz", text=TEXT, class_names=["jay", "crane", "crane"])
        done = run("import", "mine", tmp_path / "text.npz")
        assert done.code == 1 and "found 'crane' as 1 and as 2" in done.message

    def test_where_labels_are_names_they_are_refused(self, bring):
        done = bring("a.npz", labels=np.array(["crane", "jay", "crane"])[LABELS], class_names=["crane", "jay", "crane"])
        assert done.code == 1 and "where labels go by name, found 'crane' as 0 and as 2" in done.message


class TestFractionalLabels:
    """import_fractional_labels: labels are whole numbers or names."""

    @pytest.mark.parametrize("name", ["a.npz", "a.parquet", "a.csv"])
    @pytest.mark.parametrize("wrong", [0.5, np.nan, np.inf])
    def test_others_are_refused_with_their_row(self, bring, name, wrong):
        labels = np.where(np.arange(N) == 4, wrong, LABELS)
        done = bring(name, **{"labels" if name == "a.npz" else "label": labels})
        assert done.code == 1 and "expected whole numbers as labels" in done.message
        assert f"found {wrong} in row 4" in done.message

    @pytest.mark.parametrize("name", ["a.npz", "a.parquet", "a.csv"])
    def test_whole_ones_are_the_numbers(self, bring, index, name):
        assert bring(name, **{"labels" if name == "a.npz" else "label": LABELS.astype(float)}).code == 0
        assert index().labels.tolist() == LABELS.tolist() and index().labels.dtype == np.int64

    @pytest.mark.parametrize(
        ("labels", "found"),
        [
            (LABELS > 0, "found False in row 0"),
            (LABELS * 1e300, r"found 1e+300 in row 1"),
            (LABELS * 10**9, "expected labels below 1,000,000"),
            (LABELS - 1, "labels from 0 on, found -1 in row 0"),
            (np.array(["a", "b", "nan"])[LABELS], "found 'nan' in row 2"),
            (np.array(["0.5", "1.5", "2"])[LABELS], "found '0.5' in row 0"),
        ],
        ids=["booleans", "huge", "larger than there can be classes", "negative", "nan as text", "fractions as text"],
    )
    def test_what_is_no_class_is_refused(self, bring, labels, found):
        done = bring("a.npz", labels=labels)
        assert done.code == 1 and found in done.message

    def test_labels_that_count_from_one_are_told_so(self, bring):
        done = bring("a.npz", labels=LABELS + 1, class_names=["a", "b", "c"])
        assert done.code == 1 and "found 3 in row 2; they count from 1: subtract 1" in done.message

    @pytest.mark.parametrize("labels", [LABELS.tolist(), ["b", "a", "c"] * 4], ids=["numbers", "names"])
    @pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
    def test_an_empty_cell_is_no_label(self, bring, index, name, labels):
        cells = [(("" if name == "a.csv" else None) if i in (3, 5) else label) for i, label in enumerate(labels)]
        done = bring(name, label=cells)
        assert done.code == 0 and "labels: 2 of 12 photos have no label: i3, i5" in done.err
        found = index()
        assert [found.class_of(row) for row in range(N)] == [
            None if i in (3, 5) else str(label) for i, label in enumerate(labels)
        ]

    def test_na_and_null_are_names(self, bring, index):
        assert bring("a.csv", label=np.array(["NA", "null", "None"])[LABELS]).code == 0
        assert index().class_names == ("NA", "None", "null")

    def test_spaces_around_a_name_make_no_class(self, bring, index):
        done = bring("a.parquet", label=["robin " if i == 3 else "robin" for i in range(N)])
        assert index().class_names == ("robin",) and "spaces around 1 names are taken off, as in 'robin '" in done.err


OTHERS: dict[str, Any] = {
    "caption": ["a bird", None] * 6,
    "when": [datetime.datetime(2026, 11, 30)] * N,
    "tags": [["a"], ["a", "b"]] * 6,
    "image": [{"bytes": b"\x89PNG", "path": "a.png"}] * N,
    "raw": [b"\xff\xfe"] * N,
    "nested": [[[1.0], [2.0, 3.0]]] * N,
    "lookup": pa.array([[("k", 1)]] * N, pa.map_(pa.string(), pa.int64())),
    "nothing": pa.nulls(N),
    "text": ["a caption under one of our names"] * N,
    "area": [640 * 480] * N,
    "regions": [[{"x": 1, "y": 2}]] * N,
    "orientation": [90] * N,
    "shard": [7, 3] * 6,
}


class TestOtherColumns:
    """import_other_columns: what is of no interest is passed over and named, whatever it holds."""

    @pytest.mark.parametrize("name", OTHERS)
    def test_of_any_kind(self, bring, index, name):
        done = bring("a.parquet", **{name: OTHERS[name]})
        assert done.code == 0, done.err
        assert f"passed over {name} (" in done.err and len(index()) == N

    def test_all_at_once_beside_what_is_named(self, bring):
        done = bring("a.parquet", "--array", "globals=embedding", **OTHERS)
        assert done.code == 0 and all(f"{name} (" in done.err for name in OTHERS)

    def test_in_csv(self, bring):
        done = bring("a.csv", text=["hello"] * N, area=["large"] * N, when=["2026-11-30"] * N)
        assert done.code == 0 and all(f"{name} (text)" in done.err for name in ("text", "area", "when"))

    def test_objects_in_an_npz_are_not_loaded(self, bring):
        done = bring("a.npz", people=np.array([{"a": 1}], object), when=np.zeros(3, "M8[s]"))
        assert done.code == 0 and "people (Python objects" in done.err and "when (timestamps)" in done.err

    @pytest.mark.parametrize("name", ["split", "image_id", "embedding"])
    def test_an_empty_cell_in_what_is_wanted_is_refused_by_row(self, bring, name):
        cells = list(COLUMNS[name])
        cells[5] = None
        done = bring("a.parquet", **{name: cells})
        assert done.code == 1 and f"in every row of {name!r}, found none in row 5" in done.message

    def test_a_column_that_is_there_twice_is_refused_where_it_is_wanted(self, run, tmp_path):
        columns = {**COLUMNS, "other": LABELS}
        names = ["image_id", "label", "split", "embedding", "label"]
        pq.write_table(pa.table([pa.array(c) for c in columns.values()], names=names), tmp_path / "a.parquet")
        done = run("import", "mine", tmp_path / "a.parquet")
        assert done.code == 1 and "'label'" in done.message and "there twice" in done.message


class TestIds:
    """Ids stay what they are: 0 is one, large ones are exact, none is made up in silence."""

    @pytest.mark.parametrize("start", [0, 2**62])
    @pytest.mark.parametrize("name", ["a.npz", "a.parquet", "a.csv"])
    def test_whole_numbers_are_exact(self, bring, index, name, start):
        ids = np.arange(N) + start
        assert bring(name, **{"image_ids" if name == "a.npz" else "image_id": ids}).code == 0
        assert index().image_ids.tolist() == [str(start + i) for i in range(N)]

    def test_leading_zeros_stay(self, bring, index):
        assert bring("a.csv", image_id=[f"{i:03d}" for i in range(N)]).code == 0
        assert index().image_ids[:2].tolist() == ["000", "001"]

    def test_without_ids_the_paths_are(self, bring, index):
        assert bring("a.parquet", image_id=None, path=[f"a/{i}.jpg" for i in IDS]).code == 0
        assert index().image_ids[0] == "a/i0.jpg" == index().paths[0]

    def test_without_either_they_are_numbered_and_that_is_said(self, bring, index):
        done = bring("a.npz", image_ids=None)
        assert index().image_ids[0] == "000000" and "images are numbered" in done.err

    @pytest.mark.parametrize(
        ("ids", "found"),
        [
            (np.arange(N) / 1.0, "floating point"),
            ([*IDS[:-1], "i3"], "found 'i3' in rows 3 and 11"),
            (["", *IDS[1:]], "found none in row 0"),
            (IDS[:-1], "image_ids 11, labels 12"),
        ],
        ids=["floats", "doubled", "empty", "too few"],
    )
    def test_others_are_refused(self, bring, ids, found):
        done = bring("a.npz", image_ids=np.array(ids))
        assert done.code == 1 and found in done.message

    def test_absolute_paths_do_not_enter_the_store(self, bring, index, data):
        paths = [f"/home/somebody/photos/{'ab'[i % 2]}/{i}.jpg" for i in range(N)]
        done = bring("a.parquet", image_id=None, image_path=paths)
        assert index().paths[:2].tolist() == ["a/0.jpg", "b/1.jpg"] and "folder" in done.err


class TestNextCommand:
    """An error that a name mends prints the command that names it, and that command works."""

    @pytest.mark.parametrize(
        ("keys", "key"),
        [(["vectors"], "vectors"), (["features", "image_features"], "image_features")],
        ids=["unknown", "two"],
    )
    def test_as_it_is_printed(self, bring, run, tmp_path, keys, key):
        assert bring("a.npz").code == 0
        path = tmp_path / "it's mine.npz"
        np.savez(path, image_ids=IDS, **dict.fromkeys(keys, TEXT[LABELS]))
        done = run("import", "mine", path, "--encoder", "theirs")
        assert done.code == 1
        (command,) = re.findall("`[^ ]*fgscore ([^`]*)`", done.message)
        words = shlex.split(command)
        assert words[:3] == ["import", "mine", str(path)] and f"globals={key}" in words
        assert run(*words).code == 0

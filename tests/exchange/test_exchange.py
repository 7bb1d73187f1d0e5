"""Embeddings in and out: what is exported and imported again is the same, bit for bit, in every format."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from fgscore.errors import DataError, NothingCached, UsageError
from fgscore.exchange.export import Chosen, collect, export
from fgscore.exchange.import_ import Names, import_files
from fgscore.regions._files import rle
from fgscore.store import arrays as array_files
from fgscore.store import match, schema
from fgscore.store.arrays import FORMATS
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

PARENTS = ("index", "regions", "region_embeddings", "globals", "text")


def only(store, kind):
    (artefact,) = store.artefacts(kind)
    return collect(store, artefact)


def assert_same(a, b):
    assert set(a) == set(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        if a[name].dtype.kind != "U":
            assert a[name].dtype == b[name].dtype, name


@pytest.mark.parametrize("suffix", FORMATS)
class TestRoundTrip:
    def test_of_parents(self, store, elsewhere, tmp_path, suffix):
        export(store, Chosen(kinds=PARENTS), tmp_path / "out", suffix)
        files = sorted((tmp_path / "out").iterdir())
        assert len(files) == 5
        summaries = import_files(elsewhere, "folder", files)
        assert {s.kind: s.computed for s in summaries} == {
            "index": 1,
            "regions": 3,
            "region_embeddings": 3,
            "globals": 3,
            "text": 1,
        }
        for kind in PARENTS:
            assert_same(only(store, kind), only(elsewhere, kind))
        again = import_files(elsewhere, "folder", files)
        assert [s.computed for s in again] == [0] * 5

    def test_of_scores_features_and_predictions(self, store, run, tmp_path, suffix):
        assert run("probe", "folder", "--scorer", "entropy", "--head", "logreg(C=1)").code == 0
        assert run("aggregate", "folder", "--scorer", "entropy").code == 0
        rows = export(store, Chosen(kinds=("scores", "features", "predictions")), tmp_path / "out", suffix)
        read = {row["kind"]: array_files.read(tmp_path / "out" / row["file"]) for row in rows}
        names = {row["kind"]: Path(row["file"]).name for row in rows}
        assert names["scores"].startswith("folder-scores-entropy-global-random_crop-n-4-")
        assert names["features"].startswith("folder-features-topk-entropy-global-random_crop-n-4-")
        told = ("entropy", "global", "random_crop(n=4)")
        assert {(row["scorer"], row["target"], row["regions"]) for row in rows} == {told}
        assert [row["head"] for row in rows if row["head"]] == ["logreg(C=1)"]
        for kind in ("scores", "features"):
            exported = {k: v for k, v in read[kind].items() if k in schema.COLUMNS[kind]}
            assert_same(exported, only(store, kind))
        assert set(read["predictions"]) == {"image_ids", "label", "prediction"}
        assert len(read["predictions"]["label"]) == 4

    def test_of_masks(self, elsewhere, tmp_path, suffix, masked):
        first = Store(Layout(tmp_path / "first"))
        import_files(first, "mine", [masked])
        export(first, Chosen(kinds=("index", "regions")), tmp_path / "out", suffix)
        import_files(elsewhere, "mine", sorted((tmp_path / "out").iterdir()))
        assert_same(only(first, "regions"), only(elsewhere, "regions"))
        assert "mask_counts" in only(elsewhere, "regions")


def test_parquet_rows_say_which_image_they_belong_to(store, tmp_path):
    import pyarrow.parquet as pq

    export(store, Chosen(kinds=("regions",)), tmp_path, "parquet")
    table = pq.read_table(next(tmp_path.glob("*.parquet")))
    assert table.column_names[:2] == ["image_id", "boxes_xyxy"] and table.num_rows == 40
    assert len(set(table["image_id"].to_pylist())) == 10


RNG = np.random.default_rng(3)
MASKS = [RNG.random((7, 9)) < 0.4, np.zeros((7, 9), bool), np.ones((5, 4), bool), RNG.random((5, 4)) < 0.7]


def runs_of(mask):
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], changes, [mask.size]])).astype(np.uint32)


@pytest.fixture
def masked(tmp_path):
    """Three images of which the second has no region; masks of two sizes."""
    runs = [runs_of(m) for m in MASKS]
    path = tmp_path / "masked.npz"
    np.savez(
        path,
        image_ids=np.array(["a", "b", "c"]),
        labels=[0, 1, 0],
        split=np.array(["train", "train", "test"]),
        offsets=[0, 2, 2, 4],
        boxes_xyxy=np.arange(16).reshape(4, 4),
        mask_counts=np.concatenate(runs),
        mask_offsets=np.concatenate([[0], np.cumsum([len(r) for r in runs])]),
        mask_size_hw=[[7, 9], [3, 3], [5, 4]],
    )
    return path


def test_masks_are_read_by_pycocotools(elsewhere, masked, tmp_path, capsys):
    import_files(elsewhere, "mine", [masked])
    (row,) = export(elsewhere, Chosen(kinds=("masks",)), tmp_path / "out", "npz")
    coco = COCO(row["file"])
    capsys.readouterr()
    annotations = coco.loadAnns(sorted(coco.getAnnIds()))
    assert len(annotations) == len(MASKS) and len(coco.getImgIds()) == 3
    for annotation, mask in zip(annotations, MASKS, strict=True):
        np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), mask)
        assert annotation["area"] == mask.sum()
        assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()


@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=40))
def test_rle_strings_are_those_of_pycocotools(runs):
    theirs = coco_mask.frPyObjects({"size": [sum(runs), 1], "counts": runs}, sum(runs), 1)["counts"]
    assert rle.to_string(np.array(runs)).encode() == theirs


def unit(rng, n, d=8):
    rows = rng.standard_normal((n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def theirs(tmp_path):
    """A file with arrays by names of its own, split by split."""
    rng = np.random.default_rng(0)
    content = {
        "Xtr": 3 * unit(rng, 6),
        "ytr": np.arange(6) % 2,
        "Xte": 3 * unit(rng, 4),
        "yte": np.arange(4) % 2,
        "W": unit(rng, 2),
        "names": np.array(["crow", "jay"]),
    }
    path = tmp_path / "theirs.npz"
    np.savez(path, **content)
    return path, content


SOURCES = (
    "globals:train=Xtr",
    "labels:train=ytr",
    "globals:test=Xte",
    "labels:test=yte",
    "text=W",
    "class_names=names",
)


class TestImport:
    def test_arrays_of_other_names(self, theirs, elsewhere):
        path, content = theirs
        import_files(elsewhere, "mine", [path], sources=SOURCES, names=Names(encoder="vit(size=3)"))
        (bundle,) = match.bundles(elsewhere, encoder="vit")
        assert not isinstance(bundle, RegionBundle)
        assert bundle.labels == {"dataset": "mine", "regions": "", "encoder": "vit(size=3)", "prompt": "imported"}
        assert bundle.index.split.tolist() == ["train"] * 6 + ["test"] * 4
        assert bundle.index.image_ids[[0, 6]].tolist() == ["train/000000", "test/000000"]
        arrays = only(elsewhere, "globals")
        np.testing.assert_allclose(arrays["norms"], 3, rtol=1e-6)
        np.testing.assert_allclose(arrays["globals"], np.concatenate([content["Xtr"], content["Xte"]]) / 3, atol=1e-3)

    def test_probe_works_and_score_says_why_not(self, theirs, elsewhere, run):
        import_files(elsewhere, "mine", [theirs[0]], sources=SOURCES)
        result = run("probe", "--pool", "none", "--head", "zeroshot", "--json", data=elsewhere.layout.root)
        assert result.code == 0 and result.json["results"][0]["n_test"] == 4
        result = run("score", data=elsewhere.layout.root)
        assert result.code == 1
        assert "skipped mine by imported: no regions, which score needs" in result.err

    def test_mixed_caches_score_what_has_regions(self, store, theirs, run):
        import_files(store, "mine", [theirs[0]], sources=SOURCES)
        result = run("score", "--json")
        assert result.code == 0 and [row["dataset"] for row in result.json["scores"]] == ["folder"]
        assert "skipped mine" in result.err
        rows = run("probe", "--pool", "none", "--pool", "mean", "--head", "zeroshot", "--json").json["results"]
        assert [(r["dataset"], r["pool"]) for r in rows] == [("folder", "none"), ("folder", "mean"), ("mine", "none")]

    def test_regions_without_boxes(self, elsewhere, tmp_path, run):
        rng = np.random.default_rng(1)
        path = tmp_path / "r.npz"
        np.savez(
            path,
            image_ids=[f"{i}" for i in range(8)],
            labels=np.arange(8) % 2,
            split=["train"] * 6 + ["test"] * 2,
            globals=unit(rng, 8),
            offsets=np.arange(9) * 3,
            regions=unit(rng, 24),
            text=unit(rng, 2),
        )
        import_files(elsewhere, "mine", [path])
        assert np.isnan(only(elsewhere, "regions")["area"]).all()
        result = run("probe", "--scorer", "all", "--head", "zeroshot", "--json", data=elsewhere.layout.root)
        assert result.code == 0 and len(result.json["results"]) == 5
        assert result.json["results"][0]["regions"] == "imported"

    def test_a_later_file_joins_the_index(self, store, tmp_path):
        rng = np.random.default_rng(1)
        index = store.index(next(store.artefacts("index")))
        order = rng.permutation(10)
        path = tmp_path / "more.npz"
        names = list(reversed(index.class_names))
        np.savez(path, image_ids=index.image_ids[order], globals=unit(rng, 10), text=np.eye(2, 8), class_names=names)
        import_files(store, "folder", [path], names=Names(encoder="other"))
        (bundle,) = match.bundles(store, encoder="other")
        np.testing.assert_array_equal(bundle.text_bank.text, np.eye(2, 8)[::-1])  # by name, not by position
        whole = collect(store, bundle.globals)
        assert whole["image_ids"].tolist() == index.image_ids.tolist()
        at = {i: n for n, i in enumerate(index.image_ids[order].tolist())}
        given_rows = np.load(path)["globals"][[at[i] for i in index.image_ids.tolist()]]
        np.testing.assert_array_equal(whole["globals"], given_rows.astype(np.float16))

    def test_images_that_are_not_in_the_import_are_listed(self, store, tmp_path):
        index = store.index(next(store.artefacts("index")))
        np.savez(tmp_path / "few.npz", image_ids=index.image_ids[:3], globals=unit(np.random.default_rng(0), 3))
        summaries = import_files(store, "folder", [tmp_path / "few.npz"])
        assert [len(s.failures) for s in summaries] == [7] and summaries[0].images == 3

    def test_another_import_replaces_what_was_under_the_names(self, theirs, elsewhere, tmp_path):
        path, content = theirs
        import_files(elsewhere, "mine", [path], sources=SOURCES)
        np.savez(path, **{**content, "Xtr": -content["Xtr"]})
        summaries = import_files(elsewhere, "mine", [path], sources=SOURCES)
        assert {s.kind: s.computed for s in summaries} == {"index": 0, "globals": 1, "text": 0}
        assert len(match.bundles(elsewhere)) == 1

    def test_labels_may_be_names(self, elsewhere, tmp_path):
        np.savez(tmp_path / "x.npz", labels=["jay", "crow", "jay"], split=["train", "train", "test"], globals=np.eye(3))
        import_files(elsewhere, "mine", [tmp_path / "x.npz"])
        index = elsewhere.index(next(elsewhere.artefacts("index")))
        assert index.class_names == ("crow", "jay") and index.labels.tolist() == [1, 0, 1]

    def test_a_table_with_a_row_a_region(self, elsewhere, tmp_path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = pa.table({"image_id": ["a", "a", "b"], "regions": np.eye(3, 4).tolist()})
        pq.write_table(rows, tmp_path / "regions.parquet")
        images = pa.table({"image_id": ["a", "b"], "label": [0, 1], "split": ["train", "test"]})
        pq.write_table(images, tmp_path / "images.parquet")
        import_files(elsewhere, "mine", [tmp_path / "images.parquet", tmp_path / "regions.parquet"])
        assert only(elsewhere, "region_embeddings")["offsets"].tolist() == [0, 2, 3]


GOOD = {
    "image_ids": np.array(["a", "b"]),
    "labels": np.array([0, 1]),
    "split": np.array(["train", "test"]),
    "globals": np.eye(2, 4, dtype=np.float32),
    "text": np.eye(2, 4, dtype=np.float32),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 1, 1])}, "equal length"),
        ({"image_ids": np.array(["a", "a"])}, "each image id once"),
        ({"split": np.array(["train", "holdout"])}, "split of train, val, test, found 'holdout' in row 1"),
        ({"split": None}, "expected split beside labels"),
        ({"globals": np.eye(4, dtype=np.float32)[0]}, "globals of 2 dimensions"),
        ({"globals": np.full((2, 4), np.nan, np.float32)}, "expected finite globals"),
        ({"globals": np.zeros((2, 4), np.float32)}, "globals other than zero, found zero in row 0"),
        ({"globals": np.full((2, 4), 2.0), "norms": np.ones(2)}, "globals of norm 1 beside their norms"),
        ({"text": np.eye(3, 4)}, "text for the 2 classes of the index, found 3 rows"),
        ({"text": np.eye(2, 5)}, "embeddings of one width, found globals 4, text 5"),
        ({"class_names": np.array(["x", "y", "z"])}, "equal length for text"),
        ({"offsets": np.array([0, 1, 3]), "regions": np.eye(2, 4)}, "offsets: expected 0 to 2"),
        ({"regions": np.eye(5)}, "expected offsets, or an image_id for each of 5 regions"),
        ({"labels": np.array([[0], [1]])}, "labels of 1 dimensions"),
        ({"labels": np.array([-1, 0])}, "labels from 0 on, found -1 in row 0"),
    ],
)
def test_arrays_at_fault_are_refused_and_nothing_is_written(elsewhere, tmp_path, change, message):
    content = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    np.savez(tmp_path / "x.npz", **content)
    with pytest.raises(DataError, match=message) as caught:
        import_files(elsewhere, "mine", [tmp_path / "x.npz"])
    assert "\n" not in str(caught.value)
    assert not elsewhere.layout.cache.exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("globals", "expected NAME=KEY"),
        ("wrong=x", "expected NAME=KEY"),
        ("globals:dev=x", "expected NAME=KEY"),
        ("text:train=x", "a row an image only"),
        ("globals=absent", "expected an array 'absent' in x.npz"),
        ("globals:train=globals", "split by split or none, found image_ids whole"),
    ],
)
def test_options_at_fault(elsewhere, tmp_path, source, message):
    np.savez(tmp_path / "x.npz", **GOOD)
    with pytest.raises((UsageError, DataError), match=message):
        import_files(elsewhere, "mine", [tmp_path / "x.npz"], sources=[source])


@pytest.mark.parametrize("suffix", FORMATS.values())
def test_files_that_are_no_arrays(elsewhere, tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with pytest.raises(DataError, match="expected a file at"):
        import_files(elsewhere, "mine", [path])
    path.write_bytes(b"something else altogether")
    with pytest.raises(DataError, match="expected arrays in .*found something else"):
        import_files(elsewhere, "mine", [path])
    with pytest.raises(UsageError, match="expected a file of .npz, .parquet, .safetensors"):
        import_files(elsewhere, "mine", [tmp_path / "x.mat"])


def test_a_pickle_is_never_loaded(elsewhere, tmp_path):
    np.savez(tmp_path / "x.npz", globals=np.array([{"a": 1}], object))
    with pytest.raises(DataError, match="found something else"):
        import_files(elsewhere, "mine", [tmp_path / "x.npz"])


def test_no_index_to_join(elsewhere, tmp_path):
    np.savez(tmp_path / "x.npz", text=np.eye(1, 4), class_names=["a"])
    with pytest.raises(UsageError, match="expected images in the files, or one index of 'mine'.*found none"):
        import_files(elsewhere, "mine", [tmp_path / "x.npz"])


def test_strangers_are_refused(store, tmp_path):
    np.savez(tmp_path / "x.npz", image_ids=["stranger"], globals=np.eye(1, 4))
    with pytest.raises(DataError, match="found stranger"):
        import_files(store, "folder", [tmp_path / "x.npz"])


class TestExportCommand:
    def test_what_is_chosen(self, store, run, tmp_path):
        result = run("export", "folder", "--kind", "globals", "--kind", "text", "--to", tmp_path / "out", "--json")
        assert result.code == 0 and [row["kind"] for row in result.json["files"]] == ["globals", "text"]
        assert result.json["files"][0]["rows"] == 10

    @pytest.mark.parametrize(
        ("options", "code", "message"),
        [
            (("--kind", "mask"), 2, "expected kinds of"),
            (("--format", "csv"), 2, "expected a format of npz, parquet, safetensors, found 'csv'"),
            (("--encoder", "clip", "--kind", "globals"), 1, "nothing in .* matches"),
        ],
    )
    def test_errors(self, store, run, tmp_path, options, code, message):
        result = run("export", *options, "--to", tmp_path / "out")
        assert result.code == code
        assert re.search(message, result.message)

    def test_import_from_the_command_line(self, store, run, tmp_path):
        run("export", "folder", "--to", tmp_path / "out", "--format", "parquet")
        files = sorted((tmp_path / "out").iterdir())
        result = run("import", "copy", *files, "--encoder", "theirs", "--json", data=tmp_path / "new")
        assert result.code == 0 and json.loads(result.out)["computed"] == 11
        assert run("score", "copy", "--encoder", "theirs", data=tmp_path / "new").code == 0


def test_nothing_to_export(elsewhere, tmp_path):
    with pytest.raises(NothingCached):
        export(elsewhere, Chosen(), tmp_path, "npz")


def test_real_embeddings_of_cars(real_data, elsewhere, run):
    """Published for this model on the official test split: 0.5941."""
    options = (
        *("globals:train=train", "labels:train=train_label", "image_ids:train=train_file"),
        *("globals:test=val", "labels:test=val_label", "image_ids:test=val_file", "class_names=class_name"),
    )
    import_files(elsewhere, "cars", [real_data / "features" / "cars_vitb32.npz"], sources=options)
    result = run("probe", "--pool", "none", "--head", "zeroshot", "--json", data=elsewhere.layout.root)
    assert round(result.json["results"][0]["accuracy"], 4) == 0.5896
    result = run("probe", "--pool", "none", "--head", "logreg(C=100)", "--json", data=elsewhere.layout.root)
    assert result.json["results"][0]["accuracy"] >= 0.74

"""Containers check themselves on construction, and digests react to what they stand for."""

import hashlib
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from fgscore.errors import NoText
from fgscore.inputs import ScoreInputs
from fgscore.regular import file_sha256
from fgscore.types import (
    EmbeddingShard,
    FeatureShard,
    GlobalShard,
    ImageIndex,
    MaskRLE,
    RegionBatch,
    ScoreShard,
    TextBank,
)

IDS = np.array(["a", "b", "c"])
OFFSETS = np.array([0, 2, 2, 3])


def make_index(**changes):
    columns = {
        "dataset": "toy",
        "image_ids": ["a", "b", "c", "d"],
        "paths": ["x/a.jpg", "x/b.jpg", "y/c.jpg", "y/d.jpg"],
        "labels": [0, 0, 1, 1],
        "split": ["train", "test", "train", "test"],
        "class_names": ("crow", "raven"),
        "sizes_wh": [[4, 3]] * 4,
        "sha256": ["0" * 64, "1" * 64, "2" * 64, "3" * 64],
        "orientation": [1] * 4,
        "shard": [0, 0, 1, 3],
        "boxes_xyxy": np.full((4, 4), np.nan),
    }
    return ImageIndex(**columns | changes)


def make_regions(**changes):
    columns = {"image_ids": IDS, "offsets": OFFSETS, "boxes_xyxy": np.zeros((3, 4)), "masks": None}
    columns |= {name: np.zeros(3) for name in ("area", "predicted_iou", "stability")}
    return RegionBatch(**columns | changes)


def score_inputs(**changes):
    columns = {"offsets": OFFSETS, "regions": np.eye(3), "globals": np.ones((3, 3)), "text": np.eye(3)[:2]}
    return ScoreInputs(**columns | {"logit_scale": 100.0} | changes)


def maker(kind, **columns):
    return lambda **changes: kind(**columns | changes)


MAKERS = {
    "index": make_index,
    "regions": make_regions,
    "inputs": score_inputs,
    "embeddings": maker(EmbeddingShard, image_ids=IDS, offsets=OFFSETS, regions=np.eye(3), norms=[1, 1, 1]),
    "globals": maker(GlobalShard, image_ids=IDS, globals=np.eye(3), norms=[1, 1, 1]),
    "text": maker(TextBank, class_names=("crow",), templates=("{}",), text=np.ones((1, 4)), logit_scale=1.0),
    "scores": maker(ScoreShard, image_ids=IDS, offsets=OFFSETS, scores=[1, 2, 3], target=[0, 0, 1]),
    "features": maker(FeatureShard, image_ids=IDS, features=np.eye(3), n_pooled=[1, 2, 3]),
    "masks": maker(MaskRLE, counts=[1, 2, 3], offsets=[0, 1, 3], size_hw=[[1, 2]]),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_a_well_formed_container_is_accepted_and_frozen(make):
    made = make()
    with pytest.raises(FrozenInstanceError):
        made.offsets = None


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        ("index", {"labels": [0, 0, 1, 2]}, "labels: expected 0 to 1, or -1 for none"),
        ("index", {"labels": [0, 0, 1, -2]}, "labels: expected 0 to 1, or -1 for none"),
        ("index", {"boxes_xyxy": np.zeros((4, 2))}, r"expected shape \(4, 4\), found \(4, 2\)"),
        ("index", {"image_ids": ["a", "b", "b", "d"]}, "4 ids, but only 3 distinct"),
        ("index", {"split": ["train", "test", "dev", "test"]}, "split: expected .*'val'.*, found .*'dev'"),
        ("index", {"shard": [0, 1, 0, 1]}, "non-decreasing shard"),
        ("regions", {"boxes_xyxy": np.zeros((3, 3))}, r"boxes_xyxy: expected shape \(3, 4\), found \(3, 3\)"),
        ("regions", {"area": np.zeros(2)}, r"area: expected shape \(3,\), found \(2,\)"),
        ("embeddings", {"regions": np.zeros(3)}, r"regions: expected shape \(3, 'any'\), found \(3,\)"),
        ("globals", {"norms": [1]}, r"GlobalShard.norms: expected shape \(3,\), found \(1,\)"),
        ("text", {"text": np.ones((2, 4))}, r"text: expected shape \(1, 'any'\), found \(2, 4\)"),
        ("scores", {"target": [0]}, r"target: expected shape \(3,\)"),
        ("features", {"n_pooled": [1]}, r"n_pooled: expected shape \(3,\)"),
        ("inputs", {"text": np.eye(4)}, r"ScoreInputs.regions: expected shape \(3, 4\), found \(3, 3\)"),
        ("inputs", {"globals": np.ones((3, 2))}, r"globals: expected shape \(3, 3\), found \(3, 2\)"),
        ("masks", {"size_hw": [[1, 2, 3]]}, "size_hw: expected shape"),
    ],
)
def test_a_wrong_shape_or_value_is_refused_with_what_was_expected(kind, changes, says):
    with pytest.raises(ValueError, match=says):
        MAKERS[kind](**changes)


@pytest.mark.parametrize("offsets", [[1, 2, 2, 3], [0, 2, 1, 3], [0, 2, 2, 2], [0, 2, 2, 4], [0, 3]], ids=str)
@pytest.mark.parametrize("kind", ["regions", "embeddings", "scores", "inputs"])
def test_offsets_must_run_from_zero_to_the_number_of_regions(kind, offsets):
    with pytest.raises(ValueError, match="offsets: expected"):
        MAKERS[kind](offsets=offsets)


def test_masks_must_be_those_of_the_regions():
    one = MaskRLE(counts=[4], offsets=[0, 1], size_hw=[[2, 2]] * 3)
    with pytest.raises(ValueError, match="masks: expected 3 masks of 3 images, found 1 of 3"):
        make_regions(masks=one)


def test_arrays_take_the_documented_types():
    index, regions = make_index(), make_regions()
    assert index.labels.dtype == np.int64
    assert (regions.boxes_xyxy.dtype, regions.area.dtype, regions.offsets.dtype) == (np.int32, np.float32, np.int64)
    assert MAKERS["embeddings"]().regions.dtype == MAKERS["globals"]().globals.dtype == np.float16
    assert score_inputs(regions=np.eye(3, dtype=np.float16)).regions.dtype == np.float32


def test_shards_cover_the_rows_in_order():
    assert make_index().shards == {0: slice(0, 2), 1: slice(2, 3), 3: slice(3, 4)}
    assert len(make_index()) == 4


def digests(index, *rows):
    return index.images_digest(*rows), index.labels_digest(*rows), index.names_digest()


@pytest.mark.parametrize(
    ("changes", "images", "labels", "names"),
    [
        ({"paths": ["1", "2", "3", "4"]}, False, False, False),
        ({"dataset": "other"}, False, False, False),
        ({"shard": [0, 0, 0, 0]}, False, False, False),
        ({"notes": {"partial": True}}, False, False, False),
        ({"labels": [0, 1, 1, 1]}, False, True, False),
        ({"split": ["train", "val", "train", "test"]}, False, True, False),
        ({"class_names": ("crow", "rook")}, False, True, True),
        ({"image_ids": ["a", "b", "c", "e"]}, True, True, False),
        ({"sha256": ["0" * 64] * 4}, True, False, False),
        ({"sizes_wh": [[4, 3]] * 3 + [[3, 4]]}, True, False, False),
        ({"orientation": [1, 1, 1, 6]}, True, False, False),
        ({"banner": 20}, True, False, False),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_a_digest_changes_with_what_it_stands_for_and_nothing_else(changes, images, labels, names):
    pairs = zip(digests(make_index()), digests(make_index(**changes)), strict=True)
    assert [before != after for before, after in pairs] == [images, labels, names]


def test_the_digest_of_some_rows_ignores_the_others():
    index, other = make_index(), make_index(sha256=["9" * 64, "1" * 64, "2" * 64, "3" * 64], labels=[1, 0, 1, 1])
    assert index.images_digest(slice(1, 4)) == other.images_digest(slice(1, 4))
    assert index.labels_digest(slice(1, 4)) == other.labels_digest(slice(1, 4))
    assert index.images_digest(slice(0, 2)) != other.images_digest(slice(0, 2))
    assert index.labels_digest(slice(0, 2)) != other.labels_digest(slice(0, 2))


def runs_of(mask):
    """Column-major runs that start with background."""
    runs, current = [0], False
    for x in range(mask.shape[1]):
        for y in range(mask.shape[0]):
            if bool(mask[y, x]) != current:
                runs.append(0)
                current = not current
            runs[-1] += 1
    return runs


def test_masks_of_several_images_are_read_back():
    rng = np.random.default_rng(0)
    sizes, images = [(3, 5), (4, 2)], [0, 0, 1, 1, 1]
    masks = [rng.random(sizes[i]) < 0.5 for i in images[:3]] + [np.ones((4, 2), bool), np.zeros((4, 2), bool)]
    runs = [runs_of(mask) for mask in masks]
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in runs])])
    rle = MaskRLE(np.concatenate(runs), offsets, np.array(sizes))
    for region, (mask, image) in enumerate(zip(masks, images, strict=True)):
        found = rle.decode(region, image)
        assert found.dtype == bool
        np.testing.assert_array_equal(found, mask)


def test_runs_that_do_not_fill_the_mask_are_refused():
    rle = MaskRLE(counts=[1, 2], offsets=[0, 2], size_hw=[[2, 2]])
    with pytest.raises(ValueError, match="mask 0: runs add up to 3, expected 2 x 2"):
        rle.decode(0, 0)


def test_similarities_are_the_cosines_of_the_rows(make_inputs):
    inputs = make_inputs(sizes=(0, 3, 0, 0, 2, 0))
    assert inputs.image_of_region.tolist() == [1, 1, 1, 4, 4]
    for r, image in enumerate(inputs.image_of_region):
        wanted = float(np.dot(inputs.regions[r].astype(float), inputs.globals[image].astype(float)))
        assert inputs.region_global[r] == pytest.approx(wanted, abs=1e-6)
    wanted = [[float(np.dot(f.astype(float), t.astype(float))) for t in inputs.text] for f in inputs.regions]
    np.testing.assert_allclose(inputs.region_text, wanted, rtol=0, atol=1e-6)
    wanted = [[float(np.dot(g.astype(float), t.astype(float))) for t in inputs.text] for g in inputs.globals]
    np.testing.assert_allclose(inputs.global_text, wanted, rtol=0, atol=1e-6)


def test_geometry_is_read_once_and_only_when_touched():
    reads = []

    def read():
        reads.append(1)
        return make_regions(area=[0.1, 0.2, 0.3])

    inputs = score_inputs(read_regions=read)
    assert inputs.region_text.shape == (3, 2)
    assert not reads
    np.testing.assert_allclose(inputs.area, [0.1, 0.2, 0.3])
    assert inputs.boxes_xyxy.shape == (3, 4)
    assert inputs.predicted_iou.shape == (3,)
    assert len(reads) == 1


def test_inputs_without_geometry_say_so():
    with pytest.raises(AttributeError, match="without regions"):
        _ = score_inputs().area


def test_a_replaced_field_leaves_no_old_similarity_behind():
    inputs = score_inputs()
    assert inputs.region_text.shape == (3, 2)
    assert replace(inputs, text=np.eye(3, dtype=np.float32)).region_text.shape == (3, 3)


def test_file_sha256_is_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"a\r\nb")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"a\r\nb").hexdigest()


OF_TEXT = ("text", "logit_scale", "region_text", "top_class", "top_text", "global_text")


@pytest.mark.parametrize("name", OF_TEXT)
@pytest.mark.parametrize("apart", [False, True])
def test_without_text_only_what_belongs_to_it_is_the_fault(name, apart):
    inputs = score_inputs(text=None, logit_scale=None)
    inputs = inputs.apart() if apart else inputs
    assert not inputs.has_text and score_inputs().has_text
    assert inputs.region_global.tolist() == [1, 1, 1] and inputs.image_of_region.tolist() == [0, 0, 2]
    with pytest.raises(NoText, match="no class text"):
        getattr(inputs, name)
    with pytest.raises(NoText):
        inputs.softmax(1.0)


def test_without_text_the_widths_still_have_to_agree():
    with pytest.raises(ValueError, match="regions"):
        score_inputs(text=None, logit_scale=None, regions=np.ones((3, 2)))

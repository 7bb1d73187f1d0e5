"""Records by image against lists of images, for every kind, with images without regions and masks without runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgscore.errors import StoreError
from fgscore.store import records, schema
from fgscore.types import (
    EmbeddingShard,
    FeatureShard,
    GlobalShard,
    MaskRLE,
    RegionBatch,
    ScoreShard,
    TextBank,
    ThumbnailShard,
)

KINDS = ("masks", *(kind for kind in schema.SHARD_KINDS if kind not in schema.OF_CLASSES))
NAMES = [f"{name}.jpg" for name in ("b", "a", "d/1", "c", "ö", "e", "a long one")]
few = settings(max_examples=25, deadline=None)


def offsets_of(sizes):
    return [sum(sizes[:i]) for i in range(len(sizes) + 1)]


def make(kind, ids, seed):
    """A record of ``kind`` with as many regions, runs and bytes an image as ``seed`` has it, often none."""
    rng = np.random.default_rng(seed)
    n, ids = len(ids), np.array(ids, np.str_)
    m = rng.integers(0, 3, n).tolist()
    r = sum(m)
    ragged = {"image_ids": ids, "offsets": offsets_of(m)}
    if kind in ("regions", "masks"):
        k = rng.integers(0, 4, r).tolist()
        masks = MaskRLE(rng.integers(0, 99, sum(k)), offsets_of(k), rng.integers(1, 9, (n, 2)))
        of_regions = {name: rng.random(r) for name in ("area", "predicted_iou", "stability")}
        boxes = rng.integers(0, 99, (r, 4))
        return RegionBatch(**ragged, boxes_xyxy=boxes, **of_regions, masks=masks if kind == "masks" else None)
    if kind == "region_embeddings":
        return EmbeddingShard(**ragged, regions=rng.random((r, 3)), norms=rng.random(r))
    if kind == "scores":
        return ScoreShard(**ragged, scores=rng.random(r), target=rng.integers(-1, 3, r))
    if kind == "globals":
        return GlobalShard(ids, rng.random((n, 3)), rng.random(n))
    if kind == "features":
        return FeatureShard(ids, rng.random((n, 6)), rng.integers(0, 5, n))
    sizes = rng.integers(0, 5, n).tolist()
    jpeg, wh = rng.integers(0, 256, sum(sizes)), (rng.integers(1, 9, (n, 2)), rng.integers(1, 9, (n, 2)))
    return ThumbnailShard(ids, jpeg, offsets_of(sizes), *wh)


def images_of(record):
    """What the record says of each of its images, in order: id and values, by a plain loop."""
    said = []
    for i, image_id in enumerate(record.image_ids.tolist()):
        if isinstance(record, ThumbnailShard):
            values = [record.file(i), record.sizes_wh[i].tolist(), record.original_wh[i].tolist()]
        elif isinstance(record, (GlobalShard, FeatureShard)):
            names = ("globals", "norms") if isinstance(record, GlobalShard) else ("features", "n_pooled")
            values = [getattr(record, name)[i].tolist() for name in names]
        else:
            names = {
                RegionBatch: ("boxes_xyxy", "area", "predicted_iou", "stability"),
                EmbeddingShard: ("regions", "norms"),
                ScoreShard: ("scores", "target"),
            }[type(record)]
            regions = range(record.offsets[i], record.offsets[i + 1])
            values = [[getattr(record, name)[r].tolist() for name in names] for r in regions]
            if getattr(record, "masks", None) is not None:
                runs = [record.masks.runs(r, i) for r in regions]
                values += [record.masks.size_hw[i].tolist(), [(one.counts.tolist(), one.size_hw) for one in runs]]
        said.append((image_id, values))
    return said


def layout(record):
    return {name: (a.dtype.kind, a.dtype.itemsize * (a.dtype.kind != "U")) for name, a in arrays(record).items()}


def arrays(record):
    return schema.arrays_of(record)


some_ids = st.lists(st.sampled_from(NAMES), unique=True)
cases = st.tuples(some_ids, st.integers(0, 2**32 - 1))


@pytest.mark.parametrize("kind", KINDS)
@few
@given(case=cases, data=st.data())
def test_take_gives_the_images_asked_for_in_their_order(kind, case, data):
    record = make(kind, *case)
    asked = data.draw(st.lists(st.sampled_from(case[0]), unique=True)) if case[0] else []
    taken = records.take(record, asked)
    said = dict(images_of(record))
    assert images_of(taken) == [(image_id, said[image_id]) for image_id in asked]
    assert layout(taken) == layout(record)  # masks stay masks, a zero image has the columns of others
    again = records.take(records.take(record, case[0][::-1]), np.array(asked, np.str_))
    assert images_of(again) == images_of(taken)
    assert records.take(record, case[0]) is record


@pytest.mark.parametrize("kind", KINDS)
@few
@given(case=cases, ends=st.tuples(st.integers(0, 7), st.integers(0, 7)))
def test_a_slice_of_images_is_what_taking_them_gives(kind, case, ends):
    record = make(kind, *case)
    part = slice(*sorted(ends))
    cut = records.at(record, part)
    assert images_of(cut) == images_of(record)[part]
    assert [image for one in records.each(record) for image in images_of(one)] == images_of(record)
    assert layout(cut) == layout(record)
    for name, column in schema.COLUMNS[schema.kind_of(record)].items():
        if name in arrays(cut) and not column.cuts and arrays(cut)[name].size:
            assert np.shares_memory(arrays(cut)[name], arrays(record)[name]), name


@pytest.mark.parametrize("kind", KINDS)
@few
@given(case=cases, cuts=st.lists(st.integers(0, 7), max_size=3))
def test_concat_joins_what_take_gives_back(kind, case, cuts):
    record = make(kind, *case)
    ends = [0, *sorted(min(cut, len(case[0])) for cut in cuts), len(case[0])]
    groups = [case[0][a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
    parts = [records.take(record, group) for group in groups]
    joined = records.concat(parts)
    assert images_of(joined) == images_of(record)
    assert layout(joined) == layout(record)
    for part, group in zip(parts, groups, strict=True):
        assert images_of(records.take(joined, group)) == images_of(part)


@pytest.mark.parametrize("kinds", [("region_embeddings", "globals"), ("masks", "scores"), ("thumbnails", "features")])
@few
@given(a=cases, b=cases)
def test_align_keeps_what_both_have_and_tells_the_rest(kinds, a, b):
    left, right = make(kinds[0], *a), make(kinds[1], *b)
    ours, theirs, left_out = records.align(left, right)
    common = [image_id for image_id in a[0] if image_id in b[0]]
    assert images_of(ours) == [(i, values) for i, values in images_of(left) if i in common]
    said = dict(images_of(right))
    assert images_of(theirs) == [(i, said[i]) for i in common]
    assert left_out.tolist() == sorted(set(a[0]) ^ set(b[0]))
    there, here, same = records.align(right, left)
    assert dict(images_of(here)) == dict(images_of(ours))
    assert dict(images_of(there)) == dict(images_of(theirs))
    assert same.tolist() == left_out.tolist()
    *three, out = records.align(left, right, make("globals", ["c.jpg", "a.jpg"], 0))
    assert [record.image_ids.tolist() for record in three] == [[i for i in common if i in ("a.jpg", "c.jpg")]] * 3
    assert out.tolist() == sorted((set(a[0]) | set(b[0]) | {"a.jpg", "c.jpg"}) - set(three[0].image_ids.tolist()))


def test_records_that_agree_are_aligned_as_they_are():
    a, b = make("masks", NAMES, 1), make("globals", NAMES, 2)
    assert all(x is y for x, y in zip(records.align(a, b), (a, b), strict=False))


@given(known=some_ids, wanted=st.lists(st.sampled_from([*NAMES, "", "a.jp", "a.jpg2"])))
def test_places_are_where_a_list_finds_them(known, wanted):
    found = records.places(np.array(known, np.str_), wanted)
    assert found.dtype == np.int64
    assert found.tolist() == [known.index(w) if w in known else -1 for w in wanted]


def test_bad_calls_say_what_was_wanted_and_found():
    batch, text = make("masks", ["a", "b"], 0), TextBank(("x",), ("{}",), np.ones((1, 3)), 100.0)
    with pytest.raises(StoreError, match=r"regions: expected image 'c', found 2 images without it \(2 missing"):
        records.take(batch, ["a", "c", "d"])
    with pytest.raises(ValueError, match="every image once, found 'a' twice"):
        records.take(batch, ["a", "b", "a"])
    with pytest.raises(ValueError, match="in one record, found 'b' in two"):
        records.concat([batch, make("masks", ["b", "c"], 1)])
    with pytest.raises(ValueError, match="one kind, found globals, regions"):
        records.concat([batch, make("globals", ["c"], 0)])
    with pytest.raises(ValueError, match="one kind, found none"):
        records.concat([])
    with pytest.raises(ValueError, match="masks in all records or in none"):
        records.concat([batch, make("regions", ["c"], 0)])
    for call in (lambda: records.take(text, []), lambda: records.concat([text]), lambda: records.align(batch, text)):
        with pytest.raises(ValueError, match="expected a record of images, found text"):
            call()


@pytest.mark.parametrize("kind", [kind for kind in schema.SHARD_KINDS if kind not in schema.OF_CLASSES])
def test_every_letter_of_a_kind_follows_from_its_images(kind):
    known = {"N"}
    for column in schema.COLUMNS[kind].values():
        owner = column.dims[0].removesuffix("+1")
        assert bool(column.cuts) == column.dims[0].endswith("+1")
        if column.cuts:
            assert owner in known
            known.add(column.cuts)
    assert {column.dims[0].removesuffix("+1") for column in schema.COLUMNS[kind].values()} <= known

"""HDF5 shards: what is written comes back, and nothing else is ever read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fgscore.errors import StoreError
from fgscore.store import schema, shards
from fgscore.types import (
    Descriptions,
    EmbeddingShard,
    FeatureShard,
    GlobalShard,
    MaskRLE,
    RegionBatch,
    ScoreShard,
    TextBank,
    ThumbnailShard,
)

KINDS = list(schema.SHARD_KINDS)
# the on-disk contract of schema 1, written down a second time: a change of it must be on purpose
CONTRACT = {
    "thumbnails": {
        "image_ids": "|S",
        "jpeg": "|u1",
        "jpeg_offsets": "<i8",
        "sizes_wh": "<i4",
        "original_wh": "<i4",
    },
    "regions": {
        "image_ids": "|S",
        "offsets": "<i8",
        "boxes_xyxy": "<i4",
        "area": "<f4",
        "predicted_iou": "<f4",
        "stability": "<f4",
        "mask_counts": "<u4",
        "mask_offsets": "<i8",
        "mask_size_hw": "<i4",
    },
    "region_embeddings": {"image_ids": "|S", "offsets": "<i8", "regions": "<f2", "norms": "<f4"},
    "globals": {"image_ids": "|S", "globals": "<f2", "norms": "<f4"},
    "text": {"class_names": "|S", "templates": "|S", "text": "<f4", "logit_scale": "<f8"},
    "descriptions": {
        "class_names": "|S",
        "texts": "|S",
        "offsets": "<i8",
        "descriptions": "<f4",
        "names": "<f4",
    },
    "scores": {"image_ids": "|S", "offsets": "<i8", "scores": "<f4", "target": "<i4"},
    "features": {"image_ids": "|S", "features": "<f4", "n_pooled": "<i4"},
}


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal field by field: same types, dtypes, shapes and values, NaN equal to NaN."""
    assert type(a) is type(b), where
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif isinstance(a, np.ndarray):
        assert a.shape == b.shape, where
        assert a.dtype.kind == b.dtype.kind and (a.dtype == b.dtype or a.dtype.kind == "U"), where
        np.testing.assert_array_equal(a, b, err_msg=where)
    else:
        assert a == b, where


def numbers(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    """Values that float16 holds exactly, of any sign."""
    size = int(np.prod(shape))
    values = draw(st.lists(st.integers(-1000, 1000), min_size=size, max_size=size))
    return (np.array(values, np.float64) / 8).reshape(shape)


# any letter of any script; a null character ends a fixed-length string, so no name may hold one
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5)


@st.composite
def any_record(draw: st.DrawFn) -> Any:
    """A record of any kind: no images, images without regions, no region at all, any text as an id."""
    kind = draw(st.sampled_from(KINDS))
    ids = np.array(draw(st.lists(names, max_size=4, unique=True)), np.str_)
    n, d = len(ids), draw(st.integers(1, 3))
    counts = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    r = int(offsets[-1])
    if kind == "thumbnails":
        content = np.frombuffer(draw(st.binary(min_size=r, max_size=r)), np.uint8)
        sizes = numbers(draw, (n, 2)).astype(np.int32)
        return ThumbnailShard(ids, content, offsets, sizes, sizes + 1)
    if kind == "regions":
        iou = np.where(numbers(draw, (r,)) > 0, np.nan, 0.5)
        boxes = numbers(draw, (r, 4)).astype(np.int32)
        masks = draw(st.none() | mask_runs(n, r))
        return RegionBatch(ids, offsets, boxes, numbers(draw, (r,)), iou, numbers(draw, (r,)), masks)
    if kind == "region_embeddings":
        return EmbeddingShard(ids, offsets, numbers(draw, (r, d)), numbers(draw, (r,)))
    if kind == "globals":
        return GlobalShard(ids, numbers(draw, (n, d)), numbers(draw, (n,)))
    if kind == "text":
        scale = draw(st.floats(0.1, 200))
        return TextBank(tuple(ids.tolist()), tuple(draw(st.lists(names, max_size=2))), numbers(draw, (n, d)), scale)
    if kind == "descriptions":
        lengths = draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
        t = sum(lengths)
        starts = np.append(0, np.cumsum(lengths)).astype(np.int64)
        texts = tuple(draw(st.lists(names, min_size=t, max_size=t)))
        return Descriptions(tuple(ids.tolist()), texts, starts, numbers(draw, (t, d)), numbers(draw, (n, d)))
    if kind == "scores":
        return ScoreShard(ids, offsets, numbers(draw, (r,)), numbers(draw, (r,)).astype(int))
    return FeatureShard(ids, numbers(draw, (n, 2 * d)), np.array(counts))


@st.composite
def mask_runs(draw: st.DrawFn, n: int, r: int) -> MaskRLE:
    lengths = draw(st.lists(st.integers(0, 3), min_size=r, max_size=r))
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    counts = draw(st.lists(st.integers(0, 2**32 - 1), min_size=int(offsets[-1]), max_size=int(offsets[-1])))
    return MaskRLE(np.array(counts, np.uint32), offsets, np.full((n, 2), 3))


@given(record=any_record())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_record_comes_back_as_it_was_written(record: Any, tmp_path: Path) -> None:
    path = tmp_path / "shard.h5"
    facts = shards.write(path, record)
    back = shards.read(path, schema.kind_of(record))
    assert_same(record, back)
    assert facts["content_digest"] == shards.content_digest(schema.pack(back))
    assert facts["file_bytes"] == path.stat().st_size


@given(shards_=st.lists(any_record(), min_size=2, max_size=4), turns=st.integers(2, 3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_does_not_depend_on_what_was_written_before(shards_: list[Any], turns: int, tmp_path: Path) -> None:
    """Another process, and another thread, write the same bytes; whichever came first."""

    def written(record: Any) -> bytes:
        shards.write(tmp_path / "shard.h5", record, durable=False)
        return (tmp_path / "shard.h5").read_bytes()

    def alone(record: Any) -> bytes:
        with ThreadPoolExecutor(1) as pool:  # a thread that has written nothing
            return pool.submit(written, record).result()

    for record in [changed(r, turn) for r in shards_ for turn in range(turns)]:
        assert written(record) == alone(record)


def changed(record: Any, by: int) -> Any:
    """A record of the same layout with other numbers."""
    floats = {
        f.name: getattr(record, f.name) + np.float32(by) / 8
        for f in dataclasses.fields(record)
        if isinstance(getattr(record, f.name), np.ndarray) and getattr(record, f.name).dtype.kind == "f"
    }
    return dataclasses.replace(record, **{name: v.astype(getattr(record, name).dtype) for name, v in floats.items()})


@pytest.mark.parametrize("kind", KINDS)
def test_no_images_at_all_is_a_record_like_any_other(kind: str, tmp_path: Path) -> None:
    none, flat, zero = np.zeros(0, np.str_), np.zeros(0), np.zeros(1, np.int64)
    record = {
        "thumbnails": ThumbnailShard(none, flat, zero, np.zeros((0, 2)), np.zeros((0, 2))),
        "regions": RegionBatch(none, zero, np.zeros((0, 4)), flat, flat, flat),
        "region_embeddings": EmbeddingShard(none, zero, np.zeros((0, 4)), flat),
        "globals": GlobalShard(none, np.zeros((0, 4)), flat),
        "text": TextBank((), (), np.zeros((0, 4)), 1.0),
        "descriptions": Descriptions((), (), zero, np.zeros((0, 4)), np.zeros((0, 4))),
        "scores": ScoreShard(none, zero, flat, flat),
        "features": FeatureShard(none, np.zeros((0, 8)), flat),
    }[kind]
    shards.write(tmp_path / "shard.h5", record)
    assert_same(record, shards.read(tmp_path / "shard.h5", kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_holds_the_datasets_of_the_contract(kind: str, records: dict[str, Any], tmp_path: Path) -> None:
    shards.write(tmp_path / "shard.h5", records[kind])
    with h5py.File(tmp_path / "shard.h5") as file:
        assert {name: file[name].dtype.str[: 2 if file[name].dtype.kind == "S" else 3] for name in file} == CONTRACT[
            kind
        ]
        assert dict(file.attrs) == {"fgscore_kind": kind, "fgscore_schema": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_every_dataset_that_holds_data_is_flat_and_has_a_checksum(
    kind: str, records: dict[str, Any], tmp_path: Path
) -> None:
    shards.write(tmp_path / "shard.h5", records[kind])
    with h5py.File(tmp_path / "shard.h5") as file:
        for name, item in file.items():
            assert isinstance(item, h5py.Dataset), name
            assert item.size and item.ndim <= 2 and not item.dtype.hasobject, name
            assert item.fletcher32, name


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_anywhere_is_refused_or_harmless(kind: str, records: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "shard.h5"
    shards.write(path, records[kind])
    good = path.read_bytes()
    refused = 0
    for place in [*range(0, len(good), 29), *_data_bytes(path)]:
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        try:
            assert_same(records[kind], shards.read(path, kind), f"byte {place}")
        except StoreError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_of_data_names_file_and_way_out(kind: str, records: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "shard.h5"
    shards.write(path, records[kind])
    good = path.read_bytes()
    for place in _data_bytes(path):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x01]) + good[place + 1 :])
        with pytest.raises(StoreError, match=r"shard\.h5: cannot be read .*run `fgscore repair`"):
            shards.read(path, kind)


def _data_bytes(path: Path) -> list[int]:
    """One byte within the data of each dataset."""
    places = []
    with h5py.File(path) as file:
        for item in file.values():
            places.append(item.id.get_chunk_info(0).byte_offset + 1)
    assert places
    return places


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_short_is_refused(share: float, records: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "shard.h5"
    shards.write(path, records["globals"])
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(StoreError, match=r"shard\.h5"):
        shards.read(path, "globals")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone\.h5: the file is missing"):
        shards.read(tmp_path / "gone.h5", "globals")


# ---- content digest


@pytest.mark.parametrize("kind", KINDS)
def test_equal_content_has_an_equal_digest(kind: str, records: dict[str, Any], tmp_path: Path) -> None:
    first = shards.write(tmp_path / "a.h5", records[kind])["content_digest"]
    wider = {
        f.name: v.astype("U40") if isinstance(v, np.ndarray) and v.dtype.kind == "U" else v
        for f in dataclasses.fields(records[kind])
        for v in [getattr(records[kind], f.name)]
    }
    again = shards.write(tmp_path / "b.h5", type(records[kind])(**wider))["content_digest"]
    assert first == again
    assert len(first) == 64


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in CONTRACT for name in CONTRACT[kind]])
def test_any_changed_value_changes_the_digest(kind: str, name: str, records: dict[str, Any]) -> None:
    arrays = schema.pack(records[kind])
    before = shards.content_digest(arrays)
    changed = arrays[name].copy()
    flat = changed.reshape(-1)
    if changed.dtype.kind == "S":
        flat[-1] = b"z"
    elif changed.dtype.kind == "f":
        flat[-1] = np.nextafter(flat[-1], np.array(np.inf, changed.dtype))
    else:
        flat[-1] += 1
    assert shards.content_digest({**arrays, name: changed}) != before


def test_the_digest_tells_apart_the_same_bytes_in_another_shape(records: dict[str, Any]) -> None:
    arrays = schema.pack(records["features"])
    reshaped = {**arrays, "features": arrays["features"].reshape(4, 4)}
    assert shards.content_digest(reshaped) != shards.content_digest(arrays)


def test_the_digest_tells_apart_where_one_name_ends_and_the_next_begins(records: dict[str, Any]) -> None:
    bank = records["text"]
    digests = {
        shards.content_digest(schema.pack(dataclasses.replace(bank, class_names=names)))
        for names in [("ab", "c"), ("a", "bc"), ("abc", "")]
    }
    assert len(digests) == 3


# ---- files that are not what they should be

Change = Callable[[h5py.File], None]


def _put(name: str, **how: Any) -> Change:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **how)

    return change


def _link(link: Any) -> Change:
    def change(file: h5py.File) -> None:
        del file["norms"]
        file["norms"] = link

    return change


def _virtual(file: h5py.File) -> None:
    del file["norms"]
    layout = h5py.VirtualLayout((2,), dtype="<f4")
    layout[:] = h5py.VirtualSource("other.h5", "norms", shape=(2,))
    file.create_virtual_dataset("norms", layout)


def _drop(name: str) -> Change:
    return lambda file: file.__delitem__(name)


def _attribute(name: str, value: Any) -> Change:
    return lambda file: file.attrs.__setitem__(name, value)


WRONG: dict[str, tuple[Change, str]] = {
    "another kind": (_attribute("fgscore_kind", "scores"), "kind 'globals', found 'scores'"),
    "a kind that is no text": (_attribute("fgscore_kind", np.array([1, 2])), "cannot be read"),
    "another schema": (_attribute("fgscore_schema", 2), "expected schema 1, found 2"),
    "no attributes": (lambda file: file.attrs.clear(), "kind 'globals', found None"),
    "a dataset missing": (_drop("norms"), "dataset 'norms' is missing"),
    "a dataset too many": (lambda file: file.create_dataset("more", data=[1]), "unknown dataset 'more'"),
    "a group": (lambda file: (_drop("norms")(file), file.create_group("norms")), "'norms' is a Group"),
    "a soft link": (_link(h5py.SoftLink("/globals")), "'norms' is a link"),
    "a link into another file": (_link(h5py.ExternalLink("other.h5", "/norms")), "'norms' is a link"),
    "data in another file": (
        _put("norms", shape=(2,), dtype="<f4", external=[("/etc/hostname", 0, 8)]),
        "dataset 'norms' keeps its data in another file",
    ),
    "a virtual dataset": (_virtual, "dataset 'norms' keeps its data in another file"),
    "a wider dtype": (_put("norms", data=np.zeros(2, "<f8")), "dataset 'norms': expected dtype <f4, found <f8"),
    "the other byte order": (_put("norms", data=np.zeros(2, ">f4")), "dataset 'norms': expected dtype <f4, found >f4"),
    "strings of any length": (_put("image_ids", data=["a", "b"], dtype=h5py.string_dtype()), "dataset 'image_ids'"),
    "ids that are no UTF-8": (_put("image_ids", data=np.array([b"\xff", b"b"])), "utf-8"),
    "too few rows": (_put("norms", data=np.zeros(1, "<f4")), "dataset 'norms': expected N = 2"),
    "too many dimensions": (_put("norms", data=np.zeros((2, 1), "<f4")), "dataset 'norms': expected 1 dimensions"),
    "an empty dataspace": (_put("norms", data=h5py.Empty("<f4")), "cannot be read"),
    "compressed data": (_put("norms", data=np.zeros(2, "<f4"), chunks=(2,), compression="gzip"), "'norms'"),
    "a shape beyond all memory": (_put("norms", shape=(1 << 40,), dtype="<f4"), "dataset 'norms'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_refused_is_a_file_with(what: str, records: dict[str, Any], tmp_path: Path) -> None:
    change, message = WRONG[what]
    path = tmp_path / "shard.h5"
    shards.write(path, records["globals"])
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(StoreError) as caught:
        shards.read(path, "globals")
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n", [1 << 24, 1 << 34])
def test_rows_that_are_claimed_but_not_stored_are_refused_before_memory_is_taken(n: int, tmp_path: Path) -> None:
    """All shapes agree with each other, and the file is a few kB."""
    path = tmp_path / "shard.h5"
    with h5py.File(path, "w") as file:
        file.attrs["fgscore_kind"], file.attrs["fgscore_schema"] = "globals", 1
        file.create_dataset("image_ids", shape=(n,), dtype="S1", chunks=(1024,))
        file.create_dataset("globals", shape=(n, 1), dtype="<f2", chunks=(1024, 1))
        file.create_dataset("norms", shape=(n,), dtype="<f4", chunks=(1024,))
    assert path.stat().st_size < 20_000
    with pytest.raises(StoreError, match=r"shard\.h5: dataset '\w+'"):
        shards.read(path, "globals")


@pytest.mark.parametrize(
    "offsets",
    [[0, 2, 2], [1, 2, 3], [0, 4, 3], [-1, 2, 3]],
)
def test_offsets_that_do_not_fit_the_rows_are_refused(
    offsets: list[int], records: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "shard.h5"
    shards.write(path, records["region_embeddings"])
    with h5py.File(path, "r+") as file:
        file["offsets"][:] = offsets
    with pytest.raises(StoreError, match=r"shard\.h5: EmbeddingShard\.offsets"):
        shards.read(path, "region_embeddings")


def test_only_some_of_the_mask_datasets_are_refused(records: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "shard.h5"
    shards.write(path, records["regions"])
    with h5py.File(path, "r+") as file:
        del file["mask_offsets"]
    with pytest.raises(StoreError, match="dataset 'mask_offsets' is missing"):
        shards.read(path, "regions")


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shard.h5"
    path.write_bytes(b"PK\x03\x04 not a shard")
    with pytest.raises(StoreError, match=r"shard\.h5: cannot be read"):
        shards.read(path, "globals")


def test_some_datasets_can_be_read_alone(records: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "shard.h5"
    shards.write(path, records["regions"])
    arrays = shards.read_arrays(path, "regions", ["offsets", "area"])
    assert set(arrays) == {"offsets", "area"}
    np.testing.assert_array_equal(arrays["offsets"], [0, 2, 3])

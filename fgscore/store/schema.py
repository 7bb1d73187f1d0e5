"""The on-disk contract: for each kind of shard its HDF5 datasets, their dtypes and shapes.

Dimensions: N images, R regions, K run lengths, B bytes, C classes, T texts or templates of texts, d and D widths;
``N+1`` is one more.
Strings are fixed-length UTF-8, because variable-length data would escape the checksum of their dataset.

A new kind leaves the schema's number alone: nothing that was written before changes, and earlier versions pass it over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgscore import types

SCHEMA = 1
SHARD_KINDS = ("thumbnails", "regions", "region_embeddings", "globals", "text", "descriptions", "scores", "features")
KINDS = ("index", *SHARD_KINDS)
OF_CLASSES = frozenset({"text", "descriptions"})  # in one shard, of all classes
LAPTOP_KINDS = frozenset({"scores", "features"})  # seconds to make anew: no shard waits for the disk


@dataclass(frozen=True)
class Column:
    """One HDF5 dataset: numpy dtype ('S' for strings of any length), dimensions by letter; the group of columns, all of
    which are there or none, '' for what is always there; for offsets, the letter of what they cut. What cuts a letter
    stands before what is cut in its turn."""

    dtype: str
    dims: tuple[str, ...]
    group: str = ""
    cuts: str = ""


IDS = Column("S", ("N",))
OFFSETS = Column("<i8", ("N+1",), cuts="R")
COLUMNS: Mapping[str, Mapping[str, Column]] = {
    "thumbnails": {
        "image_ids": IDS,
        "jpeg": Column("|u1", ("B",)),
        "jpeg_offsets": Column("<i8", ("N+1",), cuts="B"),
        "sizes_wh": Column("<i4", ("N", "2")),
        "original_wh": Column("<i4", ("N", "2")),
    },
    "regions": {
        "image_ids": IDS,
        "offsets": OFFSETS,
        "boxes_xyxy": Column("<i4", ("R", "4")),
        "area": Column("<f4", ("R",)),
        "predicted_iou": Column("<f4", ("R",)),
        "stability": Column("<f4", ("R",)),
        "mask_counts": Column("<u4", ("K",), group="masks"),
        "mask_offsets": Column("<i8", ("R+1",), group="masks", cuts="K"),
        "mask_size_hw": Column("<i4", ("N", "2"), group="masks"),
        "mirrored": Column("|u1", ("R",), group="mirrored"),
    },
    "region_embeddings": {
        "image_ids": IDS,
        "offsets": OFFSETS,
        "regions": Column("<f2", ("R", "d")),
        "norms": Column("<f4", ("R",)),
    },
    "globals": {"image_ids": IDS, "globals": Column("<f2", ("N", "d")), "norms": Column("<f4", ("N",))},
    "text": {
        "class_names": Column("S", ("C",)),
        "templates": Column("S", ("T",)),
        "text": Column("<f4", ("C", "d")),
        "logit_scale": Column("<f8", ("1",)),  # a scalar dataset could not carry a checksum
    },
    "descriptions": {
        "class_names": Column("S", ("C",)),
        "texts": Column("S", ("T",)),
        "offsets": Column("<i8", ("C+1",), cuts="T"),
        "descriptions": Column("<f4", ("T", "d")),
        "names": Column("<f4", ("C", "d")),
    },
    "scores": {
        "image_ids": IDS,
        "offsets": OFFSETS,
        "scores": Column("<f4", ("R",)),
        "target": Column("<i4", ("R",)),
    },
    "features": {"image_ids": IDS, "features": Column("<f4", ("N", "D")), "n_pooled": Column("<i4", ("N",))},
}

Arrays = dict[str, np.ndarray]


def pack(record: Any) -> Arrays:
    """The arrays of a record as they are on disk, by dataset name."""
    columns = COLUMNS[kind_of(record)]
    return {name: _to_disk(array, columns[name]) for name, array in arrays_of(record).items()}


def arrays_of(record: Any) -> Arrays:
    """The arrays of a record as they are in memory, by dataset name; none is copied. :func:`unpack` takes them back."""
    if isinstance(record, types.RegionBatch):
        arrays = _fields(record, "image_ids offsets boxes_xyxy area predicted_iou stability")
        if record.mirrored is not None:
            arrays["mirrored"] = record.mirrored
        if record.masks is not None:
            m = record.masks
            arrays |= {"mask_counts": m.counts, "mask_offsets": m.offsets, "mask_size_hw": m.size_hw}
        return arrays
    if isinstance(record, types.TextBank):
        return {
            "class_names": np.array(record.class_names, np.str_),
            "templates": np.array(record.templates, np.str_),
            "text": record.text,
            "logit_scale": np.array([record.logit_scale]),
        }
    if isinstance(record, types.Descriptions):
        strings = {name: np.array(getattr(record, name), np.str_) for name in ("class_names", "texts")}
        return strings | _fields(record, "offsets descriptions names")
    return _fields(record, " ".join(COLUMNS[kind_of(record)]))


def in_memory(arrays: Arrays) -> Arrays:
    """Arrays read from disk as they are in memory: strings as numpy strings."""
    return {name: _to_memory(array) for name, array in arrays.items()}


def unpack(kind: str, arrays: Arrays) -> Any:
    """The record that arrays make, as they are on disk or in memory; the inverse of :func:`pack` and
    :func:`arrays_of`."""
    values = in_memory(arrays)
    if kind == "text":
        return types.TextBank(
            class_names=tuple(values["class_names"].tolist()),
            templates=tuple(values["templates"].tolist()),
            text=values["text"],
            logit_scale=float(values["logit_scale"][0]),
        )
    if kind == "descriptions":
        class_names, texts = (tuple(values.pop(name).tolist()) for name in ("class_names", "texts"))
        return types.Descriptions(class_names, texts, **values)
    if kind == "regions":
        masks = None
        if "mask_counts" in values:
            runs = (values.pop(f"mask_{name}") for name in ("counts", "offsets", "size_hw"))
            masks = types.MaskRLE(*runs)
        return types.RegionBatch(**values, masks=masks)
    return RECORDS[kind](**values)


RECORDS: Mapping[str, Any] = {
    "thumbnails": types.ThumbnailShard,
    "regions": types.RegionBatch,
    "region_embeddings": types.EmbeddingShard,
    "globals": types.GlobalShard,
    "text": types.TextBank,
    "descriptions": types.Descriptions,
    "scores": types.ScoreShard,
    "features": types.FeatureShard,
}


def kind_of(record: Any) -> str:
    """The kind of shard that a record is stored as."""
    return next(kind for kind, record_type in RECORDS.items() if isinstance(record, record_type))


def problems(kind: str, shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> list[str]:
    """What is wrong with ``shapes`` (name -> dtype string, shape) as a shard of ``kind``; empty when nothing is."""
    columns = COLUMNS[kind]
    found = [f"unknown dataset {name!r}" for name in shapes if name not in columns]
    there = {"", *(columns[name].group for name in shapes if name in columns)}
    wanted = {name for name, column in columns.items() if column.group in there}
    found += [f"dataset {name!r} is missing" for name in sorted(wanted - set(shapes))]
    sizes: dict[str, int] = {}
    for name in columns:
        if name in shapes:
            found += _misfit(name, columns[name], *shapes[name], sizes)
    return found


def _misfit(name: str, column: Column, dtype: str, shape: tuple[int, ...], sizes: dict[str, int]) -> list[str]:
    right = re.fullmatch(r"\|S\d+", dtype) if column.dtype == "S" else dtype == column.dtype
    if not right:
        return [f"dataset {name!r}: expected dtype {column.dtype}, found {dtype}"]
    if len(shape) != len(column.dims):
        return [f"dataset {name!r}: expected {len(column.dims)} dimensions, found shape {shape}"]
    for dim, size in zip(column.dims, shape, strict=True):
        letter, plus = dim.removesuffix("+1"), dim.endswith("+1")
        expected = int(dim) if dim.isdigit() else sizes.setdefault(letter, size - plus) + plus
        if size != expected or size - plus < 0:
            return [f"dataset {name!r}: expected {dim} = {expected}, found shape {shape}"]
    return []


def _fields(record: Any, names: str) -> Arrays:
    return {name: getattr(record, name) for name in names.split()}


def _to_disk(array: np.ndarray, column: Column) -> np.ndarray:
    if column.dtype == "S":
        return np.char.encode(array, "utf-8") if array.size else np.zeros(array.shape, "S1")
    return np.ascontiguousarray(array, np.dtype(column.dtype)).reshape(array.shape)


def _to_memory(array: np.ndarray) -> np.ndarray:
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array

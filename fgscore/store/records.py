"""Records by image: looked up, reduced, joined and aligned, for every kind of shard that has images.

What belongs to an image follows from the letters of :mod:`fgscore.store.schema`: regions are cut by ``offsets``, runs
of masks by ``mask_offsets``, JPEG bytes by ``jpeg_offsets``. A new kind is sliced without a line here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from fgscore import ragged
from fgscore.errors import StoreError
from fgscore.store import schema
from fgscore.types import ImageIndex

T = TypeVar("T")
Ids = Sequence[str] | np.ndarray


def places(known: np.ndarray, ids: Ids) -> np.ndarray:
    """(K,) int64: where each of ``ids`` (K,) stands in ``known`` (N,) of unique ids, -1 where it does not."""
    wanted = np.asarray(ids, np.str_)
    if np.array_equal(known, wanted):  # what is nearly always so
        return np.arange(len(known), dtype=np.int64)
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(known, kind="stable")
    near = order[np.searchsorted(known, wanted, sorter=order).clip(max=len(known) - 1)]
    return np.where(known[near] == wanted, near, -1)


def rows(index: ImageIndex, number: int, ids: Ids) -> np.ndarray:
    """(K,) int64: the rows of ``index`` that ``ids`` (K,), images of its shard ``number``, stand in.

    Raises :class:`StoreError` for an id that the shard does not have.
    """
    shard = index.shards.get(number, slice(0, 0))
    return shard.start + _every_place(index.image_ids[shard], ids, f"shard {number} of the index")


def take(record: T, ids: Ids) -> T:
    """``record`` reduced to the images ``ids`` (K,), each named once, in this order.

    Raises :class:`StoreError` for an id that the record does not have, :class:`ValueError` for one that is named twice
    and for a record without images.
    """
    known = _image_ids(record)
    images = _every_place(known, ids, schema.kind_of(record))
    if len(np.unique(images)) < len(images):
        raise ValueError(f"expected every image once, found {_twice(np.asarray(ids, np.str_))!r} twice")
    return record if len(images) == len(known) and (np.diff(images) == 1).all() else at(record, images)


def at(record: T, images: np.ndarray | slice) -> T:
    """``record`` reduced to the images at these positions: (K,) integers from 0 on, in their order, or a slice, whose
    arrays are views and not copies.

    Raises :class:`ValueError` for a record without images.
    """
    _image_ids(record)
    kind, arrays = schema.kind_of(record), schema.arrays_of(record)
    cut = ragged.span if isinstance(images, slice) else ragged.take
    kept: dict[str, Any] = {"N": images}
    made = {}
    for name, column in schema.COLUMNS[kind].items():
        if column.cuts and name in arrays:
            kept[column.cuts], made[name] = cut(arrays[name], kept[_owner(column)])
    rest = {name: array[kept[_owner(schema.COLUMNS[kind][name])]] for name, array in arrays.items() if name not in made}
    return schema.unpack(kind, {**rest, **made})


def each(record: T) -> Iterator[T]:
    """Every image of ``record`` as a record of its own, in order; arrays are views. Takes some 0.1 ms an image."""
    return (at(record, slice(i, i + 1)) for i in range(len(_image_ids(record))))


def concat(records: Sequence[T]) -> T:
    """All images of ``records``, at least one and all of one kind, one record after the other.

    Raises :class:`ValueError` for records of several kinds, with some optional columns and without, or without images,
    and for an image that is in two of them.
    """
    kinds = {schema.kind_of(record) for record in records}
    if len(kinds) != 1:
        raise ValueError(f"expected records of one kind, found {', '.join(sorted(kinds)) or 'none'}")
    ids = np.concatenate([_image_ids(record) for record in records])
    if len(records) == 1:
        return records[0]
    if len(np.unique(ids)) < len(ids):
        raise ValueError(f"expected every image in one record, found {_twice(ids)!r} in two")
    (kind,), parts = kinds, [schema.arrays_of(record) for record in records]
    if len({frozenset(part) for part in parts}) != 1:
        odd = set[str].union(*map(set, parts)) - set[str].intersection(*map(set, parts))
        groups = " and ".join(sorted({schema.COLUMNS[kind][name].group for name in odd}))
        raise ValueError(f"expected {groups} in all records or in none, found them in some")
    made = {
        name: (ragged.join if column.cuts else np.concatenate)([part[name] for part in parts])
        for name, column in schema.COLUMNS[kind].items()
        if name in parts[0]
    }
    return schema.unpack(kind, made)


def align(first: Any, *others: Any) -> tuple[Any, ...]:
    """These records, of any kinds, reduced to the images that all of them have, in the order of the first; then the
    ids that were left out, those that are in some alone: (L,) of strings, sorted.

    Records that agree already are returned as they are. Raises :class:`ValueError` for a record without images.
    """
    records = (first, *others)
    ids = [_image_ids(record) for record in records]
    if all(np.array_equal(ids[0], known) for known in ids[1:]):
        return (*records, ids[0][:0])
    common = reduce(lambda kept, known: kept[places(known, kept) >= 0], ids)
    left_out = np.unique(np.concatenate([known[places(common, known) < 0] for known in ids]))
    return (*(take(record, common) for record in records), left_out)


def _owner(column: schema.Column) -> str:
    """The letter along whose entries, or around them, a column lies: R of ``R`` and of ``R+1``."""
    return column.dims[0].removesuffix("+1")


def _image_ids(record: Any) -> np.ndarray:
    """(N,) of strings. Raises :class:`ValueError` for a record without images."""
    kind = schema.kind_of(record)
    if "image_ids" not in schema.COLUMNS[kind]:
        raise ValueError(f"expected a record of images, found {kind}")
    return np.asarray(record.image_ids)


def _every_place(known: np.ndarray, ids: Ids, what: str) -> np.ndarray:
    found = places(known, ids)
    if (found < 0).any():
        lacking = np.asarray(ids, np.str_)[found < 0]
        raise StoreError(
            f"{what}: expected image {str(lacking[0])!r}, found {len(known)} images without it ({len(lacking)} missing "
            "in all); see what is amiss with `fgscore verify`"
        )
    return found


def _twice(ids: np.ndarray) -> str:
    names, counts = np.unique(ids, return_counts=True)
    return str(names[counts > 1][0])

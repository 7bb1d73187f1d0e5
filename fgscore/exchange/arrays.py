"""Arrays by our names to the store's records: unit rows kept bit for bit, classes by position or by name.

What is changed on the way, as boxes that are rounded, is said in a line of ``notes``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fgscore import ragged, tables
from fgscore.encoders import unit
from fgscore.errors import DataError, shortened
from fgscore.store.arrays import Arrays
from fgscore.types import EmbeddingShard, GlobalShard, ImageIndex, MaskRLE, RegionBatch, TextBank

UNIT = 2e-3  # how far the norm of a float16 unit row may be from 1
LOGIT_SCALE = 100.0  # OpenAI's CLIP
LOGARITHM = 5.3  # a scale no larger is likely the logarithm of one, as weights hold it


def _rows(array: np.ndarray, norms: np.ndarray | None, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings as the store keeps them. Unit rows are kept bit for bit; others are normalised, their norms kept."""
    with np.errstate(over="ignore"):
        found = np.linalg.norm(np.asarray(array, np.float32), axis=1)
    if (beyond := np.flatnonzero(~np.isfinite(found))).size:
        largest = np.abs(array[beyond[0]]).max()
        raise DataError(f"expected {what} that float32 can measure, found {largest:g} in row {beyond[0]}; divide them")
    if (np.abs(found - 1) <= UNIT).all():
        return array, found if norms is None else norms
    if norms is not None:
        norm = tables.text(found.max(), "number")
        raise DataError(f"expected {what} of norm 1 beside their norms, found {norm}; leave out the norms")
    if (found == 0).any():
        raise DataError(
            f"expected {what} other than zero, found zero in row {int(np.argmin(found))}; leave the row out"
        )
    return unit(array, what)


def to_globals(record: Arrays) -> GlobalShard:
    """``globals`` (N, d) and their norms (N,)."""
    rows, norms = _rows(record["globals"], record.get("norms"), "globals")
    return checked(GlobalShard, record["image_ids"], rows, norms)


def to_embeddings(record: Arrays) -> EmbeddingShard:
    """``regions`` (R, d) with ``offsets`` (N+1,) and their norms (R,)."""
    rows, norms = _rows(record["regions"], record.get("norms"), "regions")
    return checked(EmbeddingShard, record["image_ids"], record["offsets"], rows, norms)


def to_regions(records: Mapping[str, Arrays], notes: list[str]) -> RegionBatch:
    """The regions that came, or ones of unknown place where only their embeddings did."""
    record = records.get("regions") or {k: records["region_embeddings"][k] for k in ("image_ids", "offsets")}
    count = int(record["offsets"][-1]) if len(record["offsets"]) else 0
    boxes = record.get("boxes_xyxy", np.zeros((count, 4), np.int32))
    unknown = np.full(len(boxes), np.nan, np.float32)
    batch: RegionBatch = checked(
        RegionBatch,
        record["image_ids"],
        record["offsets"],
        _pixels(boxes, notes),
        *(record.get(name, unknown) for name in ("area", "predicted_iou", "stability")),
        _masks(record),
        record.get("mirrored"),
    )
    embedded = records.get("region_embeddings")
    if embedded is not None:
        same_ids = np.array_equal(embedded["image_ids"], batch.image_ids)
        if not (same_ids and np.array_equal(embedded["offsets"], batch.offsets)):
            raise DataError("expected the same image ids and offsets for boxes and region embeddings, found others; "
                            "bring both of the same regions")  # fmt: skip
    return batch


def _pixels(boxes: np.ndarray, notes: list[str]) -> np.ndarray:
    """Boxes (R, 4) of whole pixels."""
    if (unknown := np.isnan(boxes).any(axis=1)).any():
        raise DataError(f"expected boxes_xyxy of every region, found NaN in row {int(np.argmax(unknown))}; leave the "
                        "region out, or all boxes")  # fmt: skip
    if odd := int((boxes % 1 != 0).any(axis=1).sum()):
        notes.append(f"boxes_xyxy: {odd} of {len(boxes)} boxes are rounded to whole pixels")
    return np.rint(boxes)


def _masks(record: Arrays) -> MaskRLE | None:
    """Masks, each of whose runs add up to the size of its image. Raises :class:`DataError` for others."""
    if "mask_counts" not in record:
        return None
    masks: MaskRLE = checked(MaskRLE, *(record.get(f"mask_{name}") for name in ("counts", "offsets", "size_hw")))
    ends = np.concatenate([[0], np.cumsum(masks.counts, dtype=np.int64)])
    cells, offsets = ends[masks.offsets[1:]] - ends[masks.offsets[:-1]], record["offsets"]
    if len(masks.size_hw) == len(offsets) - 1 and offsets[-1] == len(cells):
        wanted = masks.size_hw.astype(np.int64).prod(axis=1)[ragged.segment_ids(offsets)]
        if (odd := np.flatnonzero(cells != wanted)).size:
            raise DataError(f"expected masks whose runs fill their image, found {cells[odd[0]]} of {wanted[odd[0]]} "
                            f"pixels in mask {odd[0]}; mend the masks")  # fmt: skip
    return masks


def check_inside(regions: RegionBatch, index: ImageIndex, where: np.ndarray) -> None:
    """Raises :class:`DataError` for a box that reaches beyond its image, as far as the index knows sizes; ``where``
    (N,) are the rows of the regions' images in it."""
    sizes = index.sizes_wh[where][ragged.segment_ids(regions.offsets)]
    known = (sizes > 0).all(axis=1)
    beyond = known & ((regions.boxes_xyxy[:, 2:] > sizes).any(axis=1) | (regions.boxes_xyxy < 0).any(axis=1))
    if beyond.any():
        row = int(np.argmax(beyond))
        image = index.image_ids[where][ragged.segment_ids(regions.offsets)[row]]
        raise DataError(
            f"expected boxes_xyxy inside their images, found {regions.boxes_xyxy[row].tolist()} in row {row} of "
            f"{image}, which has {sizes[row][0]} x {sizes[row][1]} pixels; mend the boxes"
        )


def checked(record_type: Any, *arrays: Any) -> Any:
    """The record of ``arrays``. Raises :class:`DataError` where they do not make one."""
    try:
        return record_type(*arrays)
    except (ValueError, TypeError) as error:
        raise DataError(f"{error}; mend the arrays") from error


def twice(names: Sequence[str]) -> dict[str, list[int]]:
    """Names that occur more than once, with their places."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return {name: found for name, found in places.items() if len(found) > 1}


def check_told_apart(names: Sequence[str], of: str) -> None:
    """Raises :class:`DataError` for class names that occur twice, where classes go by name."""
    for name, found in twice(names).items():
        raise DataError(f"expected each class name once where {of} go by name, found {name!r} as {found[0]} and as "
                        f"{found[1]}; name each by itself, or bring them by number, as in the index")  # fmt: skip


def to_text(record: Arrays, class_names: tuple[str, ...], notes: list[str]) -> TextBank:
    """Class embeddings in the order of ``class_names``: by position where the names that came are these, or none came,
    by name otherwise."""
    if not class_names:
        raise DataError("expected class names in the index that text belongs to, found none; import text together with "
                        "the embeddings of the images, and class_names beside it")  # fmt: skip
    rows = np.asarray(record["text"], np.float32)
    given = tuple(record["class_names"].tolist()) if "class_names" in record else class_names
    if given != class_names:
        check_told_apart(given, "rows of text")
        check_told_apart(class_names, "rows of text")
    missing = sorted(set(class_names) - set(given))
    if len(rows) != len(given) or missing:
        turned = f" (of shape {rows.shape}: is it transposed?)" if rows.shape[1] == len(given) else ""
        raise DataError(
            f"expected text for the {len(class_names)} classes of the index, found {len(rows)} rows{turned}"
            f"{f', none for {missing[0]!r}' if missing else ''}; name the classes alike"
        )
    if given != class_names:
        place = {name: row for row, name in enumerate(given)}
        rows = rows[[place[name] for name in class_names]]
        if unused := [name for name in given if name not in set(class_names)]:
            notes.append(f"text: passed over rows of what is no class of the index: {shortened(unused)}")
    if len(rows) and np.abs(np.linalg.norm(rows, axis=1) - 1).max() > 1e-5:
        rows, _ = _rows(rows, None, "text")
    templates = tuple(record["templates"].tolist()) if "templates" in record else ()
    return TextBank(class_names, templates, rows, _scale(record, notes))


def _scale(record: Arrays, notes: list[str]) -> float:
    if "logit_scale" not in record:
        notes.append(f"logit_scale: none came, {LOGIT_SCALE:g} of OpenAI's CLIP stands in for it")
        return LOGIT_SCALE
    found = float(record["logit_scale"].ravel()[0])
    if found <= LOGARITHM:
        notes.append(f"logit_scale: {found:g} is kept as it is; if it is a logarithm, as CLIP's weights hold it, bring "
                     f"{tables.text(math.exp(found), 'number')}")  # fmt: skip
    return found

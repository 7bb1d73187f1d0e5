"""Arrays by our names to the store's records: checked, unit rows kept bit for bit, classes matched by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from fgscore import tables
from fgscore.encoders import unit
from fgscore.errors import DataError
from fgscore.store import index as index_store
from fgscore.store.arrays import Arrays
from fgscore.types import SPLITS, EmbeddingShard, GlobalShard, ImageIndex, MaskRLE, RegionBatch, TextBank

UNIT = 2e-3  # how far the norm of a float16 unit row may be from 1
LOGIT_SCALE = 100.0  # OpenAI's CLIP


def _rows(array: np.ndarray, norms: np.ndarray | None, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings as the store keeps them. Unit rows are kept bit for bit; others are normalised, their norms kept."""
    found = np.linalg.norm(np.asarray(array, np.float32), axis=1)
    if not np.isfinite(found).all():
        raise DataError(f"expected finite {what}, found NaN or infinity in row {int(np.argmin(np.isfinite(found)))}")
    if (np.abs(found - 1) <= UNIT).all():
        return array, found if norms is None else norms
    if norms is not None:
        norm = tables.text(found.max(), "number")
        raise DataError(f"expected {what} of norm 1 beside their norms, found {norm}; leave out the norms")
    if (found == 0).any():
        raise DataError(f"expected {what} other than zero, found zero in row {int(np.argmin(found))}")
    return unit(array, what)


def to_globals(record: Arrays) -> GlobalShard:
    """``globals`` (N, d) and their norms (N,)."""
    rows, norms = _rows(record["globals"], record.get("norms"), "globals")
    return GlobalShard(record["image_ids"], rows, norms)


def to_embeddings(record: Arrays) -> EmbeddingShard:
    """``regions`` (R, d) with ``offsets`` (N+1,) and their norms (R,)."""
    rows, norms = _rows(record["regions"], record.get("norms"), "regions")
    return _checked(EmbeddingShard, record["image_ids"], record["offsets"], rows, norms)


def to_regions(records: Mapping[str, Arrays]) -> RegionBatch:
    """The regions that came, or ones of unknown place where only their embeddings did."""
    record = records.get("regions") or {k: records["region_embeddings"][k] for k in ("image_ids", "offsets")}
    count = int(record["offsets"][-1]) if len(record["offsets"]) else 0
    unknown = np.full(count, np.nan, np.float32)
    masks = None
    if "mask_counts" in record:
        masks = _checked(MaskRLE, *(record.get(f"mask_{n}") for n in ("counts", "offsets", "size_hw")))
    batch: RegionBatch = _checked(
        RegionBatch,
        record["image_ids"],
        record["offsets"],
        np.rint(record.get("boxes_xyxy", np.zeros((count, 4)))),
        *(record.get(name, unknown) for name in ("area", "predicted_iou", "stability")),
        masks,
    )
    embedded = records.get("region_embeddings")
    if embedded is not None:
        same_ids = np.array_equal(embedded["image_ids"], batch.image_ids)
        if not (same_ids and np.array_equal(embedded["offsets"], batch.offsets)):
            raise DataError("expected the same image ids and offsets for boxes and region embeddings, found others")
    return batch


def _checked(record_type: Any, *arrays: Any) -> Any:
    try:
        return record_type(*arrays)
    except (ValueError, TypeError) as error:
        raise DataError(f"{error}; mend the arrays") from error


def to_text(record: Arrays, class_names: tuple[str, ...]) -> TextBank:
    """Class embeddings in the order of ``class_names``: by name where names came, by position otherwise."""
    rows = np.asarray(record["text"], np.float32)
    given = tuple(str(n) for n in record["class_names"].tolist()) if "class_names" in record else class_names
    if len(rows) != len(given) or set(class_names) - set(given):
        missing = sorted(set(class_names) - set(given))
        raise DataError(
            f"expected text for the {len(class_names)} classes of the index, found {len(rows)} rows"
            f"{f', none for {missing[0]}' if missing else ''}; name the classes alike"
        )
    kept = rows[[given.index(name) for name in class_names]]
    rows, _ = _rows(kept, None, "text") if np.abs(np.linalg.norm(kept, axis=1) - 1).max() > 1e-5 else (kept, None)
    scale = record.get("logit_scale", np.array([LOGIT_SCALE]))
    templates = tuple(str(t) for t in record["templates"].tolist()) if "templates" in record else ()
    return TextBank(class_names, templates, rows, float(scale.ravel()[0]))


def to_index(dataset: str, record: Arrays, text_names: np.ndarray | None) -> ImageIndex:
    """An index of images that may be elsewhere: paths stand in as ids, sizes as 0, hashes as empty.

    ``labels`` are numbers into the class names, or names; ``text_names`` are those of the text embeddings, for files
    without names of their own. Raises :class:`DataError`.
    """
    labels, given = record["labels"], record.get("class_names", text_names)
    if labels.dtype.kind == "U":
        classes = tuple(sorted(set(labels.tolist()))) if given is None else tuple(given.tolist())
        if strangers := sorted(set(labels.tolist()) - set(classes)):
            raise DataError(f"expected labels among the class names, found {strangers[0]!r}; name the classes alike")
        labels = np.array([classes.index(label) for label in labels.tolist()], np.int64)
    else:
        classes = (
            tuple(given.tolist()) if given is not None else tuple(str(i) for i in range(int(labels.max(initial=0)) + 1))
        )
    if "split" not in record:
        raise DataError(f"expected split beside labels, one of {', '.join(SPLITS)} an image, found none; see --array")
    ids, n = record["image_ids"], len(labels)
    _, numbers = index_store.assign_shards(ids, None)
    columns = {
        "paths": ids,
        "sizes_wh": np.zeros((n, 2)),
        "sha256": np.full(n, "", np.str_),
        "orientation": np.ones(n),
        "shard": numbers,
        "boxes_xyxy": np.full((n, 4), np.nan),
    }
    columns |= {name: record[name] for name in columns if name in record}
    index: ImageIndex = _checked(
        lambda: ImageIndex(
            dataset=dataset,
            image_ids=ids,
            labels=labels,
            split=record["split"],
            class_names=classes,
            banner=int(record["banner"]) if "banner" in record else 0,
            notes=json.loads(str(record["notes"])) if "notes" in record else {},
            **columns,
        )
    )
    return index


def same_index(a: ImageIndex, b: ImageIndex) -> bool:
    """Whether two indexes agree in everything that is stored."""
    columns = ("image_ids", "paths", "labels", "split", "sha256", "sizes_wh", "orientation", "shard")
    same = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in columns)
    return (
        same
        and np.array_equal(a.boxes_xyxy, b.boxes_xyxy, equal_nan=True)
        and (a.class_names, a.banner, dict(a.notes)) == (b.class_names, b.banner, dict(b.notes))
    )

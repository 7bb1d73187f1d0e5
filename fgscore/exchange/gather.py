"""What a user's files hold, by our names: arrays renamed, splits joined, sorted into records by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fgscore.errors import DataError, UsageError
from fgscore.store import arrays as array_files
from fgscore.store.arrays import Arrays
from fgscore.types import SPLITS

# our name -> number of dimensions. The README's format section says what each is.
NAMES: Mapping[str, int] = {
    "image_ids": 1,
    "paths": 1,
    "labels": 1,
    "split": 1,
    "class_names": 1,
    "sha256": 1,
    "sizes_wh": 2,
    "orientation": 1,
    "shard": 1,
    "banner": 0,
    "notes": 0,
    "globals": 2,
    "global_norms": 1,
    "offsets": 1,
    "regions": 2,
    "region_norms": 1,
    "norms": 1,
    "boxes_xyxy": 2,
    "area": 1,
    "predicted_iou": 1,
    "stability": 1,
    "mask_counts": 1,
    "mask_offsets": 1,
    "mask_size_hw": 2,
    "text": 2,
    "logit_scale": 1,
    "templates": 1,
}
ALIASES = {"image_id": "image_ids", "path": "paths", "label": "labels", "class_name": "class_names"}
OF_IMAGES = ("image_ids", "paths", "labels", "split", "globals", "global_norms", "norms")
OF_INDEX = ("image_ids", "paths", "labels", "split", "class_names", "sha256", "sizes_wh", "orientation", "shard",
            "banner", "notes")  # fmt: skip
OF_REGIONS = ("image_ids", "offsets", "boxes_xyxy", "area", "predicted_iou", "stability", "mask_counts",
              "mask_offsets", "mask_size_hw")  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One of the user's arrays under our name: ``split`` where it holds the images of one split only."""

    name: str
    split: str | None
    key: str


def parse(option: str) -> Source:
    """``name=key`` or ``name:split=key``, as in ``globals:test=val``. Raises :class:`UsageError` for another form."""
    ours, equals, key = option.partition("=")
    name, colon, split = ours.strip().partition(":")
    if not equals or not key or name not in NAMES or (colon and split not in SPLITS):
        raise UsageError(
            f"expected NAME=KEY or NAME:SPLIT=KEY with a name of {', '.join(NAMES)} and a split of "
            f"{', '.join(SPLITS)}, found {option!r}; for example globals:test=val"
        )
    if colon and name not in OF_IMAGES:
        raise UsageError(f"expected a split for arrays with a row an image only, found {option!r}; leave it out")
    return Source(name, split or None, key.strip())


def read(paths: Sequence[Path], sources: Sequence[Source]) -> list[dict[str, Arrays]]:
    """The records of each file: kind ('index', 'globals', 'regions', 'region_embeddings', 'text') to its arrays.

    An array is named by ``sources``, or else carries our name in the file. Raises :class:`DataError` that names the
    file and the array at fault.
    """
    asked = {source.key for source in sources}
    found: set[str] = set()
    records = []
    for path in paths:
        content = array_files.read(path)
        found |= asked & set(content)
        records.append(_sort(path, _rename(path, content, sources)))
        if not records[-1]:
            raise DataError(
                f"expected globals, regions, boxes_xyxy, text or labels in {path}, found {', '.join(content)}; name "
                "them with --array NAME=KEY"
            )
    if missing := sorted(asked - found):
        raise DataError(
            f"expected an array {missing[0]!r} in {', '.join(p.name for p in paths)}, found none; see --array"
        )
    return records


def _rename(path: Path, content: Arrays, sources: Sequence[Source]) -> Arrays:
    here = [source for source in sources if source.key in content]
    taken = {source.key for source in here} | {source.name for source in sources}
    arrays = {ALIASES.get(k, k): a for k, a in content.items() if k not in taken and ALIASES.get(k, k) in NAMES}
    if "image_id" in content and "image_ids" in content:  # our own Parquet says it by row as well
        arrays["image_ids"] = content["image_ids"]
    arrays |= {source.name: content[source.key] for source in here if source.split is None}
    by_split = [source for source in here if source.split]
    if by_split and (whole := [name for name in OF_IMAGES if name in arrays]):
        raise UsageError(
            f"{path.name}: expected every array of images split by split or none, found {whole[0]} whole; give "
            f"{whole[0]}:{by_split[0].split}=KEY too, or leave out the splits"
        )
    arrays |= _join_splits(path, content, by_split)
    for name, array in arrays.items():
        if array.ndim != NAMES[name] and not (name == "logit_scale" and array.size == 1):
            raise DataError(f"{path}: expected {name} of {NAMES[name]} dimensions, found shape {array.shape}")
    return _offsets_from_rows(path, arrays)


def _join_splits(path: Path, content: Arrays, sources: Sequence[Source]) -> Arrays:
    """Arrays given split by split, as one; ``split`` comes of itself, and ids carry their split, as numbering often
    restarts in each."""
    splits = [split for split in SPLITS if any(source.split == split for source in sources)]
    if not splits:
        return {}
    by_place = {(source.name, source.split): content[source.key] for source in sources}
    names = dict.fromkeys(source.name for source in sources)
    for name in names:
        if absent := [split for split in splits if (name, split) not in by_place]:
            raise UsageError(f"{path.name}: expected {name} for every split, found none for {absent[0]}; add --array")
    counts = [len(by_place[next(iter(names)), split]) for split in splits]
    joined = {}
    for name in names:
        parts = [by_place[name, split] for split in splits]
        for split, part, count in zip(splits, parts, counts, strict=True):
            if len(part) != count:
                raise DataError(f"{path}: expected {count} rows of {name} for {split}, found {len(part)}")
        if name == "image_ids":
            parts = [np.array([f"{s}/{i}" for i in p.tolist()], np.str_) for s, p in zip(splits, parts, strict=True)]
        joined[name] = np.concatenate(parts)
    joined["split"] = np.repeat(np.array(splits, np.str_), counts)
    if "image_ids" not in joined:
        joined["image_ids"] = np.concatenate([_numbered(n, f"{s}/") for s, n in zip(splits, counts, strict=True)])
    return joined


def _numbered(n: int, prefix: str = "") -> np.ndarray:
    return np.array([f"{prefix}{i:06d}" for i in range(n)], np.str_)


def _offsets_from_rows(path: Path, arrays: Arrays) -> Arrays:
    """Regions of a table with an image id a row: the rows of an image must follow each other."""
    count = next((len(arrays[k]) for k in ("regions", "predicted_iou") if k in arrays), None)
    if count is None or "offsets" in arrays:
        return arrays
    ids = arrays.get("image_ids", np.zeros(0, np.str_))
    if len(ids) != count:
        raise DataError(f"{path}: expected offsets, or an image_id for each of {count} regions, found neither")
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]])) if count else np.zeros(0, np.int64)
    if len(set(ids[starts].tolist())) < len(starts):
        raise DataError(f"{path}: expected the regions of an image one after another, found them apart; sort the table")
    return {**arrays, "image_ids": ids[starts], "offsets": np.append(starts, count).astype(np.int64)}


def _sort(path: Path, arrays: Arrays) -> dict[str, Arrays]:
    """The arrays of one file by the kind of record they make up."""
    rows = next((len(arrays[k]) for k in ("labels", "globals", "split") if k in arrays), None)
    if "image_ids" not in arrays and rows is not None:
        arrays = {**arrays, "image_ids": _numbered(rows)}
    records: dict[str, Arrays] = {}
    if "globals" in arrays:
        records["globals"] = _pick(arrays, "image_ids globals", norms=_norms(arrays, "global_norms", "regions"))
    if "regions" in arrays:
        norms = _norms(arrays, "region_norms", "globals")
        records["region_embeddings"] = _pick(arrays, "image_ids offsets regions", norms=norms)
    if "offsets" in arrays and {"boxes_xyxy", "mask_counts", "area"} & set(arrays):
        records["regions"] = _pick(arrays, " ".join(OF_REGIONS))
    if "text" in arrays:
        records["text"] = _pick(arrays, "class_names text logit_scale templates")
    if "labels" in arrays:
        boxes = arrays.get("boxes_xyxy") if "offsets" not in arrays else None
        records["index"] = _pick(arrays, " ".join(OF_INDEX), boxes_xyxy=boxes)
    for kind, record in records.items():
        _check_lengths(path, kind, record)
    return records


def _pick(arrays: Arrays, names: str, **more: np.ndarray | None) -> Arrays:
    picked = {name: arrays[name] for name in names.split() if name in arrays}
    return picked | {name: array for name, array in more.items() if array is not None}


def _norms(arrays: Arrays, own: str, other: str) -> np.ndarray | None:
    """``norms`` alone says enough where a file holds embeddings of one kind."""
    return arrays.get(own, arrays.get("norms") if other not in arrays else None)


def _check_lengths(path: Path, kind: str, record: Arrays) -> None:
    lengths: dict[str, int]
    if kind == "text":
        lengths = {name: len(record[name]) for name in ("class_names", "text") if name in record}
    else:
        if "image_ids" not in record:
            raise DataError(
                f"{path}: expected image_ids beside {', '.join(record)}, found none; name them with --array"
            )
        lengths = {name: len(record[name]) for name in ("image_ids", "labels", "split", "globals") if name in record}
        if "offsets" in record:
            lengths["offsets"] = len(record["offsets"]) - 1
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise DataError(f"{path}: expected arrays of equal length for {kind}, found {found}")
    if len(set(record.get("image_ids", np.zeros(0)).tolist())) < len(record.get("image_ids", ())):
        raise DataError(f"{path}: expected each image id once, found some twice; make them unique")

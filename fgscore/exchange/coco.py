"""Masks as COCO JSON, image after image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fgscore.regions._files import rle
from fgscore.store import files, records
from fgscore.types import ImageIndex, RegionBatch, Runs

CATEGORY = {"id": 1, "name": "region"}
JSON = dict[str, Any]


def write(path: Path, batches: Iterable[tuple[int, RegionBatch]], index: ImageIndex) -> int:
    """A COCO data set: ``images``, ``annotations`` with compressed RLE, one category, of ``batches``, each with the
    number of its shard. Returns how many annotations.

    Masks, boxes and areas are in pixels of the masks' own size, which is that of the image entry; ``original_width``
    and ``original_height`` are the photo's, ``original_box_xyxy`` the region's box there.
    """
    images: list[JSON] = []
    count = 0
    with files.publishing(path) as file:
        file.write(b'{"annotations": [')
        for annotation in _annotations(batches, index, images):
            file.write((b",\n" if count else b"\n") + json.dumps(annotation).encode())
            count += 1
        file.write(b'],\n"categories": ' + json.dumps([CATEGORY]).encode())
        file.write(b',\n"images": ' + json.dumps(images).encode() + b"}\n")
    return count


def _annotations(batches: Iterable[tuple[int, RegionBatch]], index: ImageIndex, images: list[JSON]) -> Iterator[JSON]:
    """Every annotation; what there is to say of each image is added to ``images``."""
    count = 0
    for number, batch in batches:
        rows = records.rows(index, number, batch.image_ids)
        for row, one in zip(rows.tolist(), records.each(batch), strict=True):
            if one.masks is None:
                raise ValueError("regions without masks have no COCO form; export them as boxes")
            height, width = (int(v) for v in one.masks.size_hw[0])
            original = index.sizes_wh[row].tolist()
            images.append(
                {
                    "id": len(images) + 1,
                    "file_name": str(index.paths[row]),
                    "image_id": str(one.image_ids[0]),
                    "width": width,
                    "height": height,
                    "original_width": original[0],
                    "original_height": original[1],
                }
            )
            for region in range(len(one.area)):
                count += 1
                yield {**_annotation(one, one.masks.runs(region, 0), region), "id": count, "image_id": len(images)}


def _annotation(one: RegionBatch, mask: Runs, region: int) -> dict[str, Any]:
    height, width = mask.size_hw
    runs = mask.counts.astype(np.int64)
    score = float(one.predicted_iou[region])
    return {
        "category_id": 1,
        "iscrowd": 0,
        "segmentation": {"size": [height, width], "counts": rle.to_string(runs)},
        "area": int(runs[1::2].sum()),
        "bbox": _bounds(runs, height),
        "original_box_xyxy": one.boxes_xyxy[region].tolist(),
        "score": None if np.isnan(score) else score,
    }


def _bounds(runs: np.ndarray, height: int) -> list[int]:
    """x, y, width and height of a mask of column-major ``runs``; zeros for an empty one."""
    ends = np.cumsum(runs)
    first, last = ends[:-1:2], ends[1::2] - 1  # of each run of foreground
    first, last = first[runs[1::2] > 0], last[runs[1::2] > 0]
    if not len(first):
        return [0, 0, 0, 0]
    whole = first // height < last // height  # a run over a column's end touches top and bottom
    top = 0 if whole.any() else int((first % height).min())
    bottom = height - 1 if whole.any() else int((last % height).max())
    left, right = int(first.min()) // height, int(last.max()) // height
    return [left, top, right - left + 1, bottom - top + 1]

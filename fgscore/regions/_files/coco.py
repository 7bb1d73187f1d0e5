"""JSON of boxes: COCO and LVIS annotations, COCO detections, masks of segment_anything's `amg.py`, SA-1B."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import regular
from fgscore.errors import DataError
from fgscore.regions._files import rle
from fgscore.regions._files.rows import Picture, Polygons, Rows, check_cells, from_xywh, number, numbers
from fgscore.types import Runs

MOST = 1 << 31  # bytes of JSON
JSON = Mapping[str, Any]


def load(path: Path) -> Any:
    """What the JSON file holds. Raises :class:`DataError` where it is none."""
    try:
        return json.loads(regular.read_text(path, MOST))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, found none ({str(error).partition(chr(10))[0]}); mend it") from None


def read(path: Path, content: Any, images: Path | None = None) -> Rows:
    """The boxes of JSON by its ``content``; ``images`` is a file of annotations that says what detections' ids stand
    for.

    Raises :class:`DataError` for JSON that is none of those, with the annotation that is at fault.
    """
    if isinstance(content, list) and (not content or _is_amg(content[0])):
        return _one_picture(path, content, Picture((path.stem,)))
    if isinstance(content, list) and isinstance(content[0], dict) and "image_id" in content[0]:
        entries = _images(images, load(images)) if images else {}
        return _annotations(path, content, entries, "detection")
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        if isinstance(content.get("image"), dict):
            return _one_picture(path, content["annotations"], _picture(content["image"], f"{path}: image"))
        if isinstance(content.get("images"), list):
            return _annotations(path, content["annotations"], _images(path, content), "annotation")
    raise DataError(f"{path}: expected images and annotations as COCO has them, detections with image_id and bbox, or "
                    f"masks as amg.py writes them, found {_described(content)}; name another file")  # fmt: skip


def _described(content: Any) -> str:
    if isinstance(content, dict):
        return f"an object of {', '.join(map(str, list(content)[:5])) or 'nothing'}"
    return f"a list of {type(content[0]).__name__}" if isinstance(content, list) else type(content).__name__


def _is_amg(first: Any) -> bool:
    return isinstance(first, dict) and "segmentation" in first and "image_id" not in first


def _images(path: Path | None, content: Any) -> dict[Any, Picture]:
    found = content.get("images") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise DataError(f"{path}: expected images as COCO has them, found {_described(content)}; name another file")
    pictures = {}
    for i, image in enumerate(found):
        where = f"{path}: image {i}"
        if not isinstance(image, dict) or not isinstance(image.get("id"), int | str):
            raise DataError(f"{where}: expected an object with an id, found {repr(image)[:40]}; mend it")
        if image["id"] in pictures:
            raise DataError(f"{where}: expected an id of its own, found that of another, {image['id']!r:.40}; mend it")
        pictures[image["id"]] = _picture(image, where)
    return pictures


def _picture(image: JSON, where: str) -> Picture:
    """By its names, and by its number only where it has none: that may be anything."""
    names = [image[key] for key in ("image_id", "file_name") if isinstance(image.get(key), str)]
    if not names and isinstance(image.get("coco_url"), str):
        names = [image["coco_url"].rpartition("/")[2]]
    wh = [number(image[key], where, key) for key in ("width", "height") if key in image]
    if len(wh) == 2 and not all(0 < side < np.inf for side in wh):
        raise DataError(f"{where}: expected a width and a height above 0, found {wh[0]:g} x {wh[1]:g}; mend it")
    return Picture(tuple(names or [str(image.get("id", ""))]), (wh[0], wh[1]) if len(wh) == 2 else None)


def _annotations(path: Path, annotations: list[Any], images: dict[Any, Picture], noun: str) -> Rows:
    rows = Rows(list(images.values()))
    place = {key: i for i, key in enumerate(images)}
    for i, one in enumerate(annotations):
        where = f"{path.name}, {noun} {i}"
        if not isinstance(one, dict) or not isinstance(one.get("image_id"), int | str):
            raise DataError(f"{where}: expected an object with an image_id, found {repr(one)[:40]}; mend it")
        key = one["image_id"]
        if key not in place:
            if images:
                rows.leave_out("rows of an image that the file does not list", f"{where} (image {key})")
                continue
            place[key] = len(rows.pictures)
            rows.pictures.append(Picture((str(key),)))
        _add(rows, place[key], one, where)
    return rows


def _one_picture(path: Path, annotations: list[Any], picture: Picture) -> Rows:
    rows = Rows([picture])
    for i, one in enumerate(annotations):
        if not isinstance(one, dict):
            raise DataError(f"{path.name}, mask {i}: expected an object, found {repr(one)[:40]}; mend it")
        _add(rows, 0, one, f"{path.name}, mask {i}")
    return rows


def _add(rows: Rows, picture: int, one: JSON, where: str) -> None:
    score = one.get("predicted_iou", one.get("score"))
    stability = one.get("stability_score")
    frame = rows.pictures[picture].frame_wh
    mask = mask_of(one.get("segmentation"), frame, where)
    if isinstance(mask, Runs) and frame is None:  # the mask's is all that is said of it
        height, width = mask.size_hw
        rows.pictures[picture] = Picture(rows.pictures[picture].names, (width, height))
    if "bbox" in one:
        box = from_xywh(numbers(one["bbox"], 4, where, "bbox"))
    elif mask is not None:
        box = (0.0, 0.0, *(rows.pictures[picture].frame_wh or (np.nan, np.nan)))
    else:
        raise DataError(f"{where}: expected a bbox or a segmentation, found {', '.join(one)}; mend it")
    said = [np.nan if value is None else number(value, where, what)
            for value, what in ((score, "score"), (stability, "stability_score"))]  # fmt: skip
    rows.add(picture, box, where, said[0], mask, said[1])


def mask_of(found: Any, frame_wh: tuple[float, float] | None, where: str) -> Runs | Polygons | None:
    """A COCO segmentation: polygons, or run lengths, compressed or not. None for none. Raises :class:`DataError`."""
    if found is None or found == []:
        return None
    if isinstance(found, dict):
        return _runs(found, frame_wh, where)
    if not isinstance(found, list):
        raise DataError(f"{where}: expected polygons or run lengths as segmentation, found {repr(found)[:40]}; mend it")
    outlines = found if isinstance(found[0], list) else [found]
    made = []
    for outline in outlines:
        if not isinstance(outline, list) or len(outline) < 6 or len(outline) % 2:
            raise DataError(f"{where}: expected polygons of three points or more, found {repr(outline)[:40]}; mend it")
        points = np.array([number(value, where, "a polygon") for value in outline])
        if not (np.abs(points) < 1e6).all():
            raise DataError(f"{where}: expected polygons of numbers below a million, found NaN or more; mend it")
        made.append(points)
    return Polygons(tuple(made))


def _runs(found: JSON, frame_wh: tuple[float, float] | None, where: str) -> Runs:
    height, width = (int(v) for v in numbers(found.get("size"), 2, where, "the size of a mask"))
    check_cells((height, width), where)
    if frame_wh is not None and (width, height) != tuple(frame_wh):
        raise DataError(f"{where}: expected a mask of {frame_wh[0]:g} x {frame_wh[1]:g} pixels, as its image, found "
                        f"{width} x {height}; mend it")  # fmt: skip
    counts = found.get("counts")
    try:
        runs = rle.from_string(counts) if isinstance(counts, str) else np.array(counts)
        if runs.dtype.kind not in "iu" or runs.ndim != 1 or (runs < 0).any() or int(runs.sum()) != height * width:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise DataError(f"{where}: expected run lengths that add up to {height} x {width}, found others; "
                        "mend the mask") from None  # fmt: skip
    return Runs(runs.astype(np.uint32), (height, width))

"""Boxes in the formats that others write, from one list of boxes an image: nothing of fgscore's own readers."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

Box = tuple[int, int, int, int]
Boxes = Mapping[str, Sequence[Box]]  # path of a photo to its boxes, x0, y0, x1, y1
SIZE_WH = (60, 40)


def xywh(box: Box) -> list[int]:
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


def coco(folder: Path, boxes: Boxes, annotation: Any = lambda box: {}) -> Path:
    """``instances.json``; ``annotation`` adds to what stands of a box."""
    width, height = SIZE_WH
    images = [{"id": 7 * i, "file_name": path, "width": width, "height": height} for i, path in enumerate(boxes)]
    annotations = [
        {"id": 1, "image_id": image["id"], "category_id": 3, "bbox": xywh(box), "iscrowd": 0, **annotation(box)}
        for image in images
        for box in boxes[image["file_name"]]
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "bird"}]}
    return written(folder / "instances.json", json.dumps(content))


def lvis(folder: Path, boxes: Boxes) -> Path:
    """LVIS has no file names, but addresses."""
    content = json.loads(coco(folder, boxes).read_text())
    for image in content["images"]:
        image["coco_url"] = f"http://images.example/train2017/{image.pop('file_name').replace('/', '_')}"
    return written(folder / "lvis.json", json.dumps(content))


def detections(folder: Path, boxes: Boxes) -> Path:
    """``results.json``, by image id, with scores that fall."""
    found = [
        {"image_id": path, "category_id": 1, "bbox": xywh(box), "score": 0.9 - 0.1 * j}
        for path, own in boxes.items()
        for j, box in enumerate(own)
    ]
    return written(folder / "results.json", json.dumps(found))


def yolo(folder: Path, boxes: Boxes) -> Path:
    """``labels/``, a text file a photo."""
    width, height = SIZE_WH
    for path, own in boxes.items():
        sides = [((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
                 for x0, y0, x1, y1 in own]  # fmt: skip
        lines = [" ".join(["0", *(f"{side:.6f}" for side in of)]) for of in sides]
        written((folder / "labels" / path).with_suffix(".txt"), "\n".join(lines))
    written(folder / "labels" / "classes.txt", "bird\n")
    return folder / "labels"


def voc(folder: Path, boxes: Boxes) -> Path:
    """``Annotations/``, an XML file a photo; corners count from 1, and both are in the box."""
    width, height = SIZE_WH
    for path, own in boxes.items():
        objects = "".join(
            f"<object><name>bird</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax>"
            f"<ymax>{y1}</ymax></bndbox></object>"
            for x0, y0, x1, y1 in own
        )
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        name = escape(path.rpartition("/")[2])
        content = f"<annotation><folder>x</folder><filename>{name}</filename>{size}{objects}</annotation>"
        written((folder / "Annotations" / path).with_suffix(".xml"), content)
    return folder / "Annotations"


def table(folder: Path, boxes: Boxes, separator: str = ",") -> Path:
    """``boxes.csv``: absolute paths of another machine, corners, score."""
    path = folder / "boxes.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        rows = csv.writer(file, delimiter=separator)
        rows.writerow(["path", "x0", "y0", "x1", "y1", "score"])
        rows.writerows([f"/mnt/photos/{name}", *box, 0.5] for name, own in boxes.items() for box in own)
    return path


def parquet(folder: Path, boxes: Boxes) -> Path:
    """``boxes.parquet``: x, y, w, h."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(path, *xywh(box)) for path, own in boxes.items() for box in own]
    columns = dict(zip(("image_id", "x", "y", "w", "h"), map(list, zip(*rows, strict=True)), strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "boxes.parquet")
    return folder / "boxes.parquet"


def written(path: Path, content: str) -> Path:
    """``content`` at ``path``, in folders that are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path

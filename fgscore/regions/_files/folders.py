"""Folders with a file of boxes for each picture: YOLO's text, Pascal VOC's XML, what segment_anything's `amg.py`
writes."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from fgscore import regular
from fgscore.errors import DataError
from fgscore.regions._files import coco
from fgscore.regions._files.rows import SHARES, Picture, Polygons, Rows, from_xywh, number

METADATA = "metadata.csv"
AMG = ("id", "bbox_x0", "bbox_y0", "bbox_w", "bbox_h", "predicted_iou", "stability_score")
MOST = 1 << 26  # bytes of a file of one picture


def read(folder: Path) -> Rows:
    """The boxes of all files below ``folder``. Raises :class:`DataError` where it holds none that are known, or one
    that is at fault."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    if any(path.name == METADATA for path in files):
        return _amg(folder, [path for path in files if path.name == METADATA])
    readers = {".xml": _voc, ".json": _json, ".txt": _yolo}
    for suffix, reader in readers.items():
        if own := [path for path in files if path.suffix.lower() == suffix]:
            rows = reader(folder, own)
            for path in files:
                if path.suffix.lower() in readers.keys() - {suffix}:
                    rows.leave_out(f"files beside those of {suffix}, which alone are read", _relative(folder, path))
            return rows
    raise DataError(f"{folder}: expected YOLO's .txt, Pascal VOC's .xml, or folders or JSON that amg.py writes, found "
                    f"{len(files)} other files; name another folder")  # fmt: skip


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _text(path: Path) -> str:
    try:
        return regular.read_text(path, MOST)
    except ValueError as error:
        raise DataError(f"{path}: {error}; save it as UTF-8") from None


def _relative(folder: Path, path: Path) -> str:
    return PurePosixPath(path.relative_to(folder)).as_posix()


def _json(folder: Path, files: Sequence[Path]) -> Rows:
    """The masks of a picture in each."""
    joined = Rows()
    for path in files:
        one = coco.read(path, coco.load(path))
        if len(one.pictures) != 1:
            raise DataError(f"{path}: expected masks of one picture, as amg.py writes them, found {len(one.pictures)}; "
                            "name that file alone")  # fmt: skip
        own = one.pictures[0]
        by_path = _relative(folder, path.with_suffix(""))
        joined.pictures.append(Picture((*dict.fromkeys([by_path, *own.names]),), own.frame_wh))
        for i in range(len(one.where)):
            of_row = (one.boxes_xyxy[i], one.where[i], one.score[i], one.masks[i], one.stability[i])
            joined.add(len(joined.pictures) - 1, *of_row)
    return joined


def _amg(folder: Path, files: Sequence[Path]) -> Rows:
    rows = Rows()
    for path in files:
        name = _relative(folder, path.parent) if path.parent != folder else folder.absolute().name
        rows.pictures.append(Picture((name,)))
        table = csv.DictReader(io.StringIO(_text(path)))
        if lacking := [key for key in AMG if key not in (table.fieldnames or ())]:
            raise DataError(f"{path}: expected the columns of amg.py, found none called {lacking[0]}; mend it")
        for i, row in enumerate(table):
            where = f"{name}/{METADATA}, row {i}"
            values = [number(row[key], where, key) for key in AMG[1:]]
            mask = path.parent / f"{str(row['id']).strip()}.png"
            if mask.parent != path.parent or not mask.is_file():
                raise DataError(f"{where}: expected a mask at {mask}, found none; mend it")
            rows.add(len(rows.pictures) - 1, from_xywh(values[:4]), where, values[4], mask, values[5])
    return rows


def _voc(folder: Path, files: Sequence[Path]) -> Rows:
    """Corners count from 1, and both are within the box."""
    rows = Rows()
    for path in files:
        name = _relative(folder, path)
        tree = _xml(path)
        if tree.tag != "annotation":
            rows.leave_out("files that are no Pascal VOC annotation", name)
            continue
        size = [tree.findtext(f"size/{key}") for key in ("width", "height")]
        wh = [number(side, name, "a side") for side in size if side is not None]
        frame = (wh[0], wh[1]) if len(wh) == 2 and all(0 < side < np.inf for side in wh) else None  # 0: not known
        said = (tree.findtext("filename") or "").strip()
        # by where it lies, then by what it says: tools leave the name of a file of before
        rows.pictures.append(Picture(tuple(n for n in (name.removesuffix(path.suffix), said) if n), frame))
        for i, found in enumerate(tree.iterfind("object")):
            where = f"{name}, object {i}"
            corners = [number((found.findtext(f"bndbox/{key}") or "").strip() or None, where, key)
                       for key in ("xmin", "ymin", "xmax", "ymax")]  # fmt: skip
            x0, y0, x1, y1 = corners
            rows.add(len(rows.pictures) - 1, (x0 - 1, y0 - 1, x1, y1), where)
    return rows


def _xml(path: Path) -> ET.Element:
    text = _text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # nothing that it names is opened, nothing that it defines unfolded
        raise DataError(f"{path}: expected XML without a document type, found one; take it out")
    try:
        return ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise DataError(f"{path}: expected XML, found none ({error}); mend it") from None


def _yolo(folder: Path, files: Sequence[Path]) -> Rows:
    """Class, centre and sides, or a polygon; shares of the photo's sides. A sixth number is the score."""
    rows = Rows()
    for path in files:
        name = _relative(folder, path)
        lines = [(i, line.split()) for i, line in enumerate(_text(path).splitlines(), 1) if line.strip()]
        if lines and not any(_is_label(words) for _, words in lines):
            rows.leave_out("files that are no labels of YOLO", name)
            continue
        stem = name.removesuffix(path.suffix)
        beside = "/".join("images" if part == "labels" else part for part in stem.split("/"))
        rows.pictures.append(Picture((*dict.fromkeys([stem, beside]),), SHARES))
        for i, words in lines:
            where = f"{name}, line {i}"
            if len(words) < 5:
                raise DataError(f"{where}: expected a class and four numbers, found {len(words)} words; mend it")
            values = [number(word, where, "a share of the photo") for word in words[1:]]
            if len(values) > 5:
                if len(values) % 2:
                    raise DataError(f"{where}: expected a polygon of x and y, found {len(values)} numbers; mend it")
                points = np.array(values)
                if not ((points > -0.5) & (points < 1.5)).all():  # such as a pose, whose points say what is seen
                    raise DataError(f"{where}: expected a polygon of shares from 0 to 1, found others; mend it")
                box = (*points.reshape(-1, 2).min(axis=0), *points.reshape(-1, 2).max(axis=0))
                rows.add(len(rows.pictures) - 1, box, where, mask=Polygons((points,)))
                continue
            if max(values) > 2:
                raise DataError(f"{where}: expected shares of the photo, from 0 to 1, found {max(values):g}; divide "
                                "pixels by its sides")  # fmt: skip
            x, y, w, h = values[:4]
            score = values[4] if len(values) == 5 else np.nan
            rows.add(len(rows.pictures) - 1, from_xywh((x - w / 2, y - h / 2, w, h)), where, score)
    return rows


def _is_label(words: Sequence[str]) -> bool:
    try:
        return len(words) > 4 and all(np.isfinite([float(word) for word in words[1:]]))
    except ValueError:
        return False

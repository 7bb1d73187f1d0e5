"""Tables of boxes, CSV and Parquet, and our own ``.npz``."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import regular
from fgscore.errors import DataError
from fgscore.regions._files.rows import Picture, Rows, check_cells, from_xywh, number
from fgscore.types import MaskRLE, RegionBatch

MOST = 1 << 31  # bytes of a table, or of arrays
SEPARATORS = ",;\t"
IDS = ("image_id", "image_ids", "image", "path", "file_path", "filepath", "image_path", "file_name", "filename",
       "file", "img")  # fmt: skip
LAST = ("id",)  # of a picture where nothing else is, else of a row
CORNERS = (("x0", "y0", "x1", "y1"), ("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"),
           ("x_min", "y_min", "x_max", "y_max"), ("left", "top", "right", "bottom"))  # fmt: skip
SIDES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("x0", "y0", "w", "h"), ("left", "top", "width",
         "height"), ("bbox_x0", "bbox_y0", "bbox_w", "bbox_h"))  # fmt: skip
SCORES = ("predicted_iou", "score", "scores", "confidence", "conf", "probability")
READ = {*IDS, *LAST, *SCORES, *(name for names in (*CORNERS, *SIDES) for name in names)}


def read_csv(path: Path) -> Rows:
    """Rows with names in the first. Raises :class:`DataError` where it has no such columns, or a row at fault."""
    try:
        text = regular.read_text(path, MOST)
    except ValueError as error:
        raise DataError(f"{path}: {error}; save it as UTF-8") from None
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    try:
        header, *lines = list(csv.reader(io.StringIO(text), delimiter=separator)) or [[]]
    except csv.Error as error:
        raise DataError(f"{path}: expected a table, found none ({error}); mend it") from None
    rows = [(i, line) for i, line in enumerate(lines, 2) if line]
    for i, line in rows:
        if len(line) != len(header):
            raise DataError(f"{path}, line {i}: expected {len(header)} columns, found {len(line)}; mend it")
    _check_names(path, [name.strip() for name in header])
    columns = {name.strip(): [line[place].strip() for _, line in rows] for place, name in enumerate(header)}
    if separator == ";":  # beside which a comma stands before decimals
        columns |= {name: [value.replace(",", ".") for value in column] for name, column in columns.items()
                    if name.casefold() not in (*IDS, *LAST)}  # fmt: skip
    return _rows(path, columns, [f"{path.name}, line {i}" for i, _ in rows])


def read_parquet(path: Path) -> Rows:
    """The same of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            if sum(group.total_byte_size for group in groups) > MOST:
                raise DataError(f"{path}: expected at most {MOST} bytes of columns, found more; cut the file")
            table = file.read([name for name in file.schema_arrow.names if name.casefold() in READ])
    except (pa.ArrowException, OSError, ValueError) as error:
        regular.check_exhausted(path, error)
        raise DataError(f"{path}: expected Parquet, found none ({str(error).partition(chr(10))[0]}); mend it") from None
    _check_names(path, table.column_names)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    return _rows(path, columns, [f"{path.name}, row {i}" for i in range(table.num_rows)])


def _check_names(path: Path, names: Sequence[str]) -> None:
    """Raises :class:`DataError` where two columns that are read have one name, whatever their capitals."""
    seen = [name.casefold() for name in names]
    if twice := [name for name in seen if name in READ and seen.count(name) > 1]:
        raise DataError(
            f"{path}: expected one column called {twice[0]}, found {seen.count(twice[0])}; rename the others"
        )


def _rows(path: Path, columns: Mapping[str, Sequence[Any]], where: Sequence[str]) -> Rows:
    lower = {name.casefold(): name for name in columns}
    ids = [columns[lower[name]] for name in IDS if name in lower]
    ids = ids or [columns[lower[name]] for name in LAST if name in lower]
    corners, sides = (next(([lower[n] for n in names] for names in known if set(names) <= set(lower)), None)
                      for known in (CORNERS, SIDES))  # fmt: skip
    if not ids or not (corners or sides):
        wanted = "the photo's image_id or path" if not ids else "x0, y0, x1, y1 or x, y, w, h"
        raise DataError(f"{path}: expected columns with {wanted}, found {', '.join(columns) or 'none'}; name them so")
    score = next((columns[lower[name]] for name in SCORES if name in lower), None)
    rows, place = Rows(), dict[tuple[str, ...], int]()
    for i, named in enumerate(where):
        names = tuple(str(of[i]) for of in ids if of[i] not in (None, ""))
        if names not in place:
            place[names] = len(rows.pictures)
            rows.pictures.append(Picture(names))
        values = [number(columns[key][i], named, key) for key in (corners or sides or ())]
        of_row = np.nan if score is None or score[i] in (None, "") else number(score[i], named, "the score")
        rows.add(place[names], values if corners else from_xywh(values), named, of_row)
    found = np.array(rows.boxes_xyxy)
    if len(found) and np.nanmax(np.abs(found), initial=0) <= 1 and (found % 1).any():
        raise DataError(f"{path}: expected boxes in pixels, found shares of the photo, all from 0 to 1; multiply "
                        "them by its sides, or write YOLO's text files")  # fmt: skip
    return rows


def read_npz(path: Path) -> Rows:
    """Regions as ``fgscore export --format npz`` writes them."""
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > MOST:
                raise DataError(f"{path}: expected at most {MOST} bytes of arrays, found more; cut the file")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        masks = [arrays[f"mask_{name}"] for name in ("counts", "offsets", "size_hw") if f"mask_{name}" in arrays]
        keys = ("image_ids", "offsets", "boxes_xyxy", "area", "predicted_iou", "stability")
        batch = RegionBatch(**{key: arrays[key] for key in keys}, masks=MaskRLE(*masks) if masks else None)
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
        regular.check_exhausted(path, error)
        raise DataError(f"{path}: expected the arrays of regions that `fgscore export --format npz` writes, found "
                        f"others ({str(error).partition(chr(10))[0]}); name such a file") from None  # fmt: skip
    if "mirrored" in arrays and arrays["mirrored"].any():
        raise DataError(f"{path}: expected boxes, found some that are mirrored; make these anew with their generator")
    return _of_batch(path, batch)


def _of_batch(path: Path, batch: RegionBatch) -> Rows:
    rows = Rows()
    for i, image_id in enumerate(batch.image_ids.tolist()):
        frame = None if batch.masks is None else (int(batch.masks.size_hw[i, 0]), int(batch.masks.size_hw[i, 1]))
        # boxes are those of their masks, which have a size of their own
        rows.pictures.append(Picture((image_id,), None if frame is None else (frame[1], frame[0])))
        for region in range(batch.offsets[i], batch.offsets[i + 1]):
            where = f"{path.name}, region {region}"
            mask = None
            if batch.masks is not None and frame is not None:
                check_cells(frame, where)
                mask = batch.masks.runs(region, i)
                try:
                    mask.ends()
                except ValueError as error:
                    raise DataError(f"{where}: {error}; mend the masks") from None
            said = float(batch.predicted_iou[region]), mask, float(batch.stability[region])
            rows.add(i, batch.boxes_xyxy[region].tolist(), where, *said)
    return rows

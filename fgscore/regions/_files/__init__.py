"""Files of boxes and masks that others wrote, known by their content."""

from __future__ import annotations

from pathlib import Path

from fgscore import regular
from fgscore.errors import DataError
from fgscore.regions._files import coco, folders, tables
from fgscore.regions._files.rows import Rows

__all__ = ["Rows", "read"]


def read(path: Path, images: Path | None = None) -> Rows:
    """The boxes that ``path`` holds: COCO or LVIS annotations, COCO detections (whose ids ``images``, a file of
    annotations, explains), masks of segment_anything's amg.py, a table as CSV or Parquet, our own ``.npz``; or a folder
    of YOLO's text, of Pascal VOC's XML, or of what amg.py writes.

    Raises :class:`DataError` for anything else, and for a row of it that cannot be read.
    """
    if path.is_dir():
        return folders.read(path)
    try:
        with regular.opened(path) as file:
            start = file.read(1 << 12)
    except OSError as error:
        raise DataError(f"{path}: expected a file of boxes, found {error.strerror}; name another") from None
    if start.startswith(b"PAR1"):
        return tables.read_parquet(path)
    if start.startswith(b"PK\x03\x04"):
        return tables.read_npz(path)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        return coco.read(path, coco.load(path), images)
    if text[:1] == b"<":
        raise DataError(f"{path}: expected a folder of Pascal VOC's XML, found one file of it; name its folder")
    return tables.read_csv(path)

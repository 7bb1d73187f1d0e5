"""Boxes and masks that something else made: a detector, an annotator, another tool."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from fgscore.errors import DataError, shortened
from fgscore.regions import Generator, Known, Proposals
from fgscore.regions._files import Rows, masks, read
from fgscore.regions._files.rows import SHARES, Polygons
from fgscore.regions._matching import SEVERAL, Names

NAMED = 5  # of what does not match, in an error


def boxes(
    *,
    file: Path,
    images: Path | None = None,
    n: int | None = None,
    area_min: float = 0.0,
    area_max: float = 1.0,
) -> Boxes:
    """Boxes and masks that a file holds: COCO, YOLO, Pascal VOC, amg.py, CSV, Parquet.

    ``file`` is JSON of COCO or LVIS annotations, of detections (``images`` then is the file of annotations that their
    image ids are of), of amg.py or SA-1B; CSV or Parquet with image_id or path, x0, y0, x1, y1 or x, y, w, h, and
    score; ``.npz`` of ``fgscore export``; or a folder of YOLO's ``.txt``, Pascal VOC's ``.xml``, or of what amg.py
    writes. Masks stay masks, and their boxes are those of their pixels. ``n`` keeps the best by score.
    """
    return Boxes(file, read(file, images), n, area_min, area_max)


class Boxes(Generator):
    """See :func:`boxes`."""

    asks = ("paths",)

    def __init__(self, file: Path, rows: Rows, n: int | None, area_min: float, area_max: float) -> None:
        self._name, self._rows = file.name or str(file), rows
        self.n, self.area_min, self.area_max = n, area_min, area_max
        self.masks = rows.masked
        polygons = any(isinstance(mask, Polygons) for mask in rows.masks)
        pictures = any(isinstance(mask, Path) for mask in rows.masks)
        self.needs = (*(["pycocotools"] if polygons else []), *(["PIL"] if pictures else []))
        self._boxes = np.array(rows.boxes_xyxy, np.float64).reshape(-1, 4)
        frames = [picture.frame_wh or (np.nan, np.nan) for picture in rows.pictures]
        self._frames = np.array(frames, np.float64).reshape(-1, 2)[np.array(rows.picture, np.int64)]
        self._of: dict[str, list[int]] = {}

    def meet(self, known: Known) -> dict[str, list[str]]:
        """Find the photo of every row. Returns the rows that are not used and the photos that have none. Raises
        :class:`DataError` where no row is of any photo."""
        assert known.paths is not None, "asked for"
        found = self._rows_of(known)
        picture = np.array(self._rows.picture, np.int64)
        at = found[picture] if len(picture) else picture
        said: dict[str, list[str]] = defaultdict(list, {k: list(names) for k, names in self._rows.unused.items()})
        self._of, kept = {}, self._usable(at, known.sizes_wh, said)
        for row in np.flatnonzero(kept).tolist():
            self._of.setdefault(str(known.image_ids[at[row]]), []).append(row)
        if not self._of and len(known.image_ids):
            self._refuse(known, at, said)
        looked_at = set(known.image_ids[found[found >= 0]].tolist())  # pictures without a row are not missing
        said[f"photos that {self._name} does not name"] = [i for i in known.image_ids.tolist() if i not in looked_at]
        return {about: names for about, names in said.items() if names}

    def _rows_of(self, known: Known) -> np.ndarray:
        """(P,): the row of the photo that each picture of the file is."""
        pictures = self._rows.pictures
        assert known.paths is not None
        names = Names(known.image_ids.tolist(), known.paths.tolist(), (picture.names for picture in pictures))
        return np.array([names.row(picture.names) for picture in pictures], np.int64)

    def _usable(self, at: np.ndarray, sizes_wh: np.ndarray, said: dict[str, list[str]]) -> np.ndarray:
        """(R,) bool: the rows that are regions of the photos ``at`` (R,), as far as their sizes are known; what is said
        of the others goes to ``said``."""
        with np.errstate(invalid="ignore"):
            finite = np.isfinite(self._boxes).all(axis=1)
            upright = (self._boxes[:, :2] < self._boxes[:, 2:]).all(axis=1)
        masked = np.array([mask is not None for mask in self._rows.masks], bool)
        sizes = np.where((at >= 0)[:, None], sizes_wh[at], 0) if len(sizes_wh) else np.zeros((len(at), 2))
        sized = (sizes > 0).all(axis=1)
        frames = self._frames
        placed, clipped = place(self._boxes, frames, sizes)
        outside = sized & ~(placed[:, :2] < placed[:, 2:]).all(axis=1) & ~masked
        reasons = {
            f"rows of {self._name} that name no photo": at == -1,
            f"rows of {self._name} that could be of several photos": at == SEVERAL,
            f"rows of {self._name} with numbers that are not finite": ~finite & ~masked,
            f"rows of {self._name} whose box is turned round or empty": finite & ~upright & ~masked,
            f"rows of {self._name} whose photo has another shape": sized & ~same_shape(frames, sizes),
            f"rows of {self._name} with masks of another size than others of the photo": self._odd_masks(at),
            f"rows of {self._name} whose box lies outside of its photo": outside & finite & upright,
        }
        kept = np.ones(len(at), bool)
        for about, which in reasons.items():
            said[about] += [self._called(row) for row in np.flatnonzero(which & kept).tolist()]
            kept &= ~which
        cut = kept & sized & clipped & ~masked
        said[f"boxes of {self._name} that reach beyond their photo and are cut to it"] += [
            self._called(row) for row in np.flatnonzero(cut).tolist()
        ]
        return kept

    def _called(self, row: int) -> str:
        names = self._rows.pictures[self._rows.picture[row]].names
        where = self._rows.where[row]
        return where if not names or names[0] in where else f"{where} ({names[0]})"

    def _odd_masks(self, at: np.ndarray) -> np.ndarray:
        """(R,) bool: of a file with masks, the rows whose frame is not that of the first row of the same photo: all
        masks of a photo are of one size."""
        if not self.masks or not len(at):
            return np.zeros(len(at), bool)
        _, first, of = np.unique(at, return_index=True, return_inverse=True)
        same = np.isclose(self._frames, self._frames[first[of]], equal_nan=True)
        return np.asarray(~same.all(axis=1))

    def _refuse(self, known: Known, at: np.ndarray, said: dict[str, list[str]]) -> None:
        why = "; ".join(f"{len(names):,} {about}, such as {names[0]}" for about, names in said.items() if names)
        if (at >= 0).any():
            raise DataError(f"expected boxes of these photos in {self._name}, found none that can be used: {why}; mend "
                            "the file")  # fmt: skip
        theirs = shortened(dict.fromkeys(name for picture in self._rows.pictures for name in picture.names[:1]), NAMED)
        raise DataError(
            f"expected boxes of these photos, such as {known.image_ids[0]}, in {self._name}, found "
            f"{'those of ' + theirs if theirs else 'none'}; name the photos alike, or another file"
        )

    def propose(self, image: np.ndarray, image_id: str) -> Proposals:
        """The rows of the photo. Raises :class:`BadImage` where a mask of it cannot be read."""
        rows = self._of.get(image_id, [])
        frame = self._frames[rows]
        size = np.tile(np.array(image.shape[1::-1]), (len(rows), 1))
        placed, _ = place(self._boxes[rows], frame, size)
        if self.masks:
            wanted = [self._rows.masks[row] for row in rows]
            made = masks.proposals(wanted, placed, image.shape[:2], tuple(frame[0]) if len(rows) else None)
        else:
            made = Proposals.of_boxes(placed, image.shape)
        score, stability = (np.array(column, np.float64)[rows] for column in (self._rows.score, self._rows.stability))
        return made.with_scores(score, stability)


def place(boxes: np.ndarray, frame_wh: np.ndarray, size_wh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (R, 4) in frames (R, 2), NaN for the photo's own, as whole pixels of photos of ``size_wh`` (R, 2): (R, 4)
    int32, rounded, of at least a pixel where they are in the photo at all; and whether each was cut to it, (R,)
    bool."""
    scale = np.where(np.isnan(frame_wh), 1, size_wh / np.where(np.isnan(frame_wh), 1, frame_wh))
    exact = np.nan_to_num(boxes * np.tile(scale, 2), posinf=2**30, neginf=-(2**30)).clip(-(2**30), 2**30)
    whole = np.rint(exact)
    thin = whole[:, :2] >= whole[:, 2:]
    whole[:, :2] = np.where(thin, np.floor((exact[:, :2] + exact[:, 2:]) / 2), whole[:, :2])
    whole[:, 2:] = np.where(thin, whole[:, :2] + 1, whole[:, 2:])
    inside = np.clip(whole, 0, np.tile(size_wh, 2))
    return inside.astype(np.int32), (inside != whole).any(axis=1)


def same_shape(frame_wh: np.ndarray, size_wh: np.ndarray) -> np.ndarray:
    """(R,) bool: whether a frame is its photo, perhaps reduced or enlarged, up to the rounding of its sides."""
    shares = (frame_wh == SHARES).all(axis=1)
    (fw, fh), (w, h) = frame_wh.T, size_wh.T
    with np.errstate(invalid="ignore"):
        return np.isnan(fw) | shares | (np.abs(fw * h - fh * w) <= np.maximum(w + h, fw + fh))

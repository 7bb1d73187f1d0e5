"""What people marked, as regions: how good regions could be at most where the object, or its parts, are known."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from fgscore.errors import DataError
from fgscore.regions import Generator, GeneratorMaker, Known, Proposals

Kind = Literal["object", "part"]


@GeneratorMaker.declares(annotated=True)
def annotated(*, kind: Kind = "object") -> Annotated:
    """What people marked, as regions: an upper bound of localisation, and marked as one.

    ``object`` is the box that the data set has of each image; of the drawn set the bird itself, a mask. ``part`` are
    the parts of the drawn set, a mask each. An image without a mark has no region.
    """
    return Annotated(kind)


class Annotated(Generator):
    """See :func:`annotated`."""

    asks = ("paths", "boxes")

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def meet(self, known: Known) -> dict[str, list[str]]:
        """Find out which marks there are; the images without any are named. Raises :class:`DataError` where there are
        none at all."""
        assert known.paths is not None and known.boxes_xyxy is not None, "asked for"
        is_marked = ~np.isnan(known.boxes_xyxy).any(axis=1)
        self._row = {image_id: row for row, image_id in enumerate(known.image_ids.tolist())}
        self._root, self._paths, self._boxes = known.root, known.paths, known.boxes_xyxy
        self.masks = self._kind == "part" or not is_marked.any()
        if not self.masks:
            return {"photos without an object box": known.image_ids[~is_marked].tolist()} if not is_marked.all() else {}
        if not (known.root / "parts").is_dir():
            has = "part maps" if self._kind == "part" else "object boxes or part maps"
            other = ", or take kind=object" if self._kind == "part" and is_marked.any() else ""
            raise DataError(f"expected {has} of the data set, found none in {known.root}; take other regions{other}")
        return {}

    def propose(self, image: np.ndarray, image_id: str) -> Proposals | np.ndarray:
        """The object's box, or the masks of what is drawn."""
        row = self._row.get(image_id)
        if row is None:
            return np.zeros((0, 4), np.int32)
        if self.masks:
            return _drawn(self._root, str(self._paths[row]), self._kind, image.shape[:2])
        height, width = image.shape[:2]
        low, high = self._boxes[row, :2], self._boxes[row, 2:]
        box = np.concatenate([np.floor(low + 1e-3), np.minimum(np.ceil(high - 1e-3), (width, height))])
        return box[None] if (box[:2] < box[2:]).all() else np.zeros((0, 4), np.int32)  # no NaN passes


def _drawn(root: Path, path: str, kind: Kind, size_hw: tuple[int, ...]) -> Proposals:
    from fgscore.demo.parts import PART_NAMES, WHOLE_PARTS, read_map

    labels = read_map(root, path)
    sets = [names for part, names in WHOLE_PARTS.items() if (part == "bird") == (kind == "object")]
    masks = [np.isin(labels, [PART_NAMES.index(name) for name in names]) for names in sets]
    seen = [mask for mask in masks if mask.any()]
    return Proposals.of_masks(np.array(seen).reshape(-1, *labels.shape), size_hw)

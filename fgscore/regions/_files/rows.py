"""What a file of boxes says, before it is known which photos it is of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fgscore.errors import DataError
from fgscore.types import Runs

CELLS = 1 << 28  # of one mask, at most
SHARES = (1.0, 1.0)  # the frame of boxes that are shares of the photo's sides


@dataclass(frozen=True)
class Polygons:
    """Outlines of a region, each (2 K,) float64 of x, y, x, y ... in the frame's pixels."""

    outlines: tuple[np.ndarray, ...]


Mask = Runs | Polygons | Path


@dataclass(frozen=True)
class Picture:
    """A picture as a file names it: by any of ``names``, ids or paths. Its boxes lie in a frame of ``frame_wh`` pixels,
    those of the photo where that is None."""

    names: tuple[str, ...]
    frame_wh: tuple[float, float] | None = None


@dataclass
class Rows:
    """R boxes of P pictures: ``picture`` (R,) is whose each is, ``boxes_xyxy`` (R, 4) float64, ``score`` and
    ``stability`` (R,) NaN where none is said, ``masks`` R of them or None each, ``where`` (R,) what people call each.
    ``unused`` are names, of files or rows, by why they are not used."""

    pictures: list[Picture] = field(default_factory=list)
    picture: list[int] = field(default_factory=list)
    boxes_xyxy: list[Sequence[float]] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    stability: list[float] = field(default_factory=list)
    masks: list[Mask | None] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    unused: dict[str, list[str]] = field(default_factory=dict)

    def add(
        self,
        picture: int,
        box_xyxy: Sequence[float],
        where: str,
        score: float = math.nan,
        mask: Mask | None = None,
        stability: float = math.nan,
    ) -> None:
        """One more row."""
        self.picture.append(picture)
        self.boxes_xyxy.append(box_xyxy)
        self.score.append(score)
        self.stability.append(stability)
        self.masks.append(mask)
        self.where.append(where)

    def leave_out(self, why: str, name: str) -> None:
        """Note what is not used."""
        self.unused.setdefault(why, []).append(name)

    @property
    def masked(self) -> bool:
        """Whether any row has a mask: then each region has one."""
        return any(mask is not None for mask in self.masks)


def number(value: Any, where: str, what: str) -> float:
    """``value`` as a number, NaN too. Raises :class:`DataError` that says ``where`` it is none."""
    if isinstance(value, bool | bytes) or value is None:
        raise DataError(f"{where}: expected a number as {what}, found {value!r}; mend it")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        found = repr(value)
        found = found if len(found) <= 40 else f"{found[:37]}..."
        raise DataError(f"{where}: expected a number as {what}, found {found}; mend it") from None


def numbers(values: Any, count: int, where: str, what: str) -> list[float]:
    """``count`` numbers. Raises :class:`DataError` that says ``where`` they are not."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes) or len(values) != count:
        found = f"{len(values)} values" if isinstance(values, Sequence) else repr(values)[:40]
        raise DataError(f"{where}: expected {count} numbers as {what}, found {found}; mend it")
    return [number(value, where, what) for value in values]


def from_xywh(xywh: Sequence[float]) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of x, y, width, height."""
    x, y, w, h = xywh
    return x, y, x + w, y + h


def check_cells(size_hw: tuple[int, int], where: str) -> None:
    """Raises :class:`DataError` for a mask that is no mask by its size, before memory is taken for it."""
    height, width = size_hw
    if not (height > 0 and width > 0 and height * width <= CELLS):
        raise DataError(f"{where}: expected a mask of 1 to {CELLS} pixels, found {height} x {width}; mend it")

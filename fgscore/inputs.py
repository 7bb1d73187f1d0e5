"""What scorers and targets are given of a block of whole images, computed when it is first touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar, overload

import numpy as np

from fgscore.errors import NoText
from fgscore.machine.lazy import lazy
from fgscore.types import RegionBatch, check_array, check_offsets, read_only


class Softmax(NamedTuple):
    """Softmax over classes of tau times the cosines, before the division: ``weights`` (R, C) are exp(tau (cosine -
    largest)), ``total`` (R,) their sums and ``gap`` (R,) the mean of (cosine - largest) under it; all float32 and
    read-only."""

    weights: np.ndarray
    total: np.ndarray
    gap: np.ndarray

    @staticmethod
    def of(cosines: np.ndarray, largest: np.ndarray, tau: float) -> Softmax:
        """For ``cosines`` (R, C) and their row maxima ``largest`` (R,)."""
        gaps = cosines - largest[:, None]
        weights = np.exp(np.float32(tau) * gaps)
        total = weights.sum(axis=1)
        gap = np.einsum("rc,rc->r", weights, gaps) / total
        return Softmax(read_only(weights), read_only(total), read_only(gap))


T = TypeVar("T")


class OfText(Generic[T]):
    """A field that belongs to text: it may be given as None, and to read it is then the fault."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, inputs: None, owner: type) -> OfText[T]: ...

    @overload
    def __get__(self, inputs: object, owner: type) -> T: ...

    def __get__(self, inputs: object | None, owner: type) -> OfText[T] | T:
        if inputs is None:
            raise AttributeError(self._name)  # a field without a default
        value: T | None = vars(inputs)[self._name]
        if value is None:
            raise NoText(f"no class text is there: {self._name} and all that compares with text are unknown")
        return value

    def __set__(self, inputs: object, value: T | None) -> None:
        vars(inputs)[self._name] = value


# what ScoreInputs computes when it is first asked for
SIMILARITIES = ("image_of_region", "region_text", "top_class", "top_text", "region_global", "global_text")


@dataclass(frozen=True, eq=False, repr=False)
class ScoreInputs:
    """All that scorers and targets see of a block of whole images: no labels, so label-free holds by construction.

    ``regions`` (R, d), ``globals`` (N, d) and ``text`` (C, d) are float32; the similarities and the geometry are
    computed or read only when touched. Every array is read-only, since scorers share them: work on a copy.

    Where there is no text, ``text`` and ``logit_scale`` are given as None: to touch them, or a similarity with text,
    raises :class:`NoText`, and everything else works.
    """

    offsets: np.ndarray
    regions: np.ndarray
    globals: np.ndarray
    text: OfText[np.ndarray] = OfText()
    logit_scale: OfText[float] = OfText()
    read_regions: Callable[[], RegionBatch] | None = None

    def __post_init__(self) -> None:
        n, r, d = len(self.globals), len(self.regions), np.shape(self.text if self.has_text else self.globals)[-1]
        check_array(self, "regions", (r, d), np.float32)
        check_array(self, "globals", (n, d), np.float32)
        if self.has_text:
            check_array(self, "text", (None, d), np.float32)
        check_offsets(self, n, r)
        for name in ("offsets", "regions", "globals", *(("text",) if self.has_text else ())):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    @property
    def has_text(self) -> bool:
        """Whether there are classes to compare with."""
        return vars(self)["text"] is not None

    def apart(self) -> ScoreInputs:
        """The same inputs in memory of their own: for code that is not ours, which can then reach nothing that others
        are given, whatever it does to its arrays. What has been computed is copied, the rest computed when touched."""
        geometry = None if self.read_regions is None else lambda: _copied(self._geometry)
        offsets, regions, globals_ = (c.copy() for c in (self.offsets, self.regions, self.globals))
        text, scale = (self.text.copy(), self.logit_scale) if self.has_text else (None, None)
        made = ScoreInputs(offsets, regions, globals_, text, scale, geometry)
        made.__dict__.update({k: read_only(self.__dict__[k].copy()) for k in SIMILARITIES if k in self.__dict__})
        return made

    @lazy
    def image_of_region(self) -> np.ndarray:
        """(R,) int64: the image that each region belongs to."""
        return read_only(np.repeat(np.arange(len(self.globals)), np.diff(self.offsets)))

    @lazy
    def region_text(self) -> np.ndarray:
        """(R, C) float32: cosine of each region with each class."""
        return read_only(self.regions @ self.text.T)

    @lazy
    def top_class(self) -> np.ndarray:
        """(R,) int64: the class of the largest cosine, the first of equals."""
        return read_only(self.region_text.argmax(axis=1))

    @lazy
    def top_text(self) -> np.ndarray:
        """(R,) float32: the largest cosine with any class."""
        return read_only(np.take_along_axis(self.region_text, self.top_class[:, None], axis=1)[:, 0])

    def softmax(self, tau: float) -> Softmax:
        """The distribution over classes at ``tau``, computed once for all scorers that ask for it."""
        if tau not in self._softmaxes:
            self._softmaxes[tau] = Softmax.of(self.region_text, self.top_text, tau)
        return self._softmaxes[tau]

    @lazy
    def _softmaxes(self) -> dict[float, Softmax]:
        return {}

    @lazy
    def region_global(self) -> np.ndarray:
        """(R,) float32: cosine of each region with its own image."""
        return read_only(np.einsum("rd,rd->r", self.regions, self.globals[self.image_of_region]))

    @lazy
    def global_text(self) -> np.ndarray:
        """(N, C) float32: cosine of each image with each class."""
        return read_only(self.globals @ self.text.T)

    @lazy
    def _geometry(self) -> RegionBatch:
        if self.read_regions is None:
            raise AttributeError("these inputs were made without regions: boxes, area and predicted_iou are unknown")
        return self.read_regions()

    @property
    def boxes_xyxy(self) -> np.ndarray:
        """(R, 4) int32 pixels."""
        return read_only(self._geometry.boxes_xyxy)

    @property
    def area(self) -> np.ndarray:
        """(R,) float32: fraction of the image."""
        return read_only(self._geometry.area)

    @property
    def predicted_iou(self) -> np.ndarray:
        """(R,) float32: the generator's own estimate, NaN for crops."""
        return read_only(self._geometry.predicted_iou)


def _copied(batch: RegionBatch) -> RegionBatch:
    """The geometry of ``batch``, read-only, in memory of its own; masks are no part of it."""
    columns = (batch.image_ids, batch.offsets, batch.boxes_xyxy, batch.area, batch.predicted_iou, batch.stability)
    return RegionBatch(*(read_only(column.copy()) for column in columns))  # type: ignore[arg-type]

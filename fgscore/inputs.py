"""What scorers and targets are given of a block of whole images, computed when it is first touched."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
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


def image_keys(image_ids: np.ndarray) -> np.ndarray:
    """(N,) uint64: of each image the first 64 bits of the SHA-256 of its id. They stand for the ids where these, which
    may name the class, must not be seen."""
    digests = (hashlib.sha256(image_id.encode()).digest() for image_id in image_ids.tolist())
    return np.array([int.from_bytes(digest[:8], "big") for digest in digests], np.uint64)


def unnamed(batch: RegionBatch) -> RegionBatch:
    """``batch`` with the keys of its images, in hexadecimal digits, in place of their ids."""
    keys = image_keys(batch.image_ids).tolist()
    return replace(batch, image_ids=np.array([f"{key:016x}" for key in keys], np.str_))


def _scrambled(x: np.ndarray) -> np.ndarray:
    """uint64 to uint64, each bit of the result depending on all of the argument: splitmix64's finaliser."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the step of the same generator

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

    ``image_keys`` (N,) uint64 tell images apart without their ids, see :func:`image_keys`, and ``numbers`` (R,) are the
    numbers of the regions in their images, by position where left out; both for :meth:`drawn`.

    Where there is no text, ``text`` and ``logit_scale`` are given as None: to touch them, or a similarity with text,
    raises :class:`NoText`, and everything else works.
    """

    offsets: np.ndarray
    regions: np.ndarray
    globals: np.ndarray
    text: OfText[np.ndarray] = OfText()
    logit_scale: OfText[float] = OfText()
    read_regions: Callable[[], RegionBatch] | None = None
    image_keys: np.ndarray | None = None
    numbers: np.ndarray | None = None

    def __post_init__(self) -> None:
        n, r, d = len(self.globals), len(self.regions), np.shape(self.text if self.has_text else self.globals)[-1]
        check_array(self, "regions", (r, d), np.float32)
        check_array(self, "globals", (n, d), np.float32)
        if self.has_text:
            check_array(self, "text", (None, d), np.float32)
        check_offsets(self, n, r)
        given = {"text": self.has_text, "image_keys": self.image_keys is not None, "numbers": self.numbers is not None}
        for name in ("offsets", "regions", "globals", *(name for name, there in given.items() if there)):
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
        keys, numbers = (None if c is None else c.copy() for c in (self.image_keys, self.numbers))
        made = ScoreInputs(offsets, regions, globals_, text, scale, geometry, keys, numbers)
        made.__dict__.update({k: read_only(self.__dict__[k].copy()) for k in SIMILARITIES if k in self.__dict__})
        return made

    @lazy
    def image_of_region(self) -> np.ndarray:
        """(R,) int64: the image that each region belongs to."""
        return read_only(np.repeat(np.arange(len(self.globals)), np.diff(self.offsets)))

    @lazy
    def number_of_region(self) -> np.ndarray:
        """(R,) int64: its number in its image, from 0."""
        if self.numbers is not None:
            return read_only(np.asarray(self.numbers, np.int64))
        return read_only(np.arange(len(self.regions)) - self.offsets[:-1][self.image_of_region])

    def drawn(self, seed: int) -> np.ndarray:
        """(R,) uint64: for each region a number as if drawn at random. It depends on ``seed``, the key of its image and
        its own number alone, so on nothing that is seen, and not on which images come with it."""
        if self.image_keys is None:
            raise AttributeError("these inputs were made without keys of images: nothing can be drawn for them")
        of_seed = np.uint64((seed + 1) * int(GOLDEN) % (1 << 64))
        images = _scrambled(self.image_keys + of_seed)
        return _scrambled(images[self.image_of_region] + (self.number_of_region + 1).astype(np.uint64) * GOLDEN)

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

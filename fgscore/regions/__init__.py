"""Region generators: the contract, and what all of them share: boxes that are checked, the area filter, the cap."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from fgscore import specs
from fgscore.components import positional
from fgscore.errors import BadParameter, UsageError
from fgscore.models import Maker, Model
from fgscore.regions._known import ASKED, Known
from fgscore.regions._proposals import Proposals, batch
from fgscore.runtime import Runtime

__all__ = [
    "Generator",
    "GeneratorMaker",
    "Known",
    "Proposals",
    "batch",
    "check_area",
    "checked",
    "in_area",
    "is_annotated",
    "select",
]


class Generator(Model, ABC):
    """A generator of regions; ``propose`` is all that it needs.

    A function of one's own may also be the generator itself. Examples, in a file of one's own, used by
    ``--regions "./mine.py:grid(rows=4)"`` and ``--regions "./mine.py:detected(table=boxes.csv)"``::

        def grid(image, image_id, /, *, rows: int = 3):
            y, x = (np.unique(np.linspace(0, side, rows + 1).astype(int)) for side in image.shape[:2])
            return [(x0, y0, x1, y1) for y0, y1 in zip(y, y[1:]) for x0, x1 in zip(x, x[1:])]

        def detected(*, table: Path):  # the file's digest is part of what is stored
            boxes = read(table)
            return lambda image, image_id: boxes.get(image_id, [])

    ``n`` is how many regions of an image are kept at most, ``area_min`` and ``area_max`` what share of the image each
    may cover; left out, all are kept. One of ``masks``, or that ``mirrors``, returns :class:`Proposals`.

    One that must know more than the image, and returns an object with ``propose``, says what: ``asks`` for "paths" or
    "boxes" of the data set, or names another generator as its ``parent``, as ``--regions`` would. Then its ``meet`` is
    called once, before the first image, with what is :class:`Known`; regions are made anew where that changes::

        class Wider:
            parent = "sam"  # which must be cached, once

            def meet(self, known):
                self.known = known

            def propose(self, image, image_id):
                height, width = image.shape[:2]
                x0, y0, x1, y1 = self.known.regions(image_id).boxes_xyxy.T  # (M,) each
                return np.stack([x0 // 2, y0 // 2, (x1 + width) // 2, (y1 + height) // 2], axis=1)
    """

    required: ClassVar[tuple[str, ...]] = ("propose",)

    masks: bool = False  # whether its regions have masks
    mirrors: bool = False  # whether some of its regions are to be seen in a mirror
    asks: tuple[str, ...] = ()  # what else it is told of the data set: "paths", "boxes"
    parent: str | None = None  # the generator of whose regions, as cached, it makes its own
    n: int | None = None
    area_min: float = 0.0
    area_max: float = 1.0

    def meet(self, known: Known) -> Mapping[str, Sequence[str]] | None:
        """Take what is ``known`` of the images. Returns, for the run's output, names by what is to be said of them,
        such as ``{"rows that name no photo": ["12", "13"]}``. Raises :class:`DataError` where it cannot do with
        that."""
        return None

    def macs(self) -> int | None:
        """Multiply-accumulates that the regions of an image take, beside those of its ``parent``; None where that is
        not known."""
        return None

    @abstractmethod
    def propose(self, image: np.ndarray, image_id: str) -> Proposals | np.ndarray | Sequence[Sequence[int]]:
        """The regions of ``image`` (H, W, 3) uint8 RGB: :class:`Proposals`, or boxes (M, 4) as x0, y0, x1, y1 in whole
        pixels, right and bottom exclusive; M may be 0."""


class _Plain(Generator):
    """A function ``(image, image_id) -> boxes`` as a generator."""

    def __init__(self, function: Callable[[np.ndarray, str], Any]) -> None:
        self._function = function

    def propose(self, image: np.ndarray, image_id: str) -> Any:
        return self._function(image, image_id)


@dataclass(frozen=True, kw_only=True)
class GeneratorMaker(Maker):
    """A function that returns a :class:`Generator` or a function ``(image, image_id) -> boxes``, or that is itself such
    a function, bound. ``annotated`` says that its regions are what people marked: an upper bound."""

    kind: ClassVar[str] = "region generator"
    home: ClassVar[str] = "fgscore.regions"
    contract: ClassVar[type[Model]] = Generator

    annotated: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """The picture and its id, for a function that is the generator itself."""
        return ("image", "image_id") if len(positional(self.function)) == 2 else super().given

    def _returned(self, runtime: Runtime) -> Any:
        if len(self.given) == 2:
            return functools.partial(self.function, **self.params)
        return super()._returned(runtime)

    def _made_of(self, returned: Any) -> Any:
        if inspect.isroutine(returned) or isinstance(returned, functools.partial):
            return _Plain(returned)
        return super()._made_of(returned)

    def make(self, runtime: Runtime) -> Generator:
        """The generator. Raises as :meth:`Maker.make`, and :class:`BadParameter` for an empty range of areas."""
        generator: Generator = super().make(runtime)
        check_area(generator.area_min, generator.area_max, generator.n)
        if strange := set(generator.asks) - set(ASKED):
            raise UsageError(f"{self.place}{self.kind} {self.canonical}: asks must be of {', '.join(ASKED)}, found "
                             f"{', '.join(map(repr, sorted(strange)))}")  # fmt: skip
        return generator


@functools.cache  # asked for every row of a table
def is_annotated(component: str) -> bool:
    """Whether regions by the canonical text of a ``component`` of ours are what people marked; False for any other."""
    name = specs.parse(component).name if component else ""
    return name in GeneratorMaker.ours_named() and GeneratorMaker.declared(GeneratorMaker.ours(name), "annotated")


def check_area(area_min: float, area_max: float, n: int | None) -> None:
    """Raises :class:`BadParameter` unless 0 <= area_min < area_max <= 1 and n > 0."""
    if not (0 <= area_min < area_max <= 1):
        raise BadParameter(f"expected 0 <= area_min < area_max <= 1, found area_min={area_min}, area_max={area_max}")
    if n is not None and n < 1:
        raise BadParameter(f"expected n of at least 1, found n={n}")


def checked(found: Any, size_hw: tuple[int, ...], masks: bool, mirrors: bool = False) -> Proposals:
    """What a generator found in an image of ``size_hw``, as :class:`Proposals`; ``masks`` and ``mirrors`` are what it
    declares.

    Raises :class:`UsageError` that names the box, where it is not whole pixels within the image, x0 < x1 and y0 < y1,
    or says what else does not agree.
    """
    given = found if isinstance(found, Proposals) else None
    boxes = _checked_boxes(given.boxes_xyxy if given else found, size_hw)
    if given is None:
        if masks and len(boxes):
            raise UsageError("expected Proposals with masks, as it declares them, found boxes alone")
        if mirrors and len(boxes):
            raise UsageError("expected Proposals that say which are mirrored, as it declares, found boxes alone")
        nothing = np.zeros(0, bool) if mirrors else None
        return replace(Proposals.of_boxes(boxes, size_hw), runs=[] if masks else None, mirrored=nothing)
    for name in ("area", "predicted_iou", "stability"):
        if np.shape(vars(given)[name]) != (len(boxes),):
            raise UsageError(f"expected {name} {(len(boxes),)}, found {np.shape(vars(given)[name])}")
    if not in_area(given.area, 0, 1).all():
        raise UsageError("expected every area from 0 to 1, a fraction of the image")
    if (given.runs is not None) != masks:
        raise UsageError(f"expected {'' if masks else 'no '}masks, as it declares, found {'none' if masks else 'some'}")
    _check_mirrored(given.mirrored, len(boxes), mirrors)
    _check_runs(given, len(boxes))
    return replace(given, boxes_xyxy=boxes)


def _check_mirrored(mirrored: np.ndarray | None, m: int, mirrors: bool) -> None:
    found = None if mirrored is None else np.shape(mirrored)
    if found != ((m,) if mirrors else None):
        raise UsageError(f"expected mirrored {(m,) if mirrors else None}, as it declares, found {found}")


def _check_runs(given: Proposals, m: int) -> None:
    if given.runs is not None and len(given.runs) != m:
        raise UsageError(f"expected a mask for each of {m} boxes, found {len(given.runs)}")
    height, width = given.mask_hw
    for i, runs in enumerate(given.runs or ()):
        if int(np.sum(runs, dtype=np.int64)) != height * width:
            raise UsageError(f"mask {i}: expected runs that add up to {height} x {width} cells")


def _checked_boxes(found: Any, size_hw: tuple[int, ...]) -> np.ndarray:
    """(M, 4) int32."""
    boxes = np.asarray(found)
    if boxes.size == 0:
        return np.zeros((0, 4), np.int32)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "iuf":
        raise UsageError(f"expected boxes (M, 4) of numbers, found {boxes.shape} {boxes.dtype}")
    height, width = size_hw[:2]
    with np.errstate(invalid="ignore"):
        whole = (boxes == np.rint(boxes)).all(axis=1)
        inside = (boxes >= 0).all(axis=1) & (boxes[:, 2] <= width) & (boxes[:, 3] <= height)
        right = inside & whole & (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    if not right.all():
        i = int(right.argmin())
        raise UsageError(
            f"box {i}: expected x0, y0, x1, y1 in whole pixels within {width} x {height}, x0 < x1 and y0 < y1, found "
            f"{', '.join(f'{value:g}' for value in boxes[i].tolist())}"
        )
    return boxes.astype(np.int32)


def in_area(area: np.ndarray | float, area_min: float, area_max: float) -> np.ndarray:
    """Whether a fraction of the image is within the range, ends included (section 3.2)."""
    return (np.asarray(area) >= area_min) & (np.asarray(area) <= area_max)


def select(proposals: Proposals, n: int | None, area_min: float, area_max: float) -> Proposals:
    """Drop what is out of the area range, then keep the first ``n``: by falling predicted IoU, ties and those without
    one by position. All are kept, as they stand, where ``n`` is None."""
    rows = np.flatnonzero(in_area(proposals.area, area_min, area_max))
    if n is not None:
        rows = rows[np.argsort(-proposals.predicted_iou[rows], kind="stable")]
    return proposals.keep(rows[:n])

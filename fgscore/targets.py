"""Which class a region is scored against: label-free pseudo-labels (section 3.4), and the true one as upper bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fgscore.components import Component
from fgscore.errors import BadParameter, NoLabels, UsageError
from fgscore.inputs import ScoreInputs
from fgscore.labels import UNLABELLED


@dataclass(frozen=True, kw_only=True)
class Target(Component):
    """A function ``f(inputs, /, *, parameters) -> (R,) int64``, the class of each region, bound.

    ``reads_labels``: it is given the true labels (N,) of the images as well. That is for our own ``oracle`` alone, an
    upper bound. Example, in a file of one's own: the class of the region nearest to its image, for all its regions::

        def nearest(inputs, /):
            best = [a + inputs.region_global[a:b].argmax() for a, b in zip(inputs.offsets, inputs.offsets[1:])]
            return inputs.top_class[best][inputs.image_of_region]
    """

    kind: ClassVar[str] = "target"
    home: ClassVar[str] = "fgscore.targets"
    takes: ClassVar[tuple[str, ...]] = ("inputs",)

    reads_labels: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """The inputs, and the labels where it reads them."""
        return (*self.takes, "labels") if self.reads_labels else self.takes

    def __post_init__(self) -> None:
        if self.reads_labels and not self.is_ours:
            raise UsageError(
                f"{self.place}target {self.canonical}: only our own oracle reads labels; take inputs alone"
            )

    def __call__(self, inputs: ScoreInputs, labels: np.ndarray | None = None) -> np.ndarray:
        """(R,) int64: the class of each region; ties go to the first class. ``labels`` (N,) for the oracle.

        Raises ValueError when labels are given for any other target, or missing for the oracle, :class:`NoLabels` where
        an image has none, and, for a target that is not ours, :class:`BadParameter` or :class:`UsageError` for anything
        but R classes.
        """
        if (labels is not None) != self.reads_labels:
            raise ValueError(f"labels: expected for target 'oracle' only, found target {self.canonical!r}")
        if labels is not None:
            if len(labels) != len(inputs.globals):
                raise ValueError(f"labels: expected ({len(inputs.globals)},), found {np.shape(labels)}")
            if none := int((np.asarray(labels) == UNLABELLED).sum()):
                raise NoLabels(f"target {self.canonical} reads the label of every photo, found {none} without one; use "
                               "--target global")  # fmt: skip
            return np.asarray(self.call(inputs, labels), np.int64)
        if self.is_ours:
            return np.asarray(self.call(inputs), np.int64)
        return self._checked(inputs)

    def _checked(self, inputs: ScoreInputs) -> np.ndarray:
        r = len(inputs.regions)
        with self.blamed(f"expected ({r},) classes, a whole number for each region"):
            found = np.asarray(self.call(inputs.apart()))
        who = f"{self.place}target {self.canonical}"
        if found.shape != (r,) or found.dtype.kind not in "iu":
            raise BadParameter(f"{who} must return ({r},) whole numbers, found {found.shape} {found.dtype}")
        c = inputs.region_text.shape[1]
        if wrong := int(((found < 0) | (found >= c)).sum()):
            raise BadParameter(f"{who} must return classes from 0 to {c - 1}, found {wrong} beyond")
        return found.astype(np.int64)


@Target.declares(name="global")
def global_(inputs: ScoreInputs, /) -> np.ndarray:
    """The zero-shot class of the whole photo (eq. 4)."""
    return inputs.global_text.argmax(axis=1)[inputs.image_of_region]


@Target.declares()
def local(inputs: ScoreInputs, /) -> np.ndarray:
    """The zero-shot class of the region itself (eq. 5)."""
    return inputs.top_class.copy()


@Target.declares(reads_labels=True)
def oracle(inputs: ScoreInputs, labels: np.ndarray, /) -> np.ndarray:
    """The true label, Table 2's True: an upper bound, which reads the labels of test images."""
    return np.asarray(labels)[inputs.image_of_region]

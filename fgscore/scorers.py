"""The paper's region scorers (section 3.4), and controls: scores that know nothing, or not what they seem to.

A scorer sees a :class:`~fgscore.inputs.ScoreInputs`, which holds no labels, and ``target`` (R,) int64, the class each
region is scored against; all arrays are read-only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from annotated_types import Ge, Gt

from fgscore import specs
from fgscore.components import OURS, Component, Source
from fgscore.errors import BadParameter, FgscoreError, NoText, UsageError
from fgscore.inputs import ScoreInputs, image_keys
from fgscore.types import RegionBatch, read_only

OF = "of"  # the parameter of a control that names the scorer it is made from
SMALL_REST = 0.05  # of the softmax's sum: where the other classes have less, soft_margin sums them by themselves
Tau = Annotated[float, Gt(0)] | None  # None: the encoder's own logit scale


@dataclass(frozen=True, kw_only=True)
class Scorer(Component):
    """A function ``f(inputs, target, /, *, hyper-parameters) -> (R,) float32``, larger is better, bound.

    ``needs_target`` is False for one that does not look at ``target``; ``is_control`` is True for one that is there for
    others to be compared with, and that "all" does not mean. What a scorer is given is its own, so that
    nothing it does reaches another. Example, in a file of one's own::

        def closeness(inputs, target, /, *, power=1.0):
            return inputs.region_global**power

        @Scorer.declares(needs_target=False)
        def largest(inputs, target, /):
            return inputs.area
    """

    kind: ClassVar[str] = "scorer"
    home: ClassVar[str] = "fgscore.scorers"
    takes: ClassVar[tuple[str, ...]] = ("inputs", "target")

    needs_target: bool = True
    is_control: bool = False

    @classmethod
    def informed(cls) -> list[str]:
        """The names of ours that are meant to find something: all but the controls."""
        return [name for name in cls.ours_named() if not cls.built_in(name).is_control]

    @classmethod
    def _made(cls, spec: specs.Spec, function: Callable[..., Any], source: Source) -> Self:
        """One that names another by its parameter ``of`` needs the target that it needs, and is as new as it is."""
        made = super()._made(spec, function, source)
        if source is not OURS or OF not in made.params:
            return made
        inner = cls.built_in(str(made.params[OF]))
        return replace(made, needs_target=inner.needs_target, version=made.version + inner.version - 1)

    @cached_property
    def needs_text(self) -> bool:
        """Whether it reads class text: tried on a few invented regions without any, so that none has to declare it.
        Whatever else goes wrong there is told where it goes wrong on real ones."""
        try:
            self(_textless(), np.full(len(_textless().regions), -1))
        except NoText:
            return True
        except FgscoreError:
            pass
        return False

    def __call__(self, inputs: ScoreInputs, target: np.ndarray) -> np.ndarray:
        """(R,) float32 scores.

        Raises :class:`BadParameter` where a scorer returns anything but R finite numbers, and, for one that is not
        ours, :class:`UsageError` with file and line where it raises or exits.
        """
        r = len(inputs.regions)
        if r == 0:
            return np.zeros(0, np.float32)
        if self.is_ours:
            return self._checked(np.asarray(self.call(inputs, read_only(target))), r)
        wanted = f"expected ({r},) scores, a finite number for each region"
        with np.errstate(), self.blamed(wanted):  # what it sets for numpy ends with it
            found = self.call(inputs.apart(), read_only(np.array(target)))
            if np.ma.isMaskedArray(found):  # what is masked is no score
                found = np.ma.filled(found.astype(np.float64), np.nan)
            scores = np.asarray(found)
        return self._checked(scores, r)

    def _checked(self, scores: np.ndarray, r: int) -> np.ndarray:
        who = f"{self.place}scorer {self.canonical}"
        if scores.shape != (r,):
            raise BadParameter(f"{who} must return shape ({r},), found {scores.shape}")
        if scores.dtype.kind not in "biuf":
            raise BadParameter(f"{who} must return numbers, found {scores.dtype}")
        with np.errstate(over="ignore"):
            scores = scores.astype(np.float32)
        if wrong := int((~np.isfinite(scores)).sum()):
            raise BadParameter(f"{who} must return finite scores, found {wrong} that are not")
        return scores


@Scorer.declares(needs_target=False)
def region_global(inputs: ScoreInputs, target: np.ndarray, /) -> np.ndarray:
    """Cosine of the region with its own image (III, eq. 3); needs no target."""
    return inputs.region_global


@Scorer.declares()
def region_text(inputs: ScoreInputs, target: np.ndarray, /) -> np.ndarray:
    """Cosine of the region with its target class (IV)."""
    return np.take_along_axis(inputs.region_text, target[:, None], axis=1)[:, 0]


@Scorer.declares()
def hard_margin(inputs: ScoreInputs, target: np.ndarray, /) -> np.ndarray:
    """Cosine with the target less the largest cosine with any other class (V); needs two classes."""
    _check_classes(inputs)
    largest = inputs.top_text.copy()
    hit = np.flatnonzero(inputs.top_class == target)  # elsewhere the largest of all is the largest of the others
    largest[hit] = _without_target(inputs.region_text[hit], target[hit]).max(axis=1)
    return region_text(inputs, target) - largest


@Scorer.declares()
def soft_margin(inputs: ScoreInputs, target: np.ndarray, /, *, tau: Tau = None) -> np.ndarray:
    """Cosine with the target less the softmax(tau)-weighted mean of the cosines with all others (VI)."""
    _check_classes(inputs)
    scale = _tau(inputs, tau)
    weights, total, gap = inputs.softmax(scale)
    cosine = region_text(inputs, target)
    own = np.take_along_axis(weights, target[:, None], axis=1)[:, 0]
    rest = total - own
    small = np.flatnonzero(rest < SMALL_REST * total)  # there, the difference would be noise
    rest[small] = 1
    negative = inputs.top_text + (total * gap - own * (cosine - inputs.top_text)) / rest
    negative[small] = _mean_of_others(inputs.region_text[small], target[small], scale)
    return cosine - negative


@Scorer.declares()
def entropy(inputs: ScoreInputs, target: np.ndarray, /, *, tau: Tau = None, lam: float = 0.1) -> np.ndarray:
    """Probability of the target less lam times the entropy, in nats, of the class distribution (VII)."""
    scale = _tau(inputs, tau)
    weights, total, gap = inputs.softmax(scale)
    # H = log(sum e) - sum(p z): no logarithm of a probability that underflowed
    information = np.log(total) - np.float32(scale) * gap
    return np.take_along_axis(weights, target[:, None], axis=1)[:, 0] / total - np.float32(lam) * information


def _one_of_ours(text: str) -> str:
    """The canonical text of a scorer of ours; raises :class:`UsageError` for any other, as results name controls, and
    nothing that a result names is loaded."""
    if specs.file_of(specs.parse(text).name) or specs.parse(text).name not in Scorer.ours_named():
        raise UsageError(f"{OF}= takes a scorer of fgscore's own, {', '.join(Scorer.ours_named())}; found {text!r}")
    return Scorer.built_in(text).canonical


Ours = Annotated[str, specs.StoredAs(_one_of_ours)]
Seed = Annotated[int, Ge(0)]


@Scorer.declares(needs_target=False, is_control=True)
def random(inputs: ScoreInputs, target: np.ndarray, /, *, seed: Seed = 0) -> np.ndarray:
    """Control: a random number between 0 and 1 a region."""
    return (inputs.drawn(seed) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


@Scorer.declares(is_control=True)
def shuffled(inputs: ScoreInputs, target: np.ndarray, /, *, of: Ours = "soft_margin", seed: Seed = 0) -> np.ndarray:
    """Control: the scores of another scorer, given to the regions of each image at random."""
    scores, images = Scorer.built_in(of)(inputs, target), inputs.image_of_region
    found = np.empty_like(scores)
    found[np.lexsort((inputs.drawn(seed), images))] = scores[np.lexsort((inputs.number_of_region, images))]
    return found


@Scorer.declares(is_control=True)
def reverse(inputs: ScoreInputs, target: np.ndarray, /, *, of: Ours = "soft_margin") -> np.ndarray:
    """Control: the scores of another scorer with the other sign, so that the worst regions come first."""
    return -Scorer.built_in(of)(inputs, target)


@Scorer.declares(needs_target=False, is_control=True)
def area(inputs: ScoreInputs, target: np.ndarray, /) -> np.ndarray:
    """Control: the region's share of the image, so that the largest come first."""
    return inputs.area


def _tau(inputs: ScoreInputs, tau: float | None) -> float:
    return float(inputs.logit_scale if tau is None else tau)


def _check_classes(inputs: ScoreInputs) -> None:
    if inputs.region_text.shape[1] < 2:
        raise BadParameter("a margin needs at least 2 classes, found 1; use --scorer region_text or entropy")


def _without_target(cosines: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A copy of ``cosines`` (R, C) with -inf at the target."""
    others = cosines.copy()
    np.put_along_axis(others, target[:, None], -np.inf, axis=1)
    return others


def _mean_of_others(cosines: np.ndarray, target: np.ndarray, tau: float) -> np.ndarray:
    """(R,): softmax(tau)-weighted mean of the cosines with all classes but the target."""
    others = _without_target(cosines, target)
    weights = np.exp(np.float32(tau) * (others - others.max(axis=1, keepdims=True)))
    # the target's own cosine is -inf in `others` and its weight 0: take the sum over the cosines themselves
    return np.asarray(np.einsum("rc,rc->r", weights, cosines) / weights.sum(axis=1))


@cache
def _textless() -> ScoreInputs:
    """Two images of three regions, of width 4, and no text."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((8, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    corner = rng.integers(0, 16, (6, 2))
    boxes, area = np.concatenate([corner, corner + 16], axis=1), np.full(6, 0.25)
    offsets, unknown = np.array([0, 3, 6]), np.full(6, np.nan)
    batch = RegionBatch(np.array(["a", "b"]), offsets, boxes, area, unknown, unknown)
    return ScoreInputs(offsets, rows[:6], rows[6:], None, None, lambda: batch, image_keys(batch.image_ids))

"""From scored regions to one feature vector an image: top-k softmax pooling (section 3.5), mean pooling (eq. 2),
concatenation with the global embedding (eq. 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt

from fgscore import ragged
from fgscore.components import Component
from fgscore.errors import BadParameter
from fgscore.types import read_only


@dataclass(frozen=True, kw_only=True)
class Pooling(Component):
    """A function ``f(regions, scores, offsets, /, *, parameters) -> (N, d)``, the local part of the features, bound.

    ``regions`` (R, d) float32 and ``scores`` (R,) float32 of N images, those of image i from ``offsets[i]`` to
    ``offsets[i + 1]``. Where ``needs_scores`` is False, ``scores`` is None and no scorer is asked for. One whose
    ``needs_regions`` is False is given the global embeddings (N, d) alone, and what it returns is all of the features.
    One that keeps some regions of each image has a parameter ``k``. Example, in a file of one's own::

        @Pooling.declares(needs_scores=False)
        def largest(regions, scores, offsets, /):
            return np.stack([regions[a:b].max(axis=0, initial=0) for a, b in zip(offsets, offsets[1:])])
    """

    kind: ClassVar[str] = "pooling"
    home: ClassVar[str] = "fgscore.pooling"
    takes: ClassVar[tuple[str, ...]] = ("regions", "scores", "offsets")

    needs_regions: bool = True
    needs_scores: bool = True

    @property
    def given(self) -> tuple[str, ...]:
        """Regions, scores and offsets, or whole images alone."""
        return self.takes if self.needs_regions else ("globals",)

    @property
    def k(self) -> int | None:
        """How many regions of each image are kept; None for all."""
        k = self.params.get("k", "all")
        return k if isinstance(k, int) else None

    def __call__(
        self,
        regions: np.ndarray,
        offsets: np.ndarray,
        globals_: np.ndarray,
        scores: np.ndarray | None = None,
        instead: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features of N images.

        ``regions`` (R, d) unit or raw rows, ``offsets`` (N+1,), ``globals_`` (N, d), ``scores`` (R,) where the pooling
        needs them. Returns (features, n_pooled): (N, 2d) float32 ``[global; local]``, or what a pooling of whole images
        gives, and (N,) int32, the number of regions pooled. Where an image has no region, its row of ``instead``
        (N, d), on the scale of the regions, stands in for the local part; of ``globals_`` where that is left out.
        Raises :class:`BadParameter` for features of a pooling that are not finite or not of N images.
        """
        g = np.asarray(globals_, np.float32)
        if not self.needs_regions:
            return self._called(len(g), g), np.zeros(len(g), np.int32)
        if self.needs_scores and scores is None:
            raise ValueError(f"{self.name} pooling needs scores")
        local = self._called(len(g), np.asarray(regions, np.float32), scores, offsets)
        sizes = ragged.lengths(offsets)
        if local.shape[1] == g.shape[1]:
            local[sizes == 0] = (g if instead is None else instead)[sizes == 0]
        kept = sizes if self.k is None else np.minimum(sizes, self.k)
        return np.concatenate([g, local], axis=1), kept.astype(np.int32)

    def _called(self, n: int, *arrays: np.ndarray | None) -> np.ndarray:
        if self.is_ours:
            return np.asarray(self.call(*arrays))
        with self.blamed(f"expected ({n}, d) features"):
            features = np.array(self.call(*(a if a is None else read_only(a) for a in arrays)), np.float32)
        if features.ndim != 2 or len(features) != n or not np.isfinite(features).all():
            what = f"{features.shape}" + ("" if np.isfinite(features).all() else ", not all finite")
            raise BadParameter(
                f"{self.place}pooling {self.canonical} must return ({n}, d) finite numbers, found {what}"
            )
        return features


@Pooling.declares(needs_regions=False, needs_scores=False)
def none(globals_: np.ndarray, /) -> np.ndarray:
    """The global embedding alone (I, eq. 1)."""
    return globals_.copy()


@Pooling.declares(name="self", needs_regions=False, needs_scores=False)
def twice(globals_: np.ndarray, /) -> np.ndarray:
    """The global embedding twice: what the width of the others is worth by itself."""
    return np.concatenate([globals_, globals_], axis=1)


@Pooling.declares(needs_scores=False)
def mean(regions: np.ndarray, scores: None, offsets: np.ndarray, /) -> np.ndarray:
    """Mean of all regions, unscored (II, eq. 2), beside the global embedding."""
    sizes = ragged.lengths(offsets)
    return ragged.weighted_sum(regions, np.repeat(1.0 / np.maximum(sizes, 1), sizes), offsets)


@Pooling.declares()
def topk(
    regions: np.ndarray,
    scores: np.ndarray,
    offsets: np.ndarray,
    /,
    *,
    k: Annotated[int, Ge(1)] | Literal["all"] = 5,
    temperature: Annotated[float, Gt(0)] = 1.0,
) -> np.ndarray:
    """Sum of the k best regions, weighted by the softmax of their scores (3.5), beside the global embedding."""
    kept, kept_offsets = ragged.topk(scores, offsets, None if k == "all" else k)
    weights = ragged.softmax(scores[kept], kept_offsets, temperature)
    return ragged.weighted_sum(regions[kept], weights, kept_offsets)

"""From scored regions to one feature vector an image: top-k softmax pooling (section 3.5), mean pooling (eq. 2),
concatenation with the global embedding (eq. 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fgscore import ragged, specs
from fgscore.errors import BadParameter, unknown


def none() -> None:
    """The global embedding alone (I, eq. 1)."""


def twice() -> None:
    """The global embedding twice: what the width of the others is worth by itself."""


def mean() -> None:
    """Mean of all regions, unscored (II, eq. 2), beside the global embedding."""


def topk(*, k: int | str = 5, temperature: float = 1.0) -> None:
    """Sum of the k best regions, weighted by the softmax of their scores (3.5), beside the global embedding."""


POOLINGS = {"none": none, "self": twice, "mean": mean, "topk": topk}


@dataclass(frozen=True)
class Pooling:
    """A pooling with every parameter decided."""

    name: str
    params: Mapping[str, specs.Value]
    canonical: str

    @property
    def needs_regions(self) -> bool:
        """Whether regions are pooled, not whole images alone."""
        return self.name not in ("none", "self")

    @property
    def needs_scores(self) -> bool:
        """Whether a scorer decides which regions count."""
        return self.name == "topk"

    @property
    def k(self) -> int | None:
        """How many regions are kept; None for all."""
        k = self.params.get("k", "all")
        return None if k == "all" else int(k)  # type: ignore[arg-type]


def bind(text: str) -> Pooling:
    """The pooling that ``text`` names: ``none``, ``self``, ``mean`` or ``topk(k=5, temperature=1.0)``, where k may be
    'all'."""
    spec = specs.parse(text)
    if spec.name not in POOLINGS:
        raise unknown("pooling", spec.name, POOLINGS)
    function = POOLINGS[spec.name]
    params = specs.bind(spec, function, "pooling")
    k, temperature = params.get("k", 1), params.get("temperature", 1.0)
    if k != "all" and (not isinstance(k, int) or k < 1):
        raise BadParameter(f"pooling {spec.name!r}: k must be a whole number above 0 or 'all', found {k!r}")
    if not isinstance(temperature, float) or temperature <= 0:
        raise BadParameter(f"pooling {spec.name!r}: temperature must be above 0, found {temperature!r}")
    return Pooling(spec.name, params, specs.canonical(spec.name, params, specs.tunables(function)))


def pool(
    pooling: Pooling,
    regions: np.ndarray,
    offsets: np.ndarray,
    globals_: np.ndarray,
    scores: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Features of N images.

    ``regions`` (R, d) unit or raw rows, ``globals_`` (N, d), ``scores`` (R,) where the pooling needs them. Returns
    (features, n_pooled): (N, d) float32 for ``none``, else (N, 2d) float32 ``[global; local]``, for ``self`` the global
    embedding as both; and (N,) int32, the number of regions pooled. Where an image has no region, its global embedding
    stands in for the local part.
    """
    g = np.asarray(globals_, np.float32)
    n = len(g)
    if pooling.name == "none":
        return g.copy(), np.zeros(n, np.int32)
    if pooling.name == "self":
        return np.concatenate([g, g], axis=1), np.zeros(n, np.int32)
    if pooling.name == "mean":
        sizes = ragged.lengths(offsets)
        weights = np.repeat(1.0 / np.maximum(sizes, 1), sizes)
        local = ragged.weighted_sum(np.asarray(regions, np.float32), weights, offsets)
    else:
        if scores is None:
            raise ValueError("topk pooling needs scores")
        kept, kept_offsets = ragged.topk(scores, offsets, pooling.k)
        temperature = float(pooling.params["temperature"])  # type: ignore[arg-type]
        weights = ragged.softmax(scores[kept], kept_offsets, temperature)
        sizes = ragged.lengths(kept_offsets)
        local = ragged.weighted_sum(np.asarray(regions[kept], np.float32), weights, kept_offsets)
    local[sizes == 0] = g[sizes == 0]
    return np.concatenate([g, local], axis=1), sizes.astype(np.int32)

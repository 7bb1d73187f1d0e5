"""The combinations of scorer, target and pooling that `aggregate` and `probe` share."""

from __future__ import annotations

from typing import Any

from fgscore.errors import UsageError

from . import _run


def usable(bundles: list[Any], poolings: list[Any]) -> list[Any]:
    """The bundles that at least one of ``poolings`` can work on: without regions only those of whole images can."""
    if not all(pooling.needs_regions for pooling in poolings):
        return bundles
    return _run.with_regions(bundles, f"--pool {poolings[0].name}")


def rows(features: str) -> str:
    """``unit`` or ``raw``, checked."""
    if features not in ("unit", "raw"):
        raise UsageError(f"--features: expected unit or raw, found {features!r}")
    return features


def feature_runs(bundle: Any, scorers: list[Any], targets: list[str], poolings: list[Any], features: str) -> list[Any]:
    """One run for every pooling, and for topk for every scorer and target; where there are no regions, only for those
    that need none. ``features`` is 'unit' or 'raw'."""
    from fgscore.evaluate.features import FeatureRun
    from fgscore.evaluate.score import runs_for
    from fgscore.store.match import RegionBundle

    summed = rows(features)
    if not isinstance(bundle, RegionBundle):
        return [FeatureRun(bundle, pooling, None, summed) for pooling in poolings if not pooling.needs_regions]
    scored = runs_for(bundle, scorers, targets)
    made = []
    for pooling in poolings:
        sources = scored if pooling.needs_scores else [None]
        made += [FeatureRun(bundle, pooling, source, summed) for source in sources]
    return made

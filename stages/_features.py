"""The combinations of scorer, target and pooling that `aggregate` and `probe` share."""

from __future__ import annotations

from typing import Any

from fgscore.errors import UsageError


def feature_runs(bundle: Any, scorers: list[Any], targets: list[str], poolings: list[Any], rows: str) -> list[Any]:
    """One run for every pooling, and for topk for every scorer and target. ``rows`` is 'unit' or 'raw'."""
    from fgscore.pipeline.aggregate import FeatureRun
    from fgscore.pipeline.score import runs_for

    if rows not in ("unit", "raw"):
        raise UsageError(f"--features: expected unit or raw, found {rows!r}")
    scored = runs_for(bundle, scorers, targets)
    made = []
    for pooling in poolings:
        sources = scored if pooling.needs_scores else [None]
        made += [FeatureRun(bundle, pooling, source, rows) for source in sources]
    return made

"""Which runs a command's components stand for: every combination of them that goes together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fgscore.evaluate.features import FeatureRun, Rows
from fgscore.evaluate.probe import ProbeRun
from fgscore.evaluate.score import runs_for
from fgscore.heads import Head
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.store.bundle import Bundle, RegionBundle
from fgscore.targets import Target


def feature_runs(
    bundle: Bundle,
    scorers: Sequence[Scorer],
    targets: Sequence[Target],
    poolings: Sequence[Pooling],
    rows: Rows = "unit",
) -> list[FeatureRun]:
    """One run for every pooling, and for one that needs scores for every scorer and target; where there are no regions,
    only for those that need none."""
    if not isinstance(bundle, RegionBundle):
        return [FeatureRun(bundle, pooling, None, rows) for pooling in poolings if not pooling.needs_regions]
    scored = runs_for(bundle, scorers, targets)
    return [
        FeatureRun(bundle, pooling, scores, rows)
        for pooling in poolings
        for scores in (scored if pooling.needs_scores else [None])
    ]


def probe_runs(
    bundles: Iterable[Bundle],
    scorers: Sequence[Scorer],
    targets: Sequence[Target],
    poolings: Sequence[Pooling],
    heads: Sequence[Head],
    shots: Sequence[int | None] = (None,),
    rows: Rows = "unit",
    eval_split: str = "test",
) -> list[ProbeRun]:
    """One run for every one of :func:`feature_runs` and every head, for one that trains at every number of ``shots``:
    train images a class, None for all; measured on the images of ``eval_split``."""
    features = [run for bundle in bundles for run in feature_runs(bundle, scorers, targets, poolings, rows)]
    return [
        ProbeRun(run, head, n, eval_split=eval_split)
        for run in features
        for head in heads
        for n in (shots if head.trains else (None,))
    ]

"""The comparison of section 4.2 (Table 1): baselines and every scorer with both pseudo-labels, for each generator."""

from __future__ import annotations

from collections.abc import Sequence

from fgscore.evaluate.features import FeatureRun
from fgscore.evaluate.probe import ProbeRun
from fgscore.evaluate.score import runs_for
from fgscore.heads import Head
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.store.match import RegionBundle
from fgscore.targets import Target

PSEUDO_LABELS = tuple(Target.built_in(name) for name in Target.ours_named() if name != "oracle")


def table_one(bundles: Sequence[RegionBundle], k: int = 5, head: str = "logreg") -> list[ProbeRun]:
    """Zero-shot and the global probe once, then for each generator the mean of its regions and the top ``k`` of every
    scorer. ``bundles`` share data set, encoder and prompt."""
    chosen = Head.bind(head)
    whole = FeatureRun(bundles[0], Pooling.built_in("none"))
    runs = [ProbeRun(whole, Head.built_in("zeroshot")), ProbeRun(whole, chosen)]
    pooling = Pooling.built_in(f"topk(k={k})")
    for bundle in bundles:
        runs.append(ProbeRun(FeatureRun(bundle, Pooling.built_in("mean")), chosen))
        every = [Scorer.built_in(name) for name in Scorer.ours_named()]
        runs += [
            ProbeRun(FeatureRun(bundle, pooling, scored), chosen) for scored in runs_for(bundle, every, PSEUDO_LABELS)
        ]
    return runs

"""The comparison of section 4.2 (Table 1): baselines and every scorer with both pseudo-labels, for each generator."""

from __future__ import annotations

from collections.abc import Sequence

from fgscore import pooling as aggregate
from fgscore import probe, scorers
from fgscore.evaluate.features import FeatureRun
from fgscore.evaluate.probe import ProbeRun
from fgscore.evaluate.score import runs_for
from fgscore.store.match import RegionBundle

PSEUDO_LABELS = ("global", "local")


def table_one(bundles: Sequence[RegionBundle], k: int = 5, head: str = "logreg") -> list[ProbeRun]:
    """Zero-shot and the global probe once, then for each generator the mean of its regions and the top ``k`` of every
    scorer. ``bundles`` share data set, encoder and prompt."""
    chosen = probe.bind(head)
    whole = FeatureRun(bundles[0], aggregate.bind("none"))
    runs = [ProbeRun(whole, probe.bind("zeroshot")), ProbeRun(whole, chosen)]
    pooling = aggregate.bind(f"topk(k={k})")
    for bundle in bundles:
        runs.append(ProbeRun(FeatureRun(bundle, aggregate.bind("mean")), chosen))
        every = [scorers.bind(name) for name in scorers.SCORERS]
        runs += [
            ProbeRun(FeatureRun(bundle, pooling, scored), chosen) for scored in runs_for(bundle, every, PSEUDO_LABELS)
        ]
    return runs

"""Do the best regions lie on the object? The share of the top k on what is annotated, against that of all regions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fgscore import ragged
from fgscore.evaluate.joined import Joined, join
from fgscore.evaluate.score import ScoreRun
from fgscore.machine.progress import Progress, silent
from fgscore.pooling import Pooling
from fgscore.stats import accuracy
from fgscore.study.annotations import Shares, shares
from fgscore.study.compare import Row

HALF = 0.5


def locate(
    runs: Sequence[ScoreRun],
    poolings: Sequence[Pooling],
    root: Path | None = None,
    progress: Progress = silent,
) -> list[Row]:
    """One row for each of ``runs``, which share a bundle, for every k of ``poolings`` and every annotation; none for a
    data set without annotations.

    Each mean is over the images that have the annotation and regions, of the mean over the regions of an image:
    ``on``, the share of a kept region's area on the object; ``covers``, the share of the object in a kept region;
    ``hits``, the share of kept regions with at least half their area on it; each with ``..._chance``, the same over
    all regions, which is what keeping k at random would give. ``difference`` is ``on`` less its chance, with its 95 %
    interval ``low`` to ``high`` over images. Train and test images count alike: nothing is learnt.
    """
    bundle = runs[0].bundle
    joined = join(bundle, runs, progress)
    found = shares(bundle, root, bundle.index.image_ids[joined.rows], progress)
    if found is None:
        return []
    return [
        {**bundle.labels, "scorer": run.scorer.canonical, "target": run.target_text, "k": pooling.params["k"], **row}
        for run in runs
        for pooling in poolings
        for row in _rows(joined, found, run.label, pooling.k)
    ]


def _rows(joined: Joined, found: Shares, name: str, k: int | None) -> list[Row]:
    kept, offsets = joined.kept(name, k)
    rows = []
    for column, annotation in enumerate(found.names):
        on, covers = found.on[:, column], found.covers[:, column]
        measures = {"on": on, "covers": covers, "hits": np.where(np.isnan(on), np.nan, on >= HALF)}
        best = {key: ragged.mean(values[kept], offsets) for key, values in measures.items()}
        every = {key: ragged.mean(values, joined.offsets) for key, values in measures.items()}
        there = ~np.isnan(best["on"])
        if not there.any():
            continue
        gain = accuracy.mean(best["on"][there] - every["on"][there])
        rows.append(
            {
                "annotation": annotation,
                "images": int(there.sum()),
                **{key: float(values[there].mean()) for key, values in best.items()},
                **{f"{key}_chance": float(values[there].mean()) for key, values in every.items()},
                "difference": gain.value,
                "low": gain.low,
                "high": gain.high,
            }
        )
    return rows

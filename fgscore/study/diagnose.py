"""What lies behind an accuracy: pseudo-labels, agreement of scorers, region sizes, weights, confusions, flips.

Every function returns plain rows. Shares are in 0..1. Means over regions are means over images of the mean of an
image's regions, so that an image with many weighs no more than one with few.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from fgscore import ragged
from fgscore.errors import DataError, quoted
from fgscore.evaluate.joined import Joined, join
from fgscore.evaluate.probe import ProbeRun
from fgscore.evaluate.score import ScoreRun
from fgscore.labels import UNLABELLED
from fgscore.machine.progress import Progress, silent
from fgscore.pooling import Pooling
from fgscore.stats.paired import mcnemar
from fgscore.store import records
from fgscore.store.bundle import RegionBundle
from fgscore.study.compare import Row, outcomes, paired


def of_regions(
    bundle: RegionBundle, runs: Sequence[ScoreRun], poolings: Sequence[Pooling], progress: Progress = silent
) -> dict[str, list[Row]]:
    """``pseudo_labels``, ``scorers`` and ``agreement`` of one bundle: see the functions of those names."""
    joined = join(bundle, runs, progress)
    return {
        "pseudo_labels": [{**bundle.labels, **row} for row in pseudo_labels(bundle, joined)],
        "scorers": [{**bundle.labels, **row} for row in scorers(joined, runs, poolings)],
        "agreement": [{**bundle.labels, **row} for row in agreement(joined, poolings)],
    }


def pseudo_labels(bundle: RegionBundle, joined: Joined) -> list[Row]:
    """How often the pseudo-labels are right, on train and on test images: ``images``, ``n_regions``, ``per_image`` (eq.
    4), ``per_region`` (eq. 5), ``some_region`` (images of which at least one region is right) and ``agree``, the share
    of regions whose own class is that of their image. None where there is no text to tell a class by."""
    if joined.local is None or joined.pseudo is None:
        return []
    labels, split = bundle.index.labels[joined.rows], bundle.index.split[joined.rows]
    owner = ragged.segment_ids(joined.offsets)
    right = ragged.mean((joined.local == labels[owner]).astype(float), joined.offsets)
    agree = ragged.mean((joined.local == joined.pseudo[owner]).astype(float), joined.offsets)
    sizes = ragged.lengths(joined.offsets)
    rows = []
    for name in ("train", "val", "test"):
        of = (split == name) & (labels != UNLABELLED)
        seen = of & (sizes > 0)
        if of.any():
            rows.append(
                {
                    "split": name,
                    "images": int(of.sum()),
                    "n_regions": int(sizes[of].sum()),
                    "per_image": float((joined.pseudo == labels)[of].mean()),
                    "per_region": float(right[seen].mean()) if seen.any() else None,
                    "some_region": float((right[seen] > 0).mean()) if seen.any() else None,
                    "agree": float(agree[seen].mean()) if seen.any() else None,
                }
            )
    return rows


def scorers(joined: Joined, runs: Sequence[ScoreRun], poolings: Sequence[Pooling]) -> list[Row]:
    """For every run and k: ``area_correlation``, Spearman's between score and area over the regions of an image, mean
    over images with at least three of known area; ``area_kept`` and ``area_all``, the mean area of kept and of all
    regions; ``effective``, the effective number of regions in the weights, 1 over the sum of their squares (k when
    equal)."""
    rows = []
    for run in runs:
        correlation = _spearman(joined.scores[run.label], joined.area, joined.offsets)
        for pooling in poolings:
            kept, offsets = joined.kept(run.label, pooling.k)
            temperature = float(pooling.params["temperature"])  # type: ignore[arg-type]
            weights = ragged.softmax(joined.scores[run.label][kept], offsets, temperature).astype(np.float64)
            squares = np.bincount(ragged.segment_ids(offsets), weights**2, minlength=len(joined.rows))
            rows.append(
                {
                    "scorer": run.scorer.canonical,
                    "target": run.target_text,
                    "k": pooling.params["k"],
                    "temperature": temperature,
                    "area_correlation": correlation,
                    "area_kept": _nanmean(ragged.mean(joined.area[kept], offsets)),
                    "area_all": _nanmean(ragged.mean(joined.area, joined.offsets)),
                    "effective": float((1 / squares[squares > 0]).mean()) if (squares > 0).any() else None,
                }
            )
    return rows


def agreement(joined: Joined, poolings: Sequence[Pooling]) -> list[Row]:
    """For every two runs and k: ``overlap``, the share of the top k that both keep, mean over images, and ``chance``,
    what two random choices of k would share: k over the number of regions."""
    rows = []
    sizes = ragged.lengths(joined.offsets)
    there = sizes > 0
    for pooling in poolings:
        member = {name: np.zeros(len(joined.area), bool) for name in joined.scores}
        for name, of in member.items():
            of[joined.kept(name, pooling.k)[0]] = True
        k = sizes if pooling.k is None else np.minimum(sizes, pooling.k)
        for a, b in combinations(member, 2):
            both = np.bincount(ragged.segment_ids(joined.offsets), member[a] & member[b], minlength=len(sizes))
            rows.append(
                {
                    "a": a,
                    "b": b,
                    "k": pooling.params["k"],
                    "overlap": float((both[there] / k[there]).mean()) if there.any() else None,
                    "chance": float((k[there] / sizes[there]).mean()) if there.any() else None,
                }
            )
    return rows


def _spearman(scores: np.ndarray, area: np.ndarray, offsets: np.ndarray) -> float | None:
    from scipy.stats import rankdata

    found = []
    for start, stop in zip(offsets[:-1], offsets[1:], strict=True):
        if stop - start < 3 or np.isnan(area[start:stop]).any():  # of regions that came without boxes
            continue
        a, b = rankdata(scores[start:stop]), rankdata(area[start:stop])
        if np.ptp(a) and np.ptp(b):
            found.append(np.corrcoef(a, b)[0, 1])
    return float(np.mean(found)) if found else None


def _nanmean(values: np.ndarray) -> float | None:
    seen = values[~np.isnan(values)]
    return float(seen.mean()) if len(seen) else None


def _known(run: ProbeRun) -> ProbeRun:
    if run.kept() is None:
        labels = run.labels()
        keys = ("scorer", "target", "pool", "head", "regions", "encoder", "prompt")
        options = "".join(f" --{key} {quoted(str(labels[key]))}" for key in keys if labels[key])
        raise DataError(
            f"no such result of {labels['dataset']} is there; run `fgscore probe {quoted(run.bundle.asked)}{options}`"
        )
    return run


def confusions(run: ProbeRun, top: int = 10) -> dict[str, list[Row]]:
    """``classes``: every class with test images, its ``accuracy`` and ``n``, worst first; ``pairs``: the ``top`` most
    confused, ``images`` of ``true`` taken for ``predicted`` and their ``share`` of its images. ``run`` must have a
    result: raises :class:`DataError` with the command."""
    found = _known(run).predictions()
    name = run.bundle.index.class_named
    labels, counts = np.unique(found.labels, return_counts=True)
    n = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    classes = [
        {"label": c, "class_name": name(c), "n": n[c], "accuracy": float(found.right[found.labels == c].mean())}
        for c in n
    ]
    wrong = np.stack([found.labels, found.predictions], axis=1)[~found.right]
    pairs, images = np.unique(wrong, axis=0, return_counts=True)
    order = np.argsort(-images, kind="stable")[:top]
    confused = [
        {
            "true": name(pairs[i, 0]),
            "predicted": name(pairs[i, 1]),
            "images": int(images[i]),
            "share": int(images[i]) / n[int(pairs[i, 0])],
        }
        for i in order
    ]
    return {"classes": sorted(classes, key=lambda row: row["accuracy"]), "pairs": confused}


def flips(run: ProbeRun, baseline: ProbeRun) -> Row:
    """Images whose prediction ``run`` changes against ``baseline``, the global embedding alone: ids of those it
    ``mended`` and ``broke``, number of those ``still_wrong`` in another way, ``n_test``, and McNemar's ``p``."""
    ours, whole = _known(run).predictions(), _known(baseline).predictions()
    right, was_right = paired(*outcomes([ours]), *outcomes([whole]))
    common = np.intersect1d(ours.image_ids, whole.image_ids)
    now, before = (p.predictions[records.places(p.image_ids, common)] for p in (ours, whole))
    other = now != before
    return {
        **run.labels(),
        "mended": common[(right == 1) & (was_right == 0)].tolist(),
        "broke": common[(right == 0) & (was_right == 1)].tolist(),
        "still_wrong": int(((right == 0) & (was_right == 0) & other).sum()),
        "n_test": len(common),
        "p": mcnemar(right, was_right).p,
    }

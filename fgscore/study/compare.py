"""Lines of a grid as rows of a table: accuracy with its interval, and the paired difference to the global probe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, reduce
from typing import Any

import numpy as np

from fgscore.evaluate.probe import probe
from fgscore.evaluate.results import Predictions, Result
from fgscore.machine.progress import Progress, silent
from fgscore.stats import paired as stats
from fgscore.store import records
from fgscore.study import paper
from fgscore.study.grid import Line, is_crops

Row = dict[str, Any]


def compare(lines: Sequence[Line], progress: Progress = silent) -> list[Row]:
    """One row a line, every run computed where it is not known.

    A row has what was compared (as a probe's row), ``table``, ``runs`` and: ``accuracy``, ``low`` and ``high`` (95 %
    bootstrap interval over test images), ``per_class``, ``spread`` (standard deviation over its runs), ``difference``
    to the global probe with ``difference_low`` and ``difference_high``, ``p`` (exact McNemar of the first run) and
    ``p_holm``, ``paper``, ``paper_gain``, ``undecided`` (of :class:`Result`), ``upper_bound``. Where a line has several
    runs, outcomes are means over them; ``fixed_regions`` marks masks, of which there is one set an image and no other
    draw. Holm's family is every comparison of one data set under one head in this call.
    """
    runs = {run.digest: run for line in lines for run in (*line.runs, *line.baseline)}
    known = dict(zip(runs, probe(list(runs.values()), progress), strict=True))
    read = cache(lambda digest: runs[digest].predictions())
    rows = [_row(line, [known[run.digest] for run in line.runs], read) for line in lines]
    families: dict[tuple, list[Row]] = {}
    for row in rows:
        families.setdefault((row["dataset"], row["head"], row["shots"]), []).append(row)
    for family in families.values():
        _adjust([row for row in family if row["p"] is not None])
    return rows


def known(lines: Sequence[Line]) -> list[Line]:
    """Those of ``lines`` whose results, and those to compare with, are all there: nothing would be computed."""
    return [line for line in lines if all(run.known() for run in (*line.runs, *line.baseline))]


def _row(line: Line, results: Sequence[Result], read: Callable[[str], Predictions]) -> Row:
    ids, ours = outcomes([read(run.digest) for run in line.runs])
    interval = stats.bootstrap(ours)
    accuracies = [result.accuracy for result in results]
    return {
        **line.runs[0].labels(),
        "table": line.cell.table if line.cell else 0,
        "runs": len(line.runs),
        "accuracy": float(np.mean(accuracies)),
        "low": interval.low,
        "high": interval.high,
        "per_class": float(np.mean([result.per_class for result in results])),
        "spread": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        "fixed_regions": not line.is_baseline and not is_crops(line.runs[0].bundle),
        "n_test": results[0].n_test,
        "n_train": results[0].n_train,
        "seconds": sum(result.seconds for result in results),
        "converged": all(result.converged for result in results),
        "computed": sum(not result.cached for result in results),
        "undecided": next((result.undecided for result in results if result.undecided), ""),
        "upper_bound": results[0].is_oracle,
        **_difference(line, ids, ours, read),
        **_printed(line),
        "digests": [run.digest for run in line.runs],
    }


def _difference(line: Line, ids: np.ndarray, ours: np.ndarray, read: Callable[[str], Predictions]) -> Row:
    if line.is_baseline:
        names = ("difference", "difference_low", "difference_high", "only_it", "only_global", "p", "p_holm")
        return dict.fromkeys(names)
    whole_ids, whole = outcomes([read(run.digest) for run in line.baseline])
    found = stats.paired_difference(*paired(ids, ours, whole_ids, whole))
    first_ids, first = outcomes([read(line.runs[0].digest)])
    base_ids, base = outcomes([read(line.baseline[0].digest)])
    test = stats.mcnemar(*paired(first_ids, first, base_ids, base))
    return {
        "difference": found.value,
        "difference_low": found.low,
        "difference_high": found.high,
        "only_it": test.only_a,
        "only_global": test.only_b,
        "p": test.p,
        "p_holm": None,
    }


def _printed(line: Line) -> Row:
    """What the paper prints for the same cell; nothing for a data set that is not, or not wholly, the paper's."""
    bundle = line.runs[0].bundle
    whole = bundle.dataset in paper.DATASETS and "partial" not in bundle.index.notes
    if line.cell is None or not whole or line.runs[0].shots:
        return {"paper": None, "paper_gain": None}
    return {"paper": paper.accuracy(bundle.dataset, line.cell), "paper_gain": paper.gain(bundle.dataset, line.cell)}


def _adjust(rows: Sequence[Row]) -> None:
    """Holm's correction, each distinct comparison counted once though it stand in several tables."""
    p = {row["digests"][0]: row["p"] for row in rows}
    adjusted = dict(zip(p, stats.holm(list(p.values())).tolist(), strict=True))
    for row in rows:
        row["p_holm"] = adjusted[row["digests"][0]]
        row["comparisons"] = len(p)


def outcomes(predictions: Sequence[Predictions]) -> tuple[np.ndarray, np.ndarray]:
    """Image ids (n,), sorted, that all of ``predictions`` have, and the share of them (n,) that is right on each."""
    common = reduce(np.intersect1d, [p.image_ids for p in predictions[1:]], np.unique(predictions[0].image_ids))
    right = np.zeros(len(common))
    for p in predictions:
        right += p.right[records.places(p.image_ids, common)]
    return common, right / len(predictions)


def paired(ids_a: np.ndarray, a: np.ndarray, ids_b: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes ``a`` and ``b`` on the images that both have; ids are sorted."""
    _, at_a, at_b = np.intersect1d(ids_a, ids_b, assume_unique=True, return_indices=True)
    return a[at_a], b[at_b]

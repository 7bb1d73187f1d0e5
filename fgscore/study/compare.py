"""Lines of a grid as rows of a table: accuracy with its interval, and the paired difference to what it is compared
with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from typing import Any

import numpy as np

from fgscore.evaluate.probe import probe
from fgscore.evaluate.results import Predictions, Result
from fgscore.machine.progress import Progress, silent
from fgscore.stats import words
from fgscore.stats.accuracy import Estimate, accuracy, mean_per_class
from fgscore.stats.crossed import Contrast, contrast, sharing
from fgscore.stats.frontier import unbeaten
from fgscore.stats.paired import holm, mcnemar
from fgscore.store import records
from fgscore.study import paper
from fgscore.study.draws import is_drawn
from fgscore.study.grid import Line
from fgscore.study.outcomes import Outcomes, grid, images
from fgscore.study.paper import Cell

Row = dict[str, Any]
Read = Callable[[str], Predictions]
AGAINST = {"none": "global", "self": "self"}  # what a baseline is called; others by the name of their pooling


def compare(lines: Sequence[Line], progress: Progress = silent) -> list[Row]:
    """One row a line, every run computed where it is not known.

    A row has what was compared (as a probe's row, of its first run), ``table``, ``is_control``, ``runs``, ``draws`` and
    ``seeds`` (0 where chance moves neither), ``converged`` (None after fixed epochs, with the mean final ``loss``) and:
    ``accuracy`` with ``low`` and ``high``, ``per_class`` with its own (95 %), ``spread`` (standard deviation over its
    runs), ``against``, what it is compared with, the ``difference`` to that with ``difference_low`` and
    ``difference_high``, ``df`` (one for all rows of a table that vary in the same factors), the ``shares`` of its
    variance by factor, ``differ`` (images that do), ``visible`` (the smallest that could have been found); ``p``,
    ``p_holm`` and ``word``, which controls have not; ``p_mcnemar`` (exact, without draws and seeds), ``over_global``,
    the cost of one draw an image as ``macs``, ``image_seconds`` and ``image_bytes``, ``frontier`` (whether no row of
    its table that costs as much or less is more accurate, as measured), ``paper``, ``paper_gain``, ``undecided`` (of
    :class:`Result`), ``upper_bound``.
    Holm's family is a table's differences of one data set under one head, whatever else is asked for.
    """
    runs = {run.digest: run for line in lines for run in line.needed}
    known = dict(zip(runs, probe(list(runs.values()), progress), strict=True))
    read = cache(lambda digest: runs[digest].predictions())
    rows = [_row(line, known, read) for line in lines]
    effects = [_effect(line, read) for line in lines]
    families: dict[tuple, list[int]] = {}
    for i, (line, row) in enumerate(zip(lines, rows, strict=True)):
        if effects[i]:
            key = (*line.runs[0].bundle.family, line.table, row["head"], row["shots"])
            families.setdefault(key, []).append(i)
    for family in families.values():
        own = [effect for i in family if (effect := effects[i])]
        shared = sharing([effect.contrast for effect in own])
        for i, one in zip(family, shared, strict=True):
            rows[i] |= _figures(one)
        _decide([(lines[i], rows[i], one) for i, one in zip(family, shared, strict=True)])
    _mark(rows)
    for row, effect in zip(rows, effects, strict=True):
        row |= {"p_mcnemar": effect.mcnemar if effect else None}
    return rows


def _mark(rows: Sequence[Row]) -> None:
    """``frontier`` of every row; None of an upper bound, which nobody could have, and where the cost is not known."""
    tables: dict[tuple, list[Row]] = {}
    for row in rows:
        row["frontier"] = None
        if row["macs"] is not None and not row["upper_bound"]:
            tables.setdefault((row["dataset"], row["table"], row["eval_split"]), []).append(row)
    for own in tables.values():
        marks = unbeaten([row["macs"] for row in own], [row["accuracy"] for row in own])
        for row, mark in zip(own, marks.tolist(), strict=True):
            row["frontier"] = mark


def with_results(lines: Sequence[Line]) -> list[Line]:
    """``lines`` by the draws and seeds that have been probed, where any have and any of each that they are compared
    with: nothing would be computed."""
    return [line for one in lines if (line := _probed(one))]


def _probed(line: Line) -> Line | None:
    there = {key: run for key, run in zip(line.keys, line.runs, strict=True) if run.known()}
    baseline = _probed(line.baseline) if line.baseline else None
    if not there or (line.baseline and not baseline):
        return None
    return replace(line, runs=tuple(there.values()), keys=tuple(there), baseline=baseline)


@dataclass(frozen=True)
class _Effect:
    contrast: Contrast
    mcnemar: float | None


def outcomes_of(line: Line, read: Read) -> Outcomes:
    """The predictions of its runs by draw and seed."""
    return Outcomes({key: read(run.digest) for key, run in zip(line.keys, line.runs, strict=True)})


def _row(line: Line, known: dict[str, Result], read: Read) -> Row:
    results = [known[run.digest] for run in line.runs]
    own = outcomes_of(line, read)
    whole, by_class, counts = _measured(own)
    accuracies = [result.accuracy for result in results]
    ended = {result.training for result in results}
    losses = [result.loss for result in results if result.loss is not None]
    over = whole.value - _measured(outcomes_of(line.whole, read))[0].value if line.baseline else None
    nothing = ("difference", "difference_low", "difference_high", "df", "differ", "visible", "p", "p_holm", "word")
    return {
        **line.runs[0].labels(),
        "table": line.table,
        "is_control": line.is_control,
        "runs": len(line.runs),
        **counts,
        "accuracy": whole.value,
        "low": whole.low,
        "high": whole.high,
        "per_class": by_class.value,
        "per_class_low": by_class.low,
        "per_class_high": by_class.high,
        "spread": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        "fixed_regions": line.pooling.needs_regions and not is_drawn(line.runs[0].bundle),
        "n_test": whole.n,
        "n_train": results[0].n_train,
        "seconds": sum(result.seconds for result in results),
        "converged": False if "not converged" in ended else None if losses else True,
        "loss": float(np.mean(losses)) if losses else None,
        **results[0].cost.to_json(),
        "computed": sum(not result.cached for result in results),
        "undecided": next((result.undecided for result in results if result.undecided), ""),
        "upper_bound": results[0].is_oracle,
        "against": _against(line),
        "over_global": over,
        "shares": {},
        "comparisons": 0,
        **dict.fromkeys(nothing),
        **_printed(line),
        "digests": [run.digest for run in line.runs],
    }


def _against(line: Line) -> str:
    name = line.baseline.pooling.name if line.baseline else ""
    return AGAINST.get(name, name)


def _measured(own: Outcomes) -> tuple[Estimate, Estimate, Row]:
    """Accuracy, mean per class, and how many draws and seeds they are of."""
    found, ids = grid([own]), images([own])
    assert found is not None, "runs of one setting have themselves in common"
    first = next(iter(own.runs.values()))
    labels = first.labels[records.places(first.image_ids, ids)]
    right = found.values(own, ids)
    counts = {"draws": len(found.draws) if found.has_draws else 0, "seeds": found.cells if found.has_seeds else 0}
    return accuracy(right, found.chance), mean_per_class(right, labels, found.chance), counts


def _effect(line: Line, read: Read) -> _Effect | None:
    if line.baseline is None:
        return None
    both = [outcomes_of(line, read), outcomes_of(line.baseline, read)]
    common, ids = grid(both), images(both)
    if common is None or not len(ids):
        return None
    a, b = (common.values(one, ids) for one in both)
    return _Effect(contrast(a - b, common.chance), None if common.chance else mcnemar(a, b).p)


def _figures(effect: Contrast) -> Row:
    low, high = effect.interval()
    return {
        "difference": effect.value,
        "difference_low": low,
        "difference_high": high,
        "df": effect.df,
        "shares": effect.shares,
        "differ": effect.differ,
    }


def _decide(family: Sequence[tuple[Line, Row, Contrast]]) -> None:
    """p, Holm's p and the word of every row of a table but the controls, and what each could have seen."""
    judged = [one for one in family if not one[0].is_control]
    p = [effect.p for _, _, effect in judged]
    told = [i for i, one in enumerate(p) if one is not None]
    corrected = dict(zip(told, holm([p[i] or 0.0 for i in told]).tolist(), strict=True))
    for _, row, effect in family:
        row["visible"] = effect.smallest_visible(max(1, len(judged)))
    for i, (line, row, effect) in enumerate(judged):
        row |= {"p": p[i], "p_holm": corrected.get(i), "comparisons": len(judged)}
        row["word"] = words.different([effect], corrected.get(i), len(judged), _matters(line))


def _matters(line: Line) -> float:
    """The difference that the paper prints for this row against its own mean or global embedding, else one point."""
    cell, dataset = line.cell, line.runs[0].bundle.dataset
    if cell is None or dataset not in paper.DATASETS:
        return words.POINT
    base = Cell(1, "", "none", "", "") if cell.scorer == "mean" else Cell(1, cell.regions, "mean", "", "")
    own, other = paper.accuracy(dataset, cell), paper.accuracy(dataset, base)
    return words.POINT if own is None or other is None else abs(own - other) or words.POINT


def _printed(line: Line) -> Row:
    """What the paper prints for the same cell; nothing for a data set that is not, or not wholly, the paper's."""
    bundle = line.runs[0].bundle
    whole = bundle.dataset in paper.DATASETS and "partial" not in bundle.index.notes
    if line.cell is None or not whole or line.runs[0].shots:
        return {"paper": None, "paper_gain": None}
    return {"paper": paper.accuracy(bundle.dataset, line.cell), "paper_gain": paper.gain(bundle.dataset, line.cell)}


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

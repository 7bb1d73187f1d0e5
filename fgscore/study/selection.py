"""Choose k and hyper-parameters on validation images, so that the test images are looked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fgscore.evaluate.probe import on_validation, probe
from fgscore.machine.progress import Progress, silent
from fgscore.study.compare import Row
from fgscore.study.grid import Line


def choose(lines: Sequence[Line], progress: Progress = silent) -> tuple[list[Line], list[Row]]:
    """Of the lines that differ in k, in hyper-parameters of the scorer, the pooling or the head only, the one with the
    best accuracy on validation images; the first of equals.

    The validation images are the official ones, else a fifth of each class of train; the head learns from the other
    train images, and no test image is looked at. Returns the chosen lines and a row for every candidate: what was
    compared, its ``validation_accuracy``, whether it was ``chosen``.
    """
    groups: dict[tuple, list[Line]] = {}
    for line in lines:
        if not line.is_control:
            groups.setdefault(_key(line), []).append(line)
    contested = [line for group in groups.values() if len(group) > 1 for line in group]
    runs = [on_validation(line.runs[0]) for line in contested]
    accuracy = {id(line): found.accuracy for line, found in zip(contested, probe(runs, progress), strict=True)}
    chosen, rows = [], []
    for group in groups.values():
        best = max(group, key=lambda line: accuracy.get(id(line), 0.0))
        chosen.append(best)
        rows += [
            {**line.runs[0].labels(), "validation_accuracy": accuracy[id(line)], "chosen": line is best}
            for line in group
            if len(group) > 1
        ]
    best_of = {_baseline_key(line): line for line in chosen}
    kept = [line for line in lines if any(line is one for one in chosen) or _goes_with(line, chosen)]
    return [_rebased(line, best_of) for line in kept], rows


def _goes_with(line: Line, chosen: Sequence[Line]) -> bool:
    """Whether a control is one of the settings that were chosen: by the same head, or by one of a kind of which none
    was to be chosen, and, where it scores, pooling."""
    heads = {one.runs[0].head.canonical for one in chosen}
    kinds = {one.runs[0].head.name for one in chosen}
    poolings = {one.pooling.canonical for one in chosen}
    scores = line.pooling.needs_scores
    head = line.runs[0].head
    by_head = not head.trains or head.name not in kinds or head.canonical in heads
    return line.is_control and by_head and (not scores or line.pooling.canonical in poolings)


def _rebased(line: Line, best_of: dict[tuple, Line]) -> Line:
    """``line`` against the line that was chosen for what it is compared with."""
    if line.baseline is None:
        return line
    return replace(line, baseline=_rebased(best_of.get(_baseline_key(line.baseline), line.baseline), best_of))


def _baseline_key(line: Line) -> tuple:
    """What stands for the same baseline whatever the hyper-parameters: data, regions, pooling, kind of head, shots."""
    run = line.runs[0]
    regions = run.labels()["regions"]
    return *run.bundle.family, regions, line.pooling.name, run.head.name, run.shots, line.table


def _key(line: Line) -> tuple:
    """What a choice must not mix: data, regions, scorer and target, kinds of pooling and head, shots, table."""
    run = line.runs[0]
    labels, scores = run.labels(), run.features.scores
    named = tuple(labels[key] for key in ("dataset", "regions", "encoder", "prompt", "target", "features", "shots"))
    scorer = scores.scorer.name if scores else ""
    return (*named, scorer, run.features.pooling.name, run.head.name, line.cell.table if line.cell else 0)

"""Accuracy over cost: which settings no cheaper one beats, and what known backbones would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from fgscore.evaluate import strategies
from fgscore.evaluate.results import Result
from fgscore.report.backbones import BACKBONES
from fgscore.report.plots import HUES, Plot
from fgscore.scorers import Scorer
from fgscore.specs import parse
from fgscore.stats.frontier import unbeaten
from fgscore.study.grid import TWICE, WHOLE
from fgscore.tables import shortened, text

BILLION = 1e9
BEYOND = 1.5  # times the cheapest and the dearest, within which a backbone is shown
KINDS = {"control": ("o", ""), "regions": ("o", HUES[1]), "global embedding": ("D", HUES[0])}  # '' is the soft colour


@dataclass(frozen=True)
class Point:
    """A setting's accuracy, mean over its seeds, and its multiply-accumulates; ``name`` where it is written beside."""

    panel: str
    kind: str
    macs: float
    accuracy: float
    name: str = ""


def points(results: Sequence[Result]) -> list[Point]:
    """Every setting whose cost is known, but for upper bounds and those of few shots; the global embedding of each
    encoder has that one's name, where there are several."""
    settings: dict[tuple, list[Result]] = {}
    for result in results:
        if result.cost.macs is not None and not result.is_oracle and not result.shots and result.eval_split == "test":
            settings.setdefault(replace(result, seed=0).compared, []).append(result)
    names = shortened(result.encoder for result in results)
    several = len(names) > 1
    made = []
    for own in settings.values():
        first, kind = own[0], _kind(own[0])
        name = names[first.encoder] if several and kind == "global embedding" else ""
        mean = sum(result.accuracy for result in own) / len(own)
        made.append(Point(first.dataset, kind, float(first.cost.macs or 0), mean, name))
    return made


def _kind(result: Result) -> str:
    scorer = parse(result.scorer).name if result.scorer else ""
    drawn = scorer in Scorer.ours_named() and scorer not in Scorer.informed()
    if drawn or result.pool == TWICE.canonical or strategies.is_by_text(result.strategy):
        return "control"
    return "global embedding" if result.pool == WHOLE.canonical else "regions"


def accuracy_over_cost(found: Sequence[Point]) -> Plot | None:
    """A plot for each data set, beside each other, cost on a logarithmic scale; None where all cost the same."""
    panels = list(dict.fromkeys(point.panel for point in found))
    if len({point.macs for point in found if point.macs > 0}) < 2:
        return None

    def draw(figure: Any, colours: Mapping[str, str]) -> None:
        grid = figure.subplots(1, len(panels), sharey=False, squeeze=False)[0]
        for ax, panel in zip(grid, panels, strict=True):
            _panel(ax, [point for point in found if point.panel == panel and point.macs > 0], colours)
            ax.set_title(panel)
        grid[0].set_ylabel("top-1", color=colours["ink"])
        figure.supxlabel("GMAC an image", fontsize=9, color=colours["soft"])
        handles = {h.get_label(): h for ax in grid for h in ax.get_lines() if not h.get_label().startswith("_")}
        figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=2, fontsize=8)

    caption = (
        "Top-1 accuracy over multiply-accumulates of an image, by encoder and region generator, in billions. The line "
        "joins what nothing as cheap or cheaper beats, by accuracy as measured; controls are grey. Dotted: one picture "
        "through a known backbone of CLIP."
    )
    return Plot("accuracy-over-cost", caption, (4.2 * len(panels) + 0.8, 3.8), draw)


def _panel(ax: Any, own: Sequence[Point], colours: Mapping[str, str]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    for kind, (marker, hue) in KINDS.items():
        of_kind = [point for point in own if point.kind == kind]
        if of_kind:
            x, y = [p.macs / BILLION for p in of_kind], [p.accuracy for p in of_kind]
            ax.plot(x, y, marker, color=hue or colours["soft"], markersize=4, alpha=0.8, label=kind)
    front = unbeaten([p.macs for p in own], [p.accuracy for p in own])
    best = sorted({(own[i].macs / BILLION, own[i].accuracy) for i in np.flatnonzero(front).tolist()})
    steps = [(x, a) for (_, a), (x, _) in pairwise(best)]
    line = sorted([*best, *steps])
    ax.plot(*zip(*line, strict=True), color=colours["accent"], linewidth=1, label="no cheaper one is better", zorder=1)
    for point in (point for point in own if point.name):
        ax.annotate(point.name, (point.macs / BILLION, point.accuracy), fontsize=7, xytext=(4, 4),
                    textcoords="offset points")  # fmt: skip
    low, high = (end([point.macs for point in own]) for end in (min, max))
    for name, macs in BACKBONES.items():
        if low / BEYOND <= macs <= high * BEYOND:
            ax.axvline(macs / BILLION, color=colours["soft"], linewidth=0.6, linestyle=":")
            ax.annotate(f"{name}, {text(macs, 'macs')}", (macs / BILLION, 0.02), rotation=90, fontsize=6,
                        xycoords=("data", "axes fraction"), color=colours["soft"], ha="right")  # fmt: skip
    ax.grid(axis="y")

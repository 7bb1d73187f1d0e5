"""The pictures of the page: effects with their intervals, and what their variance is made of."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from verdicts import OPEN, Row, fate

from fgscore import specs
from fgscore.evaluate import strategies
from fgscore.report.plots import HUES, Curve, Plot, accuracy_over_k
from fgscore.tables import Measured

FACTORS = ("images", "draws", "seeds")
WIDTH, LINE = 8.4, 0.34  # inches, of the picture and of a line in it


def effects(claims: Sequence[Row]) -> Plot:
    """A line for each claim and head: the difference that decides and its interval, hollow where the word is open."""
    shown = [row for row in claims if row["difference"] is not None]

    def draw(figure: Any, colours: Mapping[str, str]) -> None:
        ax = figure.subplots()
        heads = list(dict.fromkeys(row["head"] for row in shown))
        for y, row in enumerate(shown):
            hue = HUES[heads.index(row["head"]) % len(HUES)]
            ax.plot([100 * row["low"], 100 * row["high"]], [y, y], color=hue, linewidth=1.6)
            fill = colours["paper"] if fate(row) == OPEN else hue
            ax.plot(100 * row["difference"], y, "o", color=hue, markerfacecolor=fill, markersize=5)
        for head, hue in zip(heads, HUES, strict=False):
            ax.plot([], [], "o-", color=hue, label=head)
        _lines(ax, shown, colours)
        ax.axvline(0, color=colours["ink"], linewidth=0.8)
        ax.set_xlabel("points")
        figure.legend(loc="outside upper right", ncols=len(heads), fontsize=8)

    caption = ("The difference that decides each claim, in points, with its interval: 95 %, of claims of equality "
               "90 %. Hollow: the word is open.")  # fmt: skip
    return Plot("effects", caption, (WIDTH, 1.1 + LINE * len(shown)), draw)


def variance(claims: Sequence[Row]) -> Plot:
    """A bar for each claim and head: the shares of images, draws and seeds in the variance of its difference."""
    shown = [row for row in claims if row["shares"]]

    def draw(figure: Any, colours: Mapping[str, str]) -> None:
        ax = figure.subplots()
        left = np.zeros(len(shown))
        for factor, hue in zip(FACTORS, (colours["soft"], HUES[1], HUES[0]), strict=True):
            share = np.array([100 * row["shares"].get(factor, 0.0) for row in shown])
            ax.barh(range(len(shown)), share, left=left, color=hue, height=0.7, label=factor)
            left = left + share
        _lines(ax, shown, colours)
        ax.set(xlabel="% of the variance", xlim=(0, 100))
        figure.legend(loc="outside upper right", ncols=len(FACTORS), fontsize=8)

    caption = "What the variance of each difference is made of: of what more would have to be taken to see more."
    return Plot("variance", caption, (WIDTH, 1.1 + LINE * len(shown)), draw)


def over_k(rows: Sequence[Row]) -> list[Plot]:
    """Accuracy over the number of regions kept, by generator, head and scorer; none where but one number was kept."""
    cells: dict[tuple[str, str, str], dict[str, Measured]] = {}
    for row in (row for row in rows if row["table"] in (3, 4) and row["scorer"] and not row["is_control"]):
        panel = f"{specs.parse(row['regions']).name}, {row['head']}"
        line = (panel, strategies.strategy(row["scorer"], row["pool"], row["head"]), row["target"] or "")
        cells.setdefault(line, {})[str(strategies.kept(row["pool"]))] = Measured(
            row["accuracy"], row["low"], row["high"]
        )
    curves = [Curve(*line, list(by_k), list(by_k.values())) for line, by_k in cells.items() if len(by_k) > 1]
    return [accuracy_over_k(curves, {})] if curves else []


def _lines(ax: Any, shown: Sequence[Row], colours: Mapping[str, str]) -> None:
    """The names of the claims beside their lines, each once."""
    names = [row["claim"] if i == 0 or shown[i - 1]["claim"] != row["claim"] else "" for i, row in enumerate(shown)]
    ax.set_yticks(range(len(shown)), [textwrap.fill(name, 46) for name in names], color=colours["ink"], fontsize=8)
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")
    ax.set_axisbelow(True)


def ordered(claims: Sequence[Row]) -> list[Row]:
    """The rows of one claim beside each other."""
    places = {claim: i for i, claim in enumerate(dict.fromkeys(row["claim"] for row in claims))}
    return sorted(claims, key=lambda row: places[row["claim"]])

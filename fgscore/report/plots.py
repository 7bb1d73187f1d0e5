"""Plots as SVG and PNG: accuracy over k, gains class by class, agreement of scorers. By matplotlib, when called."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgscore.errors import missing_extra
from fgscore.evaluate.strategies import GLOBAL_LINEAR
from fgscore.tables import Measured, text

THEMES: Mapping[str, Mapping[str, str]] = {
    "light": {"ink": "#1d1d1b", "soft": "#62605b", "line": "#dcdad5", "paper": "#fdfdfc", "accent": "#b3440b"},
    "dark": {"ink": "#e8e6e1", "soft": "#a3a099", "line": "#3a3935", "paper": "#171715", "accent": "#ff9a5c"},
}
# told apart by colour-blind readers too (Okabe and Ito), dark or light enough for both themes, and by their dashes
HUES = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#b58900")
TARGETS = {"global": (HUES[0], "-"), "local": (HUES[1], "--"), "oracle": (HUES[3], ":"), "": (HUES[2], "-")}
ENTRY = 1.8  # inches of a legend's entry
ACROSS = 5  # plots beside each other that a page still shows at a readable size
Draw = Callable[[Any, Mapping[str, str]], None]


@dataclass(frozen=True)
class Curve:
    """Accuracy of one scorer and target over k; ``ks`` are words, as '5' or 'all', one an estimate."""

    panel: str
    scorer: str
    target: str
    ks: Sequence[str]
    estimates: Sequence[Measured]


@dataclass(frozen=True)
class Gains:
    """``gains`` (C,) in accuracy of one result over another, class by class."""

    names: Sequence[str]
    gains: np.ndarray


@dataclass(frozen=True)
class Agreement:
    """``shared`` (S, S): the mean fraction of the top k that two scorers have in common; ``chance`` what random ones
    would have."""

    panel: str
    names: Sequence[str]
    shared: np.ndarray
    chance: float


@dataclass(frozen=True)
class Plot:
    """A plot to be drawn: its file's stem, what is said under it, and how."""

    name: str
    caption: str
    size: tuple[float, float]
    draw: Draw

    def render(self, suffix: str, theme: str = "light") -> bytes:
        """The plot as ``svg`` or ``png``; the same bytes for the same content."""
        with styled(THEMES[theme]) as new:
            figure = new(self.size)
            self.draw(figure, THEMES[theme])
            return save(figure, suffix)


def save(figure: Any, suffix: str) -> bytes:
    """A matplotlib figure as a file of the suffix, without date or version."""
    buffer = io.BytesIO()
    meta = {"Date": None, "Creator": None} if suffix == "svg" else {"Software": None}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a name in a script the font lacks
        figure.savefig(buffer, format=suffix, dpi=160, metadata=meta)
    return buffer.getvalue()


def check() -> None:
    """Raises :class:`MissingExtra` where plots cannot be drawn: before any work is done, not after."""
    with styled(THEMES["light"]):
        pass


@contextmanager
def styled(colours: Mapping[str, str]) -> Iterator[Callable[[tuple[float, float]], Any]]:
    """A maker of figures in the style of the page; raises :class:`MissingExtra` without matplotlib."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "drawing plots", "report") from error
    soft = {f"{part}.color": colours["soft"] for part in ("xtick", "ytick")}
    style: dict[Any, Any] = {
        **soft,
        "text.parse_math": False,  # names are text, whatever they hold
        "svg.fonttype": "none",
        "svg.hashsalt": "fgscore",
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": colours["soft"],
        "axes.labelcolor": colours["soft"],
        "axes.facecolor": colours["paper"],
        "figure.facecolor": colours["paper"],
        "savefig.facecolor": colours["paper"],
        "text.color": colours["ink"],
        "grid.color": colours["line"],
        "legend.frameon": False,
    }
    with mpl.rc_context(style):
        yield lambda size: Figure(figsize=size, layout="constrained")


def accuracy_over_k(lines: Sequence[Curve], baselines: Mapping[tuple[str, str], float]) -> Plot:
    """A grid of small plots: scorers across, data sets and candidates down, or the other way round where there are more
    scorers than fit. ``baselines`` maps (panel, scorer) to the accuracy of the global embedding alone."""
    panels, scorers = (list(dict.fromkeys(getattr(line, name) for line in lines)) for name in ("panel", "scorer"))
    ks = sorted({k for line in lines for k in line.ks}, key=lambda k: int(k) if k.isdigit() else 1 << 30)
    wide = len(scorers) <= ACROSS
    rows, columns = (panels, scorers) if wide else (scorers, panels)

    def draw(figure: Any, colours: Mapping[str, str]) -> None:
        grid = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
        for (i, j), ax in np.ndenumerate(grid):
            panel, scorer = (rows[i], columns[j]) if wide else (columns[j], rows[i])
            for line in (line for line in lines if (line.panel, line.scorer) == (panel, scorer)):
                _line(ax, line, ks)
            if (panel, scorer) in baselines:
                ax.axhline(baselines[panel, scorer], color=colours["ink"], linewidth=0.8, label=GLOBAL_LINEAR)
            ax.set_xticks(range(len(ks)), ks)
            ax.grid(axis="y")
            if i == 0:
                ax.set_title(textwrap.fill(columns[j], 26))
            if j == 0:
                ax.set_ylabel(textwrap.fill(rows[i], 22), color=colours["ink"])
        figure.supxlabel("regions kept, k", fontsize=9, color=colours["soft"])
        handles = {h.get_label(): h for ax in grid.flat for h in ax.get_lines() if not h.get_label().startswith("_")}
        across = max(1, int(figure.get_figwidth() / ENTRY))
        figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=across, fontsize=8)

    bands = any(estimate.low is not None for line in lines for estimate in line.estimates)
    caption = "Top-1 accuracy over the number of regions kept" + (", with its interval." if bands else ".")
    size = (1.95 * max(2, len(columns)) + 0.8, 1.6 * len(rows) + 1.0)
    return Plot("accuracy-over-k", caption, size, draw)


def _line(ax: Any, line: Curve, ks: Sequence[str]) -> None:
    hue, style = TARGETS.get(line.target, (HUES[4], "-."))
    x, values = [ks.index(k) for k in line.ks], [estimate.value for estimate in line.estimates]
    label = f"pseudo-label {line.target}" if line.target else "no pseudo-label"
    ax.plot(x, values, style, color=hue, label=label, linewidth=1.6, marker="o", markersize=3)
    low, high = [e.low for e in line.estimates], [e.high for e in line.estimates]
    if None not in low and None not in high:
        ax.fill_between(x, low, high, color=hue, alpha=0.15, linewidth=0)


def class_gains(found: Gains, what: str, against: str, most: int = 40) -> Plot:
    """Bars of gain or loss, the largest first; of more than ``most`` classes the two ends."""
    order = np.argsort(-found.gains, kind="stable")
    left_out = len(order) - most
    if left_out > 0:
        order = np.concatenate([order[: most // 2], order[-(most // 2) :]])
    values, names = found.gains[order], [found.names[i] for i in order]

    def draw(figure: Any, colours: Mapping[str, str]) -> None:
        ax = figure.subplots()
        y = np.arange(len(values))
        ax.barh(y, values, color=[colours["accent"] if v > 0 else colours["soft"] for v in values], height=0.7)
        ax.axvline(0, color=colours["ink"], linewidth=0.8)
        ax.set_yticks(y, [_cut(name) for name in names], fontsize=8)
        ax.set(xlabel="gain in accuracy", ylim=(len(values) - 0.4, -0.6))
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
        ax.set_axisbelow(True)

    up, down = int((found.gains > 0).sum()), int((found.gains < 0).sum())
    caption = (
        f"Gain of {what} over {against}, class by class: {up} gain, {down} lose, {len(found.gains) - up - down} keep."
    )
    caption += f" The {most // 2} at either end are shown." if left_out > 0 else ""
    return Plot("class-gains", caption, (8.4, 0.8 + 0.2 * len(values)), draw)


def _cut(name: str, most: int = 56) -> str:
    """Long names lose their middle: kinds of one thing differ at either end."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2 - 1) :]}"


def agreement(found: Sequence[Agreement], k: int) -> Plot:
    """A matrix for each candidate: how much of the top k two scorers share."""

    def draw(figure: Any, colours: Mapping[str, str]) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        shades = LinearSegmentedColormap.from_list("accent", [colours["paper"], colours["accent"]])
        for ax, one in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
            ax.imshow(one.shared, cmap=shades, vmin=0, vmax=1)
            for (i, j), value in np.ndenumerate(one.shared):
                colour = colours["paper"] if value > 0.6 else colours["ink"]
                ax.text(j, i, text(value, "share"), ha="center", va="center", fontsize=7, color=colour)
            ax.set_title(f"{one.panel}\nby chance {text(one.chance, 'share')}")
            names = [_cut(name, 32) for name in one.names]
            ax.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
            ax.set_yticks(range(len(names)), names, fontsize=8)
            ax.tick_params(length=0)
            for spine in ax.spines.values():
                spine.set_visible(False)

    widest = max(len(one.names) for one in found)
    longest = max(len(_cut(name, 32)) for one in found for name in one.names)
    side = 0.4 + 0.08 * longest + 0.42 * widest
    caption = f"Mean share of the top {k} regions of an image that two scorers have in common."
    return Plot("scorer-agreement", caption, ((side + 0.3) * len(found), side + 0.5), draw)

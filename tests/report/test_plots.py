"""Plots: names are text whatever they hold, and what is drawn is what was given."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from fgscore.report import plots
from fgscore.report.plots import Agreement, Curve, Gains, Plot
from fgscore.tables import Measured

pytest.importorskip("matplotlib")
HOSTILE = "$\\frac{1}{0$ <script>alert(1)</script> & {x}_"
SVG = "{http://www.w3.org/2000/svg}"


def words(plot: Plot) -> list[str]:
    root = ElementTree.fromstring(plot.render("svg"))
    assert not list(root.iter(f"{SVG}script"))
    return ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]


LINES = [
    Curve(HOSTILE, "soft", "global", ["1", "10", "all"], [Measured(v, v - 0.1, v + 0.1) for v in (0.5, 0.6, 0.7)]),
    Curve(HOSTILE, HOSTILE, "local", ["2", "all"], [Measured(0.4), Measured(0.3)]),
]


def test_accuracy_over_k_orders_k_as_numbers_and_names_every_part() -> None:
    found = words(plots.accuracy_over_k(LINES, {(HOSTILE, "soft"): 0.45}))
    order = [word for word in found if word in ("1", "2", "10", "all")]
    assert order[:4] == ["1", "2", "10", "all"]
    assert {"soft", "pseudo-label global", "pseudo-label local", "Global linear"} <= set(found)
    joined = "".join("".join(found).split())  # long names go over several lines
    assert joined.count("<script>alert(1)</script>") == 2, "as the name of a scorer and of a panel"


def test_many_scorers_go_down_instead_of_across() -> None:
    few, many = ([Curve("crops", f"s{i}", "", ["1"], [Measured(0.5)]) for i in range(n)] for n in (5, 6))
    assert plots.accuracy_over_k(few, {}).size[0] > plots.accuracy_over_k(few, {}).size[1]
    assert plots.accuracy_over_k(many, {}).size[0] < plots.accuracy_over_k(many, {}).size[1]
    assert {f"s{i}" for i in range(6)} <= set(words(plots.accuracy_over_k(many, {})))


def test_the_legend_is_inside_the_picture() -> None:
    """With three entries over as few plots as there can be."""
    plot = plots.accuracy_over_k(LINES, {(HOSTILE, "soft"): 0.45})
    with plots.styled(plots.THEMES["light"]) as new:
        figure = new(plot.size)
        plot.draw(figure, plots.THEMES["light"])
        figure.draw_without_rendering()
        (legend,) = figure.legends
        box, whole = legend.get_window_extent(), figure.bbox
    assert len(legend.get_texts()) == 3
    assert box.x0 >= whole.x0 and box.x1 <= whole.x1


def test_bands_are_drawn_only_where_there_are_intervals() -> None:
    def bands(plot: Plot) -> int:
        return plot.render("svg").count(b"PolyCollection_")

    assert bands(plots.accuracy_over_k(LINES, {})) == 1
    assert bands(plots.accuracy_over_k(LINES[1:], {})) == 0
    assert "interval" in plots.accuracy_over_k(LINES, {}).caption
    assert "interval" not in plots.accuracy_over_k(LINES[1:], {}).caption


def test_gains_stand_in_order_and_say_how_many() -> None:
    plot = plots.class_gains(Gains(["a", HOSTILE, "c", "d"], np.array([0.0, 0.3, -0.1, 0.1])), "this", "that")
    assert [word for word in words(plot) if word in ("a", "c", "d", HOSTILE)] == [HOSTILE, "d", "a", "c"]
    assert "2 gain, 1 lose, 1 keep" in plot.caption


def test_of_many_classes_both_ends_are_shown() -> None:
    gains = np.linspace(-1, 1, 200)
    plot = plots.class_gains(Gains([f"class {i:03d}" for i in range(200)], gains), "this", "that")
    shown = [word for word in words(plot) if word.startswith("class")]
    assert shown == [f"class {i:03d}" for i in (*range(199, 179, -1), *range(19, -1, -1))]
    assert "The 20 at either end are shown" in plot.caption and "100 gain, 100 lose, 0 keep" in plot.caption


def test_agreement_prints_every_pair() -> None:
    shared = np.array([[1.0, 0.25], [0.25, 1.0]])
    name = HOSTILE[:32]
    found = words(plots.agreement([Agreement("crops", ["soft", name], shared, 0.2)], 5))
    assert [word for word in found if word in ("1.000", "0.250")] == ["1.000", "0.250", "0.250", "1.000"]
    assert found.count(name) == 2 and any("by chance 0.200" in word for word in found)


@pytest.mark.parametrize("suffix", ["svg", "png"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_same_numbers_give_the_same_bytes(suffix: str, theme: str) -> None:
    plot = plots.accuracy_over_k(LINES, {})
    first = plot.render(suffix, theme)
    assert first == plot.render(suffix, theme)
    assert b"matplotlib" not in first.lower() or suffix == "svg"


def test_a_name_in_another_script_is_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    plots.class_gains(Gains(["鴉", "カラス"], np.array([0.1, -0.1])), "this", "that").render("png")
    assert not recwarn.list


def test_long_names_lose_their_middle() -> None:
    assert plots._cut("a" * 56) == "a" * 56
    cut = plots._cut("x" * 40 + "y" * 40)
    assert len(cut) == 56 and cut.startswith("x" * 28) and cut.endswith("y" * 27) and "…" in cut

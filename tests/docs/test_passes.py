"""`make study-one-pass`: its words follow the numbers, the README's table is made of those that are kept."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import passes
import passes_page
import passes_words
import pytest
from hypothesis import given
from hypothesis import strategies as st
from passes import CROPS, FEATURES, IN_README, SETTINGS, SQUARE, WIDE, N, Row
from settings import Settings

from fgscore.encoders import EncoderMaker

LEVEL = Row(SQUARE, "mean", "start=1", 0.76, 0.765, -0.005, -0.015, 0.005, 0.0134, "undecided", 3, 2400, 0.005, 0.05,
            0.12e9, 2.88e9)  # fmt: skip


def planted(**more: Any) -> list[Row]:
    """Every row that a run has, all of them level with crops at a tenth of the seconds but for what is said."""
    return [
        replace(LEVEL, set=name, feature=feature, setting=setting, **more)
        for name, settings in SETTINGS.items() for feature in FEATURES for setting in settings
    ]  # fmt: skip


def changed(rows: list[Row], where: dict[str, str], **more: Any) -> list[Row]:
    """``rows``, those that are as ``where`` says with other numbers."""
    hit = [all(getattr(row, key) == value for key, value in where.items()) for row in rows]
    assert any(hit)
    return [replace(row, **more) if here else row for row, here in zip(rows, hit, strict=True)]


def said(rows: list[Row], start: str) -> str:
    """The one sentence that begins so."""
    (found,) = (line for line in passes_words.in_short(rows) if line.startswith(start))
    return found


def answer(rows: list[Row]) -> str:
    return said(rows, "**Is one pass equivalent")


def test_what_is_level_with_both_features_and_cheap_is_named_with_its_numbers() -> None:
    rows = planted(bound=0.03)
    rows = changed(rows, {"setting": "start=3, tiles=2"}, bound=0.0199)
    text = answer(rows)
    assert "Yes**" in text and "`start=3, tiles=2`" in text and "start=0" not in text
    assert "-0.50 (-1.50 to +0.50)" in text and "1/10.0 of the seconds, 1/24.0 of the GMAC" in text


@pytest.mark.parametrize("feature", passes_words.MAIN)
def test_one_feature_that_is_not_level_is_a_no_with_both(feature: str) -> None:
    rows = changed(planted(), {"feature": feature}, bound=0.0201)
    assert "No setting is**" in answer(rows)
    alone = said(rows, f"With {FEATURES[feature].title} alone")
    assert "none at any cost" in alone and "2.01 points" in alone


@pytest.mark.parametrize("cost", [{"seconds": 0.05 / 6}, {"macs": 2.88e9 / 6}])
def test_what_is_level_but_costs_a_sixth_is_dearer(cost: dict[str, float]) -> None:
    rows = planted(**cost)
    assert "No setting is**" in answer(rows)
    assert "none at that cost; equivalent, but dearer: `start=0`" in said(rows, "With [g; mean] alone")


def test_it_is_not_called_equivalent_by_fewer_draws_than_a_word_needs() -> None:
    rows = planted(draws=2)
    assert "takes 3 draws" in answer(rows) and "Yes" not in answer(rows)
    assert not any(map(passes_words.is_equal, rows))


def test_where_it_loses_is_said_of_the_settings_that_lose() -> None:
    worse = {"word": "contradicted", "difference": -0.03, "low": -0.04, "high": -0.02}
    rows = changed(planted(), {"set": WIDE, "feature": "top5", "setting": "start=3, size=192, fit=crop"}, **worse)
    text = said(rows, "Wide images, [g; soft margin, top 5]")
    assert "less accurate than crops: `start=3, size=192, fit=crop` -3.00 (-4.00 to -2.00)" in text
    assert "squash" not in text
    assert "not found less accurate" in said(rows, "Square images, [g; soft margin, top 5]")
    better = changed(rows, {"set": SQUARE, "feature": "mean", "setting": "start=0"}, word="supported")
    assert "more accurate: `start=0`" in said(better, "Square images, [g; mean]")


def test_small_parts_are_where_it_loses_only_where_the_numbers_say_so() -> None:
    lost = changed(planted(), {"set": SQUARE, "feature": "smallest"}, word="contradicted", difference=-0.04)
    text = said(lost, "**It loses at small parts**")
    assert "6 of 6 settings are less accurate than crops, with the 5 largest 0" in text
    assert "-4.00 to -4.00 points with the smallest, -0.50 to -0.50 with the largest" in text
    alike = changed(lost, {"set": SQUARE, "feature": "largest"}, word="contradicted", difference=-0.02)
    assert "with the 5 largest 6" in said(alike, "**It loses at small parts**"), "more at small ones still"
    large = changed(planted(), {"set": SQUARE, "feature": "largest"}, word="contradicted", difference=-0.04)
    assert not any("**It loses" in line for line in passes_words.in_short(large))


def test_both_fits_of_wide_images_are_said_with_their_own_numbers() -> None:
    rows = changed(planted(), {"setting": "start=3, size=192, fit=squash"}, difference=-0.08)
    text = said(rows, "Of wide images")
    assert "-8.00 (-1.50 to +0.50) with fit=squash and -0.50 (-1.50 to +0.50) with fit=crop" in text


@given(st.floats(1e-4, 1.0), st.floats(1e-4, 1.0), st.floats(0.0, 0.1), st.integers(1, 5))
def test_equal_and_cheap_are_what_they_are_called(seconds: float, share: float, bound: float, draws: int) -> None:
    row = replace(LEVEL, seconds=seconds, crops_seconds=1.0, macs=share, crops_macs=1.0, bound=bound, draws=draws)
    assert passes_words.is_cheap(row) == (6 * seconds < 1 and 6 * share < 1)
    assert passes_words.is_equal(row) == (bound < 0.02 and draws >= 3)


def test_every_setting_is_an_encoder_of_its_own_and_none_is_crops() -> None:
    for settings in SETTINGS.values():
        known = {EncoderMaker.bind(passes.ONE_PASS.format(one)).canonical for one in settings}
        assert len(known) == len(settings) and EncoderMaker.bind(CROPS).canonical not in known
    assert set(IN_README) <= set(SETTINGS[SQUARE])


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_has_a_line_for_each_setting_with_the_shares_of_crops_cost(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path)
    found = passes.Found(planted(), {"square: crops": 150.0})
    text = passes_page.write(settings, found, "1a2b3c").read_text()
    assert "commit `1a2b3c`" in text and "says nothing of birds" in text and "| square: crops | 2.5 min |" in text
    table = text[text.index(r"### \[g; mean\], 2400 square images") :].split("\n\n")[1].splitlines()
    lines = [dict(zip(cells(table[0]), cells(line), strict=True)) for line in table[2:]]
    assert [line["embedded by"] for line in lines] == ["crops", *(f"one pass, {one}" for one in SETTINGS[SQUARE])]
    assert lines[0]["ms an image"] == "50.00" and lines[1]["ms an image"] == "5.000"
    assert "0.100 | 0.1200 | 0.042 | yes |" in table[3] and "| 1.34 | yes |" in table[3]
    kept = json.loads((tmp_path / "one_pass.json").read_text())
    assert [Row(**row) for row in kept["rows"]] == found.rows


def test_the_readme_is_given_the_table_and_keeps_all_else(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{passes_page.BEGIN}\nold\n{passes_page.END}\n\nEnd.\n")
    settings, found = Settings(tmp_path, tmp_path), passes.Found(planted(), {})
    for _ in range(2):
        passes_page.write(settings, found, "1a2b3c", readme)
        text = readme.read_text()
        assert text.startswith("# Title\n\n<!--") and text.endswith("-->\n\nEnd.\n") and "old" not in text
        assert (
            f"| 2400 test images, {N} regions each | [g; mean] | [g; soft margin, top 5] | ms an image | GMAC |" in text
        )
        assert "| crops | 76.50 % | 76.50 % | 50.00 | 2.880 |" in text
        assert text.count("| one pass, `") == len(IN_README) == text.count("| 5.000 | 0.1200 |")


def test_the_readmes_figures_are_those_that_are_kept(root: Path) -> None:
    """Of the table, and of a study that has not been run that it has none."""
    text, path = (root / "README.md").read_text(encoding="utf-8"), root / "docs" / passes_page.KEPT
    shown = re.search(f"{re.escape(passes_page.BEGIN)}\n(.*?)\n{re.escape(passes_page.END)}", text, re.DOTALL)
    assert shown
    if path.is_file():
        assert passes_page.in_readme(text, json.loads(path.read_text(encoding="utf-8"))) == text
    else:
        assert shown[1] == passes_page.NOT_RUN


@pytest.mark.slow
def test_it_runs_from_drawing_to_page_and_makes_nothing_twice(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    size = ["--train", "2", "--test", "1", "--wide-test", "1", "--draws", "1"]
    command = [sys.executable, str(root / "docs" / "make_study"), "--one-pass", *size, "--data", "data", "--out", "out"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert "these are 1" in (tmp_path / "out" / "one_pass.md").read_text()
    rows = [Row(**row) for row in json.loads((tmp_path / "out" / "one_pass.json").read_text())["rows"]]
    assert len(rows) == len(FEATURES) * sum(map(len, SETTINGS.values()))
    assert all(row.word == "one draw" and row.macs < row.crops_macs / 6 for row in rows)
    stored = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.h5")}
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0 and stored == {p: p.stat().st_mtime_ns for p in (tmp_path / "data").rglob("*.h5")}

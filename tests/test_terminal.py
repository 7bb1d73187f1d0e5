"""Columns at a terminal: within its width, nothing lost, rows named in every block. What a table shows there is in
test_tables.py, what a terminal would obey in stages/test_terminal.py."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from fgscore.terminal import GAP, LONG, Place, Strip, blocks, broken


def words(*lengths: int) -> str:
    return " ".join("x" * n for n in lengths)


def strips(*columns: tuple[str, int]) -> list[Strip]:
    """``("label", 10)`` is a column of text of one word of that width, ``("text", 10)`` one that names no row."""
    return [Strip("h", [words(width)], kind == "number", kind == "label") for kind, width in columns]


def test_columns_that_fit_stand_side_by_side_as_wide_as_they_are() -> None:
    made = blocks(strips(("label", 10), ("number", 20), ("text", 5)), 10 + 20 + 5 + 2 * GAP)
    assert made == [[Place(0, 10), Place(1, 20), Place(2, 5)]]


def test_text_gives_way_before_a_block_is_broken() -> None:
    columns = [Strip("h", [words(8, 8, 8)], False, True), Strip("h", ["0.1234567"], True, False)]
    assert blocks(columns, 30) == [[Place(0, 19), Place(1, 9)]]
    assert blocks(columns, 19) == [[Place(0, 8), Place(1, 9)]]


def test_numbers_that_find_no_room_stand_below_beside_the_names_again() -> None:
    made = blocks(strips(("label", 10), ("number", 20), ("number", 20), ("number", 20)), 60)
    assert [[place.strip for place in block] for block in made] == [[0, 1, 2], [0, 3]]


def test_a_number_wider_than_the_terminal_is_whole_all_the_same() -> None:
    made = blocks(strips(("label", 10), ("number", 90)), 40)
    assert [place for block in made for place in block if place.strip == 1] == [Place(1, 90)]


@given(st.lists(st.tuples(st.sampled_from(["label", "number", "text"]), st.integers(1, 40)), min_size=1, max_size=12))
def test_every_column_stands_in_one_block_and_labels_in_all(columns: list[tuple[str, int]]) -> None:
    width = 80
    given_strips = strips(*columns)
    made = blocks(given_strips, width)
    for i, (kind, own) in enumerate(columns):
        places = [place for block in made for place in block if place.strip == i]
        assert len(places) == 1 or (kind == "label" and len(places) == len(made))
        assert all(place.width >= (own if kind == "number" else min(own, LONG)) for place in places)
    for block in made:
        assert sum(place.width for place in block) + GAP * (len(block) - 1) <= width


TEXT = st.text(st.sampled_from("ab-_/. 09鳥é"), max_size=60)


@given(TEXT, st.integers(2, 30))
def test_broken_text_keeps_every_sign_and_its_width(text: str, width: int) -> None:
    lines = broken(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("sam(n=3, tau=50)", 20, ["sam(n=3, tau=50)"]),
        ("sam(n=3, tau=50)", 9, ["sam(n=3,", "tau=50)"]),
        ("demo/regions/random_crop-982f6445", 20, ["demo/regions/random_", "crop-982f6445"]),
        ("region_text-17e3f257", 16, ["region_text-", "17e3f257"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("", 5, [""]),
    ],
)
def test_text_is_broken_between_words_then_at_separators(text: str, width: int, lines: list[str]) -> None:
    assert broken(text, width) == lines


@given(st.floats(-1, 1, allow_subnormal=False), st.integers(26, 40))
def test_a_number_within_a_long_word_is_broken_by_no_separator(value: float, width: int) -> None:
    """Its sign and its exponent stay with it, as long as it fits."""
    made = broken(f"a_parameter_of_some_length={value!r},the_next", width)
    assert any(re.search(rf"(?<![\d.]){re.escape(repr(value))}(?![\d.e])", line) for line in made) or (
        len(f"length={value!r},the_") > width
    )

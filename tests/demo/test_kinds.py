"""The 24 evaluated kinds, and what is left for training."""

from __future__ import annotations

import re
from dataclasses import astuple
from itertools import combinations

import pytest

from fgscore.demo.kinds import GROUPS, KINDS, Kind, all_kinds, training_kinds


def test_the_kinds_are_24_and_differ_in_name_and_folder() -> None:
    assert len(KINDS) == len(GROUPS) == 24
    assert len({kind.name for kind in KINDS}) == len({kind.slug for kind in KINDS}) == 24


def test_a_code_is_the_place_among_all_combinations() -> None:
    assert [kind.code for kind in all_kinds()] == list(range(1620))


def test_no_evaluated_kind_is_trained_on() -> None:
    training = training_kinds()
    assert len(set(training)) == 1620 - 24
    assert not set(training) & set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.slug)
def test_names_are_plain(kind: Kind) -> None:
    assert re.fullmatch(r"[a-z -]+ bird", kind.name)
    assert re.fullmatch(r"[a-z0-9-]+", kind.slug)


def test_siblings_differ_in_one_or_two_attributes_but_never_in_crown_or_wing() -> None:
    for (a, group_a), (b, group_b) in combinations(zip(KINDS, GROUPS, strict=True), 2):
        differing = sum(x != y for x, y in zip(astuple(a), astuple(b), strict=True))
        if group_a == group_b:
            assert 1 <= differing <= 2
            assert (a.crown, a.wing) == (b.crown, b.wing)
        else:
            assert (a.crown, a.wing) != (b.crown, b.wing)


def test_an_unknown_value_is_refused() -> None:
    with pytest.raises(ValueError, match="crown: wanted one of .*'pink'"):
        Kind("red", "cone", "pink", "plain", "fan", "plain")

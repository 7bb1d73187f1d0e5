"""Runs put side by side by draw and seed: what they have in common, and how it is averaged."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore.evaluate.results import Predictions
from fgscore.study.outcomes import Key, Outcomes, grid, images

IDS = np.array([f"image {i}" for i in range(6)])


def outcomes(keys: Iterable[Key], ids: np.ndarray = IDS) -> Outcomes:
    """Runs that get image i right where a number of its own, of draw and seed, is even."""
    made = {}
    for draw, seed in keys:
        right = np.array([(int(i.split()[1]) * 5 + (draw or 0) * 3 + (seed or 0) * 7) % 4 < 2 for i in ids.tolist()])
        made[draw, seed] = Predictions(ids, np.zeros(len(ids), int), np.where(right, 0, 1))
    return Outcomes(made)


DRAWS = outcomes((j, None) for j in range(3))
SEEDS = outcomes((None, s) for s in (0, 1, 100, 101))
CROSSED = outcomes((j, s) for j in range(3) for s in range(2))
OWN = outcomes((j, 100 * j + s) for j in range(2) for s in range(2))
ONE = outcomes([(None, None)])


@pytest.mark.parametrize(
    ("several", "chance", "shape"),
    [
        ([ONE, ONE], (), (6,)),
        ([DRAWS, ONE], ("draws",), (6, 3)),
        ([SEEDS], ("seeds",), (6, 4)),
        ([CROSSED, DRAWS], ("draws", "seeds"), (6, 3, 2)),
        ([OWN, SEEDS], ("draws",), (6, 2)),
        ([CROSSED, SEEDS], ("draws", "seeds"), (6, 3, 2)),
        ([DRAWS, SEEDS], ("draws", "seeds"), (6, 3, 4)),
    ],
)
def test_what_settings_have_in_common(several: list[Outcomes], chance: tuple[str, ...], shape: tuple[int, ...]) -> None:
    found = grid(several)
    assert found is not None and found.chance == chance
    assert {found.values(one, IDS).shape for one in several} == {shape}


def test_values_are_those_of_the_runs_by_a_plain_loop() -> None:
    found = grid([CROSSED])
    assert found is not None
    values = found.values(CROSSED, IDS[2:4])
    for (j, s), run in CROSSED.runs.items():
        assert values[:, j, s].tolist() == run.right[2:4].tolist()


def test_seeds_of_a_draws_own_are_averaged_within_it() -> None:
    found = grid([OWN, SEEDS])
    assert found is not None and found.own
    for j in range(2):
        wanted = np.mean([OWN.runs[j, 100 * j + s].right for s in range(2)], axis=0)
        np.testing.assert_allclose(found.values(OWN, IDS)[:, j], wanted)
        of_seeds = np.mean([SEEDS.runs[None, 100 * j + s].right for s in range(2)], axis=0)
        np.testing.assert_allclose(found.values(SEEDS, IDS)[:, j], of_seeds)


def test_what_only_one_has_is_left_out() -> None:
    assert grid([outcomes([(0, None), (1, None)]), outcomes([(2, None)])]) is None
    found = grid([outcomes([(0, 0), (0, 1), (1, 0), (1, 1), (2, 5)]), CROSSED])
    assert found is not None and found.draws == ((0, (0, 1)), (1, (0, 1)))


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_the_grid_is_complete_and_no_larger_one_is(keys: set[tuple[int, int]]) -> None:
    found = grid([outcomes(keys)])
    assert found is not None
    assert all((draw, seed) in keys for draw, seeds in found.draws for seed in seeds)
    if not found.own:
        assert len({seeds for _, seeds in found.draws}) == 1
        best = max(
            len(draws) * len(seeds)
            for draws in subsets({j for j, _ in keys})
            if (seeds := set.intersection(*({s for j, s in keys if j == draw} for draw in draws)))
        )
        assert found.cells == best


def subsets(of: set[int]) -> list[list[int]]:
    items = sorted(of)
    return [[x for i, x in enumerate(items) if n >> i & 1] for n in range(1, 1 << len(items))]


def test_images_are_those_that_every_run_has() -> None:
    few = outcomes([(None, None)], IDS[[4, 1, 2]])
    assert images([DRAWS, few]).tolist() == ["image 1", "image 2", "image 4"]


def test_a_seed_that_all_draws_have_too_costs_none_of_their_own() -> None:
    """As a plain probe of seed 0 in every draw leaves a sweep's three seeds a draw."""
    swept = [(j, 100 * j + s) for j in range(3) for s in range(3)]
    mixed = outcomes([*swept, (1, 0), (2, 0)])
    found, before = grid([mixed]), grid([outcomes(swept)])
    assert found is not None and before is not None
    assert found.own and found.draws == before.draws and found.cells == 9
    assert np.array_equal(found.values(mixed, IDS), before.values(outcomes(swept), IDS))


def test_the_larger_of_seeds_in_common_and_of_its_own_is_taken() -> None:
    shared, one = grid([outcomes([(j, s) for j in range(3) for s in range(3)])]), grid([outcomes([(0, 0), (1, 0)])])
    assert shared is not None and one is not None
    assert not shared.own and shared.cells == 9 and not one.own and len(one.draws) == 2

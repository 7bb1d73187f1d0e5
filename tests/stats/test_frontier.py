"""What no cheaper thing beats, against a loop over all pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fgscore.stats.frontier import unbeaten

THINGS = st.lists(
    st.tuples(st.none() | st.integers(1, 5).map(float), st.integers(0, 4).map(lambda n: n / 4)), max_size=9
)


@given(THINGS)
def test_the_frontier_is_what_none_beats(things: list[tuple[float | None, float]]) -> None:
    def beaten(cost: float, accuracy: float) -> bool:
        return any(c is not None and c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in things)

    expected = [cost is not None and not beaten(cost, accuracy) for cost, accuracy in things]
    assert unbeaten([c for c, _ in things], [a for _, a in things]).tolist() == expected


def test_of_equal_accuracies_the_cheaper_is_marked_and_the_last_bit_of_a_mean_does_not_count() -> None:
    mean = (0.1 + 0.2) / 0.5  # 0.6000000000000001
    assert unbeaten([1.0, 2.0], [0.6, mean]).tolist() == [True, False]

"""Several draws of the generators that have a seed."""

from __future__ import annotations

from fgscore.extract.drawn import drawn


def test_each_generator_with_a_seed_is_taken_by_that_and_those_after_it() -> None:
    assert drawn(["random_crop(n=8, seed=4)", "grid"], 3) == [
        "random_crop(n=8, seed=4)", "random_crop(n=8, seed=5)", "random_crop(n=8, seed=6)", "grid",
    ]  # fmt: skip
    assert drawn(["random_crop", "random_crop(seed=1)"], 2) == [
        "random_crop", "random_crop(seed=1)", "random_crop(seed=2)",
    ]  # fmt: skip


def test_one_draw_changes_nothing_and_what_is_cached_alone_stays() -> None:
    assert drawn(["random_crop", "elsewhere.py:mine"], 1) == ["random_crop", "elsewhere.py:mine"]
    assert drawn(["elsewhere.py:mine"], 3) == ["elsewhere.py:mine"]

"""What a setting is called."""

from __future__ import annotations

import pytest

from fgscore.evaluate import strategies
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer


@pytest.mark.parametrize(
    ("scorer", "pool", "head", "name"),
    [
        ("", "none", "zeroshot", "Zero-shot"),
        ("", "none", "anchored", "Text-anchored"),
        ("", "none", "anchored(a=1, C=10)", "Text-anchored (a=1, C=10)"),
        ("", "none", "logreg(C=10)", "Global linear"),
        ("", "none", "adamw", "Global linear"),
        ("", "self", "zeroshot", "Global embedding twice"),
        ("", "mean", "logreg", "Average local"),
        ("soft_margin", "topk", "logreg", "Soft negative margin"),
        ("entropy(tau=50)", "topk(k='all')", "logreg", "Entropy confidence (tau=50)"),
        ("entropy", "topk(k=3, temperature=0.1)", "logreg", "Entropy confidence, temperature=0.1"),
        ("mine.py:f(a=1)", "topk", "logreg", "mine.py:f (a=1)"),
        ("shuffled", "topk", "logreg", "Shuffled scores"),
        ("shuffled(of='entropy(tau=5)', seed=1)", "topk", "logreg", "Shuffled scores (of='entropy(tau=5)', seed=1)"),
    ],
)
def test_a_setting_is_called_as_in_the_paper(scorer: str, pool: str, head: str, name: str) -> None:
    assert strategies.strategy(scorer, pool, head) == name


def test_every_scorer_and_pooling_of_the_paper_has_its_name() -> None:
    assert set(strategies.SCORERS) <= set(Scorer.ours_named())
    assert {*strategies.POOLINGS, "topk"} <= set(Pooling.ours_named())
    assert len(set(strategies.ORDER)) == len(strategies.ORDER)


@pytest.mark.parametrize(
    ("pool", "k"), [("topk", 5), ("topk(k=3)", 3), ("topk(k='all')", "all"), ("mean", None), ("none", None)]
)
def test_how_many_regions_are_kept(pool: str, k: int | str | None) -> None:
    assert strategies.kept(pool) == k


@pytest.mark.parametrize(
    ("target", "name", "is_oracle"),
    [("oracle", "oracle (upper bound)", True), ("local", "local", False), ("", "-", False), (None, "-", False)],
)
def test_the_oracle_is_marked(target: str | None, name: str, is_oracle: bool) -> None:
    assert (strategies.target_name(target), strategies.is_oracle(target)) == (name, is_oracle)


def test_what_scores_a_region_is_named_with_its_pseudo_label() -> None:
    assert strategies.scored("region_global", None) == "Region-global similarity"
    assert strategies.scored("entropy(tau=50)", "oracle") == "Entropy confidence (tau=50), oracle (upper bound)"


def test_columns_come_by_their_keys() -> None:
    assert [column.heading for column in strategies.columns("pool", "target")] == ["pooling", "pseudo-label"]


def test_a_head_of_fixed_epochs_is_said_to_be_one_with_its_losses():
    rows = [{"head": "adamw", "loss": 1.5}, {"head": "adamw(seed=1)", "loss": 0.25}, {"head": "logreg", "loss": None}]
    assert strategies.fixed_epochs(rows) == ["adamw: fixed epochs, not until it converges; final loss 0.2500 to 1.500."]
    assert strategies.fixed_epochs(rows[2:]) == []

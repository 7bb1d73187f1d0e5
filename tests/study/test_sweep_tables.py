"""A sweep's rows as tables."""

from __future__ import annotations

from typing import Any

from fgscore.study import sweep_tables
from fgscore.tables import Table


def row(accuracy: float, **more: Any) -> dict[str, Any]:
    made = {"dataset": "cub", "table": 1, "regions": "sam(n=3)", "encoder": "clip", "prompt": "plain",
            "target": "global", "scorer": "entropy", "pool": "topk", "head": "adamw", "shots": 0,
            "accuracy": accuracy, "low": accuracy - 0.1,
            "high": accuracy + 0.1, "spread": None, "runs": 1, "fixed_regions": True, "per_class": 0.25, "n_test": 90,
            "against": "mean", "difference": 0.0125, "difference_low": -0.01, "difference_high": 0.03, "p": 0.00001,
            "p_holm": 0.5, "p_mcnemar": 0.25, "word": "undecided", "differ": 9, "visible": 0.02, "draws": 0, "seeds": 0,
            "shares": {"images": 0.64, "draws": 0.36}, "over_global": 0.03,
            "paper": 0.6, "paper_gain": 0.02, "converged": True, "upper_bound": False, "comparisons": 7,
            "macs": None, "macs_note": "", "frontier": None}  # fmt: skip
    return made | more


ALONE = {"regions": "", "scorer": "", "target": "", "pool": "none", "fixed_regions": False}
NOTHING = ("difference", "difference_low", "difference_high", "p", "p_holm", "p_mcnemar", "word", "differ", "visible")
ALONE |= dict.fromkeys((*NOTHING, "over_global"))
ALONE |= {"shares": {}, "against": "", "comparisons": 0}


def cells(table: Table, i: int) -> dict[str, str]:
    return {column.key: table.text(table.rows[i], column) for column in table.shown}


def test_a_line_stands_beside_the_papers() -> None:
    (table,) = sweep_tables.tables([row(0.4, **ALONE), row(0.65)])
    assert table.title == "cub. Table 1: scoring strategies, k = 5"
    assert cells(table, 1) == {
        "regions": "sam", "target": "global", "strategy": "Entropy confidence", "k": "5",
        "accuracy": "0.6500 (0.5500-0.7500)", "per_class": "0.2500", "against": "mean",
        "difference": "+1.25", "interval": "-1.00 to +3.00", "word": "undecided", "p": "< 0.0001", "p_holm": "0.5000",
        "p_mcnemar": "0.2500", "differ": "9", "visible": "2.00", "shares": "images 64 %, draws 36 %",
        "over_global": "+3.00",
        "paper": "0.6000", "paper_difference": "+5.00", "paper_gain": "+2.00",
    }  # fmt: skip
    first = cells(table, 0)
    assert (first["strategy"], first["regions"], first["k"], first["p"]) == ("Global linear", "-", "", "")
    assert first["paper_gain"] == "", "the gain of the global embedding over itself is none"
    assert table.below[:2] == [
        "sam: sam(n=3)",
        "Everywhere: encoder clip, prompt plain, head adamw, test images 90.",
    ]
    assert any("over the 7 differences of a table" in note for note in table.below)


def test_a_table_for_each_data_set_and_table_of_the_paper_with_the_same_notes() -> None:
    rows = [row(0.5), row(0.5, table=2), row(0.5, dataset="mine", table=0, paper=None, paper_gain=None)]
    made = sweep_tables.tables(rows)
    assert [table.title.partition(":")[0] for table in made] == ["cub. Table 1", "cub. Table 2", "mine"]
    assert len({tuple(table.notes) for table in made}) == 1


def test_what_did_not_converge_and_what_has_no_other_draw_is_said() -> None:
    (table,) = sweep_tables.tables([row(0.5, converged=False), row(0.6, runs=2, spread=0.01, fixed_regions=False)])
    assert [cells(table, i)["converged"] for i in (0, 1)] == ["no", ""]
    assert [cells(table, i)["spread"] for i in (0, 1)] == ["one set", "0.0100"]


def test_the_oracle_is_marked_and_never_the_best() -> None:
    (table,) = sweep_tables.tables([row(0.9, target="oracle", upper_bound=True), row(0.5), row(0.4)])
    assert cells(table, 0)["target"] == "oracle (upper bound)"
    (accuracy,) = [column for column in table.columns if column.key == "accuracy"]
    assert [table.is_best(i, accuracy) for i in range(3)] == [False, True, False]
    assert any("upper bound" in note for note in table.notes)


def test_candidates_of_a_selection() -> None:
    rows = [
        row(0.5, validation_accuracy=v, chosen=v > 0.6, scorer=s)
        for v, s in ((0.7, "entropy(tau=9)"), (0.6, "entropy"))
    ]
    table = sweep_tables.candidates(rows)
    assert [(cells(table, i)["strategy"], cells(table, i)["validation_accuracy"]) for i in (0, 1)] == [
        ("Entropy confidence (tau=9)", "0.7000"), ("Entropy confidence", "0.6000"),
    ]  # fmt: skip
    assert [cells(table, i)["chosen"] for i in (0, 1)] == ["yes", "no"]

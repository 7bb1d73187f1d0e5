"""Result rows in the shape of the paper's tables."""

from __future__ import annotations

from typing import Any

import pytest

from fgscore.report import study
from fgscore.tables import Measured, Table

SAM, CROP = "sam(checkpoint='vit_b')", "random_crop"


def row(accuracy: float, regions: str = CROP, scorer: str = "", target: str = "", **more: Any) -> dict[str, Any]:
    return {
        "dataset": "cub",
        "regions": regions,
        "encoder": "clip",
        "prompt": "plain",
        "scorer": scorer,
        "target": target,
        "pool": "topk" if scorer else "mean",
        "features": "unit",
        "head": "logreg",
        "accuracy": accuracy,
        "per_class": accuracy - 0.01,
        "n_test": 100,
        "without_regions": 0,
        **more,
    }


def plain(table: Table) -> list[tuple]:
    """The cells that people see, row by row."""
    return [tuple(table.text(line, column) for column in table.shown) for line in table.rows]


def headings(table: Table) -> list[str]:
    return [column.heading for column in table.shown]


WHOLE = row(0.45, regions="", pool="none")
ZERO = row(0.40, regions="", pool="none", head="zeroshot")


def test_table_1_has_the_paper_s_order_and_names() -> None:
    rows = [
        row(0.61, CROP, "entropy", "global"),
        row(0.60, CROP, "soft_margin", "local"),
        row(0.65, CROP, "soft_margin", "global"),
        row(0.62, CROP, "region_global"),
        row(0.44, SAM),
        row(0.43, SAM, "entropy(tau=50)", "local"),
        WHOLE,
        row(0.62, CROP),
        ZERO,
    ]
    table = study.comparison(rows)
    assert table.title == "Top-1 accuracy, k = 5"
    assert plain(table) == [
        ("-", "-", "Zero-shot", "0.4000", "-5.00"),
        ("-", "-", "Global linear", "0.4500", "+0.00"),
        ("random_crop", "-", "Average local", "0.6200", "+17.00"),
        ("random_crop", "-", "Region-global similarity", "0.6200", "+17.00"),
        ("random_crop", "global", "Soft negative margin", "0.6500", "+20.00"),
        ("random_crop", "global", "Entropy confidence", "0.6100", "+16.00"),
        ("random_crop", "local", "Soft negative margin", "0.6000", "+15.00"),
        ("sam", "-", "Average local", "0.4400", "-1.00"),
        ("sam", "local", "Entropy confidence (tau=50)", "0.4300", "-2.00"),
    ]
    assert table.below == [f"sam: {SAM}", "Everywhere: encoder clip, prompt plain, features unit, head logreg."]
    assert headings(table)[-1] == "against Global linear"


def test_temperatures_of_the_pooling_are_told_apart() -> None:
    cold = row(0.5, scorer="entropy", target="global", pool="topk(k=5, temperature=0.1)")
    table = study.comparison([row(0.6, scorer="entropy", target="global"), cold])
    assert [line[1:] for line in plain(table)] == [
        ("global", "Entropy confidence", "0.6000"),
        ("global", "Entropy confidence, temperature=0.1", "0.5000"),
    ]


def test_the_oracle_is_in_no_table_but_its_own_and_marked_in_the_list() -> None:
    rows = [row(0.65, scorer="soft_margin", target="global"), row(0.9, scorer="soft_margin", target="oracle")]
    assert [line["target"] for line in study.comparison(rows).rows] == ["global"]
    listed = study.every_result(rows)
    assert [line["target"] for line in listed.rows] == ["global", "oracle (upper bound)"]
    assert list(listed.marked) == [1] and "upper bound" in listed.below[-1]


def test_table_2_is_the_difference_to_true_labels() -> None:
    rows = [
        row(0.70, SAM, "soft_margin", "oracle"),
        row(0.45, SAM, "soft_margin", "global"),
        row(0.46, SAM, "soft_margin", "local", low=0.4, high=0.5),
        row(0.30, SAM, "soft_margin", "local", pool="topk(k=1)"),
        row(0.20, SAM, "entropy", "global"),
    ]
    table = study.oracle(rows)
    (line,) = table.rows
    assert line["cub true"] == Measured(0.70)
    assert (line["cub global"], line["cub local"]) == pytest.approx((-0.25, -0.24))
    assert headings(table) == ["regions", "strategy", "true", "Δ global", "Δ local"]
    assert plain(table) == [("sam", "Soft negative margin", "0.7000", "-25.00", "-24.00")]
    assert "upper bound" in table.below[-1]


def test_table_2_is_averaged_over_seeds_seed_by_seed() -> None:
    rows = [
        row(truth, scorer="entropy", target="oracle", seed=seed, head="adamw") for seed, truth in ((0, 0.7), (1, 0.9))
    ]
    rows += [row(0.6, scorer="entropy", target="global", seed=seed, head="adamw") for seed in (0, 1)]
    (line,) = study.oracle(rows).rows
    assert line["cub true"].value == pytest.approx(0.8) and line["cub global"] == pytest.approx(-0.2)
    assert "cub local" not in line


def test_tables_3_and_4_hold_what_was_measured_at_several_k() -> None:
    rows = [
        row(0.61, scorer="soft_margin", target="global", pool="topk(k='all')"),
        row(0.64, scorer="soft_margin", target="global", pool="topk(k=10)"),
        row(0.65, scorer="soft_margin", target="global"),
        row(0.63, scorer="soft_margin", target="global", pool="topk(k=2)"),
        row(0.50, scorer="entropy", target="global"),
        row(0.55, scorer="soft_margin", target="global", pool="topk(k=3, temperature=0.1)"),
    ]
    assert [line["k"] for line in study.over_k(rows).rows] == [2, 5, 10, "all"]
    assert not study.over_k(rows[2:3]).rows


def test_data_sets_stand_side_by_side() -> None:
    rows = [row(0.6), row(0.8, dataset="pets"), WHOLE | {"dataset": "pets", "accuracy": 0.86}]
    table = study.comparison(rows)
    assert plain(table) == [
        ("-", "Global linear", "", "0.8600"),
        ("random_crop", "Average local", "0.6000", "0.8000"),
    ]
    assert headings(table)[-2:] == ["cub", "pets"]


def test_what_differs_between_rows_becomes_a_column() -> None:
    rows = [row(0.6), row(0.7, head="adamw"), ZERO]
    table = study.comparison(rows)
    assert headings(table) == ["head", "regions", "strategy", "cub"]
    assert plain(table) == [
        ("", "-", "Zero-shot", "0.4000"),
        ("adamw", "random_crop", "Average local", "0.7000"),
        ("logreg", "random_crop", "Average local", "0.6000"),
    ]


def test_seeds_of_one_setting_are_averaged() -> None:
    rows = [row(0.6, seed=0, low=0.5, high=0.7), row(0.7, seed=1, low=0.6, high=0.8)]
    (line,) = study.comparison(rows).rows
    assert (line["cub top-1"].value, line["cub top-1"].low, line["cub top-1"].high) == pytest.approx((0.65, 0.55, 0.75))


def test_intervals_are_shown_where_there_are_columns_for_them() -> None:
    assert study.measured(row(0.6, low=0.5, high=0.7)) == Measured(0.6, 0.5, 0.7)
    assert study.measured(row(0.6, low=None, high=None)) == study.measured(row(0.6)) == Measured(0.6)


def test_a_result_in_a_line() -> None:
    assert (
        study.describe(row(0.5, SAM, "soft_margin", "local", pool="topk(k=3)"))
        == "Soft negative margin, local, k = 3, sam"
    )
    assert study.describe(WHOLE) == "Global linear"
    assert (
        study.describe(row(0.5, head="adamw(epochs=3)", shots=4))
        == "Average local, random_crop, shots 4, adamw(epochs=3)"
    )


def test_the_baseline_is_the_trained_head_on_the_global_embedding() -> None:
    assert study.baseline([ZERO, WHOLE, row(0.9), WHOLE | {"accuracy": 0.99, "shots": 4}]) == 0.45
    assert study.baseline([ZERO, row(0.9)]) is None
    seeds = [WHOLE | {"head": "adamw", "seed": seed, "accuracy": value} for seed, value in enumerate((0.5, 0.4))]
    assert study.baseline([*seeds, WHOLE | {"accuracy": 0.44}]) == pytest.approx(0.45)


def test_seeds_are_named_where_there_are_several() -> None:
    rows = [row(0.6, head="adamw", seed=seed) for seed in (0, 1)] + [row(0.5, seed=-1)]
    table = study.every_result(rows)
    assert [line["seed"] for line in table.rows] == [0, 1, ""] and "seed" in headings(table)
    assert study.describe(rows[1]).endswith("seed 1, adamw")
    assert "seed" not in headings(study.every_result(rows[2:]))


def test_no_rows_no_tables() -> None:
    assert study.tables([]) == []

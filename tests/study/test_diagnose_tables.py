"""What lies behind an accuracy, as tables."""

from __future__ import annotations

from typing import Any

from fgscore.study import diagnose_tables
from fgscore.tables import Table

OF = {"dataset": "cub", "regions": "sam(n=3)"}
RESULT = {**OF, "scorer": "entropy", "target": "global", "pool": "topk(k=3)", "head": "logreg", "top": 1,
          "classes": [{"class_name": "crow", "accuracy": 0.2, "n": 10}, {"class_name": "jay", "accuracy": 0.5, "n": 4}],
          "pairs": [{"true": "crow", "predicted": "jay", "images": 8, "share": 0.8}]}  # fmt: skip
FOUND: dict[str, list[dict[str, Any]]] = {
    "pseudo_labels": [],
    "scorers": [{**OF, "scorer": "entropy", "target": "local", "k": 5, "temperature": 1.0, "area_correlation": 0.41423,
                 "area_kept": 0.074, "area_all": 0.056, "effective": 4.7133}],
    "agreement": [{**OF, "a": "region_global", "b": "entropy(tau=50), target oracle", "k": 5, "overlap": 0.8,
                   "chance": 0.5}],
    "results": [{**RESULT, "scorer": "", "target": "", "pool": "none"},
                {**RESULT, "mended": ["a", "b"], "broke": ["c"], "still_wrong": 4, "n_test": 240, "p": 0.175}],
}  # fmt: skip


def test_every_table_that_there_is_something_for() -> None:
    def lines(table: Table) -> list[list[str]]:
        return [[table.text(row, column) for column in table.shown] for row in table.rows]

    made = {table.name: lines(table) for table in diagnose_tables.tables(FOUND)}
    assert made == {
        "scorers": [["sam", "Entropy confidence", "local", "0.4142", "0.074", "0.056", "4.713"]],
        "agreement": [
            ["sam", "Region-global similarity", "Entropy confidence (tau=50), oracle (upper bound)", "0.800", "0.500"]
        ],
        "flips": [["sam", "Entropy confidence", "global", "2", "1", "4", "240", "0.1750"]],
        "classes": [
            ["sam", "Global linear", "-", "crow", "0.2000", "10"],
            ["sam", "Entropy confidence", "global", "crow", "0.2000", "10"],
        ],
        "pairs": [
            ["sam", "Global linear", "-", "crow", "jay", "8", "0.800"],
            ["sam", "Entropy confidence", "global", "crow", "jay", "8", "0.800"],
        ],
    }

"""Where the best regions lie, as tables."""

from __future__ import annotations

from typing import Any

from fgscore.study import locate_tables


def row(annotation: str, **more: Any) -> dict[str, Any]:
    made = {"dataset": "cub", "regions": "sam(n=3)", "encoder": "clip", "prompt": "plain", "scorer": "entropy(tau=50)",
            "target": "oracle", "k": 5, "annotation": annotation, "images": 480, "on": 0.92345, "on_chance": 0.906,
            "hits": 0.5, "hits_chance": 0.25, "covers": 1.0, "covers_chance": 0.125, "difference": 0.0171,
            "low": -0.0146, "high": 0.0196}  # fmt: skip
    return made | more


def test_shares_stand_beside_chance_and_differences_in_points() -> None:
    (table,) = locate_tables.tables([row("object"), row("head", scorer="region_global", target="")])
    assert table.title == "cub: sam(n=3) by clip, prompt plain"
    assert [[table.text(line, column) for column in table.shown] for line in table.rows] == [
        ["object", "Entropy confidence (tau=50)", "oracle (upper bound)", "0.923", "0.906", "+1.71", "-1.46 to +1.96",
         "0.500", "0.250", "1.000", "0.125"],
        ["head", "Region-global similarity", "-", "0.923", "0.906", "+1.71", "-1.46 to +1.96",
         "0.500", "0.250", "1.000", "0.125"],
    ]  # fmt: skip
    assert table.below[0] == "Everywhere: k 5, images 480."


def test_rows_stand_by_setting_and_annotation() -> None:
    rows = [row("object"), row("head"), row("object", k=1), row("object", prompt=""), row("head", k=1)]
    first, second = locate_tables.tables(rows)
    assert [(line["annotation"], line["k"]) for line in first.rows] == [
        ("object", 5), ("object", 1), ("head", 5), ("head", 1),
    ]  # fmt: skip
    assert second.title == "cub: sam(n=3) by clip"

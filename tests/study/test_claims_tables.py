"""Verdicts as tables."""

from __future__ import annotations

from typing import Any

from fgscore.study import claims_tables


def row(**more: Any) -> dict[str, Any]:
    made = {"claim": "crops beat masks", "source": "Table 1", "kind": "better", "ratio": None, "ratio_seconds": None,
            "dataset": "cub", "datasets": ["cub"], "repeated": 0,
            "regions": ["random_crop", "sam(n=3)"], "encoder": "clip", "prompt": "plain", "head": "logreg",
            "margin": None, "verdict": "supported", "difference": 0.02, "low": 0.01, "high": 0.03, "p": None,
            "p_holm": None, "family": 9, "bound": None, "visible": None, "agree": None,
            "shares": {"images": 1.0}, "draws": 0, "seeds": 0, "differ": 20,
            "n_test": 90, "contrast": "soft_margin less region_text", "paper_verdict": "contradicted",
            "paper_difference": -0.05, "paper_datasets": 3, "paper_dataset": "all",
            "paper_contrast": "global less local"}  # fmt: skip
    return made | more


MISSING = {"verdict": "missing", **dict.fromkeys(("difference", "low", "high", "p", "n_test", "contrast"))}


def test_a_verdict_stands_beside_that_by_the_papers_figures() -> None:
    table = claims_tables.table([row(), row(claim="k hardly matters", margin=0.01, p=0.2), row(**MISSING)])
    shown = [{column.key: table.text(line, column) for column in table.shown} for line in table.rows]
    assert shown[0] == {
        "claim": "crops beat masks", "source": "Table 1", "verdict": "supported", "difference": "+2.00",
        "interval": "+1.00 to +3.00", "p": "", "shares": "images", "differ": "20",
        "contrast": "Soft negative margin less Region-text similarity",
        "paper_verdict": "contradicted", "paper_difference": "-5.00", "paper_datasets": "3",
        "paper_contrast": "global less local",
    }  # fmt: skip
    assert shown[1]["p"] == "0.2000"
    assert shown[2]["verdict"] == "missing" and shown[2]["interval"] == shown[2]["contrast"] == ""
    assert table.below[0] == (
        "Everywhere: data set cub, regions random_crop, sam(n=3), encoder clip, prompt plain, head logreg, "
        "test images 90, data sets in the paper 5."
    )
    assert any("here 1.00 points" in note for note in table.below)


def test_without_claims_of_equality_no_margin_is_said() -> None:
    assert not any(note.startswith("Equal") for note in claims_tables.table([row()]).notes)


def test_each_setting_has_a_table_and_all_data_sets_together_one() -> None:
    pooled = row(dataset="all", datasets=["cub", "pets"], regions=[])
    made = claims_tables.tables([row(), row(claim="other"), row(head="adamw"), row(dataset="pets"), pooled])
    assert [(table.title, len(table.rows)) for table in made] == [
        ("cub, head logreg", 2), ("cub, head adamw", 1), ("pets, head logreg", 1),
        ("all together: cub, pets, head logreg", 1),
    ]  # fmt: skip

"""The claim that masks cost over ten times as much, from sidecars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fgscore.evaluate.costs import Cost, Costs
from fgscore.store import match
from fgscore.store.cache import Store
from fgscore.study import cost_claim
from fgscore.study.grid import families


@pytest.mark.parametrize(
    "masks, crops, verdict, disagree",
    [
        (Cost(110.0, 11.0), Cost(10.0, 1.0), "supported", False),
        (Cost(110.0, 2.0), Cost(10.0, 1.0), "supported", True),
        (Cost(100.0, 11.0), Cost(10.0, 1.0), "contradicted", True),
        (Cost(110.0), Cost(10.0), "supported", False),
        (Cost(None, 30.0), Cost(10.0, 1.0), cost_claim.MISSING, False),
    ],
)
def test_multiply_accumulates_decide_and_seconds_stand_beside(
    study: Store, masks: Cost, crops: Cost, verdict: str, disagree: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(self: Costs, whole: Any, embeddings: Any = None, window: Any = None) -> Cost:
        return masks if study.parent(embeddings, "regions").recipe.name == "sam" else crops

    monkeypatch.setattr(Costs, "of", of)
    found = cost_claim.figures(families(match.bundles(study, "cub"))[0])
    assert found["verdict"] == verdict
    assert ("say the opposite" in found["contrast"]) == disagree
    assert found["ratio"] == (masks.macs / 10 if masks.macs else None)


def test_without_masks_the_command_that_makes_them_is_named(store: Store, run: Callable[..., Any]) -> None:
    assert run("sweep", "--table", "1", "--head", "logreg(C=1)").code == 0
    rows = run("claims", "--json").json["claims"]
    (row,) = [row for row in rows if row["kind"] == cost_claim.KIND]
    assert row["verdict"] == "missing" and "fgscore extract" in row["next"] and "--regions sam" in row["next"]

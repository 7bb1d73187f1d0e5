"""Whose code made a shard is said in its sidecar, and is no part of what the shard is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.store.cache import Store
from fgscore.store.paths import Layout

pytest.importorskip("torch")
pytest.importorskip("segment_anything")

SAM = "sam(checkpoint='demo', points_per_side=4, pred_iou_thresh=0.3, stability_score_thresh=0.3, area_min=0.0)"
ARGS = ("--limit", 1, "--regions", SAM, "--encoder", "clip(model='demo')", "--json")


def made_by(data: Path) -> dict[str, str]:
    """Kind of artefact to the implementation its sidecar names."""
    found = {}
    for path in Layout(data).cache.rglob("shard-*.json"):
        found[path.parts[-3]] = json.loads(path.read_text())["provenance"].get("implementation")
    return found


def test_both_implementations_make_the_same_artefact(run: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    batches, names = [], []
    for implementation in ("exact", "upstream"):
        data = tmp_path / implementation
        extract = ("extract", "folder", "--root", photos, *ARGS, "--implementation", implementation)
        assert run(*extract, data=data).code == 0
        said = made_by(data)
        assert {said[kind] for kind in ("regions", "globals", "region_embeddings")} == {implementation}
        store = Store(Layout(data))
        (regions,) = store.artefacts("regions")
        names.append(sorted(p.name for p in Layout(data).cache.rglob("*-????????")))
        batches.append(store.read(regions, 0))
        again = run(*extract[:-1], "exact", data=data)  # what one made is not made anew by the other
        assert again.json["computed"] == 0
    assert names[0] == names[1]
    ours, theirs = batches
    assert len(ours.area) == len(theirs.area) > 0
    np.testing.assert_array_equal(ours.boxes_xyxy, theirs.boxes_xyxy)
    np.testing.assert_allclose(ours.predicted_iou, theirs.predicted_iou, atol=1e-5)


def test_an_implementation_that_there_is_not_is_refused(run: Callable[..., Any], photos: Path) -> None:
    result = run("extract", "folder", "--root", photos, "--encoder", "fake", "--implementation", "quick")
    assert result.code == 2
    assert result.message == "error: expected the implementation exact or upstream, found 'quick'"

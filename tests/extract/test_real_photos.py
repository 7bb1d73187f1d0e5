"""Real photographs end to end, with the fake encoder: what the lists, the decoder and the store make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Run = Callable[..., Any]
MADE = ("--encoder", "fake", "--regions", "random_crop(n=6)")


@pytest.mark.parametrize("name", ["cub", "cars"])
def test_photos_become_accuracies(name: str, real_data: Path, run: Run, data: Path) -> None:
    args = ("extract", name, "--root", real_data / name, "--partial", "--limit", 2, *MADE, "--json")
    made = run(*args)
    assert made.code == 0, made.err
    kinds = {a["kind"]: a for a in made.json["artefacts"]}
    n = kinds["index"]["images"]
    assert n >= 10
    assert kinds["globals"]["images"] == kinds["region_embeddings"]["images"] == n
    assert 5 * n < kinds["regions"]["regions"] == kinds["region_embeddings"]["regions"] <= 6 * n
    assert run(*args).json["computed"] == 0

    (scored,) = run("score", "--scorer", "entropy", "--json").json["scores"]
    assert (scored["images"], scored["scores"]) == (n, kinds["regions"]["regions"])
    assert scored["dataset"] == f"{name} (limit 2)"

    (bundle,) = match.bundles(Store(Layout(data)))
    assert isinstance(bundle, RegionBundle)
    for number in bundle.region_embeddings.shard_sizes:
        rows = bundle.store.read(bundle.region_embeddings, number).regions.astype(np.float64)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=3e-3)
    assert bundle.index.notes["partial"]["found"] >= n
    tests = int((bundle.index.split == "test").sum())
    assert tests or name == "cars", "the copy at hand may hold no test photo of a car"
    if tests:
        (result,) = run("probe", "--scorer", "entropy", "--k", 5, "--head", "zeroshot", "--json").json["results"]
        assert (result["n_test"], result["without_regions"]) == (tests, 0)
        assert 0 <= result["accuracy"] <= 1


def test_a_partial_copy_is_refused_without_leave(real_data: Path, run: Run) -> None:
    result = run("index", "cub", "--root", real_data / "cub")
    assert result.code == 1
    assert "11788" in result.message and "--partial" in result.message

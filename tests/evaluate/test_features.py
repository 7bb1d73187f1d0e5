"""Features from scored regions: the numbers of section 3.5, cached or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.evaluate.features import FeatureRun, aggregate_features, matrix, prepare
from fgscore.evaluate.score import runs_for
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.targets import Target


@pytest.fixture
def bundle(store: Store) -> RegionBundle:
    (found,) = match.bundles(store)
    assert isinstance(found, RegionBundle)
    return found


def feature_run(bundle: RegionBundle, pool: str, rows: Any = "unit", scorer: str = "entropy") -> FeatureRun:
    pooling = Pooling.bind(pool)
    (scored,) = runs_for(bundle, [Scorer.bind(scorer)], [Target.bind("global")])
    return FeatureRun(bundle, pooling, scored if pooling.needs_scores else None, rows)


def expected(bundle: RegionBundle, pool: str, rows: str) -> np.ndarray:
    """(N, 2d) an image at a time, in float64, from what the cache holds."""
    params = Pooling.bind(pool).params
    (scored,) = runs_for(bundle, [Scorer.bind("entropy")], [Target.bind("global")])
    features = []
    for number in bundle.globals.shard_sizes:
        embedded, whole = bundle.store.read(bundle.region_embeddings, number), bundle.store.read(bundle.globals, number)
        scores = bundle.store.read(scored.artefact, number).scores
        for i in range(len(whole.image_ids)):
            mine = slice(embedded.offsets[i], embedded.offsets[i + 1])
            f = embedded.regions[mine].astype(np.float64)
            if rows == "raw":
                f = f * embedded.norms[mine, None].astype(np.float64)
            s = scores[mine].astype(np.float64)
            best = sorted(range(len(s)), key=lambda j: (-s[j], j))[: params.get("k", "all") if pool != "mean" else None]
            if pool == "mean":
                w = np.full(len(best), 1 / len(best))
            else:
                w = np.exp(s[best] / params["temperature"])
                w = w / w.sum()
            features.append(np.concatenate([whole.globals[i], w @ f[best]]))
    return np.array(features)


POOLINGS = ["mean", "topk(k=1)", "topk(k=2)", "topk(k=3, temperature=0.05)"]


@pytest.mark.parametrize("rows", ["unit", "raw"])
@pytest.mark.parametrize("pool", POOLINGS)
def test_features_are_those_of_the_paper(pool: str, rows: str, bundle: RegionBundle) -> None:
    run = feature_run(bundle, pool, rows)
    aggregate_features([feature_run(bundle, "topk"), run])
    features, at, n_pooled = matrix(run)
    assert at.tolist() == list(range(10))
    size = {"mean": 4, "topk(k=1)": 1, "topk(k=2)": 2}.get(pool, 3)
    assert n_pooled.tolist() == [size] * 10
    np.testing.assert_allclose(features, expected(bundle, pool, rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", ["unit", "raw"])
def test_an_image_without_regions_is_on_the_scale_of_those_that_have_some(
    rows: str, run: Callable[..., Any], data: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    whole, regions = (10 * rng.standard_normal((n, 6)).astype(np.float32) for n in (4, 6))
    np.savez(tmp_path / "a.npz", globals=whole, regions=regions, offsets=[0, 2, 2, 5, 6], labels=[0, 1, 0, 1],
             split=["train", "train", "test", "test"])  # fmt: skip
    done = run("import", "mine", tmp_path / "a.npz", "--encoder", "mine")
    assert done.code == 0, done.err
    (found,) = match.bundles(Store(Layout(data)), "mine")
    features, at, n_pooled = matrix(FeatureRun(found, Pooling.bind("mean"), None, rows))
    assert n_pooled[at.tolist().index(1)] == 0
    length = np.linalg.norm(whole[1]) if rows == "raw" else 1.0
    unit = whole[1] / np.linalg.norm(whole[1])
    np.testing.assert_allclose(features[at.tolist().index(1)], [*unit, *(length * unit)], rtol=2e-3)


def test_no_pooling_is_the_global_embedding(bundle: RegionBundle) -> None:
    features, _, n_pooled = matrix(feature_run(bundle, "none"))
    whole = np.concatenate([bundle.store.read(bundle.globals, n).globals for n in range(3)])
    np.testing.assert_array_equal(features, whole.astype(np.float32))
    assert not n_pooled.any()


@pytest.mark.parametrize("pool", ["none", *POOLINGS])
def test_cached_features_equal_those_computed_in_memory(pool: str, bundle: RegionBundle) -> None:
    run = feature_run(bundle, pool)
    prepare([run])
    assert not (bundle.store.layout.cache / "folder" / "features").exists()
    in_memory = matrix(run)
    aggregate_features([run])
    assert (bundle.store.layout.cache / "folder" / "features").exists()
    for a, b in zip(in_memory, matrix(run), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_cached_features_are_read_and_not_computed(bundle: RegionBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    run = feature_run(bundle, "topk")
    aggregate_features([run])

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(FeatureRun, "compute", fail)
    assert matrix(run)[0].shape == (10, 64)
    assert [(s.kind, s.computed, s.reused) for s in aggregate_features([run])] == [
        ("scores", 0, 3),
        ("features", 0, 3),
    ]


def test_scores_that_are_missing_are_computed(store: Store, run: Callable[..., Any]) -> None:
    rows = run("aggregate", "--scorer", "entropy", "--json").json["features"]
    assert [(r["scorer"], r["computed"]) for r in rows] == [("entropy", 3)]
    assert len(list(store.artefacts("scores"))) == 1


def test_each_k_is_an_artefact_and_mean_needs_no_scores(store: Store, run: Callable[..., Any]) -> None:
    rows = run("aggregate", "--pool", "mean", "--pool", "topk", "--k", "1", "--k", "all", "--json").json["features"]
    assert [(r["pool"], r["scorer"]) for r in rows] == [
        ("mean", ""),
        ("topk(k=1)", "soft_margin"),
        ("topk(k='all')", "soft_margin"),
    ]
    assert len({r["artefact"] for r in rows}) == 3


def test_raw_and_unit_rows_are_kept_apart(store: Store, run: Callable[..., Any]) -> None:
    rows = [run("aggregate", "--features", kind, "--json").json["features"][0] for kind in ("unit", "raw", "unit")]
    assert rows[0]["artefact"] == rows[2]["artefact"] != rows[1]["artefact"]
    assert [r["computed"] for r in rows] == [3, 3, 0]


def test_k_beyond_the_regions_takes_what_there_is(bundle: RegionBundle) -> None:
    all_of_them, more = feature_run(bundle, "topk(k='all')"), feature_run(bundle, "topk(k=1000)")
    prepare([all_of_them])
    np.testing.assert_array_equal(matrix(all_of_them)[0], matrix(more)[0])


def test_new_scores_make_features_stale(
    bundle: RegionBundle, run: Callable[..., Any], extract: Any, photos: Any, draw: Any
) -> None:
    run("aggregate")
    draw(photos / bundle.index.image_ids[0], seed=99)
    extract()
    (row,) = run("aggregate", "--json").json["features"]
    assert (row["computed"], row["reused"]) == (1, 2)

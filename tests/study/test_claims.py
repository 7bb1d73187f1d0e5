"""Verdicts: by hand on outcomes, on results of a cache against plain loops, and on the paper's own figures."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fgscore.store.match import Store
from fgscore.study import paper, paper_claims, verdicts
from fgscore.study.claims import CLAIMS
from fgscore.study.claims import verdicts as claim_rows

Run = Callable[..., Any]
FAST = ("--head", "logreg(C=10)")


def gain(n: int, share: float, loss: float = 0.0) -> np.ndarray:
    """Differences of n images: +1 for a share, -1 for another, else 0."""
    up, down = round(n * share), round(n * loss)
    return np.array([1.0] * up + [-1.0] * down + [0.0] * (n - up - down))


@pytest.mark.parametrize(
    ("contrasts", "verdict", "contrast"),
    [
        ({"a": gain(400, 0.10, 0.02)}, "supported", "a"),
        ({"a": gain(400, 0.02, 0.10)}, "contradicted", "a"),
        ({"a": gain(400, 0.05, 0.04)}, "undecided", "a"),
        ({"a": gain(400, 0.10), "b": gain(400, 0.20)}, "supported", "a"),
        ({"a": gain(400, 0.05, 0.04), "b": gain(400, 0.20)}, "undecided", "a"),
        ({"a": gain(400, 0.20), "b": gain(400, 0.01, 0.10)}, "contradicted", "b"),
    ],
)
def test_better_needs_every_difference_above_zero(contrasts: dict, verdict: str, contrast: str) -> None:
    found = verdicts.better(contrasts)
    assert (found.verdict, found.contrast) == (verdict, contrast)
    assert found.estimate.value == pytest.approx(contrasts[contrast].mean())
    assert found.estimate.low < found.estimate.value < found.estimate.high


def test_of_many_differences_one_below_zero_by_chance_contradicts_nothing() -> None:
    just = gain(400, 0.02, 0.0475)  # its own 95 % interval lies below zero
    assert verdicts.better({"a": just}).verdict == "contradicted"
    assert verdicts.better({"a": just} | {str(i): gain(400, 0.2) for i in range(19)}).verdict == "undecided"


def pair(n: int, only_a: int, only_b: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.ones(n, bool), np.ones(n, bool)
    b[:only_a], a[only_a : only_a + only_b] = False, False
    return a, b


@pytest.mark.parametrize(
    ("pairs", "margin", "verdict"),
    [
        ({"x": pair(5000, 10, 12), "y": pair(5000, 5, 0)}, 0.01, "supported"),
        ({"x": pair(100, 0, 0)}, 0.01, "undecided"),
        ({"x": pair(5000, 10, 12), "y": pair(5000, 200, 50)}, 0.01, "contradicted"),
        ({"x": pair(5000, 10, 12), "y": pair(5000, 200, 50)}, 0.05, "supported"),
        ({"x": pair(300, 20, 15)}, 0.01, "undecided"),
    ],
)
def test_equal_needs_every_difference_within_the_margin(pairs: dict, margin: float, verdict: str) -> None:
    found = verdicts.equal(pairs, margin)
    assert found.verdict == verdict
    assert (found.p < 0.05) == (verdict == "supported")
    assert found.contrast == list(pairs)[-1]
    assert found.estimate.level == pytest.approx(0.9)


def test_the_verdicts_of_a_cache(study: Store, run: Run) -> None:
    assert run("sweep", "--table", "all", *FAST).code == 0
    rows = run("claims", *FAST, "--json").json["claims"]
    assert [(r["dataset"], r["claim"]) for r in rows] == [(d, c.name) for d in ("cub", "pets", "all") for c in CLAIMS]
    assert all(r["verdict"] in ("supported", "contradicted", "undecided") and r["next"] == "" for r in rows)
    right = all_outcomes(study)
    for row in rows:
        names = ("cub", "pets") if row["dataset"] == "all" else (row["dataset"],)
        claim = next(c for c in CLAIMS if c.name == row["claim"])
        values = {c.name: np.concatenate([by_loop(right[n], c) for n in names]) for c in claim.contrasts}
        means = {name: v.mean() for name, v in values.items()}
        assert row["difference"] == pytest.approx(means[row["contrast"]])
        assert row["n_test"] == 60 * len(names)
        assert row["low"] <= row["difference"] <= row["high"]
        if claim.kind == "better" and row["verdict"] != "contradicted":
            assert means[row["contrast"]] == pytest.approx(min(means.values()))
        if claim.kind == "better":
            assert (row["low"] > 0) == (row["verdict"] == "supported")


def all_outcomes(store: Store) -> dict[str, dict[tuple[str, ...], dict[str, bool]]]:
    """Data set to (generator, scorer, target, pooling) to image id to right."""
    found: dict[str, Any] = {}
    for path in store.layout.results.glob("*/probes/*.parquet"):
        row = pq.read_table(path).to_pylist()[0]
        table = pq.read_table(path.parent.parent / "predictions" / path.name).to_pydict()
        key = (row["regions"].partition("(")[0], row["scorer"], row["target"], row["pool"])
        of = {i: a == b for i, a, b in zip(table["image_id"], table["label"], table["prediction"], strict=True)}
        found.setdefault(row["dataset"], {})[key] = of
    return found


def by_loop(right: dict[tuple[str, ...], dict[str, bool]], contrast: paper_claims.Contrast) -> np.ndarray:
    def of(cell: paper.Cell) -> dict[str, bool]:
        pool = "topk" if cell.k == "5" else f"topk(k={cell.k!r})" if cell.k == "all" else f"topk(k={cell.k})"
        return right[cell.regions, cell.scorer, cell.target, pool]

    images = sorted(of(contrast.pairs[0][0]))
    return np.array([np.mean([int(of(a)[i]) - int(of(b)[i]) for a, b in contrast.pairs]) for i in images])


def test_what_is_missing_is_named_with_the_command_that_makes_it(study: Store, run: Run) -> None:
    rows = run("claims", "cub", "--head", "logreg(C=10)", "--json").json["claims"]
    assert {r["verdict"] for r in rows} == {"missing"} and {r["difference"] for r in rows} == {None}
    by_name = {r["claim"]: r for r in rows}
    command = by_name["all regions help masks"]["next"]
    assert command == 'fgscore sweep cub --table 4 --head "logreg(C=10)"'
    out = run("claims", "cub", "--head", "logreg(C=10)").out
    assert f"Next: {command}" in out
    assert run("sweep", "cub", "--table", "4", "--head", "logreg(C=10)").code == 0
    again = {r["claim"]: r for r in run("claims", "cub", "--json").json["claims"]}
    assert {r["head"] for r in again.values()} == {"logreg(C=10)"}, "the head that has results"
    assert again["all regions help masks"]["verdict"] != "missing"
    assert again["crops beat masks"]["verdict"] == "missing"


def test_without_masks_in_the_cache_the_way_out_is_extract(study: Store, run: Run) -> None:
    (folder,) = [p for p in (study.layout.cache / "cub" / "region_embeddings").iterdir() if is_sam(study, p)]
    __import__("shutil").rmtree(folder)
    rows = {r["claim"]: r for r in claim_rows(study, "cub")}
    extract = "fgscore extract \"folder(name='cub')\" --regions sam --encoder fake --prompt plain"
    assert rows["crops beat masks"]["next"] == extract
    assert rows["all regions hurt crops"]["next"] == "fgscore sweep cub --table 3"


def test_whole_images_alone_have_nothing_to_say(study: Store, run: Run) -> None:
    import shutil

    for kind in ("regions", "region_embeddings"):
        shutil.rmtree(study.layout.cache / "cub" / kind)
    failed = run("claims", "cub")
    assert (failed.code, "found whole images alone of cub" in failed.message) == (1, True)


def is_sam(store: Store, folder: Path) -> bool:
    from fgscore.store import manifest

    return store.parent(manifest.load(folder), "regions").recipe.name == "sam"


def test_stale_results_do_not_count(study: Store, run: Run) -> None:
    import dataclasses

    from fgscore.store import index as index_store
    from fgscore.store import match

    run("sweep", "cub", "--table", "4", *FAST)
    bundle = match.bundles(study, "cub")[0]
    changed = dataclasses.replace(bundle.index, labels=(bundle.index.labels + 1) % 5)
    index_store.write(study.layout, changed, bundle.index_artefact.recipe)
    assert {r["verdict"] for r in run("claims", "cub", "--json").json["claims"]} == {"missing"}


def test_the_margin_decides_what_is_equal(study: Store, run: Run) -> None:
    run("sweep", "cub", "--table", "all", *FAST)
    wide = {r["claim"]: r for r in run("claims", "cub", "--margin", "60", "--json").json["claims"]}
    assert wide["k hardly matters from 2 to 7"]["verdict"] == "supported"
    assert wide["k hardly matters from 2 to 7"]["margin"] == pytest.approx(0.6)
    assert run("claims", "cub", "--margin", "0").code == 2


def printed(root: Path) -> dict[tuple[str, ...], float]:
    with open(root / "fgscore" / "study" / "paper.csv", encoding="utf-8") as file:
        keys = ("table", "dataset", "regions", "scorer", "target", "k")
        return {tuple(row[k] for k in keys): float(row["value"]) for row in csv.DictReader(file)}


def test_crops_and_masks_by_the_papers_figures(root: Path) -> None:
    values = printed(root)
    for dataset in paper.DATASETS:
        gaps = [
            values["1", dataset, "random_crop", s, t, "5"] - values["1", dataset, "sam", s, t, "5"]
            for s in ("region_text", "hard_margin", "soft_margin", "entropy")
            for t in ("global", "local")
        ]
        found = paper_claims.printed(CLAIMS[0], 0.01, dataset)
        assert found.value == pytest.approx(np.mean(gaps)) and found.supported
    assert paper_claims.printed(CLAIMS[0], 0.01).datasets == 5


def test_pseudo_labels_and_true_labels_by_the_papers_figures(root: Path) -> None:
    """Table 2 prints the difference itself; CUB's soft margin on masks is the largest."""
    (claim,) = [c for c in CLAIMS if "near true" in c.name]
    found = paper_claims.printed(claim, 0.01, "cub")
    assert found.value == pytest.approx(printed(root)["2", "cub", "sam", "soft_margin", "delta_global", "5"])
    assert not found.supported
    assert paper_claims.printed(claim, 0.25, "cub").supported


def test_all_regions_by_the_papers_figures(root: Path) -> None:
    values = printed(root)
    (hurt,) = [c for c in CLAIMS if c.name == "all regions hurt crops"]
    losses = [
        values["3", d, "random_crop", s, t, "5"] - values["3", d, "random_crop", s, t, "all"]
        for d in paper.DATASETS
        for s in ("soft_margin", "entropy")
        for t in ("global", "local")
    ]
    assert paper_claims.printed(hurt, 0.01).value == pytest.approx(np.mean(losses))


def test_what_the_paper_prints_twice_differs_by_chance() -> None:
    repeats = paper.repeats()
    assert len(repeats) == 40
    assert max(map(abs, repeats)) == pytest.approx(0.0084)


def test_the_report_page_may_call_the_library(study: Store, run: Run) -> None:
    run("sweep", "cub", "--table", "all", *FAST)
    rows = claim_rows(study, "cub", heads=["logreg(C=10)"], margin=0.02)
    assert len(rows) == len(CLAIMS)
    assert rows == run("claims", "cub", "--margin", "2", "--json").json["claims"]


def test_the_table_says_how_it_was_reached(study: Store, run: Run) -> None:
    run("sweep", "cub", "--table", "all", *FAST)
    out = " ".join(run("claims", "cub").out.split())
    assert "The paper prints no intervals" in out
    assert "the variance of training is not in them" in out
    assert "differ by up to 0.84 points" in out

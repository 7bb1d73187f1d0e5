"""Verdicts: by hand on outcomes, on results of a cache against plain loops, and on the paper's own figures."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fgscore.evaluate import results
from fgscore.heads import Head
from fgscore.stats.crossed import contrast
from fgscore.store import index as index_store
from fgscore.store import match
from fgscore.store.cache import Store
from fgscore.study import beside, claims, cost_claim, paper, paper_claims
from fgscore.study.claims import CLAIMS
from fgscore.study.claims import verdicts as claim_rows
from fgscore.study.grid import Family
from fgscore.study.known import Study

Run = Callable[..., Any]
FAST = ("--head", "logreg(C=10)")
CROPS_BEAT_MASKS = next(c for c in CLAIMS if c.name == "crops beat masks")


def test_the_verdicts_of_a_cache(study: Store, run: Run) -> None:
    assert run("sweep", "--table", "all", *FAST).code == 0
    rows = run("claims", *FAST, "--json").json["claims"]
    names = [*(c.name for c in CLAIMS), cost_claim.NAME]
    assert [(r["dataset"], r["claim"]) for r in rows] == [(d, name) for d in ("cub", "pets") for name in names]
    right = all_outcomes(study)
    for row in (row for row in rows if row["kind"] != cost_claim.KIND):
        claim = next(c for c in CLAIMS if c.name == row["claim"])
        if claim in beside.CLAIMS:
            assert row["verdict"] == "missing" and row["next"].startswith("fgscore extract")
            continue
        crops = any(cell.regions == "random_crop" for cell in claim.cells)
        assert (row["verdict"] == "one draw") == crops and row["next"] == ""
        assert row["more"].startswith("fgscore extract") == crops
        if claim.name == "the score carries information":
            continue  # shuffled has five seeds
        values = {c.name: by_loop(right[row["dataset"]], c) for c in claim.contrasts}
        effects = {name: contrast(v) for name, v in values.items()}
        assert row["difference"] == pytest.approx(values[row["contrast"]].mean())
        assert row["n_test"] == 60
        if claim.kind == "better":
            assert row["difference"] == pytest.approx(min(v.mean() for v in values.values()))
            assert (row["low"], row["high"]) == pytest.approx(effects[row["contrast"]].interval(), rel=1e-6)
        else:
            assert row["bound"] == pytest.approx(max(e.bound for e in effects.values()), rel=1e-6)


def test_claims_use_every_draw_and_seed_that_has_results(study: Store, run: Run, invent_into: Run) -> None:
    invent_into(study.layout, "mine", seed=3, crop_seeds=3)
    assert run("sweep", "mine", "--table", "1", *FAST).code == 0
    rows = {r["claim"]: r for r in run("claims", "mine", "--json").json["claims"]}
    row = rows["global pseudo-labels beat local ones"]
    assert row["draws"] == 3 and set(row["shares"]) == {"images", "draws"} and row["more"] == ""
    assert row["verdict"] not in ("missing", "one draw", "two draws")
    found = results.read_all(study.layout.results, "mine")

    def of(regions: str, scorer: str, target: str) -> dict[str, np.ndarray]:
        own = sorted((r for r in found if r.regions.startswith(regions) and (r.scorer, r.target) == (scorer, target)),
                     key=lambda r: r.regions)  # fmt: skip
        kept = [results.read_predictions(r.place) for r in own if r.place]
        table = [dict(zip(p.image_ids.tolist(), p.right.tolist(), strict=True)) for p in kept if p]
        return {i: np.array([float(t[i]) for t in table]) for t in table[:1] for i in sorted(t)}

    d = []
    for regions in ("random_crop", "sam"):
        for scorer in paper_claims.TARGETED:
            a, b = of(regions, scorer, "global"), of(regions, scorer, "local")
            d.append(np.array([(a[i] - b[i]) * np.ones(3) for i in a]))
    wanted = contrast(np.mean(d, axis=0), ["draws"])
    assert (row["difference"], row["shares"]) == (pytest.approx(wanted.value), pytest.approx(wanted.shares))


def test_seeds_of_the_papers_head_are_used_and_the_line_that_adds_more_is_said(study: Store, run: Run) -> None:
    pytest.importorskip("torch")
    head = "adamw(epochs=1)"
    assert run("sweep", "cub", "--table", "4", "--head", head, "--seed", "0", "--seed", "7").code == 0
    rows = {r["claim"]: r for r in run("claims", "cub", "--json").json["claims"] if r["head"] == head}
    row = rows["all regions help masks"]
    assert (row["seeds"], row["verdict"]) == (2, "two draws")
    assert row["more"] == f'fgscore sweep cub --table 4 --head "{head}" --head-seeds 3'


def test_three_data_sets_are_taken_together_and_two_are_not(study: Store, run: Run, invent_into: Run) -> None:
    invent_into(study.layout, "mine", seed=3)
    assert run("sweep", "--table", "4", *FAST).code == 0
    rows = [r for r in run("claims", *FAST, "--json").json["claims"] if r["claim"] == "all regions help masks"]
    assert [r["dataset"] for r in rows] == ["cub", "mine", "pets", "all"]
    *own, whole = rows
    assert whole["difference"] == pytest.approx(np.mean([r["difference"] for r in own])), "each weighs the same"
    assert whole["n_test"] == 180 and 0 <= whole["agree"] <= 3


def test_a_photo_of_several_data_sets_counts_once(study: Store, run: Run, invent_into: Run) -> None:
    invent_into(study.layout, "mine", seed=3, of_cub=72)  # four classes of five
    assert run("sweep", "--table", "4", *FAST).code == 0
    rows = [r for r in run("claims", *FAST, "--json").json["claims"] if r["claim"] == "all regions help masks"]
    assert [(r["dataset"], r["n_test"], r["repeated"]) for r in rows] == [
        ("cub", 60, 0), ("mine", 60, 0), ("pets", 60, 0), ("all", 180 - 48, 48)]  # fmt: skip
    assert "48 test images of the data sets taken together are files" in " ".join(run("claims", *FAST).out.split())


def test_a_copy_and_its_data_set_are_one_of_several(study: Store) -> None:
    """A limited copy beside the whole set: each image once, by the whole set."""
    whole = match.bundles(study, "cub")[0]
    limited = replace(whole.index_artefact.recipe, extra={**whole.index_artefact.recipe.extra, "limit": 4})
    copied = replace(whole, index_artefact=replace(whole.index_artefact, recipe=limited))
    others = [match.bundles(study, "pets")[0]]
    made = [Study(Family((b,)), Head.built_in("logreg"), []) for b in (copied, whole, *others)]
    assert claims._pooled(made) == [], "two data sets, not three"


def test_three_test_images_support_nothing(study: Store, run: Run, invent_into: Run) -> None:
    invent_into(study.layout, "mine", seed=3, crop_seeds=3)
    bundle = match.bundles(study, "mine")[0]
    split = bundle.index.split.copy()
    split[np.flatnonzero(split == "test")[3:]] = "val"
    index_store.write(study.layout, replace(bundle.index, split=split), bundle.index_artefact.recipe)
    assert run("sweep", "mine", "--table", "all", *FAST).code == 0
    rows = run("claims", "mine", *FAST, "--json").json["claims"]
    judged = [row for row in of_outcomes(rows) if row["verdict"] != "missing"]
    assert len(judged) == len(paper_claims.CLAIMS) and {row["n_test"] for row in judged} == {3}
    assert not {row["verdict"] for row in judged} & {"supported", "contradicted"}


def of_outcomes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of claims that results decide, not the one of cost."""
    return [row for row in rows if row["kind"] != cost_claim.KIND]


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
        if cell.scorer in ("mean", "self"):
            return right[cell.regions, "", "", cell.scorer]
        pool = "topk" if cell.k == "5" else f"topk(k={cell.k!r})" if cell.k == "all" else f"topk(k={cell.k})"
        return right[cell.regions, cell.scorer, cell.target, pool]

    images = sorted(of(contrast.pairs[0][0]))
    return np.array([np.mean([int(of(a)[i]) - int(of(b)[i]) for a, b in contrast.pairs]) for i in images])


def test_what_is_missing_is_named_with_the_command_that_makes_it(study: Store, run: Run) -> None:
    rows = run("claims", "cub", "--head", "logreg(C=10)", "--json").json["claims"]
    assert {r["verdict"] for r in of_outcomes(rows)} == {"missing"} and {r["difference"] for r in rows} == {None}
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
    assert {r["verdict"] for r in of_outcomes(run("claims", "cub", "--json").json["claims"])} == {"missing"}


def test_the_margin_decides_what_is_equal(study: Store, run: Run, invent_into: Run) -> None:
    invent_into(study.layout, "mine", seed=3, crop_seeds=3)
    run("sweep", "mine", "--table", "3", "--table", "4", *FAST)
    wide, narrow = ({r["claim"]: r for r in run("claims", "mine", "--margin", m, "--json").json["claims"]}
                    ["k hardly matters from 2 to 7"] for m in ("60", "0.1"))  # fmt: skip
    assert (wide["verdict"], wide["margin"]) == ("equivalent", pytest.approx(0.6))
    assert narrow["verdict"] == "could not be decided" and narrow["bound"] == pytest.approx(wide["bound"])
    assert run("claims", "mine", "--margin", "0").code == 2


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
        found = paper_claims.printed(CROPS_BEAT_MASKS, 0.01, dataset)
        assert found and found.value == pytest.approx(np.mean(gaps)) and found.supported
    whole = paper_claims.printed(CROPS_BEAT_MASKS, 0.01)
    assert whole and whole.datasets == 5 and whole.verdict == "supported"


def test_pseudo_labels_and_true_labels_by_the_papers_figures(root: Path) -> None:
    """Table 2 prints the difference itself; CUB's soft margin on masks is the largest."""
    (claim,) = [c for c in CLAIMS if c.name == "global pseudo-labels come near true labels"]
    found = paper_claims.printed(claim, 0.01, "cub")
    assert found and found.value == pytest.approx(printed(root)["2", "cub", "sam", "soft_margin", "delta_global", "5"])
    assert not found.supported
    wide = paper_claims.printed(claim, 0.25, "cub")
    assert wide and wide.supported


def test_all_regions_by_the_papers_figures(root: Path) -> None:
    values = printed(root)
    (hurt,) = [c for c in CLAIMS if c.name == "all regions hurt crops"]
    losses = [
        values["3", d, "random_crop", s, t, "5"] - values["3", d, "random_crop", s, t, "all"]
        for d in paper.DATASETS
        for s in ("soft_margin", "entropy")
        for t in ("global", "local")
    ]
    found = paper_claims.printed(hurt, 0.01)
    assert found and found.value == pytest.approx(np.mean(losses))


def test_what_the_paper_prints_twice_differs_by_chance() -> None:
    repeats = paper.repeats()
    assert len(repeats) == 40
    assert max(map(abs, repeats)) == pytest.approx(0.0084)


def test_the_papers_figures_are_judged_by_their_own_noise() -> None:
    """Two single cells differ by 0.40 rms where nothing differs: sqrt(0.036 + 0.121)."""
    assert 100 * paper_claims.noise(1, 1) == pytest.approx(np.sqrt(np.mean(np.square(paper.repeats()))) * 100, abs=0.01)
    assert paper_claims.noise(4, 5) == pytest.approx(np.sqrt((0.036 + 0.121 / 4) / 5) / 100)
    by_name = {c.name: paper_claims.printed(c, 0.01) for c in CLAIMS}
    strongest = by_name["soft margin is the strongest scorer"]
    assert strongest and 0 < strongest.value < 0.0005 and strongest.verdict == "within its noise"
    assert by_name["the score carries information"] is None, "the paper has no such control"


def test_the_report_page_may_call_the_library(study: Store, run: Run) -> None:
    run("sweep", "cub", "--table", "all", *FAST)
    rows = claim_rows(study, "cub", heads=["logreg(C=10)"], margin=0.02)
    assert len(rows) == len(CLAIMS) + 1, "and what masks cost"
    assert rows == run("claims", "cub", "--margin", "2", "--json").json["claims"]


def test_the_table_says_how_it_was_reached(study: Store, run: Run) -> None:
    run("sweep", "cub", "--table", "all", *FAST)
    out = " ".join(run("claims", "cub").out.split())
    assert "The paper prints no intervals" in out
    assert "images and seeds vary in them, training images never do" in out
    assert "differ by up to 0.84 points" in out


def test_the_rows_of_the_tables_are_those_of_the_sweep_without_computing(study: Store, run: Run, tmp_path: Any) -> None:
    """All draws and seeds that were probed, controls and baselines among them."""
    swept = run("sweep", "cub", "--table", "1", *FAST, "--json").json["results"]
    found = [row for row in claims.compared(study, "cub") if row["table"] == 1]
    assert len(found) == len(swept)
    measured = ("accuracy", "low", "high", "difference", "p", "p_holm", "word", "differ", "visible", "draws", "seeds")
    for row, own in zip(swept, found, strict=True):
        assert {key: own[key] for key in ("scorer", "target", "pool", "against")} == {
            key: row[key] for key in ("scorer", "target", "pool", "against")}  # fmt: skip
        assert [own[key] for key in measured] == pytest.approx([row[key] for key in measured])
        assert own["computed"] == 0
    assert run("report", "cub", "--no-plots", "--images", 0, "--out", tmp_path / "out").code == 0
    assert "against the mean of the same regions" in (tmp_path / "out" / "sweep-1.md").read_text(encoding="utf-8")

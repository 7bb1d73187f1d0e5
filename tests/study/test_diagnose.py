"""Diagnostics against plain loops over the cache and the kept predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from fgscore.errors import DataError
from fgscore.evaluate.score import runs_for
from fgscore.evaluate.score import score as run_scores
from fgscore.heads import Head
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.study import diagnose as library
from fgscore.study import grid
from fgscore.targets import Target

Run = Callable[..., Any]
ARGS = ("cub", "--scorer", "soft_margin", "--scorer", "entropy", "--k", "2", "--head", "logreg(C=10)", "--json")


def diagnosed(run: Run, *more: str) -> Any:
    done = run("diagnose", *ARGS, *more)
    assert done.code == 0, done.err
    return done.json


def bundle_of(store: Store, generator: str) -> RegionBundle:
    (bundle,) = match.bundles(store, "cub", generator)
    assert isinstance(bundle, RegionBundle)
    return bundle


def images(bundle: RegionBundle, scorer: str = "soft_margin") -> list[dict[str, Any]]:
    """Every image: label, split, global, regions, areas, scores against the global pseudo-label; float64."""
    (run,) = runs_for(bundle, [Scorer.bind(scorer)], [Target.bind("global")])
    run_scores([run])
    index, found = bundle.index, []
    row_of = {image_id: i for i, image_id in enumerate(index.image_ids.tolist())}
    for number in bundle.globals.shard_sizes:
        whole, cut = (bundle.store.read(a, number) for a in (bundle.globals, bundle.region_embeddings))
        batch, scored = bundle.store.read(bundle.regions, number), bundle.store.read(run.artefact, number)
        for i, image_id in enumerate(whole.image_ids.tolist()):
            own = slice(*cut.offsets[i : i + 2])
            found.append(
                {
                    "label": int(index.labels[row_of[image_id]]),
                    "split": str(index.split[row_of[image_id]]),
                    "global": whole.globals[i].astype(np.float64),
                    "regions": cut.regions[own].astype(np.float64),
                    "area": batch.area[own],
                    "scores": scored.scores[own].astype(np.float64),
                }
            )
    return found


@pytest.mark.parametrize("generator", ["random_crop", "sam"])
def test_pseudo_labels_are_counted_image_by_image(study: Store, run: Run, generator: str) -> None:
    rows = {r["split"]: r for r in diagnosed(run, "--regions", generator)["pseudo_labels"]}
    bundle = bundle_of(study, generator)
    text = bundle.text_bank.text.astype(np.float64)
    for split in ("train", "test"):
        per_image, per_region, some, agree, count = [], [], [], [], 0
        for image in (i for i in images(bundle) if i["split"] == split):
            pseudo = int((image["global"] @ text.T).argmax())
            per_image.append(pseudo == image["label"])
            own = (image["regions"] @ text.T).argmax(axis=1) if len(image["regions"]) else []
            count += len(own)
            if len(own):
                per_region.append(np.mean([c == image["label"] for c in own]))
                some.append(any(c == image["label"] for c in own))
                agree.append(np.mean([c == pseudo for c in own]))
        row = rows[split]
        assert (row["images"], row["n_regions"]) == (len(per_image), count)
        wanted = [np.mean(v) for v in (per_image, per_region, some, agree)]
        assert [row[k] for k in ("per_image", "per_region", "some_region", "agree")] == pytest.approx(wanted)
    assert set(rows) == {"train", "test"}


@pytest.mark.parametrize("generator", ["random_crop", "sam"])
def test_area_and_weights_of_a_scorer(study: Store, run: Run, generator: str) -> None:
    rows = diagnosed(run, "--regions", generator)["scorers"]
    row = next(r for r in rows if r["scorer"] == "soft_margin")
    correlation, effective, kept_area = [], [], []
    for image in images(bundle_of(study, generator)):
        s = image["scores"]
        if len(s) >= 3:
            correlation.append(spearmanr(s, image["area"]).statistic)
        if len(s):
            best = np.argsort(-s, kind="stable")[:2]
            w = np.exp(s[best]) / np.exp(s[best]).sum()
            effective.append(1 / (w**2).sum())
            kept_area.append(image["area"][best].mean())
    assert row["area_correlation"] == pytest.approx(np.nanmean(correlation), abs=1e-6)
    assert row["effective"] == pytest.approx(np.mean(effective), rel=1e-5)
    assert 1 <= row["effective"] <= 2
    assert row["area_kept"] == pytest.approx(np.mean(kept_area), rel=1e-5)


@pytest.mark.parametrize("generator", ["random_crop", "sam"])
def test_agreement_is_the_shared_part_of_the_top_k(study: Store, run: Run, generator: str) -> None:
    (row,) = diagnosed(run, "--regions", generator)["agreement"]
    bundle = bundle_of(study, generator)
    overlap, chance = [], []
    for a, b in zip(images(bundle, "soft_margin"), images(bundle, "entropy"), strict=True):
        if not len(a["scores"]):
            continue
        best = [set(np.argsort(-image["scores"], kind="stable")[:2].tolist()) for image in (a, b)]
        k = min(2, len(a["scores"]))
        overlap.append(len(best[0] & best[1]) / k)
        chance.append(k / len(a["scores"]))
    assert (row["a"], row["b"]) == ("soft_margin, target global", "entropy, target global")
    assert (row["overlap"], row["chance"]) == pytest.approx((np.mean(overlap), np.mean(chance)))


def test_confusions_and_flips_are_those_of_the_predictions(study: Store, run: Run) -> None:
    results = diagnosed(run, "--regions", "sam")["results"]
    tables = {}
    for path in study.layout.results.glob("cub/probes/*.parquet"):
        row = pq.read_table(path).to_pylist()[0]
        table = pq.read_table(path.parent.parent / "predictions" / path.name).to_pydict()
        tables[row["scorer"]] = dict(
            zip(table["image_id"], zip(table["label"], table["prediction"], strict=True), strict=True)
        )
    assert [r["scorer"] for r in results] == ["", "soft_margin", "entropy"]
    for result in results:
        of = tables[result["scorer"]]
        wrong = Counter((f"kind {a}", f"kind {b}") for a, b in of.values() if a != b)
        assert [p["images"] for p in result["pairs"]] == sorted(wrong.values(), reverse=True)[:5]
        assert all(wrong[p["true"], p["predicted"]] == p["images"] for p in result["pairs"])
        assert all(p["share"] == pytest.approx(p["images"] / 12) for p in result["pairs"])
        assert [c["accuracy"] for c in result["classes"]] == sorted(c["accuracy"] for c in result["classes"])
        for c in result["classes"]:
            rights = [a == b for a, b in of.values() if a == c["label"]]
            assert (c["n"], c["accuracy"]) == (12, pytest.approx(np.mean(rights)))
        if result["scorer"]:
            whole = tables[""]
            right = {i: (of[i][0] == of[i][1], whole[i][0] == whole[i][1]) for i in of}
            assert result["mended"] == sorted(i for i, (now, then) in right.items() if now and not then)
            assert result["broke"] == sorted(i for i, (now, then) in right.items() if then and not now)
            anew = [i for i, (now, then) in right.items() if not now and not then and of[i][1] != whole[i][1]]
            assert result["still_wrong"] == len(anew)


def test_a_result_that_is_not_there_is_named_with_the_way_out(study: Store) -> None:
    family = grid.families(match.bundles(study, "cub", "sam"))[0]
    plan = grid.Plan([grid.fixed(Head.bind("logreg(C=10)"))])
    asked = [Scorer.bind("entropy")], [Target.bind("global")], [Pooling.bind("topk")]
    line = grid.own_lines(family, *asked, plan, standing=False)[1]
    with pytest.raises(DataError, match="no such result of cub is there; run `fgscore probe cub .*entropy"):
        library.confusions(line.runs[0])


def test_nothing_wrong_makes_no_pairs(study: Store, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    family = grid.families(match.bundles(study, "cub", "sam"))[0]
    plan = grid.Plan([grid.fixed(Head.bind("zeroshot"))])
    (line,) = grid.Lines(family, plan).of([family.whole], Pooling.bind("none"))
    from fgscore.evaluate.probe import ProbeRun
    from fgscore.evaluate.results import Predictions

    labels = np.arange(5)
    monkeypatch.setattr(ProbeRun, "kept", lambda self: {})
    monkeypatch.setattr(ProbeRun, "predictions", lambda self: Predictions(labels.astype(str), labels, labels))
    found = library.confusions(line.runs[0])
    assert found["pairs"] == [] and {c["accuracy"] for c in found["classes"]} == {1.0}


def test_the_tables_are_printed(study: Store, run: Run) -> None:
    done = run("diagnose", *ARGS[:-1])
    assert done.code == 0, done.err
    for title in ("Pseudo-labels", "Agreement on the top k", "Predictions changed", "Most confused pairs"):
        assert title in done.out

"""Sweeps: the paper's grids, intervals and tests against plain loops, draws, seeds, selection on validation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats as scipy_stats

from fgscore.evaluate import results
from fgscore.pooling import Pooling
from fgscore.stats.accuracy import accuracy
from fgscore.stats.crossed import contrast
from fgscore.stats.paired import holm, mcnemar
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.study import paper
from fgscore.study.paper import Cell
from fgscore.targets import Target

Run = Callable[..., Any]
FAST = ("--head", "logreg(C=10)")


def sweep(run: Run, *args: Any, code: int = 0) -> Any:
    done = run("sweep", *args, "--json")
    assert done.code == code, done.err
    return done.json


def right(store: Store, dataset: str, digest: str) -> dict[str, bool]:
    table = pq.read_table(store.layout.results / dataset / "predictions" / f"{digest[:16]}.parquet").to_pydict()
    return {i: a == b for i, a, b in zip(table["image_id"], table["label"], table["prediction"], strict=True)}


def test_table_one_has_the_papers_rows_in_its_order(study: Store, run: Run) -> None:
    rows = sweep(run, "cub", "--table", "1", *FAST)["results"]
    found = [
        (r["regions"].partition("(")[0], r["scorer"] or r["pool"], r["target"]) for r in rows if not r["is_control"]
    ]
    assert found == [(c.regions, c.scorer, c.target) for c in paper.cells(1)]
    assert {r["table"] for r in rows} == {1}


def test_every_table_has_its_controls(study: Store, run: Run) -> None:
    for asked in (("--table", "3"), ("--k", "2", "--scorer", "entropy")):
        rows = sweep(run, "cub", *asked, *FAST)["results"]
        whole = [(r["pool"], r["head"]) for r in rows if not r["regions"]]
        none = [("none", head) for head in ("anchored", "logreg(C=10)", "zeroshot")]
        assert sorted(whole) == [*none, ("self", "logreg(C=10)")]
        generators = {r["regions"] for r in rows} - {""}
        for regions in generators:
            of = [r for r in rows if r["regions"] == regions]
            assert [r["against"] for r in of if r["pool"] == "mean"] == ["self"]
            controls = {r["scorer"]: r for r in of if r["is_control"]}
            assert list(controls) == ["random", "shuffled", "reverse"]
            assert {r["p"] for r in controls.values()} == {r["word"] for r in controls.values()} == {None}
            assert {r["against"] for r in of if r["scorer"]} == {"mean"}
            assert controls["random"]["runs"] == 5 and len(set(controls["random"]["digests"])) == 5
    out = run("sweep", "cub", "--k", "2", *FAST).out
    assert "what is scored, against the mean of the same regions" in " ".join(out.split())


def test_without_text_the_controls_are_made_from_what_needs_none(study: Store, run: Run) -> None:
    import shutil

    shutil.rmtree(study.layout.cache / "cub" / "text")
    rows = sweep(run, "cub", "--regions", "sam", "--scorer", "region_global", *FAST)["results"]
    scorers = ["", "", "", "random", "shuffled(of='region_global')", "reverse(of='region_global')", "region_global"]
    assert [r["scorer"] for r in rows] == scorers


@pytest.mark.slow
def test_every_table_of_every_data_set(study: Store, run: Run) -> None:
    result = sweep(run, "--table", "all", *FAST)
    rows = result["results"]
    assert result["skipped"] == []
    counts = [sum(r["table"] == t for r in rows) for t in (1, 2, 3, 4)]
    assert counts == [2 * n for n in (21 + 3 + 6, 24 + 4 + 8, 28 + 4 + 4, 28 + 4 + 4)]
    assert {r["dataset"] for r in rows} == {"cub", "pets"}
    probes = list((study.layout.results / "cub" / "probes").glob("*.parquet"))
    # 21 of table 1, 8 true labels more in table 2, 6 of 7 values of k more for 4 lines in tables 3 and 4 each
    assert len(probes) == 21 + 8 + 4 * 6 * 2 + 3 + 2 * (5 + 5 + 1), "and two by text, twice the global, controls"
    again = sweep(run, "--table", "all", *FAST)["results"]
    assert not any(r["computed"] for r in again)
    assert [r["accuracy"] for r in again] == [r["accuracy"] for r in rows]


def test_a_sweep_that_is_cut_short_goes_on_where_it_stopped(
    study: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fgscore.heads import Head

    fitted, whole = [], Head.__call__

    def interrupted(self: Head, data: Any, near: Any) -> Any:
        if len(fitted) == 5:
            raise KeyboardInterrupt
        fitted.append(self)
        return whole(self, data, near)

    monkeypatch.setattr(Head, "__call__", interrupted)
    assert run("sweep", "cub", "--table", "1", *FAST).code == 130
    kept = len(list(study.layout.results.glob("cub/probes/*.parquet")))
    assert kept in (4, 5)  # one may have been under way beside the one that was interrupted
    monkeypatch.setattr(Head, "__call__", whole)
    rows = sweep(run, "cub", "--table", "1", *FAST)["results"]
    assert sum(r["computed"] for r in rows) == 21 + 3 + 2 * 11 - kept


def test_fits_begin_where_the_first_of_their_width_ended(
    study: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the first two, whatever regions and scorers they are of; so that on any machine the same fits do."""
    from fgscore.heads import Head

    starts: dict[int, list[Any]] = {}
    whole = Head.__call__

    def watched(self: Head, data: Any, near: Any) -> Any:
        starts.setdefault(data.features.shape[1], []).append(near)
        return whole(self, data, near)

    monkeypatch.setattr(Head, "__call__", watched)
    sweep(run, "cub", "--table", "1", *FAST)
    alone, pooled = (starts[width] for width in sorted(starts))
    assert [alone[:2], pooled[:2]] == [[None, None], [None, None]], "the global embedding, and zero-shot"
    assert len(pooled) == 20 + 1 + 2 * 11
    assert len({id(near) for near in pooled[2:]}) == 1 and pooled[2] is not None


def test_fits_of_different_kinds_do_not_wait_for_each_other(
    study: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threading import Barrier

    from fgscore.evaluate import probe
    from fgscore.heads import Head

    both, whole = Barrier(2), Head.__call__

    def met(self: Head, data: Any, near: Any) -> Any:
        both.wait(timeout=10)  # an error where one begins after the other has ended
        return whole(self, data, near)

    monkeypatch.setattr(probe, "processors", lambda: 2)
    monkeypatch.setattr(Head, "__call__", met)
    done = run("probe", "cub", "--pool", "none", "--head", "logreg(C=1)", "--head", "logreg(C=2)")
    assert done.code == 0, done.err


def test_embeddings_are_read_once_for_all_lines(study: Store, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores first, then features: twice over each shard, however many scorers, targets and k there are."""
    from fgscore.evaluate import features as aggregate
    from fgscore.evaluate import score

    read, reader = [], score.read_block

    def counted(bundle: Any, number: int) -> Any:
        read.append((bundle.regions.recipe.name, number))
        return reader(bundle, number)

    monkeypatch.setattr(score, "read_block", counted)
    monkeypatch.setattr(aggregate, "read_block", counted)
    sweep(run, "cub", "--table", "all", *FAST)
    assert len(set(read)) == 6 and len(read) == 2 * 6


def test_a_row_of_a_sweep_is_that_of_probe(study: Store, run: Run) -> None:
    args = ("cub", "--regions", "random_crop", "--scorer", "entropy", "--k", "3", *FAST)
    (probed,) = run("probe", *args, "--json").json["results"]
    rows = sweep(run, *args)["results"]
    (swept,) = [r for r in rows if r["scorer"] == "entropy"]
    assert swept["computed"] == 0
    for key in ("accuracy", "low", "high", "per_class", "n_test", "pool", "head", "regions", "encoder"):
        assert swept[key] == (pytest.approx(probed[key]) if isinstance(probed[key], float) else probed[key]), key
    (path,) = [p for p in study.layout.results.glob("cub/probes/*") if p.stem == probed["digest"][:16]]
    (row,) = pq.read_table(path).to_pylist()
    told = {"cached": False, "undecided": "", "training": "converged", "loss": None}
    told |= {key: swept[key] for key in ("macs", "image_seconds", "image_bytes")} | {"macs_note": ""}
    assert {k: v for k, v in row.items() if k not in ("lineage", "sealed")} | told == probed


def test_differences_and_p_are_those_of_the_predictions(study: Store, run: Run) -> None:
    rows = sweep(run, "cub", "--table", "1", *FAST)["results"]
    assert rows[0]["difference"] is None and rows[0]["p"] is None
    names = {"mean": "mean", "self": "self", "global": "none"}
    of = {(r["pool"], r["regions"]): right(study, "cub", r["digests"][0]) for r in rows if not r["scorer"]}
    p = []
    for row in (r for r in rows if r["against"] and not r["is_control"]):
        whole = of[names[row["against"]], row["regions"] if row["against"] == "mean" else ""]
        ours = right(study, "cub", row["digests"][0])
        assert set(ours) == set(whole) and len(ours) == 60
        assert row["difference"] == pytest.approx(np.mean([ours[i] - whole[i] for i in whole]))
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
        d = np.array([float(ours[i]) - whole[i] for i in whole])
        more = np.append(d, (1, -1))
        half = scipy_stats.t.ppf(0.975, 59) * scipy_stats.sem(more)
        assert row["difference_high"] - row["difference"] == pytest.approx(half)
        assert row["differ"] == np.abs(d).sum()
        crops = row["regions"].startswith("random_crop")
        assert (row["p"] is None) == crops == (row["word"] == "one draw"), "crops were drawn once"
        if not crops:
            p.append(row["p"])
            assert row["p"] == pytest.approx(2 * scipy_stats.t.sf(abs(d.mean()) / scipy_stats.sem(more), 59))
            both = [np.array([outcomes[i] for i in whole]) for outcomes in (ours, whole)]
            assert row["p_mcnemar"] == pytest.approx(mcnemar(*both).p)
    told = [r["p_holm"] for r in rows if r["p"] is not None]
    assert told == pytest.approx(holm(p).tolist()) and len(told) == 10
    assert {r["comparisons"] for r in rows if r["against"] and not r["is_control"]} == {20}


def test_p_of_a_table_does_not_change_when_another_is_asked_for(study: Store, run: Run) -> None:
    def told(*tables: str) -> list[tuple[float | None, ...]]:
        asked = [word for table in tables for word in ("--table", table)]
        rows = sweep(run, "cub", *asked, *FAST)["results"]
        return [tuple(r[key] for key in ("p", "p_holm", "df", "word", "visible")) for r in rows if r["table"] == 1]

    assert told("1") == told("1", "2") == told("2", "1")


def test_the_papers_numbers_stand_beside_ours(study: Store, run: Run) -> None:
    rows = sweep(run, "cub", "--table", "1", "--table", "2", *FAST)["results"]
    for row in (r for r in rows if r["paper"] is not None):
        k = "5" if row["pool"].startswith("topk") else ""
        scorer = row["scorer"] or row["pool"]
        cell = Cell(row["table"], row["regions"].partition("(")[0], scorer, row["target"], k)
        assert row["paper"] == paper.accuracy("cub", cell) is not None
        assert row["upper_bound"] == (row["target"] == "oracle")
    out = run("sweep", "cub", "--table", "2", *FAST).out
    assert "(upper" in out and "reads the labels of test images" in " ".join(out.split())
    line = " ".join(line for line in out.splitlines() if "oracle" in line and "Soft" in line and "sam" in line)
    assert "0.7002" in line
    oracle = next(r for r in rows if r["target"] == "oracle" and r["scorer"] == "soft_margin" and "sam" in r["regions"])
    assert f"{100 * (oracle['accuracy'] - 0.7002):+.2f}" in line


def test_a_part_of_a_data_set_or_fewer_shots_are_not_set_beside_the_paper(
    study: Store, run: Run, invent_into: Callable[..., None]
) -> None:
    invent_into(study.layout, "mine", seed=3)
    assert {r["paper"] for r in sweep(run, "mine", "--table", "1", *FAST)["results"]} == {None}
    few = sweep(run, "cub", "--table", "1", "--shots", "2", *FAST)["results"]
    assert {r["paper"] for r in few} == {None} and {r["n_train"] for r in few if r["head"] != "zeroshot"} == {10}


def test_lists_in_a_component_stand_for_one_of_each(study: Store, run: Run) -> None:
    args = ("cub", "--regions", "sam", "--scorer", "entropy(tau=[10,30.5], lam=[0.1,0.2])", "--k", "2", *FAST)
    rows = sweep(run, *args)["results"]
    assert [r["scorer"] for r in rows if r["scorer"] and not r["is_control"]] == [
        "entropy(tau=10)", "entropy(tau=10, lam=0.2)", "entropy(tau=30.5)", "entropy(tau=30.5, lam=0.2)",
    ]  # fmt: skip
    heads = sweep(run, "cub", "--pool", "none", "--head", "logreg(C=[1,10])")["results"]
    by_text = ["zeroshot", "anchored"]
    assert [r["head"] for r in heads if r["pool"] == "none"] == by_text + ["logreg(C=1)", "logreg(C=10)"]
    assert [r["against"] for r in heads if r["pool"] == "self"] == ["global", "global"]


def test_draws_are_disjoint_blocks_of_cached_crops(study: Store, run: Run) -> None:
    args = ("cub", "--regions", "random_crop", "--scorer", "soft_margin", "--k", "2", *FAST)
    rows = sweep(run, *args, "--n-regions", "4", "--resamples", "3")["results"]
    row = rows[-1]
    assert (row["runs"], len(set(row["digests"]))) == (3, 3)
    parts = [right(study, "cub", digest) for digest in row["digests"]]
    accuracies = [np.mean(list(part.values())) for part in parts]
    assert len(set(accuracies)) > 1
    assert row["accuracy"] == pytest.approx(np.mean(accuracies))
    assert row["spread"] == pytest.approx(np.std(accuracies, ddof=1))
    y = np.array([[part[i] for part in parts] for i in sorted(parts[0])], float)
    wanted = accuracy(y, ["draws"])
    assert (row["low"], row["high"], row["draws"]) == (pytest.approx(wanted.low), pytest.approx(wanted.high), 3)
    assert set(row["shares"]) == {"images", "draws"} and row["p"] is not None
    kept = {pq.read_table(p)["crops"][0].as_py() for p in (study.layout.results / "cub" / "probes").iterdir()}
    assert kept == {"", "0:4", "4:8", "8:12"}


def test_cached_seeds_of_crops_are_draws_of_one_row(study: Store, run: Run, invent_into: Callable[..., None]) -> None:
    invent_into(study.layout, "mine", seed=3, crop_seeds=3)
    rows = sweep(run, "mine", "--scorer", "entropy", *FAST)["results"]
    by = {(r["regions"].partition("(")[0], r["scorer"] or r["pool"]): r for r in rows}
    scored, mean, masks = (by[key] for key in (("random_crop", "entropy"), ("random_crop", "mean"), ("sam", "entropy")))
    assert [r["regions"] for r in rows].count("random_crop(n=12)") == 5, "one row for all three seeds"
    assert [(r["runs"], r["draws"]) for r in (scored, mean, masks)] == [(3, 3), (3, 3), (1, 0)]
    a, b = ([right(study, "mine", digest) for digest in r["digests"]] for r in (scored, mean))
    d = np.array([[float(one[i]) - other[i] for one, other in zip(a, b, strict=True)] for i in sorted(a[0])])
    own = contrast(d, ["draws"])
    assert (scored["difference"], scored["shares"]) == (pytest.approx(own.value), pytest.approx(own.shares))
    assert scored["word"] not in (None, "one draw", "two draws")
    one = sweep(run, "mine", "--scorer", "entropy", "--draws", "2", "--regions", "random_crop", *FAST)["results"]
    assert one[-1]["draws"] == 2 and one[-1]["digests"] == scored["digests"][:2]


def test_every_draw_has_seeds_of_its_own_and_what_has_none_is_paired_with_all(study: Store, run: Run) -> None:
    pytest.importorskip("torch")
    head = ("--head", "adamw(epochs=1)", "--n-regions", "4", "--draws", "3", "--head-seeds", "2")
    rows = sweep(run, "cub", "--regions", "random_crop", "--pool", "mean", *head)["results"]
    by = {r["pool"]: r for r in rows if r["head"].startswith("adamw")}
    kept = {r.digest: (r.crops, r.seed) for r in results.read_all(study.layout.results, "cub")}
    runs = {pool: [kept[digest] for digest in r["digests"]] for pool, r in by.items()}
    seeds = [0, 1, 100, 101, 200, 201]
    assert runs["mean"] == list(zip(["0:4"] * 2 + ["4:8"] * 2 + ["8:12"] * 2, seeds, strict=True))
    assert runs["self"] == runs["none"] == [("", seed) for seed in seeds]
    assert set(by["mean"]["shares"]) == {"images", "draws"}, "seeds are averaged within their draw"
    assert (by["self"]["seeds"], set(by["self"]["shares"])) == (6, {"images", "seeds"})
    named = sweep(run, "cub", "--regions", "random_crop", "--pool", "mean", *head[:6], "--seed", "0", "--seed", "1")
    (mean,) = [r for r in named["results"] if r["pool"] == "mean"]
    assert set(mean["shares"]) == {"images", "draws", "seeds"}, "the same seeds in every draw are a factor of their own"


def test_a_draw_is_what_a_smaller_cache_would_have_given(study: Store, run: Run) -> None:
    """Blocks 0:4 and 8:12 against features made by hand from those crops alone."""
    from fgscore.evaluate.features import FeatureRun, matrix
    from fgscore.evaluate.score import runs_for
    from fgscore.evaluate.score import score as run_scores
    from fgscore.scorers import Scorer
    from fgscore.store import match

    (bundle,) = match.bundles(study, "cub", "random_crop")
    assert isinstance(bundle, RegionBundle)
    scored = runs_for(bundle, [Scorer.bind("region_global")], [Target.bind("global")])
    run_scores(scored)
    for start, stop in ((0, 4), (8, 12)):
        found = matrix(FeatureRun(bundle, Pooling.bind("topk(k=2)"), scored[0], crops=(start, stop)))
        at = 0
        for number in bundle.globals.shard_sizes:
            cut, whole = study.read(bundle.region_embeddings, number), study.read(bundle.globals, number)
            for i in range(len(whole.globals)):
                f = cut.regions[cut.offsets[i] : cut.offsets[i + 1]][start:stop].astype(np.float64)
                s = f @ whole.globals[i].astype(np.float64)
                best = np.argsort(-s)[:2]
                w = np.exp(s[best]) / np.exp(s[best]).sum()
                np.testing.assert_allclose(found.features[at, 12:], w @ f[best], atol=2e-6)
                at += 1


def test_too_few_cached_crops_are_refused_with_the_number_needed(study: Store, run: Run) -> None:
    done = run("sweep", "cub", "--table", "1", "--n-regions", "8", "--resamples", "2", *FAST)
    assert done.code == 2
    command = 'fgscore extract "folder(name=\'cub\')" --regions "random_crop(n=16)" --encoder fake --prompt plain'
    assert f"need 16 cached crops an image, found 12 of cub; run `{command}`" in done.message
    done = run("sweep", "cub", "--draws", "3")
    seeds = ' --regions "random_crop(n=12, seed=1)" --regions "random_crop(n=12, seed=2)"'
    command = f"fgscore extract \"folder(name='cub')\"{seeds} --encoder fake --prompt plain"
    assert (done.code, command in done.message) == (2, True), done.message


def test_masks_have_one_set_and_the_table_says_so(study: Store, run: Run) -> None:
    args = ("cub", "--table", "1", "--n-regions", "4", "--resamples", "2", *FAST)
    rows = sweep(run, *args)["results"]
    rows = [r for r in rows if not r["is_control"]]
    assert {r["runs"] for r in rows if r["regions"].startswith("sam")} == {1}
    assert {r["runs"] for r in rows if r["regions"].startswith("random")} == {2}
    assert {r["word"] for r in rows if r["regions"].startswith("random")} == {"two draws"}
    out = run("sweep", *args).out
    assert len(re.findall(r"\bone set\b(?! an image)", out)) == 10 + 1, "and reversed scores, which are not drawn"
    assert "Masks have one set an image" in out and "training images never do" in " ".join(out.split())


def test_seeds_of_the_papers_head_give_a_spread(study: Store, run: Run) -> None:
    pytest.importorskip("torch")
    args = ("cub", "--pool", "mean", "--regions", "sam", "--head", "adamw(epochs=3, lr=0.1)", "--head", "logreg(C=1)")
    rows = sweep(run, *args, "--head-seeds", "3")["results"]
    assert [(r["head"].partition("(")[0], r["pool"], r["runs"]) for r in rows] == [
        ("zeroshot", "none", 1), ("anchored", "none", 1), ("adamw", "none", 3), ("logreg", "none", 1),
        ("adamw", "self", 3), ("logreg", "self", 1), ("adamw", "mean", 3), ("logreg", "mean", 1),
    ]  # fmt: skip
    assert rows[6]["spread"] > 0 and rows[7]["spread"] is None
    assert (rows[6]["seeds"], set(rows[6]["shares"])) == (3, {"images", "seeds"})
    assert rows[6]["word"] is not None and rows[4]["word"] is None
    named = sweep(run, *args, "--seed", "0", "--seed", "1", "--seed", "2")["results"]
    assert [r["digests"] for r in named] == [r["digests"] for r in rows]
    assert run("sweep", *args, "--seed", "1", "--seed", "2", "--head-seeds", "2").code == 2


def test_seeds_begin_where_they_are_told_to(study: Store, run: Run) -> None:
    pytest.importorskip("torch")
    args = ("cub", "--regions", "random_crop", "--pool", "mean", "--head", "adamw(epochs=1)", "--n-regions", "4")
    rows = sweep(run, *args, "--draws", "2", "--head-seeds", "2", "--seed", "7000")["results"]
    (mean,) = [r for r in rows if r["pool"] == "mean"]
    seeds = {r.digest: r.seed for r in results.read_all(study.layout.results, "cub")}
    assert [seeds[digest] for digest in mean["digests"]] == [7000, 7001, 7100, 7101]
    rest = [sweep(run, *args[:5], *FAST, *seeds)["results"] for seeds in ((), ("--seed", "7000", "--head-seeds", "2"))]
    assert [r["digests"] for r in rest[0]] == [r["digests"] for r in rest[1]], "a head that starts at none has no seed"


def test_selection_looks_at_validation_images_only(study: Store, run: Run, invent_into: Callable[..., None]) -> None:
    invent_into(study.layout, "mine", seed=5, val=4)
    args = ("mine", "--regions", "random_crop", "--scorer", "entropy(tau=[1,30])", "--k", "1", "--k", "3", "--k", "all")
    result = sweep(run, *args, *FAST, "--select", "val")
    candidates = [c for c in result["selection"] if c["scorer"]]
    assert len(candidates) == 6 and sum(c["chosen"] for c in candidates) == 1
    (chosen,) = [c for c in candidates if c["chosen"]]
    best = max(c["validation_accuracy"] for c in candidates)
    assert chosen["validation_accuracy"] == best
    assert chosen is next(c for c in candidates if c["validation_accuracy"] == best), "the first of equals"
    rows = [r for r in result["results"] if r["scorer"] and not r["is_control"]]
    assert [(r["scorer"], r["pool"]) for r in rows] == [(chosen["scorer"], chosen["pool"])]
    assert {r["pool"] for r in result["results"] if r["scorer"]} == {chosen["pool"]}, "controls of what was chosen"
    tested = [pq.read_table(p).to_pylist()[0] for p in (study.layout.results / "mine" / "probes").iterdir()]
    scored = [r for r in tested if r["scorer"].startswith("entropy")]
    assert len(scored) == 1, "no other was measured on test images"
    kept = list((study.layout.results / "mine" / "validation" / "predictions").glob("*.parquet"))
    assert len(kept) == 6
    for path in kept:
        index = np.array([int(i.rpartition("/")[2]) for i in pq.read_table(path)["image_id"].to_pylist()])
        assert ((index % 22 >= 6) & (index % 22 < 10)).all(), "rows of the val split"


def test_selection_without_official_validation_takes_a_part_of_train(study: Store, run: Run) -> None:
    args = ("cub", "--regions", "sam", "--k", "1", "--k", "2", "--head", "logreg(C=[1,100])", "--select", "val")
    result = sweep(run, *args)
    assert sum(c["chosen"] for c in result["selection"]) == 3  # the global probe, the mean, one of the masks
    (path, *_) = (study.layout.results / "cub" / "validation" / "predictions").glob("*.parquet")
    numbers = np.array([int(i.rpartition("/")[2]) for i in pq.read_table(path)["image_id"].to_pylist()])
    assert (numbers % 18 < 6).all() and len(numbers) == 5
    mean, masks = (r for r in result["results"] if r["regions"] and not r["is_control"])
    assert masks["difference"] == pytest.approx(masks["accuracy"] - mean["accuracy"])
    assert [r["head"] for r in result["results"][:2]] == ["zeroshot", "anchored"], "of which none had to be chosen"


def test_one_shot_leaves_nothing_to_select_on(study: Store, run: Run) -> None:
    done = run("sweep", "cub", "--regions", "sam", "--k", "1", "--k", "2", "--shots", "1", *FAST, "--select", "val")
    assert (done.code, "at least 2 train images a class" in done.err) == (1, True)


def test_lines_with_results_are_told_from_those_without(study: Store, run: Run) -> None:
    from fgscore.heads import Head
    from fgscore.store import match
    from fgscore.study import compare, grid

    family = grid.families(match.bundles(study, "cub"))[0]
    plan = grid.Plan([grid.fixed(Head.bind("logreg(C=10)"))])
    lines, missing = grid.paper_lines(family, [1, 4], plan)
    assert missing == [] and compare.with_results(lines) == []
    rows = sweep(run, "cub", "--table", "4", *FAST)["results"]
    some = compare.with_results(lines)
    assert {line.cell.table for line in some if line.cell} == {1, 4}
    assert len([line for line in some if line.cell]) == 28 + 1 + 1 + 4, "global, mean, and four at k = 5, of table 1"
    again = compare.compare([line for line in some if line.table == 4])
    assert [r["accuracy"] for r in again] == [r["accuracy"] for r in rows]


def test_rows_that_the_cache_cannot_make_are_named(study: Store, run: Run) -> None:
    result = sweep(run, "cub", "--table", "1", "--regions", "random_crop", *FAST)
    assert len([r for r in result["results"] if not r["is_control"]]) == 11
    assert result["skipped"] == ["cub: rows of sam left out, as --regions asks"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--table", "5"), "expected 1, 2, 3, 4 or all, found '5'"),
        (("--select", "test"), "expected val, found 'test'"),
        (("--features", "odd"), "expected unit or raw"),
        (("--table", "1", "--k", "3"), "--table brings its own scorers"),
        (("--table", "2", "--target", "local"), "--table brings its own scorers"),
        (("--head", "logreg(C=[1,-1])"), "C must be a finite number above 0"),
    ],
)
def test_what_cannot_be_swept_is_refused(args: tuple[str, ...], says: str, study: Store, run: Run) -> None:
    done = run("sweep", "cub", *args)
    assert (done.code, says in done.message) == (2, True)

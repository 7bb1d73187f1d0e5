"""Sweeps: the paper's grids, intervals and tests against plain loops, draws, seeds, selection on validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fgscore.pooling import Pooling
from fgscore.stats import paired as stats
from fgscore.store.match import Store
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
    found = [(r["regions"].partition("(")[0], r["scorer"] or r["pool"], r["target"]) for r in rows]
    assert found == [(c.regions, c.scorer, c.target) for c in paper.cells(1)]
    assert {r["table"] for r in rows} == {1}


@pytest.mark.slow
def test_every_table_of_every_data_set(study: Store, run: Run) -> None:
    result = sweep(run, "--table", "all", *FAST)
    rows = result["results"]
    assert result["skipped"] == []
    assert [sum(r["table"] == t for r in rows) for t in (1, 2, 3, 4)] == [42, 48, 56, 56]
    assert {r["dataset"] for r in rows} == {"cub", "pets"}
    probes = list((study.layout.results / "cub" / "probes").glob("*.parquet"))
    # 21 of table 1, 8 true labels more in table 2, 6 of 7 values of k more for 4 lines in tables 3 and 4 each
    assert len(probes) == 21 + 8 + 4 * 6 * 2
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
    assert sum(r["computed"] for r in rows) == 21 - kept


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
    assert [alone, pooled[:2]] == [[None], [None, None]]
    assert len(pooled) == 20
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
        assert swept[key] == probed[key], key
    (path,) = [p for p in study.layout.results.glob("cub/probes/*") if p.stem == probed["digest"][:16]]
    (row,) = pq.read_table(path).to_pylist()
    told = {"cached": False, "undecided": ""}
    assert {k: v for k, v in row.items() if k not in ("lineage", "sealed")} | told == probed


def test_differences_and_p_are_those_of_the_predictions(study: Store, run: Run) -> None:
    rows = sweep(run, "cub", "--table", "1", *FAST)["results"]
    whole = right(study, "cub", rows[0]["digests"][0])
    assert rows[0]["difference"] is None and rows[0]["p"] is None
    p = []
    for row in rows[1:]:
        ours = right(study, "cub", row["digests"][0])
        assert set(ours) == set(whole) and len(ours) == 60
        assert row["difference"] == pytest.approx(np.mean([ours[i] - whole[i] for i in whole]))
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
        only = (sum(ours[i] > whole[i] for i in whole), sum(ours[i] < whole[i] for i in whole))
        assert (row["only_it"], row["only_global"]) == only
        p.append(row["p"])
    assert [r["p_holm"] for r in rows[1:]] == pytest.approx(stats.holm(p).tolist())
    assert {r["comparisons"] for r in rows[1:]} == {20}


def test_a_comparison_in_two_tables_counts_once_in_holms_family(study: Store, run: Run) -> None:
    rows = sweep(run, "cub", "--table", "1", "--table", "2", *FAST)["results"]
    assert {r["comparisons"] for r in rows if r["p"] is not None} == {28}
    twice = [r for r in rows if (r["scorer"], r["target"]) == ("entropy", "local") and r["regions"][:3] == "sam"]
    assert [r["table"] for r in twice] == [1, 2]
    assert twice[0]["p_holm"] == twice[1]["p_holm"]


def test_the_papers_numbers_stand_beside_ours(study: Store, run: Run) -> None:
    rows = sweep(run, "cub", "--table", "1", "--table", "2", *FAST)["results"]
    for row in rows:
        k = "5" if row["pool"].startswith("topk") else ""
        scorer = row["scorer"] or row["pool"]
        cell = Cell(row["table"], row["regions"].partition("(")[0], scorer, row["target"], k)
        assert row["paper"] == paper.accuracy("cub", cell) is not None
        assert row["upper_bound"] == (row["target"] == "oracle")
    out = run("sweep", "cub", "--table", "2", *FAST).out
    assert "oracle (upper bound)" in out and "reads the labels of test images" in out
    line = next(line for line in out.splitlines() if "oracle" in line and "Soft" in line and "sam" in line)
    assert "0.7002" in line
    oracle = next(r for r in rows if r["target"] == "oracle" and r["scorer"] == "soft_margin" and "sam" in r["regions"])
    assert f"{100 * (oracle['accuracy'] - 0.7002):+.2f}" in line


def test_a_part_of_a_data_set_or_fewer_shots_are_not_set_beside_the_paper(
    study: Store, run: Run, invent_into: Callable[..., None]
) -> None:
    invent_into(study.layout, "mine", seed=3)
    assert {r["paper"] for r in sweep(run, "mine", "--table", "1", *FAST)["results"]} == {None}
    few = sweep(run, "cub", "--table", "1", "--shots", "2", *FAST)["results"]
    assert {r["paper"] for r in few} == {None} and {r["n_train"] for r in few} == {10}


def test_lists_in_a_component_stand_for_one_of_each(study: Store, run: Run) -> None:
    args = ("cub", "--regions", "sam", "--scorer", "entropy(tau=[10,30.5], lam=[0.1,0.2])", "--k", "2", *FAST)
    rows = sweep(run, *args)["results"]
    assert [r["scorer"] for r in rows] == [
        "", "entropy(tau=10)", "entropy(tau=10, lam=0.2)", "entropy(tau=30.5)", "entropy(tau=30.5, lam=0.2)",
    ]  # fmt: skip
    heads = sweep(run, "cub", "--pool", "none", "--head", "logreg(C=[1,10])")["results"]
    assert [r["head"] for r in heads] == ["logreg(C=1)", "logreg(C=10)"]
    assert all(r["difference"] is None for r in heads)


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
    wanted = stats.bootstrap(np.array([np.mean([part[i] for part in parts]) for i in sorted(parts[0])]))
    assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high))
    kept = {pq.read_table(p)["crops"][0].as_py() for p in (study.layout.results / "cub" / "probes").iterdir()}
    assert kept == {"", "0:4", "4:8", "8:12"}


def test_a_draw_is_what_a_smaller_cache_would_have_given(study: Store, run: Run) -> None:
    """Blocks 0:4 and 8:12 against features made by hand from those crops alone."""
    from fgscore.evaluate.features import FeatureRun, matrix
    from fgscore.evaluate.score import runs_for
    from fgscore.evaluate.score import score as run_scores
    from fgscore.scorers import Scorer
    from fgscore.store import match

    (bundle,) = match.bundles(study, "cub", "random_crop")
    assert isinstance(bundle, match.RegionBundle)
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
    assert run("sweep", "cub", "--resamples", "2").code == 2


def test_masks_have_one_set_and_the_table_says_so(study: Store, run: Run) -> None:
    args = ("cub", "--table", "1", "--n-regions", "4", "--resamples", "2", *FAST)
    rows = sweep(run, *args)["results"]
    assert {r["runs"] for r in rows if r["regions"].startswith("sam")} == {1}
    assert {r["runs"] for r in rows if r["regions"].startswith("random")} == {2}
    out = run("sweep", *args).out
    assert out.count("one set of masks") == 10
    assert "Masks have one set an image" in out and "the variance of training is not in them" in " ".join(out.split())


def test_seeds_of_the_papers_head_give_a_spread(study: Store, run: Run) -> None:
    pytest.importorskip("torch")
    args = ("cub", "--pool", "mean", "--regions", "sam", "--head", "adamw(epochs=3, lr=0.1)", "--head", "logreg(C=1)")
    rows = sweep(run, *args, "--head-seeds", "3")["results"]
    assert [(r["head"].partition("(")[0], r["pool"], r["runs"]) for r in rows] == [
        ("adamw", "none", 3), ("logreg", "none", 1), ("adamw", "mean", 3), ("logreg", "mean", 1),
    ]  # fmt: skip
    assert rows[2]["spread"] > 0 and rows[3]["spread"] is None
    named = sweep(run, *args, "--seed", "0", "--seed", "1", "--seed", "2")["results"]
    assert [r["digests"] for r in named] == [r["digests"] for r in rows]
    assert run("sweep", *args, "--seed", "1", "--head-seeds", "2").code == 2


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
    rows = [r for r in result["results"] if r["scorer"]]
    assert [(r["scorer"], r["pool"]) for r in rows] == [(chosen["scorer"], chosen["pool"])]
    tested = list((study.layout.results / "mine" / "probes").glob("*.parquet"))
    assert len(tested) == 2, "the chosen one and the global probe; no other was measured on test images"
    kept = list((study.layout.results / "mine" / "validation" / "predictions").glob("*.parquet"))
    assert len(kept) == 6
    for path in kept:
        index = np.array([int(i.rpartition("/")[2]) for i in pq.read_table(path)["image_id"].to_pylist()])
        assert ((index % 22 >= 6) & (index % 22 < 10)).all(), "rows of the val split"


def test_selection_without_official_validation_takes_a_part_of_train(study: Store, run: Run) -> None:
    args = ("cub", "--regions", "sam", "--k", "1", "--k", "2", "--head", "logreg(C=[1,100])", "--select", "val")
    result = sweep(run, *args)
    assert sum(c["chosen"] for c in result["selection"]) == 2  # one global probe, one of the masks
    (path, *_) = (study.layout.results / "cub" / "validation" / "predictions").glob("*.parquet")
    numbers = np.array([int(i.rpartition("/")[2]) for i in pq.read_table(path)["image_id"].to_pylist()])
    assert (numbers % 18 < 6).all() and len(numbers) == 5
    whole, masks = result["results"]
    assert masks["difference"] == pytest.approx(masks["accuracy"] - whole["accuracy"])


def test_one_shot_leaves_nothing_to_select_on(study: Store, run: Run) -> None:
    done = run("sweep", "cub", "--regions", "sam", "--k", "1", "--k", "2", "--shots", "1", *FAST, "--select", "val")
    assert (done.code, "at least 2 train images a class" in done.err) == (1, True)


def test_lines_with_results_are_told_from_those_without(study: Store, run: Run) -> None:
    from fgscore.heads import Head
    from fgscore.store import match
    from fgscore.study import compare, grid

    family = grid.families(match.bundles(study, "cub"))[0]
    lines, missing = grid.paper_lines(family, [1, 4], grid.Plan([[Head.bind("logreg(C=10)")]]))
    assert missing == [] and compare.known(lines) == []
    rows = sweep(run, "cub", "--table", "4", *FAST)["results"]
    some = compare.known(lines)
    assert {line.cell.table for line in some if line.cell} == {1, 4} and len(some) == 28 + 1 + 4
    again = compare.compare([line for line in some if line.cell and line.cell.table == 4])
    assert [r["accuracy"] for r in again] == [r["accuracy"] for r in rows]


def test_rows_that_the_cache_cannot_make_are_named(study: Store, run: Run) -> None:
    result = sweep(run, "cub", "--table", "1", "--regions", "random_crop", *FAST)
    assert len(result["results"]) == 11
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

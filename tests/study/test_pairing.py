"""`fgscore compare`: any two settings, against plain loops over the predictions that are kept."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.evaluate import results
from fgscore.stats.crossed import contrast
from fgscore.stats.paired import mcnemar
from fgscore.store.cache import Store

Run = Callable[..., Any]
FAST = "--head logreg(C=10)"


def compare(run: Run, a: str, b: str, *more: Any) -> list[dict[str, Any]]:
    done = run("compare", "cub", a, b, *more, "--json")
    assert done.code == 0, done.err
    return done.json["comparisons"]


def right(store: Store, **named: Any) -> dict[str, bool]:
    """Image id to right, of the one result whose columns are as named."""
    (found,) = [r for r in results.read_all(store.layout.results, "cub")
                if all(str(getattr(r, key)).startswith(str(value)) for key, value in named.items())]  # fmt: skip
    assert found.place
    predictions = results.read_predictions(found.place)
    assert predictions
    return dict(zip(predictions.image_ids.tolist(), predictions.right.tolist(), strict=True))


def test_the_effect_is_that_of_the_predictions_paired_by_image(study: Store, run: Run) -> None:
    (found,) = compare(run, f"--regions sam --k 3 {FAST}", f"--pool self {FAST}")
    a, b = right(study, scorer="soft_margin", pool="topk(k=3)"), right(study, pool="self")
    assert list(a) == list(b)
    d = np.array([float(a[i]) - b[i] for i in a])
    wanted = contrast(d)
    assert (found["difference"], found["p"]) == pytest.approx((d.mean(), wanted.p))
    assert (found["low"], found["high"]) == pytest.approx(wanted.interval())
    assert sorted(found["mended"]) == sorted(i for i in a if a[i] > b[i])
    assert sorted(found["broken"]) == sorted(i for i in a if a[i] < b[i])
    assert found["differ"] == len(found["mended"]) + len(found["broken"])
    exact = mcnemar(np.array(list(a.values())), np.array(list(b.values())))
    assert found["p_mcnemar"] == pytest.approx(exact.p)
    assert (found["n_test"], found["only_a"], found["only_b"], found["draws"], found["seeds"]) == (60, 0, 0, 0, 0)
    assert (found["a"]["regions"], found["b"]["regions"]) == ("sam(checkpoint='demo', n=6)", "")


def test_what_width_alone_may_gain_is_said(study: Store, run: Run) -> None:
    told = [
        " ".join(run("compare", "cub", f"--pool {pool} {FAST}", other).out.split())
        for pool, other in (("none", f"--pool self {FAST}"), ("self", f"--regions sam --pool mean {FAST}"))
    ]
    assert ["a head may gain from width by itself" in one for one in told] == [True, False]


def test_swapped_settings_have_the_opposite_effect(study: Store, run: Run) -> None:
    a, b = f"--regions sam --scorer entropy {FAST}", f"--regions sam --scorer shuffled(of=entropy) {FAST}"
    (one,), (other,) = compare(run, a, b), compare(run, b, a)
    assert one["difference"] == pytest.approx(-other["difference"])
    assert (sorted(one["mended"]), one["p"]) == (sorted(other["broken"]), pytest.approx(other["p"]))


def test_what_neither_names_is_held_equal_and_what_both_have_is_compared(study: Store, run: Run) -> None:
    found = compare(run, f"--scorer entropy {FAST}", f"--scorer reverse {FAST}")
    assert [(c["a"]["regions"], c["a"]["target"], c["a"]["pool"]) for c in found] == [
        ("sam(checkpoint='demo', n=6)", "global", "topk"), ("random_crop(n=12)", "global", "topk"),
    ]  # fmt: skip
    assert all(c["a"][key] == c["b"][key] for c in found for key in ("regions", "encoder", "prompt", "head"))


def test_regions_that_both_name_are_compared_with_each_other(study: Store, run: Run) -> None:
    (found,) = compare(run, f"--regions random_crop {FAST}", f"--regions sam {FAST}")
    assert [found[side]["regions"].partition("(")[0] for side in "ab"] == ["random_crop", "sam"]
    assert (found["draws"], found["p"], found["word"]) == (1, None, "one draw"), "crops were drawn once"


def test_draws_that_were_probed_are_paired_with_each_other(study: Store, run: Run) -> None:
    for scorer in ("soft_margin", "entropy"):
        done = run("sweep", "cub", "--regions", "random_crop", "--scorer", scorer, "--n-regions", "4", "--resamples",
                   "3", "--head", "logreg(C=10)")  # fmt: skip
        assert done.code == 0, done.err
    settings = [f"--regions random_crop --scorer {scorer} {FAST}" for scorer in ("soft_margin", "entropy")]
    (found,) = compare(run, *settings)
    crops = ("0:4", "4:8", "8:12")
    a, b = ([right(study, scorer=s, crops=c) for c in crops] for s in ("soft_margin", "entropy"))
    d = np.array([[float(one[i]) - other[i] for one, other in zip(a, b, strict=True)] for i in a[0]])
    wanted = contrast(d, ["draws"])
    assert (found["difference"], found["p"], found["df"]) == pytest.approx((d.mean(), wanted.p, wanted.df))
    assert found["draws"] == 3 and found["p_mcnemar"] is None
    assert set(found["shares"]) == {"images", "draws"}


def test_seeds_that_were_probed_are_paired_with_each_other(study: Store, run: Run) -> None:
    pytest.importorskip("torch")
    head = "--head adamw(epochs=2,lr=0.1)"
    for pool in ("mean", "self"):
        run("sweep", "cub", "--regions", "sam", "--pool", pool, "--head", "adamw(epochs=2,lr=0.1)", "--head-seeds", "3")
    (found,) = compare(run, f"--regions sam --pool mean {head}", f"--pool self {head}")
    assert (found["seeds"], found["draws"]) == (3, 0) and set(found["shares"]) == {"images", "seeds"}
    (named,) = compare(run, f"--regions sam --pool mean {head} --seed 2", f"--pool self {head}")
    assert (named["seeds"], named["a"]["seed"], named["b"]["seed"]) == (1, 2, 0), "the other has probe's default"


def test_the_images_are_written_and_the_table_says_what_varies(study: Store, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "images.csv"
    done = run("compare", "cub", f"--regions sam {FAST}", f"--pool none {FAST}", "--out", out)
    assert done.code == 0, done.err
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    (found,) = compare(run, f"--regions sam {FAST}", f"--pool none {FAST}")
    assert {r["image_id"] for r in rows if r["right_by"] == "A"} == set(found["mended"])
    assert len(rows) == found["differ"]
    assert "how far the difference moves with other images; training images never vary in it" in done.out


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ("soft_margin", "--pool self", "A: expected options, found 'soft_margin'"),
        ("--pool self", "", "B: expected options, found ''"),
        ("--scorer entropy --scorer hard_margin", "--pool self", "A: expected one --scorer, found 2"),
        ("--scorer all", "--pool self", "A: expected one --scorer, found all"),
        ("--pool self", "--bogus 3", "B: No such option: --bogus"),
        ("--pool self", "--dataset pets", "B: --dataset is none of a setting"),
        ("--pool self", "pets", "B: expected options"),
        ("--pool self", "--pool none pets", "B: a data set is none of a setting"),
        ("--pool self --scorer entropy", "--pool none", "A: --pool self takes no scores, found --scorer"),
        ('--scorer "entropy', "--pool none", "A: No closing quotation"),
        ("--shots x", "--pool none", "A: Invalid value for '--shots'"),
        ("--scorer soft_margn", "--pool none", "did you mean 'soft_margin'"),
        ("--pool mean --k 3", "--pool none", "--k is for --pool topk"),
    ],
)
def test_what_is_no_setting_is_refused_by_its_argument(a: str, b: str, says: str, study: Store, run: Run) -> None:
    done = run("compare", "cub", a, b)
    assert (done.code, says in done.message) == (2, True), done.message


def test_settings_without_anything_in_common_say_so(study: Store, run: Run) -> None:
    done = run("compare", "cub", "--pool self", "--pool none", "--out", "nowhere/at/all.csv")
    assert (done.code, "expected a folder" in done.message) == (2, True)
    assert run("compare", "nothing", "--pool self", "--pool none").code == 2


@pytest.mark.parametrize(
    "words", [[], ["--scorer", "entropy", "--pool", "self"], ["--pool self", "--pool none", "--k", "5"]]
)
def test_settings_that_are_not_two_arguments_are_said_with_a_line_that_works(
    study: Store, run: Run, words: list[str]
) -> None:
    told = run("compare", "cub", *words)
    assert told.code == 2 and "each setting is one argument" in told.message
    line = told.message.split("`")[-2]
    assert run(*shlex.split(line)[1:]).code == 0


def test_a_setting_is_not_compared_with_itself(study: Store, run: Run) -> None:
    done = run("compare", "cub", "--scorer entropy", "--scorer entropy --k 5")
    assert done.code == 2 and "are the same setting; name two that differ" in done.message

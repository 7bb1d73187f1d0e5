"""A saved probe does to a photo what was done to the training photos; few shots; what cannot be saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgscore.errors import DataError, UsageError
from fgscore.evaluate.predict import Predictor, predict
from fgscore.evaluate.saved import load
from fgscore.runtime import Runtime
from fgscore.store import arrays, match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store

Run = Callable[..., Any]


def stored_predictions(store: Store) -> dict[str, int]:
    import pyarrow.parquet as pq

    (path,) = store.layout.results.glob("folder/predictions/*.parquet")
    table = pq.read_table(path).to_pydict()
    return dict(zip(table["image_id"], table["prediction"], strict=True))


@pytest.mark.parametrize(
    "args",
    [
        ("--scorer", "soft_margin", "--k", "2", "--head", "logreg(C=10)"),
        ("--scorer", "entropy(tau=20)", "--target", "local", "--k", "all", "--features", "raw", "--head", "logreg"),
        ("--scorer", "region_global", "--k", "1", "--head", "zeroshot"),
        ("--pool", "mean", "--head", "adamw(epochs=3)"),
        ("--pool", "none", "--head", "logreg(C=5)"),
        ("--pool", "none", "--head", "anchored(a=0.5)"),
        ("--pool", "mean", "--head", "anchored(a=1, C=10)"),
        ("--scorer", "hard_margin", "--head", "logreg(C=10)", "--shots", "2"),
    ],
    ids=lambda args: " ".join(args),
)
def test_a_saved_probe_predicts_what_was_measured(
    args: tuple[str, ...], store: Store, run: Run, photos: Path, tmp_path: Path
) -> None:
    if "adamw(epochs=3)" in args:
        pytest.importorskip("torch")
    file = tmp_path / "birds.safetensors"
    done = run("probe", *args, "--save-probe", file)
    assert done.code == 0, done.err
    predictor = Predictor(load(file), Runtime())
    index = match.bundles(store)[0].index
    path_of = dict(zip(index.image_ids.tolist(), index.paths.tolist(), strict=True))
    wanted = stored_predictions(store)
    assert len(wanted) == 4
    for image_id, prediction in wanted.items():
        pixels = np.asarray(Image.open(photos / path_of[image_id]).convert("RGB"))
        found = predictor.probabilities(image_id, pixels)
        assert found.sum() == pytest.approx(1, abs=1e-5)
        assert int(found.argmax()) == prediction


def test_predict_prints_class_and_probability(store: Store, run: Run, photos: Path, tmp_path: Path) -> None:
    file, junk = tmp_path / "p.safetensors", tmp_path / "junk.jpg"
    junk.write_bytes(b"no photo")
    out = run("probe", "--pool", "none", "--save-probe", file).out
    assert f"fgscore predict --probe {file}" in out
    photo = photos / "test" / "crow" / "0.png"
    done = run("predict", "--probe", file, photo, "--json")
    assert done.code == 0, done.err
    (row,) = done.json["predictions"]
    assert row["image"] == str(photo)
    assert {c["class_name"] for c in row["classes"]} == {"blue jay", "crow"}
    assert sum(c["probability"] for c in row["classes"]) == pytest.approx(1, abs=1e-5)
    assert row["class_name"] == max(row["classes"], key=lambda c: c["probability"])["class_name"]
    mixed = run("predict", "--probe", file, junk, photo, "--top", "1")
    assert mixed.code == 3
    assert "not an image" in mixed.out and row["class_name"] in mixed.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--k", "1", "--k", "2"), "keeps one classifier, found 2"),
        (("--target", "oracle"), "target oracle reads the label"),
        (("--head", "zeroshot(vote=probability)"), "has no weights to keep"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_any_work(
    args: tuple[str, ...], says: str, store: Store, run: Run, tmp_path: Path
) -> None:
    done = run("probe", *args, "--save-probe", tmp_path / "p.safetensors")
    assert done.code == 2
    assert says in done.err
    assert not store.layout.results.exists() and not (tmp_path / "p.safetensors").exists()


def test_a_scorer_of_ones_own_cannot_be_saved(store: Store, run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(inputs, target, /):\n    return inputs.area\n")
    done = run("probe", "--scorer", f"{tmp_path / 'mine.py'}:f", "--save-probe", tmp_path / "p.safetensors")
    assert (done.code, "scorer mine.py:f is of your own" in done.message) == (2, True)
    assert run("probe", "--save-probe", tmp_path / "p.npz").code == 2


def test_a_saved_probe_names_no_path(store: Store, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.safetensors"
    run("probe", "--save-probe", file)
    assert str(tmp_path).encode() not in file.read_bytes()


@pytest.mark.parametrize("damage", ["no probe", "lacks", "disagrees"])
def test_what_is_no_saved_probe_is_refused(damage: str, store: Store, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.safetensors"
    if damage == "no probe":
        file.write_bytes(b"\0" * 40)
    else:
        run("probe", "--pool", "none", "--save-probe", file)
        content = arrays.read(file)
        if damage == "lacks":
            del content["intercept"]
        else:
            content["classes"] = content["classes"] + 7
        arrays.write(file, content, ())
    with pytest.raises(DataError, match="with `fgscore probe --save-probe|expected arrays"):
        load(file)


def test_other_weights_or_settings_are_refused(store: Store, run: Run, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.safetensors"
    run("probe", "--save-probe", file)
    photo = photos / "test" / "crow" / "0.png"
    with pytest.raises(UsageError, match=r"trained with encoder fake, found fake\(seed=1\)"):
        list(predict(Predictor(load(file), Runtime(), "fake(seed=1)"), [photo]))
    with pytest.raises(UsageError, match=r"trained with regions random_crop\(n=4\)"):
        list(predict(Predictor(load(file), Runtime(), None, "random_crop"), [photo]))


def test_shots_are_results_of_their_own(store: Store, run: Run) -> None:
    args = ("probe", "--pool", "none", "--head", "logreg(C=1)", "--json")
    rows = run(*args, "--shots", "1", "--shots", "2").json["results"]
    assert [(r["shots"], r["n_train"]) for r in rows] == [(1, 2), (2, 4)]
    (every,) = run(*args).json["results"]
    assert (every["shots"], every["n_train"], every["cached"]) == (0, 6, False)
    again = run(*args, "--shots", "2").json["results"]
    assert again[0]["cached"]
    seeds = {run(*args, "--shots", "1", "--seed", s).json["results"][0]["digest"] for s in (0, 1, 2)}
    assert len(seeds) == 3
    zeroshot = run("probe", "--pool", "none", "--head", "zeroshot", "--shots", "1", "--shots", "2", "--json")
    assert [r["shots"] for r in zeroshot.json["results"]] == [0], "nothing is learnt, so shots mean nothing"


def test_a_result_carries_its_interval_and_seed(store: Store, run: Run) -> None:
    (row,) = run("probe", "--head", "logreg(C=1)", "--seed", "3", "--json").json["results"]
    assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
    assert (row["seed"], row["crops"]) == (3, "")
    assert json.loads(row["details"])["C"] == 1


def test_a_vote_by_probability_is_a_loop_over_the_kept_regions(store: Store, run: Run) -> None:
    done = run("probe", "--scorer", "region_global", "--k", "2", "--head", "zeroshot(vote=probability)", "--json")
    (row,) = done.json["results"]
    (bundle,) = match.bundles(store)
    assert isinstance(bundle, RegionBundle)
    text, scale = bundle.text_bank.text.astype(np.float64), bundle.text_bank.logit_scale
    right = []
    for number in range(3):
        shard, whole = store.read(bundle.region_embeddings, number), store.read(bundle.globals, number)
        for i, image_id in enumerate(shard.image_ids.tolist()):
            at = bundle.index.image_ids.tolist().index(image_id)
            if bundle.index.split[at] != "test":
                continue
            f = shard.regions[shard.offsets[i] : shard.offsets[i + 1]].astype(np.float64)
            s = f @ whole.globals[i].astype(np.float64)
            kept = sorted(range(len(s)), key=lambda j: -s[j])[:2]
            w = np.exp([s[j] for j in kept]) / np.exp([s[j] for j in kept]).sum()
            vote = np.zeros(len(text))
            for weight, j in zip(w, kept, strict=True):
                e = np.exp(scale * (f[j] @ text.T))
                vote += weight * e / e.sum()
            right.append(int(vote.argmax()) == bundle.index.labels[at])
    assert row["accuracy"] == pytest.approx(np.mean(right))

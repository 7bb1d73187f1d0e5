"""Probe results: what is measured, what is kept, when it is measured again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fgscore.store import index as index_store
from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store

Run = Callable[..., Any]
ZEROSHOT = ("probe", "--pool", "none", "--head", "zeroshot", "--json")


def results(run: Run, *args: Any) -> list[dict[str, Any]]:
    made = run(*args)
    assert made.code == 0, made.err
    return made.json["results"]


def test_zero_shot_accuracy_is_that_of_the_nearest_text(store: Store, run: Run) -> None:
    (row,) = results(run, *ZEROSHOT)
    (bundle,) = match.bundles(store)
    index, text = bundle.index, bundle.text_bank.text.astype(np.float64)
    whole = np.concatenate([store.read(bundle.globals, n).globals for n in range(3)]).astype(np.float64)
    right = (whole @ text.T).argmax(axis=1) == index.labels
    test = index.split == "test"
    assert row["accuracy"] == pytest.approx(right[test].mean())
    assert row["per_class"] == pytest.approx(np.mean([right[test & (index.labels == c)].mean() for c in (0, 1)]))
    assert (row["n_train"], row["n_test"]) == (0, 4)


def test_zero_shot_of_regions_looks_at_the_local_part(store: Store, run: Run) -> None:
    (row,) = results(run, "probe", "--pool", "mean", "--head", "zeroshot", "--json")
    (bundle,) = match.bundles(store)
    assert isinstance(bundle, RegionBundle)
    right = []
    for number in range(3):
        shard = store.read(bundle.region_embeddings, number)
        for i, image_id in enumerate(shard.image_ids.tolist()):
            at = bundle.index.image_ids.tolist().index(image_id)
            local = shard.regions[shard.offsets[i] : shard.offsets[i + 1]].astype(np.float64).mean(axis=0)
            if bundle.index.split[at] == "test":
                right.append((bundle.text_bank.text @ local).argmax() == bundle.index.labels[at])
    assert row["accuracy"] == pytest.approx(np.mean(right))


def test_predictions_are_kept_image_by_image(store: Store, run: Run) -> None:
    (row,) = results(run, "probe", "--json")
    (path,) = store.layout.results.glob("folder/predictions/*.parquet")
    table = pq.read_table(path).to_pydict()
    index = match.bundles(store)[0].index
    label_of = dict(zip(index.image_ids.tolist(), index.labels.tolist(), strict=True))
    assert sorted(table["image_id"]) == sorted(i for i in label_of if i.startswith("test/"))
    assert [label_of[i] for i in table["image_id"]] == table["label"]
    assert np.mean(np.array(table["prediction"]) == table["label"]) == pytest.approx(row["accuracy"])


def test_known_results_are_read_back(store: Store, run: Run) -> None:
    args = ("probe", "--head", "logreg(C=1)", "--head", "zeroshot", "--json")
    first, again = results(run, *args), results(run, *args)
    assert [r.pop("cached") for r in first] == [False, False]
    assert [r.pop("cached") for r in again] == [True, True]
    assert first == again


def test_the_table_says_how_many_were_known(store: Store, run: Run) -> None:
    run("probe", "--head", "zeroshot")
    out = run("probe", "--head", "zeroshot", "--head", "logreg").out
    assert "1 of 2 results were known already." in out


def test_new_labels_are_measured_anew_without_any_other_work(store: Store, run: Run) -> None:
    (before,) = results(run, *ZEROSHOT)
    (bundle,) = match.bundles(store)
    flipped = dataclasses.replace(bundle.index, labels=1 - bundle.index.labels)
    index_store.write(store.layout, flipped, bundle.index_artefact.recipe)
    (after,) = results(run, *ZEROSHOT)
    assert not after["cached"]
    assert after["accuracy"] == pytest.approx(1 - before["accuracy"])
    (row,) = run("score", "--scorer", "region_global", "--json").json["scores"]
    assert row["computed"] == 3, "nothing had been scored yet, and the regions were current"


def test_another_split_is_measured_anew(store: Store, run: Run) -> None:
    results(run, *ZEROSHOT)
    (bundle,) = match.bundles(store)
    swapped = np.where(bundle.index.split == "train", "test", "train")
    index_store.write(store.layout, dataclasses.replace(bundle.index, split=swapped), bundle.index_artefact.recipe)
    (after,) = results(run, *ZEROSHOT)
    assert (after["cached"], after["n_test"]) == (False, 6)


def test_new_pixels_are_measured_anew(
    store: Store, run: Run, extract: Callable[..., Any], photos: Path, draw: Callable[..., None]
) -> None:
    results(run, "probe", "--json")
    draw(photos / "train" / "crow" / "0.png", seed=99)
    extract()
    (after,) = results(run, "probe", "--json")
    assert not after["cached"]


def test_every_head_pooling_and_seed_is_a_result_of_its_own(store: Store, run: Run) -> None:
    args = (
        "--head",
        "logreg(C=1)",
        "--head",
        "logreg(C=2)",
        "--k",
        "1",
        "--k",
        "2",
        "--pool",
        "topk",
        "--pool",
        "mean",
    )
    rows = results(run, "probe", *args, "--json")
    assert len(rows) == 6 == len({(r["head"], r["pool"]) for r in rows}) == len({r["digest"] for r in rows})
    assert len(results(run, "probe", "--seed", "3", "--json")) == 1
    assert len(list(store.layout.results.glob("folder/probes/*.parquet"))) == 7


def test_the_same_thing_written_twice_is_one_result(store: Store, run: Run) -> None:
    rows = results(run, "probe", "--head", "logreg", "--head", "logreg(C=auto)", "--k", "5", "--k", "5", "--json")
    assert len(rows) == 1


def test_a_damaged_result_is_refused_by_its_file(store: Store, run: Run) -> None:
    results(run, *ZEROSHOT)
    (path,) = store.layout.results.glob("folder/probes/*.parquet")
    path.write_bytes(b"PAR1 no more")
    failed = run(*ZEROSHOT)
    assert failed.code == 1
    assert path.name in failed.message


def test_a_result_without_its_predictions_is_measured_anew(store: Store, run: Run) -> None:
    results(run, *ZEROSHOT)
    next(store.layout.results.glob("folder/predictions/*.parquet")).unlink()
    assert [r["cached"] for r in results(run, *ZEROSHOT)] == [False]


def test_the_oracle_is_marked_as_an_upper_bound(store: Store, run: Run) -> None:
    result = run("probe", "--target", "oracle", "--head", "zeroshot")
    assert "oracle (upper bound)" in result.out
    assert "upper bounds" in result.err
    assert "upper bound" not in run("probe", "--head", "zeroshot").out


def test_a_scorer_of_ones_own_is_probed_anew_each_time(store: Store, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    seen = []
    for column in (0, 0, 1):
        path.write_text(f"def mine(inputs, target, /):\n    return inputs.region_text[:, {column}]\n")
        (row,) = results(run, "probe", "--scorer", f"{path}:mine", "--k", "1", "--head", "logreg(C=1)", "--json")
        assert not row["cached"]
        seen.append(row["digest"])
    assert seen[0] == seen[1] != seen[2]


def test_a_set_without_test_images_is_refused(run: Run, tmp_path: Path, draw: Callable[..., None]) -> None:
    for i, name in enumerate(("crow", "jay")):
        draw(tmp_path / "only" / "train" / name / "0.png", seed=i)
    args = ("--root", tmp_path / "only", "--encoder", "fake", "--regions", "random_crop(n=2)")
    assert run("extract", "folder", *args).code == 0
    result = run("probe", "--head", "zeroshot")
    assert result.code == 1
    assert "expected test images to measure on, found none" in result.message


def test_one_train_class_is_refused_with_the_head_that_works(
    run: Run, tmp_path: Path, draw: Callable[..., None]
) -> None:
    for i, name in enumerate(("train/crow", "test/crow", "test/jay")):
        draw(tmp_path / "few" / name / "0.png", seed=i)
    args = ("--root", tmp_path / "few", "--encoder", "fake", "--regions", "random_crop(n=2)", "--force")
    assert run("extract", "folder", *args).code == 0
    result = run("probe")
    assert result.code == 1
    assert "--head zeroshot" in result.message
    assert run("probe", "--head", "zeroshot").code == 0


def test_whole_images_can_be_probed_without_regions(store: Store, run: Run) -> None:
    import shutil

    for kind in ("regions", "region_embeddings"):
        shutil.rmtree(store.layout.cache / "folder" / kind)
    (row,) = results(run, *ZEROSHOT)
    assert (row["regions"], row["n_test"]) == ("", 4)

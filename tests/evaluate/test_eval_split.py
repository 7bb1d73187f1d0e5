"""A data set without test images is measured on its validation images, where asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fgscore.store import index as index_store
from fgscore.store import match
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Run = Callable[..., Any]
PLAIN = ("--pool", "none", "--head", "logreg(C=10)")


@pytest.fixture
def without_test(data: Path, invent_into: Callable[..., None]) -> Store:
    """A cache of one data set of train and val."""
    layout = Layout(data)
    invent_into(layout, "own", 3, val=6)
    store = Store(layout)
    (made,) = store.artefacts("index")
    index = store.index(made)
    kept = np.where(index.split == "test", "train", index.split)
    index_store.write(layout, replace(index, split=kept), made.recipe)
    return Store(layout)


def test_the_error_names_the_line_that_measures(without_test: Store, run: Run) -> None:
    found = run("probe", *PLAIN)
    assert found.code == 1
    assert "--eval-split val" in found.err
    assert run("probe", *PLAIN, "--eval-split", "val").code == 0


def test_validation_images_are_measured_and_not_fitted(without_test: Store, run: Run) -> None:
    (row,) = run("probe", *PLAIN, "--eval-split", "val", "--json").json["results"]
    index = match.bundles(without_test)[0].index
    val = index.image_ids[index.split == "val"].tolist()
    assert (row["n_test"], row["n_train"]) == (len(val), len(index) - len(val))
    (path,) = without_test.layout.results.glob("own/predictions/*.parquet")
    assert sorted(pq.read_table(path).column("image_id").to_pylist()) == sorted(val)


def test_every_table_says_what_was_measured(without_test: Store, run: Run, tmp_path: Path) -> None:
    probed = run("probe", *PLAIN, "--eval-split", "val").out
    assert "measured on val images" in probed and "test images" not in probed
    assert "measured on val images" in run("sweep", *PLAIN, "--eval-split", "val").out
    assert run("report", "--no-plots", "--out", tmp_path).code == 0
    assert "val images" in (tmp_path / "results.md").read_text()
    assert "measured on val images" in (tmp_path / "comparison.md").read_text()


def test_a_data_set_without_validation_images_says_so(study: Store, run: Run) -> None:
    said = run("probe", "cub", *PLAIN, "--eval-split", "val").err
    assert "--eval-split test" in said
    assert "index a copy with a val split" in said


def test_both_splits_of_one_data_set_are_two_results(data: Path, invent_into: Callable[..., None], run: Run) -> None:
    invent_into(Layout(data), "both", 5, val=6)
    first = run("probe", *PLAIN, "--json").json["results"][0]
    other = run("probe", *PLAIN, "--eval-split", "val", "--json").json["results"][0]
    assert first["digest"] != other["digest"] and first["n_test"] != other["n_test"]
    assert [first["eval_split"], other["eval_split"]] == ["test", "val"]
    assert run("probe", *PLAIN, "--json").json["results"][0] == {**first, "cached": True}
    assert run("verify").code == 0


def test_a_stale_result_is_made_anew_by_the_printed_line(without_test: Store, run: Run, tmp_path: Path) -> None:
    run("probe", *PLAIN, "--eval-split", "val")
    (made,) = without_test.artefacts("index")
    index = without_test.index(made)
    labels = index.labels.copy()
    labels[0] = (labels[0] + 1) % len(index.class_names)
    index_store.write(without_test.layout, replace(index, labels=labels), made.recipe)
    assert "--eval-split val" in run("report", "--no-plots", "--out", tmp_path).err

"""What an image costs: from the sidecars, by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgscore.evaluate.costs import Costs
from fgscore.store.cache import Store
from fgscore.store.manifest import Artefact, Recipe

Run = Callable[..., Any]
MINE = """
import numpy as np

class Mine:
    dim = 8

    def embed_images(self, images):
        return np.stack([np.resize(image.astype(np.float32).ravel()[:64:8], 8) + 1 for image in images])

    def macs(self, regions):
        return {count}

def mine():
    return Mine()
"""


def probed(run: Run, *args: Any) -> dict[str, dict[str, Any]]:
    made = run("probe", "--head", "logreg(C=1)", *args, "--json")
    assert made.code == 0, made.err
    return {row["pool"]: row for row in made.json["results"]}


def with_own(run: Run, extract: Any, tmp_path: Path, count: str) -> dict[str, dict[str, Any]]:
    file = tmp_path / "mine.py"
    file.write_text(MINE.format(count=count))
    extract("--encoder", f"{file}:mine")
    return probed(run, "--pool", "none", "--pool", "mean", "--encoder", "mine.py:mine")


def sidecars(store: Store, kind: str) -> list[dict[str, Any]]:
    (folder,) = store.layout.cache.glob(f"*/{kind}/*")
    return [json.loads(path.read_text()) for path in sorted(folder.glob("shard-*.json"))]


def test_bytes_and_seconds_are_those_of_the_files(store: Store, run: Run) -> None:
    rows = probed(run, "--pool", "none", "--pool", "mean")
    kinds = ("globals", "regions", "region_embeddings")
    size = {k: sum(os.path.getsize(p) for p in store.layout.cache.glob(f"*/{k}/*/*.h5")) for k in kinds}
    n = sum(s["counts"]["images"] for s in sidecars(store, "globals"))
    assert rows["none"]["image_bytes"] == pytest.approx(size["globals"] / n)
    assert rows["mean"]["image_bytes"] == pytest.approx(sum(size.values()) / n)
    took = sum(s["provenance"]["seconds"] for k in kinds for s in sidecars(store, k))
    assert rows["mean"]["image_seconds"] == pytest.approx(took / n, rel=0.05, abs=1e-4)


def test_an_encoder_that_does_not_say_is_unknown_and_never_nothing(store: Store, run: Run) -> None:
    assert [row["macs"] for row in probed(run, "--pool", "none", "--pool", "mean").values()] == [None, None]
    (one, *_) = sidecars(store, "regions")
    assert one["provenance"]["macs"] == {"image": 0, "region": 0}, "crops have no model"
    rows = run("sweep", "--head", "logreg(C=1)", "--json").json["results"]
    assert {row["frontier"] for row in rows} == {None}


def test_ones_own_encoder_says_what_an_image_with_its_regions_takes(run: Run, extract: Any, tmp_path: Path) -> None:
    rows = with_own(run, extract, tmp_path, "1000 + 10 * regions")
    assert {pool: row["macs"] for pool, row in rows.items()} == {"none": 1000, "mean": 1040}


def test_one_pass_for_all_regions_costs_one_pass(run: Run, extract: Any, tmp_path: Path) -> None:
    rows = with_own(run, extract, tmp_path, "1000 if regions == 0 else 1500")
    assert {pool: row["macs"] for pool, row in rows.items()} == {"none": 1000, "mean": 1500}


def test_a_draw_of_crops_costs_its_share(run: Run, extract: Any, tmp_path: Path) -> None:
    with_own(run, extract, tmp_path, "1000 + 10 * regions")
    swept = run("sweep", "--head", "logreg(C=1)", "--pool", "mean", "--n-regions", "2", "--draws", "2",
                "--encoder", "mine.py:mine", "--json").json["results"]  # fmt: skip
    (row,) = [row for row in swept if row["pool"] == "mean"]
    assert (row["draws"], row["macs"]) == (2, 1020)


@pytest.mark.parametrize("count", ["-1", "1.5", "'many'"])
def test_what_is_no_count_is_refused(count: str, run: Run, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE.format(count=count))
    made = run("extract", "folder", "--root", photos, "--encoder", f"{file}:mine", "--regions", "random_crop(n=4)")
    assert made.code == 2 and "expected macs to return a whole number" in made.err


def of_before(kind: str, component: str, weights: str | None = None, **extra: Any) -> Artefact:
    """An artefact whose shards keep no count."""
    return Artefact(Path(component), Recipe(kind, component, weights=weights, extra=extra), {})


def test_a_store_of_before_has_its_models_counted_where_a_store_may_name_them(store: Store) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    costs = Costs(store)
    whole = costs.of(of_before("globals", "clip(model='demo')"))
    assert whole.macs is not None and whole.macs > 10**7 and whole.note == ""
    assert costs.of(of_before("globals", "fake")).macs is None
    assert costs.of(of_before("globals", "clip(model='demo')", imported=True)).note == ""


def test_no_model_of_ones_own_is_opened_because_a_store_names_it(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    cost = Costs(store).of(of_before("globals", f"clip(model='{tmp_path}')", weights="ab" * 32))
    assert cost.macs is None and "its weights are of one's own" in cost.note


def test_what_the_hub_has_and_this_machine_lacks_is_named_with_the_command(store: Store) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    cost = Costs(store).of(of_before("globals", "clip(model='someone/tower')", weights="ab" * 20))
    assert cost.macs is None
    assert f"run `fgscore download \"clip(model='someone/tower', revision='{'ab' * 20}')\"`" in cost.note

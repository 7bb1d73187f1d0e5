"""Claims that the paper's own regions do not settle: crops matched to its masks, masks with what is around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fgscore.evaluate import results
from fgscore.store import manifest
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.match import bundles
from fgscore.study.paper_claims import PSEUDO, TARGETED

Run = Callable[..., Any]
FAST = ("--head", "logreg(C=10)")
EQUAL, CONTEXT = "crops beat masks at equal number and area", "context explains it"


def bundle_of(store: Store, regions: str) -> RegionBundle:
    (found,) = bundles(store, "cub", regions, "fake(outside='black', margin=0.0)")
    assert isinstance(found, RegionBundle)
    return found


def publish(
    like: manifest.Artefact, recipe: manifest.Recipe, records: Sequence[Any], store: Store
) -> manifest.Artefact:
    made = manifest.plan(store.layout, like.dataset, recipe, dict(like.shard_sizes))
    for number, record in enumerate(records):
        made.publish(number, record, store.parents_now(made, number))
    made.finish()
    return made


def embed(
    store: Store, like: RegionBundle, regions: manifest.Artefact, how: dict[str, Any], noise: float = 0, lacks: str = ""
) -> None:
    """What ``like`` embeds, with some noise, as embeddings of ``regions`` that were shown in another way; by a version
    that ``lacks`` one of the encoder's parameters, where one is named."""
    old, rng, records = like.region_embeddings, np.random.default_rng(5), []
    for number in old.shard_sizes:
        one = store.read(old, number)
        rows = one.regions + noise * rng.standard_normal(one.regions.shape)
        records.append(replace(one, regions=rows / np.linalg.norm(rows, axis=1, keepdims=True)))
    written = ", ".join(f"{key}={value!r}" for key, value in how.items())
    recipe = manifest.Recipe("region_embeddings", f"fake({written})" if how else "fake",
                             {k: v for k, v in {**old.recipe.params, **how}.items() if k != lacks},
                             parents={**old.recipe.parents, "regions": regions.recipe.digest})  # fmt: skip
    publish(old, recipe, records, store)


def copy_of_crops(store: Store, component: str, params: dict[str, Any], parents: dict[str, str]) -> None:
    """The crops of cub once more, as if another generator had made them."""
    crops = bundle_of(store, "random_crop")
    batches = [store.read(crops.regions, number) for number in crops.regions.shard_sizes]
    recipe = manifest.Recipe("regions", component, params, parents={**crops.regions.recipe.parents, **parents})
    embed(store, crops, publish(crops.regions, recipe, batches, store), {})


def matched(store: Store, seed: int = 0, same: str = "area,count") -> None:
    params = {"to": "sam", "same": same, "n": None, "seed": seed}
    parent = bundle_of(store, "sam").regions.recipe.digest
    copy_of_crops(store, f"matched(to='sam', same={same!r}, seed={seed})", params, {"regions": parent})


def claims(run: Run) -> dict[str, Any]:
    return {row["claim"]: row for row in run("claims", "cub", *FAST, "--json").json["claims"]}


def test_what_is_not_cached_is_missing_with_the_command_that_makes_it(study: Store, run: Run) -> None:
    rows = claims(run)
    folder = "fgscore extract \"folder(name='cub')\""
    assert rows[EQUAL]["verdict"] == rows[CONTEXT]["verdict"] == "missing"
    assert rows[EQUAL]["next"] == f"{folder} --regions \"matched(to='sam')\" --encoder fake --prompt plain"
    shown = " ".join(f'--encoder "fake({how})"' for how in ("outside='keep'", "outside='keep', margin=0.25"))
    masks = "--regions \"sam(checkpoint='demo', n=6)\""
    assert rows[CONTEXT]["next"] == f"{folder} {masks} {shown} --prompt plain"


def test_crops_matched_to_masks_are_judged_as_crops_are(study: Store, run: Run) -> None:
    matched(study)  # the very crops, so that both claims must say the same
    assert claims(run)[EQUAL]["next"] == 'fgscore sweep cub --table 1 --head "logreg(C=10)"'
    assert run("sweep", "cub", "--table", "1", *FAST).code == 0
    rows = claims(run)
    keys = ("difference", "low", "high", "p", "differ", "n_test", "draws", "verdict")
    assert [rows[EQUAL][key] for key in keys] == [rows["crops beat masks"][key] for key in keys]
    assert rows[EQUAL]["verdict"] == "one draw" and "seed=1" in rows[EQUAL]["more"]
    assert "matched" in rows[EQUAL]["more"] and rows[EQUAL]["paper_verdict"] is None


def test_seeds_of_matched_crops_are_draws_of_one_row(study: Store, run: Run) -> None:
    for seed in range(3):
        matched(study, seed)
    found = run("sweep", "cub", "--table", "1", *FAST, "--json").json["results"]
    rows = [row for row in found if row["regions"].startswith("matched")]
    assert {row["draws"] for row in rows} == {3} and {row["is_control"] for row in rows} == {True}
    assert claims(run)[EQUAL]["draws"] == 3


def test_crops_that_share_the_number_alone_are_no_match(study: Store, run: Run) -> None:
    matched(study, same="count")
    assert claims(run)[EQUAL]["next"].startswith("fgscore extract")


def test_masks_with_what_is_around_them_are_paired_with_masks_on_black(study: Store, run: Run) -> None:
    masks = bundle_of(study, "sam")
    embed(study, masks, masks.regions, {"outside": "keep"}, 0.3)
    embed(study, masks, masks.regions, {"outside": "keep", "margin": 0.25}, 0.6, lacks="fit")
    assert claims(run)[CONTEXT]["next"] == 'fgscore sweep cub --table 1 --head "logreg(C=10)"'
    assert run("sweep", "cub", "--table", "1", *FAST).code == 0
    row = claims(run)[CONTEXT]
    kept = [
        r for r in results.read_all(study.layout.results, "cub") if r.regions.startswith("sam") and r.pool == "topk"
    ]
    mean = {
        encoder: np.mean([r.accuracy for r in kept if (r.encoder, r.scorer in TARGETED, r.target in PSEUDO) ==
                          (encoder, True, True)])
        for encoder in ("fake", "fake(outside='keep')", "fake(outside='keep', margin=0.25)")
    }  # fmt: skip
    black, *others = mean.values()
    assert row["difference"] == pytest.approx(min(other - black for other in others)) and row["draws"] == 0
    assert row["verdict"] != "missing" and row["shares"] == {"images": 1.0}


def test_the_papers_claims_are_of_masks_on_black_and_of_others_by_themselves(study: Store, run: Run) -> None:
    before = claims(run)
    masks = bundle_of(study, "sam")
    embed(study, masks, masks.regions, {"outside": "keep"}, 0.3)
    assert run("sweep", "cub", "--table", "1", "--encoder", "fake(outside='black')", *FAST).code == 0
    after = claims(run)
    assert set(after) == set(before) and after["crops beat masks"]["encoder"] == "fake"


def test_the_mean_of_ten_crops_stands_in_every_table_and_moves_no_p(study: Store, run: Run) -> None:
    def swept() -> list[dict[str, Any]]:
        return run("sweep", "cub", "--table", "1", "--table", "4", *FAST, "--json").json["results"]

    before = swept()
    copy_of_crops(study, "ten_crop", {}, {})
    after = swept()
    added = [row for row in after if row["regions"] == "ten_crop"]
    assert [(row["table"], row["pool"], row["against"], row["p"]) for row in added] == [
        (1, "mean", "self", None), (4, "mean", "self", None)]  # fmt: skip
    mean = next(row for row in after if row["regions"].startswith("random_crop") and row["pool"] == "mean")
    assert added[0]["accuracy"] == mean["accuracy"], "of the same crops"
    kept = {(row["table"], *row["digests"]): row["p_holm"] for row in after}
    assert all(kept[row["table"], *row["digests"]] == row["p_holm"] for row in before)


def test_a_tables_p_values_are_the_same_whatever_else_is_asked_for(study: Store, run: Run) -> None:
    alone = run("sweep", "cub", "--table", "1", *FAST, "--json").json["results"]
    both = run("sweep", "cub", "--table", "1", "--table", "3", *FAST, "--json").json["results"]
    keys = ("regions", "scorer", "target", "pool", "p", "p_holm", "word", "difference_low")
    of_one = [[row[key] for key in keys] for row in alone]
    assert of_one == [[row[key] for key in keys] for row in both if row["table"] == 1] and len(both) > len(alone)

"""CPU stages match what is cached: partial components match, and what is missing is said with its command."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from fgscore import specs
from fgscore.errors import NothingCached, StoreError
from fgscore.regular import file_sha256
from fgscore.store import manifest, match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store

CLIP = manifest.Recipe(
    "region_embeddings",
    "clip(dtype='bf16', margin=0.1)",
    {"model": "openai/clip-vit-base-patch32", "dtype": "bf16", "margin": 0.1, "sizes": [1, 2]},
)


@pytest.mark.parametrize(
    ("written", "matched"),
    [
        ("clip", True),
        ("clip(dtype='bf16')", True),
        ("clip(margin=0.1, dtype='bf16')", True),
        ("clip(model='openai/clip-vit-base-patch32')", True),
        ("clip(sizes=(1, 2))", True),
        ("clip(dtype='fp32')", False),
        ("clip(dtype='bf16', margin=0.2)", False),
        ("clip(nosuch=1)", False),
        ("fake", False),
        ("cli", False),
    ],
)
def test_a_component_matches_what_agrees_with_all_that_is_written(written: str, matched: bool) -> None:
    assert match.matches(CLIP, specs.parse(written)) is matched


def test_nothing_written_matches_everything() -> None:
    assert match.matches(CLIP, None)


def test_a_model_folder_matches_by_its_name_wherever_it_lay() -> None:
    recipe = manifest.Recipe("globals", "clip(model='mine')", {"model": "mine"})
    assert match.matches(recipe, specs.parse("clip(model='/some/where/mine')"))
    assert not match.matches(recipe, specs.parse("clip(model='/some/where/other')"))


def components(bundles: list[Any]) -> list[tuple[str, str]]:
    assert all(isinstance(b, RegionBundle) for b in bundles)
    return sorted((b.regions.recipe.component, b.region_embeddings.recipe.component) for b in bundles)


def test_every_combination_in_the_cache_is_found(store: Store, extract: Any) -> None:
    extract("--regions", "random_crop(n=2)", "--encoder", "fake(margin=0.5)")
    crops, encoders = ("random_crop(n=2)", "random_crop(n=4)"), ("fake", "fake(margin=0.5)")
    assert components(match.bundles(store)) == [(c, e) for c in crops for e in encoders]
    assert components(match.bundles(store, regions="random_crop(n=2)")) == [(crops[0], e) for e in encoders]
    assert components(match.bundles(store, encoder="fake(margin=0.0)")) == [(c, "fake") for c in crops]
    assert components(match.bundles(store, "folder", "random_crop", "fake(margin=0.5)")) == [
        (c, "fake(margin=0.5)") for c in crops
    ]


def test_embeddings_go_with_the_globals_and_text_of_their_own_encoder(store: Store, extract: Any) -> None:
    extract("--encoder", "fake(dim=8)")
    widths = {}
    for bundle in match.bundles(store):
        assert isinstance(bundle, RegionBundle)
        rows = store.read(bundle.region_embeddings, 0).regions
        whole = store.read(bundle.globals, 0).globals
        assert rows.shape[1] == whole.shape[1] == bundle.text_bank.text.shape[1]
        widths[bundle.labels["encoder"]] = rows.shape[1]
    assert widths == {"fake": 32, "fake(dim=8)": 8}


def test_each_prompt_is_a_bundle_of_its_own(store: Store, extract: Any) -> None:
    extract("--prompt", "a drawing of a {}.", "--prompt", "photo")
    assert sorted(b.labels["prompt"] for b in match.bundles(store)) == ["a drawing of a {}.", "photo"]
    (only,) = match.bundles(store, prompt="a drawing of a {}.")
    assert only.text_bank.templates == ("a drawing of a {}.",)


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        ({"dataset": "cub"}, "`fgscore extract cub`"),
        ({"dataset": "folder", "encoder": "clip"}, "`fgscore extract folder --encoder clip`"),
        ({"dataset": "folder", "regions": "random_crop(n=5)"}, '--regions "random_crop(n=5)"`'),
        ({"dataset": "folder", "prompt": "a {}"}, '--prompt "a {}"`'),
    ],
)
def test_nothing_cached_says_what_is_there_and_how_to_get_the_rest(
    asked: dict[str, str], command: str, store: Store
) -> None:
    with pytest.raises(NothingCached) as caught:
        match.bundles(store, **asked)
    assert "cached: folder: random_crop(n=4) by fake" in str(caught.value)
    assert command in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_cache_says_so(data: Any) -> None:
    from fgscore.store.paths import Layout

    with pytest.raises(NothingCached, match=r"cached: nothing; run `fgscore extract demo`"):
        match.bundles(Store(Layout(data)))


def test_a_parent_that_was_not_copied_is_named(store: Store) -> None:
    import shutil

    shutil.rmtree(store.layout.cache / "folder" / "regions")
    with pytest.raises(StoreError, match=r"folder/region_embeddings/fake-\w+: its parent regions is not in this cache"):
        match.bundles(store)


def test_of_a_text_made_by_two_versions_the_last_is_meant(store, run, photos, monkeypatch):
    from fgscore.encoders import fake

    before = match.bundles(store)[0].text
    monkeypatch.setattr(fake.Fake, "version_of", lambda self, kind: 2 if kind == "text" else 1)
    done = run("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=4)")
    assert done.code == 0, done.err
    (bundle,) = match.bundles(store)
    assert (before.recipe.version, bundle.text.recipe.version) == (1, 2)


def test_a_component_of_a_file_matches_by_name_and_by_what_can_be_read(tmp_path: Path) -> None:
    here, other = tmp_path / "mine.py", tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    here.write_text("first")
    other.write_text("second")
    recipe = manifest.Recipe("scores", "mine.py:f(a=2)", {"a": 2, "b": 1}, weights=file_sha256(here))
    for name, matched in (
        (f"{here}:f", True),
        (f"{here}:f(b=1)", True),
        ("nowhere/mine.py:f(a=2)", True),  # not here to be read
        (f"{here}:f(a=3)", False),
        (f"{here}:g", False),
        (f"{other}:f", False),
        ("nowhere/yours.py:f", False),
        ("f", False),
    ):
        assert match.matches(recipe, specs.parse(name)) is matched, name


def test_without_text_bundles_are_there_unless_a_prompt_is_asked_for(store: Store) -> None:
    shutil.rmtree(store.layout.cache / "folder" / "text")
    (bundle,) = match.bundles(store)
    assert isinstance(bundle, RegionBundle) and bundle.text is None and bundle.text_bank is None
    assert bundle.labels["prompt"] == "" and "--prompt" not in bundle.way_out("sam")
    assert [made.recipe.kind for made in bundle.artefacts] == ["regions", "region_embeddings", "globals"]
    with pytest.raises(NothingCached, match="--prompt 'plain' needs class text, and folder by fake has none"):
        match.bundles(store, prompt="plain")
    said = str(bundle.no_text("scorer x", "--scorer y"))
    assert said.endswith("use --scorer y, or run `fgscore extract folder --encoder fake`")


def test_whole_images_of_before_a_size_could_be_said_are_of_the_models_own() -> None:
    """A recipe of then lacks the parameter; regions of another size do not go with it, nor does its text mind."""
    model = {"model": "openai/clip-vit-base-patch32", "revision": None, "dtype": "fp32"}
    whole = manifest.Recipe("globals", "clip", {**model, "fit": "crop"})
    text = manifest.Recipe("text", "clip", model)
    rendering = {"fit": "crop", "outside": "black", "margin": 0.0}
    before = manifest.Recipe("region_embeddings", "clip", {**model, **rendering})
    now = manifest.Recipe("region_embeddings", "clip", {**before.params, "size": None, "trust_remote_code": False})
    larger = manifest.Recipe("region_embeddings", "clip(size=448)", {**now.params, "size": 448})
    assert [match.same_model(whole, one) for one in (before, now, larger)] == [True, True, False]
    assert all(match.same_model(text, one) for one in (before, now, larger))

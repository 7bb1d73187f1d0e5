"""Recipes' digests name what is on people's disks: those of before this test stay as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fgscore import encoders
from fgscore.evaluate.features import FeatureRun
from fgscore.evaluate.score import ScoreRun
from fgscore.extract import thumbnails
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.pooling import Pooling
from fgscore.runtime import Runtime
from fgscore.scorers import Scorer
from fgscore.store import index
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.manifest import Artefact, Recipe
from fgscore.store.paths import Layout
from fgscore.targets import Target

DIGESTS = {
    "index": "8c80ab4af0d124ae36ca7bbfc2f3c89897352d0779a3fc4dcbaa8f659b9bddd5",
    "thumbnails": "593d66d748082db9b06c25aa829e965484bd3c450982a9c071582fe97e5d4cd7",
    "fake: regions": "a8a3b6c86b99326bfc14924dbe606e4f030c07f52d171ac8004a956f0eed83cc",
    "fake: globals": "563a52f21be1f762a8aa5e2f076cb7f07d36f68593921b8d4bc9ccd4f002ce9c",
    "fake: text": "bea74a9b1d2bdda311bcadd688cde86472402a90206adb76e9bfe2d9e9239871",
    "fake: region_embeddings": "b85fc458d94f73d05de7a499fe642e56faec37917d3d39df1f751eaaefd93daa",
    "region_global, none": "2440166cd55184b9963fdbd6af96a2152dca0b7d5f425d2aed2d7794a78ac771",
    "soft_margin, global": "713c20b524424463fa47d8147d20cb51ba40be752ff75a2f214fc7f70b5d7b1c",
    "entropy(tau=50), local": "b4bdb0ed8f48dca7ca8ba2880c44067ddbb7cfbbce45a2dc0ed9e48ac40ab0dd",
    "hard_margin, oracle": "dcec48c74c4c0391174efec3964546c770f8c54b12be212c01e062473f4e292e",
    "none": "1ad7c3418c82e7a18e977264ef419c63afff284b63df6fd654805a1ebe126c20",
    "mean": "522c751acb4507f164df4f4326f6f978fbd1312903c429869da78b997fefef40",  # raw, since its version 2
    "topk": "0032209421ef836c18780e55c1a566ecf5559e5899ef92737094d8195a0014d5",
    "clip: regions": "8b779beefeb2a52e687f7e24ee945a59759f605a1fa66e43e3a334ecec1e23a6",
    "clip: globals": "72204f7083637ad4379d95f4241846cba3a6814dcfbd3ba5f2ec15c0aec68159",
    "clip: text": "fc5ac1dca2cfe5a3fee7abcee5005f81d938a01a05fb0cd1ccf5179516977db2",
    "clip: region_embeddings": "f94748a6c5b40a04145bfc8cc343fac97733b15afafed6d33e784d9099700b0a",
}
INDEX = index.recipe("demo", {"images": 48}, 3, 5)
IMAGES = {"images": INDEX.digest}


def made(layout: Layout, encoder: EncoderPart, generator: GeneratorPart) -> dict[str, Recipe]:
    """The recipes of an extraction by ``encoder`` and ``generator``."""
    prompts = encoders.prompt_set("plain", "bird")
    regions = generator.recipe("regions", IMAGES)
    return {
        "regions": regions,
        "globals": encoder.recipe("globals", IMAGES),
        "text": encoder.recipe("text", {"names": INDEX.digest}, **prompts.recipe()),
        "region_embeddings": encoder.recipe("region_embeddings", {"regions": regions.digest, **IMAGES}),
    }


def followed(store: Store, recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """The recipes of what is computed from an extraction."""
    at = {kind: Artefact(store.layout.cache / "demo" / kind / "x", recipe, {0: 1}) for kind, recipe in recipes.items()}
    indexed = Artefact(store.layout.cache / "demo" / "index" / "x", INDEX, {})
    bundle = RegionBundle(
        store, indexed, at["globals"], at["text"], regions=at["regions"], region_embeddings=at["region_embeddings"]
    )
    scored = {
        f"{text}, {target or 'none'}": ScoreRun(bundle, Scorer.bind(text), target and Target.bind(target))
        for text, target in (
            ("region_global", None),
            ("soft_margin", "global"),
            ("entropy(tau=50)", "local"),
            ("hard_margin", "oracle"),
        )
    }
    pooled = {
        "none": FeatureRun(bundle, Pooling.bind("none")),
        "mean": FeatureRun(bundle, Pooling.bind("mean"), rows="raw"),
        "topk": FeatureRun(bundle, Pooling.bind("topk(k=3)"), scored["soft_margin, global"], crops=(0, 32)),
    }
    return {name: run.recipe for name, run in [*scored.items(), *pooled.items()]}


def recipes(data: Path) -> dict[str, Recipe]:
    layout = Layout(data)
    runtime = Runtime(layout.models, "cpu", offline=True)
    fake, crops = EncoderPart("fake", runtime), GeneratorPart("random_crop(n=64)", runtime)
    extracted = made(layout, fake, crops)
    both = {f"fake: {kind}": recipe for kind, recipe in extracted.items()}
    return {"index": INDEX, "thumbnails": thumbnails.recipe(256, INDEX.digest), **both,
            **followed(Store(layout), extracted)}  # fmt: skip


def demo_recipes(data: Path) -> dict[str, Recipe]:
    """Those with weights: of the models that ship with fgscore."""
    layout = Layout(data)
    runtime = Runtime(layout.models, "cpu", offline=True)
    clip, sam = EncoderPart("clip(model='demo')", runtime), GeneratorPart("sam(checkpoint='demo')", runtime)
    return {f"clip: {kind}": recipe for kind, recipe in made(layout, clip, sam).items()}


def test_digests_stay(tmp_path: Path) -> None:
    found = {**recipes(tmp_path), **demo_recipes(tmp_path)}
    assert {name: recipe.digest for name, recipe in found.items()} == DIGESTS


def test_a_recipe_read_back_has_its_digest(tmp_path: Path) -> None:
    """By way of JSON, as a plan is kept: what a store of before holds is found by the same digest."""
    for recipe in recipes(tmp_path).values():
        assert Recipe(**json.loads(json.dumps(recipe.to_json()))).digest == recipe.digest

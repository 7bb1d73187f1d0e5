"""A new prompt set costs a text pass and no image work; what is cached is found by its name."""

import json

import pytest
from PIL import Image

from fgscore.errors import NothingCached
from fgscore.extract.extraction import extract
from fgscore.extract.index import make_index
from fgscore.extract.parts import Parts
from fgscore.runtime import Runtime
from fgscore.store import match
from fgscore.store.cache import Store
from fgscore.store.paths import Layout


@pytest.fixture
def photos(tmp_path):
    for i, name in enumerate(("train/robin/a", "train/wren/b", "test/robin/c", "test/wren/d")):
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((24, 20), 40 + i).save(path)
    return tmp_path / "photos"


def run(store, photos, prompts):
    runtime = Runtime(models=store.layout.models)
    chosen = Parts.of(["random_crop(n=3)"], ["fake"], prompts, runtime)
    return extract(store, make_index(store, "folder", root=photos), chosen, runtime)


def test_a_new_prompt_costs_text_only(tmp_path, photos):
    store = Store(Layout(tmp_path / "data"))
    assert {s.kind for s in run(store, photos, ["plain"]) if s.computed} == {
        "index",
        "thumbnails",
        "globals",
        "text",
        "regions",
        "region_embeddings",
    }
    said = tmp_path / "said.json"
    said.write_text(json.dumps({"robin": ["It has a red breast."], "Wren": ["It is small.", "It sings."]}))
    mine = tmp_path / "mine.txt"
    mine.write_text("a {}.\nthe {}.\n")
    for prompt in ("clip", "a drawing of a {}.", str(mine), str(said)):
        summaries = run(store, photos, ["plain", prompt])
        made = [("text", 1)] + [("descriptions", 1)] * ("drawing" not in prompt)  # of one text there is no more
        assert [(s.kind, s.computed) for s in summaries if s.computed] == made
        assert sum(s.reused for s in summaries) == 6
    assert run(store, photos, ["clip", str(mine)])[-1].computed == 0
    assert len(match.bundles(store)) == 5

    found = match.bundles(store, prompt=str(mine))
    assert len(found) == 1 and found[0].labels["prompt"].startswith("mine.txt@")
    assert match.bundles(store, prompt="mine.txt")[0].text == found[0].text  # elsewhere, the name is enough
    mine.write_text("another {}.\n")
    with pytest.raises(NothingCached):
        match.bundles(store, prompt=str(mine))

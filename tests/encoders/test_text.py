"""Texts as each family was trained on them: which changes of ours make a text embedding another one."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import layouts  # noqa: E402
import loaded  # noqa: E402

from fgscore.errors import MissingWeights  # noqa: E402
from fgscore.extract.parts import EncoderPart  # noqa: E402
from fgscore.runtime import Runtime  # noqa: E402

CPU = Runtime(device="cpu", offline=True)


def versions(folder):
    """Of the recipe of each kind."""
    component = EncoderPart(f"clip(model='{folder}')", CPU)
    return {kind: component.recipe(kind, {}).version for kind in ("text", "globals", "region_embeddings")}


@pytest.mark.parametrize("make", [layouts.siglip1, layouts.clip_safetensors, layouts.metaclip2, layouts.chinese_clip])
def test_text_that_is_made_as_before_keeps_its_recipe(make, tmp_path):
    pytest.importorskip("sentencepiece")
    assert set(versions(make(tmp_path / "model")).values()) == {1}


def test_text_that_is_put_into_lower_case_now_is_of_a_new_version(tmp_path):
    pytest.importorskip("sentencepiece")
    assert versions(layouts.siglip2_fixed(tmp_path / "model")) == {"text": 2, "globals": 1, "region_embeddings": 1}


def test_only_texts_beyond_the_context_are_named(tmp_path):
    encoder = loaded.encoder("clip", CPU, model=str(layouts.clip_safetensors(tmp_path / "model")))
    long = "bird " * 90
    assert encoder.beyond_context(["a bird", long, "", "bird " * 70]) == [long]


def test_merges_that_are_missing_are_noticed_though_every_letter_is_known(tmp_path):
    folder = layouts.clip_safetensors(tmp_path / "model")
    (folder / "tokenizer.json").unlink(missing_ok=True)
    (folder / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(MissingWeights, match="knows words"):
        loaded.encoder("clip", CPU, model=str(folder))


def test_a_tokenizer_of_letters_alone_is_one(tmp_path):
    """As tiny SentencePiece models are."""
    pytest.importorskip("sentencepiece")
    encoder = loaded.encoder("clip", CPU, model=str(layouts.siglip1(tmp_path / "model", letters=True)))
    assert np.linalg.norm(np.diff(encoder.embed_texts(["jay", "crow"]), axis=0)) > 1e-4

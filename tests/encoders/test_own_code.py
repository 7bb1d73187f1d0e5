"""Code that a model brings is run where the user wrote so, and nowhere else."""

import json
import re
import shlex
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("sentencepiece")

import layouts  # noqa: E402
import loaded  # noqa: E402
import own_code  # noqa: E402
import spoilt  # noqa: E402
from PIL import Image  # noqa: E402

from fgscore.encoders import EncoderMaker  # noqa: E402
from fgscore.errors import MissingWeights, UsageError  # noqa: E402
from fgscore.evaluate.recorded import on_its_own  # noqa: E402
from fgscore.extract.parts import EncoderPart  # noqa: E402

PICTURES = loaded.noise()
TEXTS = ["a photo of a bird,", "A Photo of the blue-crowned BIRD!", "", "bird " * 90 + "car", "Car", "car"]
both = pytest.mark.parametrize("make", [own_code.fgclip1, own_code.fgclip2])


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    """Where transformers copies a model's code to."""
    dynamic = pytest.importorskip("transformers.dynamic_module_utils")
    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path / "modules"))


def load(folder, **params):
    return loaded.encoder("clip", model=str(folder), trust_remote_code=True, **params)


def test_fg_clip_2_is_embedded_as_its_own_code_does(made):
    folder = made(own_code.fgclip2)
    model, ours = own_code.model_of(folder), load(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    lower = [text.lower() for text in TEXTS]
    ids = tokenizer(lower, padding="max_length", max_length=64, truncation=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        images = model.get_image_features(
            **processor(images=[Image.fromarray(one) for one in PICTURES], return_tensors="pt")
        )
        texts = model.get_text_features(input_ids=ids, walk_type="short")
    loaded.assert_alike(ours.embed_images(PICTURES), images.numpy())
    loaded.assert_alike(ours.embed_texts(TEXTS), texts.numpy())
    assert ours.logit_scale == pytest.approx(float(model.logit_scale.detach().exp()))


def test_fg_clip_1_is_embedded_as_its_own_code_does(made):
    folder = made(own_code.fgclip1)
    model, ours = own_code.model_of(folder), load(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(TEXTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    pixels = processor(images=[Image.fromarray(one) for one in PICTURES], return_tensors="pt").pixel_values
    with torch.no_grad():
        images, texts = (
            model.get_image_features(pixels),
            model.get_text_features(encoded["input_ids"], walk_short_pos=True),
        )
    loaded.assert_alike(ours.embed_images(PICTURES), images.numpy(), 0.9999)  # pixels by our own code
    loaded.assert_alike(ours.embed_texts(TEXTS), texts.numpy())


@both
def test_without_the_users_word_it_is_refused_with_that_line_and_not_run(make, made):
    folder = made(make, anew=True)
    for call in ("check", "load"):
        encoder = EncoderMaker.bind(f"clip(model='{folder}')").make(loaded.CPU)
        with pytest.raises(MissingWeights, match=r"modeling_fgclip2?\.py.*trust_remote_code=True") as told:
            getattr(encoder, call)()
        line = shlex.split(str(told.value).partition("--encoder ")[2])[0]
        assert EncoderMaker.bind(line).params["trust_remote_code"], "as printed"
    assert not spoilt.ran(folder).exists()


@both
def test_what_names_it_without_loading_runs_nothing(make, made):
    folder = made(make, anew=True)
    part = EncoderPart(f"clip(model='{folder}', trust_remote_code=True)", loaded.CPU)
    assert part.recipe("globals", {"images": "0"}).weights
    part.files()
    assert not spoilt.ran(folder).exists()


def test_the_code_is_part_of_what_identifies_the_model(made):
    folder = made(own_code.fgclip2, anew=True)
    text = f"clip(model='{folder}', trust_remote_code=True)"
    before = EncoderPart(text, loaded.CPU).weights
    with (folder / "modeling_fgclip2.py").open("a") as file:
        file.write("# changed\n")
    assert EncoderPart(text, loaded.CPU).weights != before


@pytest.mark.parametrize("weights", ["0" * 40, "0" * 64])
def test_a_probe_that_names_it_runs_nothing(weights):
    recorded = EncoderPart(EncoderMaker.built_in("clip(model='someone/fg', trust_remote_code=True)"), loaded.CPU)
    with pytest.raises(UsageError, match=r"no code is run because a probe names it.*--encoder \"clip\("):
        on_its_own(recorded, "encoder", weights)


def test_code_of_another_repository_is_never_run(made):
    folder = made(own_code.fgclip2, anew=True)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(re.sub(r'"(modeling_fgclip2)', r'"someone/else--\1', config))
    with pytest.raises(MissingWeights, match=r"someone/else--modeling_fgclip2"):
        load(folder)


def test_a_model_without_code_is_the_same_with_the_users_word(made):
    folder = made(layouts.clip_safetensors)
    plain = loaded.encoder("clip", model=str(folder)).embed_texts(TEXTS)
    np.testing.assert_array_equal(load(folder).embed_texts(TEXTS), plain)


def test_a_processor_of_its_own_that_is_not_run_is_named(published, tmp_path, caplog):
    folder = tmp_path / "model"
    shutil.copytree(published("siglip"), folder)
    for name in ("preprocessor_config.json", "tokenizer_config.json"):
        said = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**said, "auto_map": {"AutoProcessor": "evil.Evil"}}))
    with caplog.at_level("WARNING"):
        loaded.encoder("clip", model=str(folder))
    assert "preprocessor_config.json asks for code of its own" in caplog.text
    assert "tokenizer_config.json asks for code of its own" in caplog.text

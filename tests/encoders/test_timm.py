"""Models of timm are embedded as timm itself does, with its own transforms."""

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytest.importorskip("open_clip")

import loaded  # noqa: E402
import pictures  # noqa: E402
import spoilt  # noqa: E402

from fgscore import contract  # noqa: E402
from fgscore.encoders import EncoderMaker  # noqa: E402
from fgscore.errors import BadParameter, MissingWeights  # noqa: E402

PICTURES = loaded.noise()
every = pytest.mark.parametrize("name", pictures.TIMM)


def load(folder, **params):
    return loaded.encoder("timm", model=str(folder), **params)


def made_of(text):
    return EncoderMaker.bind(text).make(loaded.CPU)


@every
def test_embedded_as_timm_does(name, made):
    folder = made(pictures.TIMM[name])
    ours = load(folder)
    loaded.assert_alike(ours.embed_images(PICTURES), pictures.by_timm(folder, PICTURES))
    np.testing.assert_array_equal(ours.embed_images(PICTURES), load(folder).embed_images(PICTURES))
    assert not ours.reads_text


@every
def test_it_keeps_to_the_laws_of_encoders(name, made):
    maker = EncoderMaker.bind(f"timm(model='{made(pictures.TIMM[name])}')")
    assert not [verdict for verdict in contract.check(maker) if verdict.counterexample]


@pytest.mark.parametrize("wrap", [dict, lambda state: {"state_dict": spoilt_prefix(state), "epoch": 3}])
def test_a_file_of_ones_own_goes_with_a_name(wrap, made, tmp_path):
    folder = made(pictures.timm_model)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save(wrap(state), tmp_path / "mine.pt")
    ours = load("test_vit", pretrained=str(tmp_path / "mine.pt"))
    model = timm.create_model("test_vit", num_classes=5)
    model.load_state_dict(state)
    model.reset_classifier(0)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    from PIL import Image

    with torch.no_grad():
        theirs = model.eval()(torch.stack([transform(Image.fromarray(one)) for one in PICTURES])).numpy()
    loaded.assert_alike(ours.embed_images(PICTURES), theirs)
    text = f"timm(model='test_vit', pretrained='{tmp_path}/mine.pt')"
    assert EncoderMaker.bind(text).canonical == "timm(model='test_vit', pretrained='mine.pt')"


def spoilt_prefix(state):
    return {f"module.{name}": value for name, value in state.items()}


def test_another_size_is_timms_own(made):
    folder = made(pictures.timm_model)
    ours = load(folder, size=192)
    assert ours.size == 192
    loaded.assert_alike(ours.embed_images(PICTURES), pictures.by_timm(folder, PICTURES, img_size=192))
    with pytest.raises((BadParameter, MissingWeights), match="leave size out"):
        made_of(f"timm(model='{folder}', size=50)").check()


@pytest.mark.parametrize("key", ["blocks.1.attn.qkv.weight", "pos_embed", "norm.weight"])
@pytest.mark.parametrize("call", ["check", "load"])
def test_missing_weights_are_refused_and_named(key, call, made):
    folder = spoilt.without(made(pictures.timm_model, anew=True), key)
    with pytest.raises(MissingWeights, match=r"missing \(1\)") as caught:
        getattr(made_of(f"timm(model='{folder}')"), call)()
    assert key in str(caught.value)


@pytest.mark.parametrize("how", spoilt.DAMAGE)
def test_damaged_weights_are_refused_by_their_file(how, made):
    folder = made(pictures.timm_model, anew=True)
    spoilt.damage(folder / "model.safetensors", how)
    with pytest.raises(MissingWeights, match=r"model\.safetensors"):
        made_of(f"timm(model='{folder}')").check()


def test_a_pickle_that_runs_code_is_refused_and_nothing_runs(made):
    folder = made(pictures.timm_model, anew=True)
    (folder / "model.safetensors").unlink()
    torch.save({"pos_embed": spoilt.Runs(spoilt.ran(folder))}, folder / "pytorch_model.bin")
    with pytest.raises(MissingWeights, match=r"pytorch_model\.bin"):
        made_of(f"timm(model='{folder}')").check()
    assert not spoilt.ran(folder).exists()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("timm(model='vit_bas_patch16_224')", "did you mean 'vit_base_patch16_224'"),
        ("timm(model='no such model')", "known: ([^,]+, ){39}[^,]+ and [0-9,]+ more.$"),
        ("timm(model='test_vit', pretrained='nowhere')", "test_vit.r160_in1k"),
        ("timm(model='timm/test_vit.r160_in1k', pretrained='x')", "leave that out"),
    ],
)
def test_what_timm_does_not_know_is_refused_by_name(text, match):
    with pytest.raises(BadParameter, match=match):
        made_of(text).weights()


def test_a_name_is_looked_for_in_the_hubs_cache_under_its_tag(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for text in ("timm(model='test_vit')", "timm(model='test_vit', pretrained='r160_in1k')"):
        with pytest.raises(
            MissingWeights, match=r"timm/test_vit\.r160_in1k.*fgscore download \"timm\(model='test_vit'"
        ):
            made_of(text).weights()


def test_the_same_weights_have_the_same_identity_wherever_they_lie(made, tmp_path):
    folder = made(pictures.timm_model)
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert made_of(f"timm(model='{folder}')").weights() == made_of(f"timm(model='{copy}')").weights()

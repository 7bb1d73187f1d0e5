"""Models of open_clip are embedded as open_clip itself does, with its own tokenizers and transforms."""

import json
import shutil
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
library = pytest.importorskip("open_clip")
pytest.importorskip("sentencepiece")

import loaded  # noqa: E402
import pictures  # noqa: E402
import spoilt  # noqa: E402
from PIL import Image  # noqa: E402

from fgscore import contract  # noqa: E402
from fgscore.encoders import EncoderMaker, _open_clip  # noqa: E402
from fgscore.errors import BadParameter, MissingWeights  # noqa: E402

PICTURES = loaded.noise()
TEXTS = ["a photo of a bird,", "A Photo of the blue-crowned BIRD!", "", "bird " * 90 + "car", "Car", "car", "the car"]
WEIGHTS = "open_clip_model.safetensors"
every = pytest.mark.parametrize("name", pictures.OPEN_CLIP)


def load(folder, **params):
    return loaded.encoder("open_clip", model=str(folder), **params)


def made_of(text):
    return EncoderMaker.bind(text).make(loaded.CPU)


def refused(folder, match, call="check"):
    with pytest.raises(MissingWeights, match=match) as caught:
        getattr(made_of(f"open_clip(model='{folder}')"), call)()
    assert "\n" not in str(caught.value)
    assert not spoilt.ran(folder).exists()


# -- as the library itself --------------------------------------------------------------------------------------------


@every
def test_embedded_as_open_clip_does(name, made):
    folder = made(pictures.OPEN_CLIP[name])
    theirs, ours = pictures.by_open_clip(folder, PICTURES, TEXTS), load(folder)
    loaded.assert_alike(ours.embed_images(PICTURES), theirs.images)
    loaded.assert_alike(ours.embed_texts(TEXTS), theirs.texts)
    loaded.assert_alike(np.concatenate([ours.embed_texts([text]) for text in TEXTS]), theirs.texts)
    assert ours.logit_scale == pytest.approx(theirs.scale)
    assert ours.dim == theirs.images.shape[1]
    again = load(folder)
    np.testing.assert_array_equal(again.embed_images(PICTURES), ours.embed_images(PICTURES))
    np.testing.assert_array_equal(again.embed_texts(TEXTS), ours.embed_texts(TEXTS))


@every
def test_it_keeps_to_the_laws_of_encoders(name, made):
    maker = EncoderMaker.bind(f"open_clip(model='{made(pictures.OPEN_CLIP[name])}')")
    assert not [verdict for verdict in contract.check(maker) if verdict.counterexample]


def test_a_tower_for_two_libraries_is_read_by_both(made):
    folder = made(pictures.clip_tower)
    theirs = pictures.by_open_clip(folder, PICTURES, TEXTS)
    loaded.assert_alike(load(folder).embed_images(PICTURES), theirs.images)


def test_masked_regions_are_the_librarys_on_a_blackened_crop(made):
    folder, image, box = made(pictures.pe_core), PICTURES[0], (5, 10, 65, 45)
    mask = np.zeros(image.shape[:2], bool)
    mask[15:40, 20:50] = True
    crop = np.asarray(Image.fromarray(np.where(mask[..., None], image, 0)).crop(box))
    ours = loaded.regions(load(folder), [(image, box, mask)])
    loaded.assert_alike(ours, pictures.by_open_clip(folder, [crop], TEXTS).images)


@pytest.mark.parametrize(("make", "room"), [(pictures.laion, 77), (pictures.pe_core, 32), (pictures.siglip2, 64)])
def test_texts_beyond_the_context_are_told(make, room, made):
    ours = load(made(make))
    lengths = {n: len(ours.beyond_context(["bird " * n])) for n in range(room - 4, room + 2)}
    fits = [n for n, cut in lengths.items() if not cut]
    assert fits == list(range(room - 4, max(fits) + 1))
    last, first_cut = (ours.embed_texts(["bird " * n + "car"])[0] for n in (max(fits) - 1, max(fits) + 1))
    assert not np.allclose(last, ours.embed_texts(["bird " * (max(fits) - 1) + "photo"])[0], atol=1e-4)
    assert np.allclose(first_cut, ours.embed_texts(["bird " * (max(fits) + 1) + "photo"])[0], atol=1e-6)


@pytest.mark.parametrize("make", [pictures.laion, pictures.pe_core])
def test_another_size_interpolates_positions_as_the_library_does(make, made):
    folder = made(make)
    own = load(folder).size
    size = own + 2 * (8 if own == pictures.SIDE else 16)
    ours = load(folder, size=size)
    assert ours.size == size
    if own == pictures.SIDE:
        model, _, transform = library.create_model_and_transforms(f"local-dir:{folder}", force_image_size=size)
    else:  # which the library does after it has loaded, as it can
        model, _, _ = library.create_model_and_transforms(f"local-dir:{folder}")
        model.visual.set_input_size(size)
        settings = library.transform.PreprocessCfg(**{**model.visual.preprocess_cfg, "size": size})
        transform = library.transform.image_transform_v2(settings, is_train=False)
    with torch.no_grad():
        theirs = model.eval().encode_image(torch.stack([transform(Image.fromarray(one)) for one in PICTURES]))
    loaded.assert_alike(ours.embed_images(PICTURES), theirs.numpy())


def test_a_size_that_it_cannot_see_is_refused_at_once(made):
    with pytest.raises(BadParameter, match="leave size out"):
        made_of(f"open_clip(model='{made(pictures.pe_core)}', size=170)").check()


# -- by name ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def architecture(tmp_path, monkeypatch):
    """``tiny-clip``, an architecture that the library knows, of the layout of LAION's."""
    monkeypatch.setattr(library.factory, "_MODEL_CONFIGS", dict(library.factory._MODEL_CONFIGS))
    library.factory._MODEL_CONFIGS["tiny-clip"] = pictures.TINY_CLIP
    return "tiny-clip"


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_a_file_of_ones_own_goes_with_a_name(ending, architecture, made, tmp_path):
    folder = made(pictures.laion)
    source = folder / (WEIGHTS if ending == "safetensors" else "open_clip_pytorch_model.bin")
    file = shutil.copy(source, tmp_path / f"mine.{ending}")
    ours = load(architecture, pretrained=str(file))
    model, _, transform = library.create_model_and_transforms(architecture, pretrained=str(file))
    with torch.no_grad():
        images = model.eval().encode_image(torch.stack([transform(Image.fromarray(one)) for one in PICTURES]))
        texts = model.encode_text(library.get_tokenizer(architecture)(TEXTS))
    loaded.assert_alike(ours.embed_images(PICTURES), images.numpy())
    loaded.assert_alike(ours.embed_texts(TEXTS), texts.numpy())


@pytest.mark.parametrize(
    ("model", "pretrained", "identity"),
    [
        ("ViT-B-16-SigLIP2", "webli", "timm/ViT-B-16-SigLIP2"),
        ("ViT-B-16-SigLIP2", "", "timm/ViT-B-16-SigLIP2"),
        ("PE-Core-B-16", "meta", "timm/PE-Core-B-16"),
        ("MobileCLIP2-S0", "dfndr2b", "timm/MobileCLIP2-S0-OpenCLIP"),
        ("ViT-B-32", "laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("ViT-B/32-quickgelu", "openai", "timm/vit_base_patch32_clip_224.openai"),
        ("ViTamin-S", "datacomp1b", "jienengchen/ViTamin-S"),
        ("hf-hub:timm/PE-Core-T-16-384", "", "timm/PE-Core-T-16-384"),
    ],
)
def test_names_and_tags_are_looked_for_where_open_clip_has_them(model, pretrained, identity, tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights, match=f"'{identity}'.*fgscore download"):
        made_of(f"open_clip(model='{model}', pretrained='{pretrained}')").weights()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("open_clip(model='ViT-B-33')", "did you mean 'ViT-B-32'"),
        ("open_clip(model='ViT-B-32')", "several weights.*laion2b_s34b_b79k"),
        ("open_clip(model='ViT-B-32', pretrained='nowhere')", "no weights 'nowhere'.*laion2b_s34b_b79k"),
        ("open_clip(model='ViT-B-32', pretrained='openai')", "model='ViT-B-32-quickgelu'"),
        ("open_clip(model='timm/PE-Core-B-16', pretrained='meta')", "leave that out"),
    ],
)
def test_what_open_clip_does_not_know_is_refused_by_name(text, match):
    with pytest.raises(BadParameter, match=match):
        made_of(text).weights()


def test_published_weights_are_embedded_by_their_name(architecture, made, tmp_path, monkeypatch):
    """Out of the hub's cache, where a download put them, with what the library says of that tag."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    said = {"hf_hub": "me/tiny/", "mean": (0.5,) * 3, "std": (0.25,) * 3, "interpolation": "bilinear"}
    monkeypatch.setitem(library.pretrained._PRETRAINED, architecture, {"mine": {**said, "resize_mode": "squash"}})
    repository, commit = tmp_path / "models--me--tiny", "0123456789" * 4
    shutil.copytree(made(pictures.laion), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    ours = load(architecture, pretrained="mine")
    file = repository / "snapshots" / commit / WEIGHTS
    settings = {"image_mean": said["mean"], "image_std": said["std"], "image_interpolation": "bilinear"}
    model, _, transform = library.create_model_and_transforms(
        architecture, pretrained=str(file), image_resize_mode="squash", **settings
    )
    with torch.no_grad():
        theirs = model.eval().encode_image(torch.stack([transform(Image.fromarray(one)) for one in PICTURES]))
    loaded.assert_alike(ours.embed_images(PICTURES), theirs.numpy())
    assert made_of(f"open_clip(model='{architecture}')").weights() == commit


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("ViT-B-32", True), ("ViT-B/32-quickgelu", True), ("ViT-L/14", True), ("timm/PE-Core-B-16", False),
     ("apple/DFN2B-CLIP-ViT-B-16", False)],
)  # fmt: skip
def test_a_name_is_told_from_an_id_of_the_hub_without_the_library(name, is_one, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    encoder = made_of(f"open_clip(model='{name}', pretrained='openai')") if is_one else None
    assert _open_clip.is_architecture(name) == is_one
    assert encoder is None or encoder.needs


def test_a_tokenizer_of_another_repository_is_looked_for_there():
    found = _open_clip.words("ViT-L-16-SigLIP-256", "open_clip")
    assert found is not None and found.model == "timm/ViT-B-16-SigLIP"
    assert _open_clip.words("ViT-B-32", "open_clip") is None


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["logit_scale", "text.positional_embedding", "visual.trunk.pos_embed"])
@pytest.mark.parametrize("call", ["check", "load"])
def test_missing_weights_are_refused_and_named(key, call, made):
    folder = made(pictures.pe_core, anew=True)
    state = {k: v for k, v in spoilt.load_file(folder / WEIGHTS).items() if k != key}
    spoilt.save_safetensors(state, folder / WEIGHTS)
    refused(folder, rf"missing \(1\): {key}", call)


@pytest.mark.parametrize("how", spoilt.DAMAGE)
def test_damaged_weights_are_refused_by_their_file(how, made):
    folder = made(pictures.laion, anew=True)
    spoilt.damage(folder / WEIGHTS, how)
    refused(folder, WEIGHTS)


@pytest.mark.parametrize("how", ["empty", "cut", "a web page"])
def test_damaged_settings_are_refused(how, made):
    folder = made(pictures.laion, anew=True)
    spoilt.damage(folder / "open_clip_config.json", how)
    refused(folder, "open_clip_config.json")


def test_a_pickle_that_runs_code_is_refused_and_nothing_runs(made):
    folder = made(pictures.laion_pickle, anew=True)
    torch.save({"logit_scale": spoilt.Runs(spoilt.ran(folder))}, folder / "open_clip_pytorch_model.bin")
    refused(folder, "open_clip_pytorch_model.bin")


@pytest.mark.parametrize(
    ("part", "more", "match"),
    [
        ("text_cfg", {"tokenizer_kwargs": {"trust_remote_code": True}}, "not run"),
        ("vision_cfg", {"timm_model_name": "hf-hub:someone/else"}, "not fetched"),
        ("text_cfg", {"hf_model_name": "roberta-base"}, "roberta-base"),
    ],
)
def test_settings_that_ask_for_code_or_files_of_elsewhere_are_refused(part, more, match, made):
    folder = made(pictures.siglip2, anew=True)
    settings = pictures.settings_of(folder)
    settings["model_cfg"][part] |= more
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    refused(folder, match)


def test_a_tokenizer_that_brings_code_is_not_run_and_nobody_is_asked(made):
    folder = made(pictures.siglip2, anew=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"auto_map": {"AutoTokenizer": ["tokens_own.Own", None]}, "tokenizer_class": "Own"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "tokens_own.py").write_text(f"open({str(spoilt.ran(folder))!r}, 'w').close()\nclass Own: pass\n")
    try:
        made_of(f"open_clip(model='{folder}')").check()
    except MissingWeights as error:
        assert "tokenizer" in str(error)
    assert not spoilt.ran(folder).exists()


def test_a_tokenizer_that_is_gone_is_refused(made):
    folder = made(pictures.siglip2, anew=True)
    for name in ("tokenizer.json", "tokenizer.model"):
        (folder / name).unlink()
    refused(folder, "tokenizer")


def test_nothing_is_said_beside_what_is_asked(made, capfd):
    load(made(pictures.laion))
    assert capfd.readouterr() == ("", "")

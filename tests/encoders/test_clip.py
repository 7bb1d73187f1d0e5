"""The encoder 'clip' against a direct use of transformers on the same crops."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import loaded  # noqa: E402

from fgscore import demo  # noqa: E402
from fgscore.encoders import clip  # noqa: E402
from fgscore.errors import BadParameter, MissingWeights  # noqa: E402
from fgscore.runtime import Runtime  # noqa: E402

CPU = Runtime(device="cpu", offline=True)
UPSTREAM = Runtime(device="cpu", offline=True, implementation="upstream")
both = pytest.mark.parametrize("runtime", [CPU, UPSTREAM], ids=["exact", "upstream"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small random CLIPModel in the official folder format, with the demo's tokenizer."""
    path = tmp_path_factory.mktemp("models") / "tiny-clip"
    tokenizer = transformers.AutoTokenizer.from_pretrained(demo.clip_folder())
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**small, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 77},
        vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(path)
    transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(path)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copy(demo.clip_folder() / name, path / name)
    return path


@pytest.fixture(scope="module")
def direct(folder):
    """The same folder, used as transformers' documentation does."""
    model = transformers.CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return model, processor, tokenizer


def photo(height=50, width=80, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def image_features(direct, pictures):
    model, processor, _ = direct
    with torch.no_grad():
        output = model.get_image_features(**processor(images=pictures, return_tensors="pt"))
    return output.pooler_output.numpy()


def cosine(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def assert_equal(ours, theirs, runtime):
    """Equal within rounding where transformers made the pixels; else as near as pixels within two levels allow."""
    if runtime is UPSTREAM:
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert (cosine(ours, theirs) >= 0.9999).all()
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1), rtol=0.01)


@both
def test_whole_images_equal_transformers(folder, direct, runtime):
    images = [photo(50, 80), photo(90, 40, seed=1), photo(7, 3, seed=2)]
    ours = loaded.encoder("clip", runtime, model=str(folder)).embed_images(images)
    theirs = image_features(direct, [Image.fromarray(i) for i in images])
    assert_equal(ours, theirs, runtime)


@both
def test_regions_equal_transformers_on_the_same_crops(folder, direct, runtime):
    image, box = photo(), np.array([5, 10, 65, 45], np.int32)
    ours = loaded.regions(loaded.encoder("clip", runtime, model=str(folder)), [(image, box, None)])
    theirs = image_features(direct, [Image.fromarray(image).crop(tuple(box.tolist()))])
    assert_equal(ours, theirs, runtime)


@both
def test_masked_regions_equal_transformers_on_a_blackened_crop(folder, direct, runtime):
    image, box = photo(), np.array([5, 10, 65, 45], np.int32)
    mask = np.zeros(image.shape[:2], bool)
    mask[15:40, 20:50] = True
    ours = loaded.regions(loaded.encoder("clip", runtime, model=str(folder)), [(image, box, mask)])
    black = image.copy()
    black[~mask] = 0
    theirs = image_features(direct, [Image.fromarray(black).crop(tuple(box.tolist()))])
    assert_equal(ours, theirs, runtime)


@both
def test_squash_shows_the_model_the_whole_region(folder, direct, runtime):
    image = photo(20, 90)
    ours = loaded.encoder("clip", runtime, model=str(folder), fit="squash").embed_images([image])
    squashed = Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC)
    assert_equal(ours, image_features(direct, [squashed]), runtime)


def test_text_equals_transformers(folder, direct):
    texts = ["a photo of a bird,", "a photo of a yellow hook-billed bird,"]
    model, _, tokenizer = direct
    with torch.no_grad():
        theirs = model.get_text_features(**tokenizer(texts, padding=True, return_tensors="pt")).pooler_output
    ours = loaded.encoder("clip", CPU, model=str(folder)).embed_texts(texts)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_padding_and_batches_do_not_change_text(folder):
    encoder = loaded.encoder("clip", CPU, model=str(folder))
    texts = ["bird", "a photo of a yellow hook-billed blue-crowned bird,"]
    together = encoder.embed_texts(texts)
    apart = np.concatenate([encoder.embed_texts([t]) for t in texts])
    np.testing.assert_allclose(together, apart, atol=1e-5)


def test_texts_beyond_the_context_are_cut_not_refused(folder):
    encoder = loaded.encoder("clip", CPU, model=str(folder))
    assert encoder.embed_texts(["bird " * 200]).shape == (1, 24)


def test_logit_scale_is_the_models_own(folder, direct):
    scale = float(direct[0].logit_scale.exp().detach())
    assert loaded.encoder("clip", CPU, model=str(folder)).logit_scale == pytest.approx(scale)


def test_bfloat16_stays_near_float32(folder):
    images = [photo(seed=s) for s in range(4)]
    wide = loaded.encoder("clip", CPU, model=str(folder)).embed_images(images)
    narrow = loaded.encoder("clip", CPU, model=str(folder), dtype="bf16").embed_images(images)
    assert narrow.dtype == np.float32
    assert (cosine(wide, narrow) > 0.99).all()


def test_weights_identify_the_folder_by_content_not_by_place(folder, tmp_path):
    def weights(path):
        return clip.clip(CPU, model=str(path)).weights()

    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert weights(folder) == weights(copy)
    config = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps({**config, "image_mean": [0.5, 0.5, 0.5]}))
    assert weights(folder) != weights(copy)


def test_a_local_model_is_stored_under_its_folder_name(folder):
    assert clip.stored_name(str(folder)) == "tiny-clip"
    assert clip.stored_name("openai/clip-vit-base-patch32") == "openai/clip-vit-base-patch32"


def test_a_folder_without_a_model_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(MissingWeights, match=r"notes\.txt.*lacks config\.json, weights.*save_pretrained"):
        clip.clip(CPU, model=str(tmp_path)).weights()


def test_a_hub_id_that_is_not_cached_is_refused_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"nobody/nothing.*fgscore download.*HF_HOME.*name a folder"):
        clip.clip(CPU, model="nobody/nothing").weights()


def test_a_tokenizer_without_its_vocabulary_is_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "no-vocabulary")
    (copy / "vocab.json").unlink()
    (copy / "merges.txt").unlink()
    with pytest.raises(MissingWeights, match=r"tokenizer|transformers can load"):
        loaded.encoder("clip", CPU, model=str(copy))


def test_a_negative_margin_is_refused(folder):
    with pytest.raises(BadParameter, match="margin"):
        loaded.encoder("clip", CPU, model=str(folder), margin=-0.1)


def test_the_real_tokenizer_gives_the_published_ids(folder, tmp_path, real_data):
    golden = json.loads((real_data / "clip" / "golden_vitb32.json").read_text())["tokenizer"]
    copy = shutil.copytree(folder, tmp_path / "real-tokenizer")
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(real_data / "clip" / name, copy / name)
    (copy / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    tokenizer = transformers.AutoTokenizer.from_pretrained(copy)
    for text, ids in golden.items():
        assert tokenizer(text)["input_ids"] == ids


def test_siglip_is_encoded_as_it_was_trained(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "photo": 4, "of": 5, "bird": 6}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="</s>")
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.SiglipConfig(
        text_config={**small, "vocab_size": len(words), "max_position_embeddings": 12, "projection_size": 32},
        vision_config={**small, "image_size": 32, "patch_size": 8},
    )
    model = transformers.SiglipModel(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    processor = transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path)
    encoder = loaded.encoder("clip", CPU, model=str(tmp_path))

    padded = tokenizer(["a photo of a bird"], padding="max_length", max_length=12, return_tensors="pt")
    with torch.no_grad():
        text = model.get_text_features(input_ids=padded["input_ids"]).pooler_output.numpy()
        pixels = processor(images=[Image.fromarray(photo())], return_tensors="pt")
        image = model.get_image_features(**pixels).pooler_output.numpy()
    np.testing.assert_allclose(encoder.embed_texts(["a photo of a bird"]), text, atol=1e-5)
    assert_equal(encoder.embed_images([photo()]), image, CPU)
    assert_equal(loaded.encoder("clip", UPSTREAM, model=str(tmp_path)).embed_images([photo()]), image, UPSTREAM)


def test_a_gpus_way_to_its_pictures_gives_the_same_embeddings(folder):
    """As on a GPU: crops by matrix products, masks as run lengths."""
    from fgscore.encoders._crops import Crops

    image = photo(60, 90)
    mask = np.zeros(image.shape[:2], bool)
    mask[10:50, 20:80] = True
    boxes = [np.array([5, 10, 65, 45], np.int32), np.array([20, 10, 80, 50], np.int32)]
    encoder = loaded.encoder("clip", CPU, model=str(folder))
    cuts = [(image, boxes[0], None), (image, boxes[1], mask)]
    expected = loaded.regions(encoder, cuts), encoder.embed_images([image])
    encoder._crops = Crops(encoder._looks.plain, encoder.size, "crop", "black", 0.0, "cpu", torch.float32)
    found = loaded.regions(encoder, cuts), encoder.embed_images([image])
    for ours, theirs in zip(found, expected, strict=True):
        assert (cosine(ours, theirs) >= 0.9999).all()

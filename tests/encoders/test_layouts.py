"""Models in the layouts in which they are published: embedded as transformers itself does, or refused by a sentence."""

import builtins
import re
import shutil
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from fgscore import specs  # noqa: E402
from fgscore.encoders import clip  # noqa: E402
from fgscore.errors import MissingWeights  # noqa: E402
from fgscore.types import Runtime, file_sha256  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "published"))
import layouts  # noqa: E402
import spoilt  # noqa: E402

CPU = Runtime(device="cpu", offline=True)
UPSTREAM = Runtime(device="cpu", offline=True, implementation="upstream")
LAYOUTS = {
    "openai B/32, a pickle": layouts.clip_bin,
    "openai L/14, both containers": layouts.clip_both,
    "openai, safetensors": layouts.clip_safetensors,
    "saved by transformers 5": layouts.clip_v5,
    "half precision": layouts.clip_half,
    "shards": layouts.clip_shards,
    "shards of pickles": layouts.clip_bin_shards,
    "laion, with open_clip's copy": layouts.laion_both,
    "laion bigG, as published": partial(layouts.big_g, index=False),
    "laion bigG, with an index": partial(layouts.big_g, pickles=False),
    "metaclip": layouts.metaclip1,
    "metaclip 2": layouts.metaclip2,
    "metaclip 2, without masks": partial(layouts.metaclip2, mask=False),
    "siglip": layouts.siglip1,
    "siglip 2, a fixed size": layouts.siglip2_fixed,
    "chinese-clip": layouts.chinese_clip,
}
SAFE, PICKLE, SHARDS, PICKLES = "openai, safetensors", "openai B/32, a pickle", "shards", "shards of pickles"
NEED_SENTENCEPIECE = ("siglip", "siglip 2, a fixed size")
TEXTS = ["a photo of a bird,", "A Photo of the blue-crowned BIRD!", "", "bird " * 90 + "car", "Car", "car", "the car"]


def photo(height, width, seed):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


PICTURES = [photo(50, 80, 0), photo(90, 40, 1), photo(7, 3, 2)]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """``published(name)``: the folder of a layout, made once."""

    @cache
    def get(name):
        if name in NEED_SENTENCEPIECE:
            pytest.importorskip("sentencepiece")
            pytest.importorskip("google.protobuf")
        return LAYOUTS[name](tmp_path_factory.mktemp("published") / "model")

    return get


@pytest.fixture(scope="module")
def embedded(published):
    """``embedded(name)``: PICTURES and TEXTS by the library itself, and our encoder, each made once."""

    @cache
    def get(name):
        return layouts.direct(published(name), PICTURES, TEXTS), load(published(name))

    return get


@pytest.fixture
def copied(published, tmp_path):
    """``copied(name)``: a copy of it, to be spoilt."""
    return lambda name: shutil.copytree(published(name), tmp_path / "model")


@pytest.fixture
def tiny(copied):
    """A CLIP in one safetensors file, to be spoilt."""
    return copied(SAFE)


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch):
    """transformers asks on standard input whether it may run a folder's code."""

    def asked(*_):
        raise AssertionError("a question on standard input")

    monkeypatch.setattr(builtins, "input", asked)


def assert_alike(ours, theirs, least):
    """Cosines of at least ``least`` and lengths within 1 %; what is zero is zero."""
    assert ours.shape == theirs.shape
    lengths = np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1)
    np.testing.assert_allclose(*lengths, rtol=0.01)
    some = lengths[1] > 0
    assert ((ours * theirs).sum(1)[some] / lengths[0][some] / lengths[1][some]).min() >= least


def load(folder, runtime=UPSTREAM):
    return clip.load(runtime, model=str(folder))


def refused(folder, match=None, runtime=UPSTREAM):
    """The one line that says why ``folder`` cannot be used; nothing of it ran."""
    with pytest.raises(MissingWeights, match=match) as caught:
        load(folder, runtime)
    message = str(caught.value)
    assert "\n" not in message and "\x1b" not in message
    assert folder.name in message
    assert not spoilt.ran(folder).exists()
    return message


# -- as the library itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYOUTS)
def test_embedded_as_transformers_does(name, embedded, published):
    theirs, ours = embedded(name)
    assert_alike(ours.embed_images(PICTURES), theirs.images, 0.99999)
    assert_alike(ours.embed_texts(TEXTS), theirs.texts, 0.99999)
    assert ours.logit_scale == pytest.approx(theirs.scale)
    assert ours.dim == theirs.images.shape[1]
    assert_alike(load(published(name), CPU).embed_images(PICTURES), theirs.images, 0.9999)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_text_does_not_depend_on_those_beside_it(name, embedded):
    theirs, ours = embedded(name)
    assert_alike(np.concatenate([ours.embed_texts([text]) for text in TEXTS]), theirs.texts, 0.99999)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layouts_tell_texts_and_pictures_apart(name, embedded):
    """Else embeddings would agree whatever went wrong."""
    theirs, _ = embedded(name)
    for rows in (theirs.images, theirs.texts[:5]):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        assert (unit @ unit.T)[np.triu_indices(len(unit), 1)].max() < 0.9999


def test_nothing_goes_to_standard_output_where_results_belong(published, capfd):
    load(published(PICKLE))
    assert capfd.readouterr().out == ""


def test_weights_are_the_same_in_every_container(published):
    rows = [load(published(name)).embed_texts(TEXTS) for name in (SAFE, PICKLE, SHARDS, PICKLES)]
    for other in rows[1:]:
        np.testing.assert_array_equal(rows[0], other)


def test_capitals_are_lowered_where_siglip_2_was_trained_so(published):
    car, same = load(published("siglip 2, a fixed size")).embed_texts(["Car", "car"])
    np.testing.assert_array_equal(car, same)
    car, other = load(published("metaclip 2")).embed_texts(["Car", "car"])  # which was trained on both
    assert not np.allclose(car, other, atol=1e-3)


@pytest.mark.parametrize("make", [layouts.naflex, layouts.tipsv2])
def test_what_is_no_square_or_has_no_logit_scale_is_right_or_refused(make, tmp_path):
    pytest.importorskip("sentencepiece")
    folder = make(tmp_path / "model")
    theirs = layouts.direct(folder, PICTURES, TEXTS)
    try:
        ours = load(folder)
    except MissingWeights:
        refused(folder, "NaFlex|temperature|patch")
        return
    assert_alike(ours.embed_images(PICTURES), theirs.images, 0.99999)
    assert_alike(ours.embed_texts(TEXTS), theirs.texts, 0.99999)
    assert ours.logit_scale == pytest.approx(theirs.scale)


def test_keys_in_excess_are_one_counted_line(tiny, caplog):
    before = load(tiny).embed_texts(TEXTS)
    after = load(spoilt.with_excess(tiny)).embed_texts(TEXTS)
    np.testing.assert_array_equal(before, after)
    said = [record.getMessage() for record in caplog.records if "classifier" in record.getMessage()]
    assert len(said) == 1
    assert re.search(r"\b[23] ", said[0])  # old buffers may count or not


# -- identity ---------------------------------------------------------------------------------------------------------


def digest(folder):
    return clip.weights(CPU, {"model": str(folder), "revision": None})


@pytest.mark.parametrize("name", ["openai L/14, both containers", "laion, with open_clip's copy", "shards", "siglip"])
def test_folders_with_safetensors_keep_their_identity(name, published):
    """As every store of before has it: all of these files, and no pickle."""
    folder = published(name)
    files = {path for ending in ("safetensors", "json", "txt", "model") for path in folder.glob(f"*.{ending}")}
    assert digest(folder) == specs.digest({path.name: file_sha256(path) for path in sorted(files)})


@pytest.mark.parametrize("name", [PICKLE, PICKLES])
def test_pickles_are_the_identity_of_a_folder_without_safetensors(name, copied):
    folder = copied(name)
    before = digest(folder)
    for path in folder.glob("*.bin"):
        state = torch.load(path, weights_only=True)
        torch.save({name: value + 1 for name, value in state.items()}, path)
        break
    assert digest(folder) != before


# -- other kinds of model ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (spoilt.vision_only, "lacks|image and text features"),
        (spoilt.dinov2, "lacks|image and text features"),
        (spoilt.timm_config, "timm|open_clip"),
        (spoilt.open_clip_only, r"open_clip"),
        (spoilt.fgclip1, r"position_embedding|modeling_clip\.py"),
        (spoilt.fgclip2, r"fgclip2.*code|modeling_fgclip2\.py"),
        (spoilt.wrong_end, "end-of-text|eos_token_id"),
        (partial(layouts.clip_files, eos=5), "weights"),
    ],
)
def test_other_models_are_refused_by_a_sentence(make, match, tmp_path):
    make(tmp_path / "model")
    refused(tmp_path / "model", match)


def test_shards_named_as_pickles_without_any_index_are_right_or_refused(tmp_path, published):
    """transformers itself finds no weights there."""
    folder = layouts.big_g(tmp_path / "model", index=False, pickles=False)
    theirs = layouts.direct(published("laion bigG, with an index"), PICTURES, TEXTS)
    try:
        ours = load(folder)
    except MissingWeights:
        refused(folder, "weights|index")
        return
    assert_alike(ours.embed_images(PICTURES), theirs.images, 0.99999)
    assert_alike(ours.embed_texts(TEXTS), theirs.texts, 0.99999)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json"])
@pytest.mark.parametrize("how", ["empty", "cut", "a web page", "gone"])
def test_settings_that_are_damaged_or_gone_are_refused(name, how, tiny):
    for words in ("vocab.json", "merges.txt"):
        (tiny / words).unlink()
    if how == "gone":
        (tiny / name).unlink()
    else:
        spoilt.damage(tiny / name, how)
    refused(tiny)


# -- weights that do not fit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "beginnings",
    [
        ("text_projection",),
        ("visual_projection",),
        ("logit_scale",),
        ("text_model.embeddings.position_embedding",),
        ("vision_model.embeddings.class_embedding",),
        ("text_model.encoder.layers.1.",),
        ("vision_model.encoder.layers.0.self_attn.q_proj.bias",),
        ("text_model.final_layer_norm", "vision_model.post_layernorm"),
        ("vision_model.",),
    ],
    ids=lambda beginnings: beginnings[0],
)
def test_missing_weights_are_refused_and_named(beginnings, tiny):
    message = refused(spoilt.without(tiny, *beginnings), "missing")
    assert beginnings[0] in message


@pytest.mark.parametrize(
    ("name", "beginning"),
    [(PICKLE, "text_projection"), ("siglip", "vision_model.head.probe"), ("metaclip 2", "text_model.final_layer_norm"),
     ("chinese-clip", "text_model.embeddings.word_embeddings")],
)  # fmt: skip
def test_so_they_are_in_other_layouts(name, beginning, copied):
    message = refused(spoilt.without(copied(name), beginning), "missing")
    assert beginning in message


@pytest.mark.parametrize(
    ("name", "prefix"),
    [(SAFE, "module."), (SAFE, "_orig_mod."), (SAFE, "module.student.backbone."), (PICKLE, "module."),
     (PICKLE, "model."), ("metaclip 2", "module.")],
)  # fmt: skip
def test_a_prefix_before_all_names_is_right_or_refused_and_named(name, prefix, copied):
    folder = copied(name)
    before = load(folder).embed_texts(TEXTS)
    spoilt.prefixed(folder, prefix)
    try:
        np.testing.assert_array_equal(load(folder).embed_texts(TEXTS), before)
    except MissingWeights:
        message = refused(folder, f"'{prefix}'")
        assert "78" in message, "how many are missing"


def test_transformers_own_prefix_is_no_matter(tiny):
    before = load(tiny).embed_texts(TEXTS)
    np.testing.assert_array_equal(load(spoilt.prefixed(tiny, "clip.")).embed_texts(TEXTS), before)


@pytest.mark.parametrize(
    "name", ["text_projection.weight", "text_model.embeddings.position_embedding.weight", "visual_projection.weight"]
)
def test_a_tensor_of_another_shape_is_refused_and_named(name, tiny):
    refused(spoilt.reshaped(tiny, name), name.replace(".", r"\."))


def test_a_file_of_which_only_a_part_fits_is_refused(tiny):
    """A deeper model's weights under a shallower one's config.json."""
    path = tiny / "config.json"
    text = path.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 1')
    path.write_text(text)
    refused(tiny, r"layers\.1\.")


def test_weights_of_another_family_are_refused(tiny):
    message = refused(spoilt.other_family(tiny), "78")
    assert "layer1.0.conv1.weight" in message or "another" in message


def test_a_training_checkpoint_in_a_pickle_is_right_or_refused(tiny):
    before = load(tiny).embed_texts(TEXTS)
    spoilt.nested(tiny)
    try:
        np.testing.assert_array_equal(load(tiny).embed_texts(TEXTS), before)
    except MissingWeights:
        refused(tiny, "state_dict|epoch")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {}, {"a": 1}])
def test_a_pickle_of_something_else_is_refused(content, copied):
    folder = copied(PICKLE)
    torch.save(content, folder / "pytorch_model.bin")
    refused(folder, r"pytorch_model\.bin|missing")


# -- damage -----------------------------------------------------------------------------------------------------------

FILES = {
    "model.safetensors": SAFE,
    "pytorch_model.bin": PICKLE,
    "model-00002-of-00002.safetensors": SHARDS,
    "pytorch_model-00001-of-00002.bin": PICKLES,
}


@pytest.mark.parametrize("how", spoilt.DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_damaged_weights_are_refused_by_their_file(name, how, copied):
    folder = copied(FILES[name])
    size = (folder / name).stat().st_size
    spoilt.damage(folder / name, how)
    message = refused(folder, name.replace(".", r"\."))
    if how == "cut":
        assert "cut short" in message
        assert f"{size // 2:,}" in message, "the bytes that are there"
        assert name.endswith(".bin") or f"{size:,}" in message, "the bytes that belong there"
    if how == "a git-lfs pointer":
        assert "git lfs pull" in message


@pytest.mark.parametrize("name", [n for n in FILES if "-of-" in n])
def test_a_part_that_is_gone_is_named(name, copied):
    folder = copied(FILES[name])
    (folder / name).unlink()
    refused(folder, name.replace(".", r"\."))


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_place_of_a_file_is_refused(name, copied):
    folder = copied(FILES[name])
    (folder / name).unlink()
    (folder / name).mkdir()
    refused(folder, name.replace(".", r"\."))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "older form"])
def test_a_pickle_that_runs_code_is_refused_and_nothing_runs(zipped, copied):
    folder = spoilt.hostile(copied(PICKLE), zipped)
    refused(folder, r"pytorch_model\.bin")


def test_an_index_leads_nowhere_else(copied, published):
    """Not to a file outside the folder."""
    folder = copied(SHARDS)
    shutil.copytree(published(SAFE), folder.parent / "other")
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00001-of-00002", "../other/model"))
    refused(folder)


# -- from the command line --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", [spoilt.prefixed, lambda f: spoilt.damage(f / "model.safetensors", "cut")])
def test_nothing_is_done_before_the_weights_are_known_to_fit(spoil, tiny, photos, run, data):
    spoil(tiny)
    result = run("extract", "folder", "--root", photos, "--regions", "random_crop(n=2)",
                 "--encoder", f"clip(model='{tiny}')", "--device", "cpu")  # fmt: skip
    assert result.code == 1
    assert "module." in result.err or "cut short" in result.err
    assert "Traceback" not in result.err
    assert not list(data.rglob("*.h5")), "nothing is stored"


@pytest.mark.slow
@pytest.mark.parametrize("package", ["sentencepiece", "google.protobuf"])
def test_a_tokenizer_without_its_package_names_it(package, published):
    """In a process of its own, where that package cannot be imported."""
    program = (
        "import sys; sys.modules[sys.argv[1]] = None\n"
        "from fgscore.encoders import clip\n"
        "from fgscore.errors import MissingExtra\n"
        "from fgscore.types import Runtime\n"
        "try: clip.load(Runtime(device='cpu', offline=True), model=sys.argv[2])\n"
        "except MissingExtra as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, package, str(published("siglip"))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=published("siglip"))
    assert done.returncode == 0, done.stderr
    assert package.removeprefix("google.") in done.stdout
    assert "pip install" in done.stdout

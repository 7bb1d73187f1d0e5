"""What cannot be driven as it is, is refused by a sentence before any work; nothing of it runs."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import layouts  # noqa: E402
import loaded  # noqa: E402
import spoilt  # noqa: E402
from layouts import PICKLE, PICKLES, SAFE, SHARDS  # noqa: E402

from fgscore.errors import MissingWeights  # noqa: E402
from fgscore.runtime import Runtime  # noqa: E402

CPU = Runtime(device="cpu", offline=True)
TEXTS = ["a photo of a bird,", "A Photo of the blue-crowned BIRD!", "", "car"]


def load(folder):
    return loaded.encoder("clip", CPU, model=str(folder))


def refused(folder, match=None):
    """The one line that says why ``folder`` cannot be used; nothing of it ran."""
    with pytest.raises(MissingWeights, match=match) as caught:
        load(folder)
    message = str(caught.value)
    assert "\n" not in message and "\x1b" not in message
    assert folder.name in message
    assert not spoilt.ran(folder).exists()
    return message


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


def test_keys_in_excess_are_one_counted_line(tiny, caplog):
    before = load(tiny).embed_texts(TEXTS)
    after = load(spoilt.with_excess(tiny)).embed_texts(TEXTS)
    np.testing.assert_array_equal(before, after)
    said = [record.getMessage() for record in caplog.records if "classifier" in record.getMessage()]
    assert len(said) == 1
    assert re.search(r"\b[23] ", said[0])  # old buffers may count or not


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
def test_a_prefix_before_all_names_is_refused_and_named(name, prefix, copied):
    message = refused(spoilt.prefixed(copied(name), prefix), f"'{prefix}'")
    assert "78 of 78" in message, "how many are missing"


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


def test_a_training_checkpoint_in_a_pickle_is_refused_and_named(tiny):
    spoilt.nested(tiny)
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
    assert not [path for path in data.rglob("*") if path.is_file()], "not even an index"


@pytest.mark.slow
@pytest.mark.parametrize("package", ["sentencepiece", "google.protobuf"])
def test_a_tokenizer_without_its_package_names_it(package, published):
    """In a process of its own, where that package cannot be imported."""
    program = (
        "import sys; sys.modules[sys.argv[1]] = None\n"
        "from fgscore.encoders import clip\n"
        "from fgscore.errors import MissingExtra\n"
        "from fgscore.runtime import Runtime\n"
        "try: clip.clip(Runtime(device='cpu', offline=True), model=sys.argv[2]).load()\n"
        "except MissingExtra as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, package, str(published("siglip"))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=published("siglip"))
    assert done.returncode == 0, done.stderr
    assert package.removeprefix("google.") in done.stdout
    assert "pip install" in done.stdout


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer_config.json", "new.json"])
def test_a_pipe_in_place_of_a_file_is_refused_and_never_waited_at(name, tiny):
    (tiny / name).unlink(missing_ok=True)
    os.mkfifo(tiny / name)
    refused(tiny, re.escape(name))


@pytest.mark.parametrize("how", ["{}", "<html>"])
def test_picture_settings_are_looked_at_before_any_photo(how, tiny, photos, run, data):
    (tiny / "preprocessor_config.json").write_text(how)
    result = run("extract", "folder", "--root", photos, "--regions", "random_crop(n=2)",
                 "--encoder", f"clip(model='{tiny}')", "--device", "cpu")  # fmt: skip
    assert result.code == 1
    assert "preprocessor_config.json" in result.err or "image processor" in result.err
    assert not [path for path in data.rglob("*") if path.is_file()]


def test_a_vision_tower_of_zeros_is_refused(tiny):
    from safetensors.torch import load_file, save_file

    state = load_file(tiny / "model.safetensors")
    zeros = {name: torch.zeros_like(t) for name, t in state.items() if name.startswith("vision_model.encoder")}
    zeros |= {n: torch.zeros_like(t) for n, t in state.items() if "patch_embedding" in n}
    save_file({**state, **zeros}, tiny / "model.safetensors")
    refused(tiny, "every picture")


def test_an_adapter_beside_the_weights_is_refused(tiny):
    from safetensors.torch import load_file, save_file

    state = load_file(tiny / "model.safetensors")
    name = "text_model.encoder.layers.0.self_attn.q_proj.lora_A.default.weight"
    save_file({**state, name: torch.ones(4, 4)}, tiny / "model.safetensors")
    refused(tiny, "adapter.*lora_A")


def test_two_models_in_one_file_are_refused(tiny):
    from safetensors.torch import load_file, save_file

    state = load_file(tiny / "model.safetensors")
    save_file({**state, **{f"clip.{name}": t + 1 for name, t in state.items()}}, tiny / "model.safetensors")
    refused(tiny, "twice")


def test_a_header_whose_length_reads_like_a_page_is_none(tmp_path):
    """0x3C is both '<' and the low byte of a header's length."""
    import json

    from fgscore import weights

    entry = {"a.b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    header = json.dumps(entry).encode().ljust(0x13C)
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\x80?")
    assert weights.read(tmp_path / "x.safetensors")["a.b"].tolist() == [1.0]


@pytest.mark.parametrize("name", ["visual_projection.weight", "text_projection.weight", "logit_scale"])
def test_weights_that_are_not_finite_are_refused(name, tiny):
    from safetensors.torch import load_file, save_file

    state = load_file(tiny / "model.safetensors")
    save_file({**state, name: torch.full_like(state[name], torch.nan)}, tiny / "model.safetensors")
    refused(tiny, "not finite")

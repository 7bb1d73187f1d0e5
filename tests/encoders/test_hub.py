"""Models by their hub id, from a hub on loopback: fetched once and whole, or given up soon and said so."""

import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("huggingface_hub")

import hub as hubs  # noqa: E402
import layouts  # noqa: E402
import spoilt  # noqa: E402

from fgscore import api  # noqa: E402

NAME = "openai/clip-vit-base-patch32"
WEIGHTS = "pytorch_model.bin"
OTHERS = {"tf_model.h5", "flax_model.msgpack"}
ENCODER = f"clip(model='{NAME}')"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """openai/clip-vit-base-patch32 as at its main: a pickle, no safetensors."""
    return layouts.clip_bin(tmp_path_factory.mktemp("hub") / "model")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def hub(model, cache, monkeypatch):
    """A hub with that model, the only one that this process knows; it is given up after a second."""
    with hubs.running() as running:
        running.serve(NAME, model)
        hubs.use(monkeypatch, running.url, cache)
        monkeypatch.setenv("FGSCORE_HUB_TIMEOUT", "1")
        yield running


@pytest.fixture
def extract(run, photos, cache):
    """``extract()`` embeds ten photos with a hub id, and must end soon."""

    def call(encoder=ENCODER, offline=False, **more):
        began = time.monotonic()
        result = run("extract", "folder", "--root", photos, "--regions", "random_crop(n=2)", "--encoder", encoder,
                     "--device", "cpu", "--no-thumbnails", env={"HF_HUB_OFFLINE": "1" if offline else "0"},
                     **more)  # fmt: skip
        assert time.monotonic() - began < 30
        return result

    return call


def error_of(result):
    """The one line of an error, with all ways out of the want of a hub."""
    assert result.code == 1, result.err
    assert "Traceback" not in result.err
    assert result.out == ""
    lines = [line for line in result.err.splitlines() if line.startswith("error")]
    assert len(lines) == 1, result.err
    return result.err[result.err.index(lines[0]) :]


def ways_out(message):
    """Whether all of them are there."""
    ways = "fgscore download", "HF_HOME", "--encoder", "clip(model='DIR')"
    assert [way for way in ways if way not in message] == []


def text_of(data):
    return api.bundles(api.open_store(data))[0].text_bank.text


def weights_asked_for(hub):
    return [request for request in hub.requests if request.file.endswith(hubs.LARGE)]


# -- fetched ----------------------------------------------------------------------------------------------------------


def test_a_model_without_safetensors_gives_the_values_of_the_same_weights(hub, extract, data, tmp_path, model):
    result = extract()
    assert result.code == 0, result.err
    assert hub.url in result.err, "a question to the network is announced"
    folder = layouts.clip_safetensors(tmp_path / "same")
    assert extract(f"clip(model='{folder}')", data=tmp_path / "other").code == 0
    np.testing.assert_array_equal(text_of(data), text_of(tmp_path / "other"))


def test_what_is_needed_is_fetched_once(hub, extract, model):
    assert extract().code == 0
    sizes = {path.name: path.stat().st_size for path in hubs.files(model)}
    fetched = hub.fetched()
    assert not OTHERS & fetched.keys()
    assert {WEIGHTS, "config.json", "preprocessor_config.json", "tokenizer.json"} <= fetched.keys()
    assert fetched == {name: sizes[name] for name in fetched}
    before = len(hub.requests)
    assert extract().code == 0
    assert len(hub.requests) == before, "the cache is asked first"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (layouts.clip_both, {"model.safetensors"}),
        (layouts.laion_both, {"model.safetensors"}),
        (layouts.clip_bin_shards, {layouts.SHARD.format(i) + ".bin" for i in (1, 2)}),
        (partial(layouts.big_g, index=True), {layouts.SHARD.format(i) + ".safetensors" for i in (1, 2)}),
    ],
    ids=["both containers", "with open_clip's copy", "shards of pickles", "odd names with their index"],
)
def test_of_several_containers_one_is_fetched(make, expected, hub, extract, tmp_path):
    hub.serve(NAME, make(tmp_path / "served"))
    result = extract()
    assert result.code == 0, result.err
    assert {name for name in hub.fetched() if name.endswith((".safetensors", ".bin"))} == expected


def test_of_odd_names_without_an_index_only_one_container_is_fetched(hub, extract, tmp_path):
    hub.serve(NAME, layouts.big_g(tmp_path / "served", index=False))
    assert extract().code == 0
    endings = {Path(name).suffix for name in hub.fetched() if name.endswith((".safetensors", ".bin"))}
    assert len(endings) == 1


def test_a_revision_is_one_of_the_hubs(hub, extract, model):
    commit = hub.serve(NAME, model)
    assert extract(f"clip(model='{NAME}', revision='{commit}')").code == 0
    assert "v3" in error_of(extract(f"clip(model='{NAME}', revision='v3')"))


def test_download_is_for_a_node_with_a_network(hub, run, extract):
    result = run("download", ENCODER, env={"HF_HUB_OFFLINE": "0"})
    assert result.code == 0, result.err
    before = len(hub.requests)
    assert extract(offline=True).code == 0
    assert len(hub.requests) == before


# -- a cache that another tool filled ---------------------------------------------------------------------------------

KEPT = ("tokenizer_config.json", "vocab.json")


def test_a_half_filled_cache_is_completed(hub, extract, cache, model):
    hubs.fill_cache(cache, NAME, model, *KEPT, commit=hub.serve(NAME, model))
    result = extract()
    assert result.code == 0, result.err
    assert not set(KEPT) & hub.fetched().keys(), "what is there is not fetched again"


@pytest.mark.parametrize(
    ("kept", "lacks"),
    [
        (KEPT, "config.json"),
        (("config.json", "preprocessor_config.json", *KEPT, "tokenizer.json"), "model.safetensors"),
        ((WEIGHTS, "config.json", "preprocessor_config.json"), "tokenizer"),
    ],
    ids=["words alone", "no weights", "no words"],
)
def test_off_line_it_is_said_to_be_incomplete(kept, lacks, hub, extract, cache, model):
    hubs.fill_cache(cache, NAME, model, *kept)
    message = error_of(extract(offline=True))
    assert lacks in message
    assert f"fgscore download \"clip(model='{NAME}')\"" in message
    assert hub.requests == []


def test_one_part_of_two_is_a_half_filled_cache(hub, extract, cache, tmp_path):
    folder = layouts.clip_shards(tmp_path / "served")
    names = [path.name for path in hubs.files(folder)]
    gone = "model-00002-of-00002.safetensors"
    hubs.fill_cache(cache, NAME, folder, *[n for n in names if n != gone], commit=hub.serve(NAME, folder))
    assert gone in error_of(extract(offline=True))
    assert extract().code == 0
    assert [name for name in hub.fetched() if name.endswith(".safetensors")] == [gone]


def test_a_link_to_nothing_is_a_half_filled_cache(hub, extract, cache, model):
    names = [path.name for path in hubs.files(model)]
    snapshot = hubs.fill_cache(cache, NAME, model, *names, commit=hub.serve(NAME, model))
    (snapshot / WEIGHTS).resolve().unlink()
    assert extract(offline=True).code == 1
    assert extract().code == 0


def test_a_whole_cache_asks_nobody(hub, extract, cache, model):
    hubs.fill_cache(cache, NAME, model, *[path.name for path in hubs.files(model)])
    assert extract().code == 0
    assert hub.requests == []


# -- a hub that does not do -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["silent", "dropped", "page", 404, 500, 503, 429])
def test_a_hub_that_does_not_answer_is_given_up(how, hub, extract, data):
    hub.misbehave(how)
    result = extract()
    message = error_of(result)
    assert NAME in message
    ways_out(message)
    assert "HF_HUB_OFFLINE" in result.err
    assert not list(data.rglob("*.h5"))


def test_so_is_one_that_answers_by_the_byte(hub, extract):
    hub.misbehave("slow", on="/api/", rate=10)
    began = time.monotonic()
    ways_out(error_of(extract()))
    assert time.monotonic() - began < 10, "a byte now and then is no answer"


@pytest.mark.parametrize("where", [hubs.absent, hubs.unreachable])
def test_so_is_one_that_is_not_there(where, extract, cache, monkeypatch):
    monkeypatch.setenv("FGSCORE_HUB_TIMEOUT", "1")
    with where() as url:
        hubs.use(monkeypatch, url, cache)
        ways_out(error_of(extract()))


def test_off_line_nobody_is_asked(hub, extract):
    message = error_of(extract(offline=True))
    assert "HF_HUB_OFFLINE" in message
    ways_out(message)
    assert hub.requests == []


def test_a_name_that_the_hub_does_not_know_is_said_so(hub, extract):
    message = error_of(extract("clip(model='openai/clip-vit-bas-patch32')"))
    assert "openai/clip-vit-bas-patch32" in message


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_names_the_page_of_its_licence(status, hub, extract, model):
    hub.serve(NAME, model, gated=status)
    message = error_of(extract())
    assert "licence" in message
    assert f"{hub.url}/{NAME}" in message
    assert all(size < 100 for size in hub.fetched().values())


def test_a_repository_in_another_layout_is_refused_before_its_weights_are_fetched(hub, extract, tmp_path):
    pages = [spoilt.open_clip_only(tmp_path / "open_clip"), spoilt.timm_config(tmp_path / "timm")]
    for folder in pages:
        hub.serve(NAME, folder)
        assert "open_clip" in error_of(extract())
    assert weights_asked_for(hub) == []


# -- a transfer that breaks off ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cut", "stalled", "silent", "dropped", 500])
def test_a_file_that_does_not_come_is_an_error_and_comes_later(how, hub, extract, data, monkeypatch):
    hub.misbehave(how, on=WEIGHTS)
    ways_out(error_of(extract()))
    assert not list(data.rglob("*.h5"))
    hub.recover()
    monkeypatch.setenv("FGSCORE_HUB_TIMEOUT", "15")  # the client's own try of before may go on in this process
    assert extract().code == 0


def test_a_slow_transfer_goes_on(hub, extract, model, monkeypatch):
    seconds = 3.5
    monkeypatch.setenv("FGSCORE_HUB_TIMEOUT", "2")
    hub.misbehave("slow", on=f"cdn/{hubs.etag(model / WEIGHTS)}", rate=(model / WEIGHTS).stat().st_size / seconds)
    began = time.monotonic()
    assert extract().code == 0
    assert time.monotonic() - began > seconds


@pytest.mark.parametrize("how", spoilt.DAMAGE)
def test_damaged_weights_on_the_hub_are_refused(how, hub, extract, tmp_path, model, data):
    served = shutil.copytree(model, tmp_path / "served")
    spoilt.damage(served / WEIGHTS, how)
    hub.serve(NAME, served)
    assert WEIGHTS in error_of(extract())
    assert not list(data.rglob("*.h5"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["silent", "stalled"])
def test_by_default_a_hub_is_given_up_in_less_than_half_a_minute(how, model, cache, photos, tmp_path):
    """In a process of its own, with nothing set but the hub's address."""
    with hubs.running() as running:
        running.serve(NAME, model)
        running.misbehave(how, on=WEIGHTS if how == "stalled" else "")
        program = "from fgscore_stages.cli import app; app()"
        given = ["--root", str(photos), "--data", str(tmp_path / "data"), "--regions", "random_crop(n=2)"]
        command = [sys.executable, "-c", program, "extract", "folder", *given, "--device", "cpu"]
        began = time.monotonic()
        done = subprocess.run(
            command, env={**os.environ, **hubs.environment(running.url, cache)}, cwd=tmp_path, capture_output=True,
            text=True,
        )  # fmt: skip
        assert time.monotonic() - began < 30
    assert done.returncode == 1, done.stderr
    ways_out(done.stderr)


def test_a_file_cut_short_in_the_cache_is_fetched_again(hub, run, cache):
    assert run("download", ENCODER, env={"HF_HUB_OFFLINE": "0"}).code == 0
    (weights,) = cache.glob(f"hub/models--*/snapshots/*/{WEIGHTS}")
    blob = weights.resolve()
    blob.write_bytes(blob.read_bytes()[: blob.stat().st_size // 2])
    mended = run("download", ENCODER, env={"HF_HUB_OFFLINE": "0"})
    assert mended.code == 0, mended.err
    assert weights.stat().st_size == hub.repositories[NAME].folder.joinpath(WEIGHTS).stat().st_size


def test_a_cache_that_only_looks_whole_is_completed(hub, run, cache, tmp_path):
    pytest.importorskip("sentencepiece")
    hub.serve(NAME, layouts.siglip2_fixed(tmp_path / "served"))
    assert run("download", ENCODER, env={"HF_HUB_OFFLINE": "0"}).code == 0
    (settings,) = cache.glob("hub/models--*/snapshots/*/tokenizer_config.json")
    settings.unlink()
    mended = run("download", ENCODER, env={"HF_HUB_OFFLINE": "0"})
    assert mended.code == 0, mended.err
    assert settings.is_file()


def test_a_folder_for_an_encoders_files_is_named_by_the_hub_alone(hub, run, tmp_path):
    result = run("download", ENCODER, "--root", tmp_path)
    assert result.code == 2 and "HF_HOME" in result.message


# -- other libraries' models ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "make", "text", "weights"),
    [
        ("facebook/dinov2-base", "dinov2", "vision(model='facebook/dinov2-base')", "model.safetensors"),
        ("timm/test_vit.r160_in1k", "timm_model", "timm(model='test_vit')", "model.safetensors"),
        ("timm/PE-Core-B-16", "pe_core", "open_clip(model='timm/PE-Core-B-16')", "open_clip_model.safetensors"),
        ("openai/tower", "clip_tower", "open_clip(model='hf-hub:openai/tower')", "open_clip_model.safetensors"),
    ],
)
def test_other_encoders_fetch_one_container_of_theirs(name, make, text, weights, hub, run, tmp_path):
    pytest.importorskip("open_clip")
    pytest.importorskip("timm")
    import pictures

    hub.serve(name, vars(pictures)[make](tmp_path / "model"))
    result = run("download", text, env={"HF_HUB_OFFLINE": "0"})
    assert result.code == 0, result.err
    assert {request.file for request in weights_asked_for(hub)} == {weights}
    before = len(hub.requests)
    assert run("download", text, env={"HF_HUB_OFFLINE": "1"}).code == 0
    assert len(hub.requests) == before


@pytest.mark.parametrize(("encoder", "make"), [("vision", "dinov3"), ("timm", "timm_model"), ("open_clip", "pe_core")])
def test_their_gated_models_name_the_page_of_the_licence_too(encoder, make, hub, run, tmp_path):
    pytest.importorskip("open_clip")
    pytest.importorskip("timm")
    import pictures

    hub.serve("someone/gated", vars(pictures)[make](tmp_path / "model"), gated=401)
    result = run("download", f"{encoder}(model='someone/gated')", env={"HF_HUB_OFFLINE": "0"})
    assert result.code == 1
    assert "licence" in result.err
    assert f"{hub.url}/someone/gated" in result.err

"""What is looked at before the first photo is hashed, and told at once."""

import copy
import shutil
from collections import namedtuple

import numpy as np
import pytest

from fgscore import encoders
from fgscore.errors import DataError, Faults, MissingExtra, MissingWeights
from fgscore.execute import preflight
from fgscore.extract.index import Photos
from fgscore.extract.parts import Parts
from fgscore.machine import packages
from fgscore.runtime import Runtime
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.types import TextBank

CROPS = "random_crop(n=2)"


@pytest.fixture
def empty(data):
    return Store(Layout(data))


@pytest.fixture
def look(empty, data):
    """``look(...)`` returns what was looked at and its message, for each fault."""

    def call(dataset="folder", generators=(CROPS,), encoders=("fake",), prompts=("plain",), **photos):
        runtime = Runtime(models=data / "models", device="cpu", offline=True)
        parts = Parts.of(list(generators), list(encoders), list(prompts), runtime)
        return {what: str(error) for what, error in preflight.look(empty, dataset, parts, Photos(**photos))[1]}

    return call


def test_nothing_is_found_where_nothing_is_wrong(look, photos):
    assert look(root=photos) == {}


def test_everything_is_told_at_once_with_a_way_out_for_each(look, tmp_path):
    pytest.importorskip("segment_anything")
    descriptions = tmp_path / "said.json"
    descriptions.write_text('{"jay": ["a jay"]}')
    found = look("cars", (CROPS, "sam"), ("clip(model='nobody/nothing')", "clip(model='./none')"), (str(descriptions),))
    assert list(found) == ["weights of clip(model='nobody/nothing')", "weights of clip(model='./none')",
                           "weights of sam", "photos"]  # fmt: skip
    hub, folder, sam, photos = found.values()
    assert "fgscore download" in hub and "HF_HUB_OFFLINE" in hub and "clip(model='DIR')" in hub
    assert "save_pretrained" in folder
    assert "fgscore download \"sam(checkpoint='vit_b')\"" in sam
    assert "--root" in photos


def test_a_prompt_that_says_nothing_of_a_class_is_among_them(look, photos, tmp_path):
    said = tmp_path / "said.json"
    said.write_text('{"crow": ["a crow"]}')
    found = look(encoders=("clip(model='nobody/nothing')",), prompts=(str(said),), root=photos)
    assert len(found) == 2
    assert "blue jay" in found[f"prompt {said}"]


def test_missing_packages_are_named_once(look, photos, monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None if name == "torch" else object())
    found = look(generators=(CROPS, "sam(checkpoint='demo')"), encoders=("clip(model=demo)",), root=photos)
    assert list(found) == ["packages", "packages"][: len(found)]
    assert "torch" in found["packages"] and "pip install" in found["packages"]


def test_room_that_is_too_small_is_a_fault_before_any_photo_is_read(look, photos, monkeypatch):
    monkeypatch.setattr(preflight, "free_bytes", lambda layout: 1_000)
    assert "--data DIR" in look(root=photos)["space"]


def test_what_is_there_already_needs_no_room(store, photos, monkeypatch):
    parts = Parts.of(["random_crop(n=4)"], ["fake"], ["plain"], Runtime())
    monkeypatch.setattr(preflight, "free_bytes", lambda layout: 3_000)
    assert preflight.look(store, "folder", parts, Photos(photos))[1] == []


def test_the_command_prints_a_line_a_fault_and_hashes_nothing(run, data, tmp_path, monkeypatch):
    from fgscore.datasets import _build

    pytest.importorskip("torch")  # else it is the packages that are told
    monkeypatch.setattr(_build, "file_sha256", lambda path: pytest.fail("hashed"))
    result = run("extract", "cars", "--encoder", "clip(model='./none')", "--regions", CROPS)
    assert result.code == 1
    lines = result.err.splitlines()
    assert lines[0].startswith("error: 2 faults")
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["weights of clip(model='./none')", "photos"]
    assert not (data / "cache").exists()


def test_doctor_lists_the_same(run):
    pytest.importorskip("torch")
    result = run("doctor", "cars", "--encoder", "clip(model='./none')", "--regions", CROPS, "--device", "cpu", "--json")
    assert result.code == 1
    faults = [check["what"] for check in result.json["checks"] if check["state"] == "fault"]
    assert faults == ["weights of clip(model='./none')", "photos"]


def test_one_fault_is_raised_as_itself():
    with pytest.raises(MissingWeights, match="alone"):
        preflight.stop_at([("weights", MissingWeights("alone"))])


def test_faults_keep_their_exit_code_and_pass_between_processes():
    faults = Faults([("packages", MissingExtra("none")), ("photos", DataError("gone"))])
    assert faults.exit_code == 1
    assert Faults([("packages", MissingExtra("none"))] * 2).exit_code == 2
    assert str(copy.copy(faults)) == str(faults)


# -- text before images -----------------------------------------------------------------------------------------------

Text = namedtuple("Text", "names rows")


@pytest.fixture
def alike(monkeypatch):
    """The fake encoder says the same of all that is written alike but for case."""
    from fgscore.encoders import fake

    own = fake.Fake.embed_texts
    monkeypatch.setattr(fake.Fake, "embed_texts", lambda self, texts: own(self, [t.lower() for t in texts]))


@pytest.fixture
def twins(photos):
    """Two more classes, which differ from the others by case alone."""
    for split in ("train", "test"):
        shutil.copytree(photos / split / "crow", photos / split / "Crow")
    return photos


EXTRACT = ("extract", "folder", "--encoder", "fake", "--regions", CROPS, "--no-thumbnails", "--force")


def test_equal_classes_stop_an_extract_before_any_image(alike, twins, run, data):
    result = run(*EXTRACT, "--root", twins)
    assert result.code == 1
    assert "'Crow' and 'crow'" in result.message and "--allow-equal-text" in result.message
    assert not list((data / "cache").rglob("*.h5"))


def test_equal_classes_are_a_warning_where_they_are_allowed_and_wherever_they_are_opened(alike, twins, run, data):
    result = run(*EXTRACT, "--root", twins, "--allow-equal-text")
    assert result.code == 0
    assert "warning" in result.err and "'Crow' and 'crow'" in result.err
    again = run(*EXTRACT, "--root", twins)
    assert again.code == 0 and "'Crow' and 'crow'" in again.err, "a store of before"
    scored = run("score", "folder", "--scorer", "entropy")
    assert scored.code == 0 and "'Crow' and 'crow'" in scored.err


def test_texts_that_are_cut_are_counted_and_named(photos, run):
    pytest.importorskip("torch")
    for split in ("train", "test"):
        (photos / split / "crow").rename(photos / split / " ".join("crow" * 25))
    result = run("extract", "folder", "--root", photos, "--encoder", "clip(model=demo)", "--regions", CROPS,
                 "--device", "cpu", "--no-thumbnails")  # fmt: skip
    assert result.code == 0, result.err
    assert "1 of 2 texts are longer" in result.err and "'a photo of a c r o w" in result.err


def test_classes_that_are_read_alike_are_told_before_anything_is_stored(photos, run, data):
    pytest.importorskip("torch")
    for split in ("train", "test"):
        for name, end in (("crow", "x"), ("blue_jay", "y")):
            (photos / split / name).rename(photos / split / " ".join("crow" * 25 + end))
    made = ("--root", photos, "--encoder", "clip(model=demo)", "--regions", CROPS, "--device", "cpu")
    result = run("extract", "folder", *made)
    assert result.code == 1 and "--allow-equal-text" in result.message
    assert not [path for path in data.rglob("*") if path.is_file()]


@pytest.mark.parametrize("seed", range(5))
def test_equal_rows_are_found_and_no_others(seed):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((300, 24))
    rows[200] = rows[7] * (1 + 1e-4 * rng.standard_normal(24))
    rows[40] = rows[41] + 0.1
    text = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    bank = TextBank(tuple(f"class {i}" for i in range(300)), ("{}",), text, 100.0)
    plain = [(f"class {i}", f"class {j}") for i in range(300) for j in range(i + 1, 300)
             if np.sqrt(((text[i].astype(float) - text[j]) ** 2).sum()) <= 1e-2]  # fmt: skip
    assert bank.equal_classes() == plain == [("class 7", "class 200")]


def test_one_class_is_equal_to_none():
    assert TextBank(("a",), ("{}",), np.ones((1, 3), np.float32), 1.0).equal_classes() == []


class _Short(encoders.Encoder):
    """An encoder that reads five letters."""

    dim, logit_scale = 2, 1.0

    def embed_images(self, images):
        raise NotImplementedError

    def embed_texts(self, texts):
        return np.array([[len(t[:5]), 1.0] for t in texts], np.float32)

    def beyond_context(self, texts):
        return [t for t in texts if len(t) > 5]


def test_cut_texts_are_one_warning_that_counts_and_names():
    names = ["jay", "crow", "nightingale", "long-tailed tit", "great crested grebe", "red-throated diver"]
    with pytest.warns(UserWarning) as caught:
        encoders.embed_text(_Short(), names, ("{}",))
    (warning,) = caught
    said = str(warning.message)
    assert said.startswith("4 of 6 texts") and "'nightingale'" in said and said.endswith("and 1 more")

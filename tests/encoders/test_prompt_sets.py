"""Sets of prompts: typed, CLIP's, files of templates, files of sentences about each class."""

import json

import loaded
import numpy as np
import pytest

from fgscore import datasets, encoders
from fgscore.encoders import prompt_set
from fgscore.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("dataset", "noun"),
    [
        ("cub", "bird"),
        ("demo", "bird"),
        ("cars", "car"),
        ("flowers", "flower"),
        ("pets", "pet"),
        ("aircraft", "aircraft"),
    ],
)
def test_a_data_set_declares_what_its_classes_are_kinds_of(dataset, noun):
    assert noun == datasets.DataSet.bind(dataset).noun
    assert prompt_set("typed", noun).templates == (f"a photo of a {{}}, a type of {noun}.",)


def test_clips_sentence_is_the_default_and_the_papers_keeps_its_comma():
    for dataset in datasets.DataSet.ours_named():
        if dataset != "table":
            assert datasets.DataSet.bind(dataset).defaults.prompt == "photo"
    assert prompt_set("photo").texts("american crow") == ("a photo of a american crow.",)
    assert prompt_set("plain").texts("american crow") == ("a photo of a american crow,",)


def test_typed_without_a_noun_says_what_to_write():
    with pytest.raises(UsageError, match=r"'typed' needs a data set that says .*--prompt \"a photo of a \{\}"):
        prompt_set("typed")


@pytest.mark.parametrize(
    ("noun", "n"), [("car", 8), ("aircraft", 2), ("flower", 1), ("pet", 1), ("bird", 1), (None, 7)]
)
def test_clips_own_templates(noun, n):
    templates = prompt_set("clip", noun).templates
    assert len(set(templates)) == n and all(t.count("{}") == 1 for t in templates)


def test_a_file_of_templates(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# my own\na sketch of a {class name}.\n\n  art of the {}  \n", encoding="utf-8")
    made = prompt_set(str(path))
    assert made.templates == ("a sketch of a {}.", "art of the {}")
    assert made.label.startswith("mine.txt@") and str(tmp_path) not in str(made.recipe())


def test_another_content_is_another_recipe(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("a {}.\n")
    first = prompt_set(str(path))
    path.write_text("the {}.\n")
    assert first.recipe() != prompt_set(str(path)).recipe()


@pytest.mark.parametrize("text", ["", "# only a comment\n", "no name here\n", "two {} {}\n"])
def test_a_file_without_templates_is_refused(tmp_path, text):
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises((DataError, UsageError), match="expected"):
        prompt_set(str(tmp_path / "mine.txt"))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected prompts in .*mine.txt, found none"):
        prompt_set(str(tmp_path / "mine.txt"))


@pytest.fixture
def said(tmp_path):
    """A file of sentences whose names are spelt in another way."""
    path = tmp_path / "descriptions.json"
    content = {
        "brewers_blackbird": ["It is glossy.", "It has a pale eye."],
        "Blue Jay": ["It is blue."],
        "other": ["x"],
    }
    path.write_text(json.dumps(content))
    return str(path)


def test_descriptions_are_averaged_per_class(said):
    encoder = loaded.encoder("fake")
    bank = encoders.embed_text(encoder, ["Blue Jay", "Brewer's Blackbird"], prompt_set(said))
    rows = [encoders.unit(encoder.embed_texts([t]), t)[0][0] for t in ("It is glossy.", "It has a pale eye.")]
    np.testing.assert_allclose(bank.text[1], sum(rows) / np.linalg.norm(sum(rows)), atol=1e-6)
    np.testing.assert_allclose(bank.text[0], encoders.unit(encoder.embed_texts(["It is blue."]), "")[0][0], atol=1e-6)
    assert bank.templates == ()


def test_descriptions_that_lack_a_class_are_refused(said):
    with pytest.raises(
        DataError, match="expected sentences for all 2 classes in descriptions.json@.*, found none for Wren"
    ):
        prompt_set(said).check(["Blue Jay", "Wren"])


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": "one sentence"}', '{"a": []}', '{"a": [1]}', '{"a": [" "]}'])
def test_descriptions_of_another_form_are_refused(tmp_path, content):
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(DataError, match="expected .* in .*d.json, found"):
        prompt_set(str(path))

"""Class names of the user's own, by --classes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore.datasets import Listing, Photo, _images
from fgscore.errors import DataError
from fgscore.extract.classes import Given, read_names
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

NAME = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1).filter(lambda name: not name.startswith("#"))


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "names.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@given(st.lists(NAME, min_size=1, unique=True), st.sampled_from(["\n", "\r\n", "\n\n# a word\n"]), st.booleans())
def test_names_are_read_as_they_were_written(tmp_path_factory, names, between, mark):
    path = written(tmp_path_factory.mktemp("names"), ("\ufeff" if mark else "") + between.join(names))
    assert read_names(path) == tuple(names)


def test_spaces_around_a_name_are_taken_off_with_a_word(tmp_path, caplog):
    caplog.set_level(logging.INFO, "fgscore")
    assert read_names(written(tmp_path, "crow\n  blue  jay \n\n # none\n\towl\n")) == ("crow", "blue  jay", "owl")
    assert caplog.messages == ["names.txt: spaces around 2 names are taken off, as in '  blue  jay '"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("crow\nowl\n\n crow \n", r"once in .*names.txt, found 'crow' in lines 1 and 4; leave one out"),
        ("blue jay\nowl\nblue  jay\n", r"'blue  jay' and 'blue jay' both read 'blue jay'; leave one out"),
        ("", "a class name a line in .*, found none"),
        ("\n# crow\n", "a class name a line in .*, found none"),
        ("crow\nowl".encode("utf-16"), "UTF-8 in .*, found something else: it is UTF-16.*save it as UTF-8"),
        (b"crow\nhu\xe9\n", "line 2 is not UTF-8"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, said):
    with pytest.raises(DataError, match=said):
        read_names(written(tmp_path, content))


@pytest.mark.parametrize("path", ["absent.txt", "."])
def test_no_file_is_said(tmp_path, path):
    with pytest.raises(DataError, match="expected class names in .*, found none .*--classes own"):
        read_names(tmp_path / path)


LISTING = Listing(
    Path("x"), ("crow", "jay"), [Photo(str(i), str(i), label, "test") for i, label in enumerate((1, 0, -1, 1))]
)


def test_photos_keep_their_class_by_its_name():
    found = Given(("owl", "jay", "crow"), "names.txt").applied(LISTING)
    assert found.class_names == ("owl", "jay", "crow") and found.labels.tolist() == [1, 2, -1, 1]


def test_a_class_that_is_not_in_the_list_is_named_with_its_photos():
    with pytest.raises(DataError, match=r"found photos of 'jay' \(2 photos\), 'crow' \(1 photo\), where the nearest to "
                                        "the first is 'jays'; add a line"):  # fmt: skip
        Given(("jays", "owl"), "names.txt").applied(LISTING)


@pytest.fixture
def index(data):
    """``index()`` is what the cache has of the birds."""

    def call():
        store = Store(Layout(data))
        (artefact,) = store.artefacts("index", "birds")
        return store.index(artefact)

    return call


def computed(done):
    assert done.code == 0, done.err
    return {one["kind"]: one["computed"] for one in done.json["artefacts"]}


def test_other_names_cost_no_image_work(birds, index, monkeypatch):
    birds.label(["crow", "", "", "owl", "", "crow"])
    decoded = []
    read = _images.read_rgb
    monkeypatch.setattr(_images, "read_rgb", lambda *of: decoded.append(of) or read(*of))
    computed(birds.extract("--classes", birds.names, "--json"))
    before = index()
    assert decoded, "what is counted below are photos"
    decoded.clear()
    birds.names.write_text("owl\nmagpie\ncrow\n")
    again = computed(birds.extract("--classes", birds.names, "--json"))
    after = index()
    assert not decoded
    assert again == {"index": 1, "text": 1, "globals": 0, "thumbnails": 0, "regions": 0, "region_embeddings": 0}
    assert before.images_digest() == after.images_digest() and before.labels_digest() != after.labels_digest()
    assert [after.class_of(i) for i in range(6)] == ["crow", None, None, "owl", None, "crow"]
    assert before.class_names == ("crow", "blue jay", "owl") and after.class_names == ("owl", "magpie", "crow")


def test_names_stay_until_others_are_given(birds, index):
    birds.label(["owl", "", "", "", "", ""])
    computed(birds.extract("--classes", birds.names, "--json"))
    again = birds.extract("--json")
    assert not any(computed(again).values())
    assert "the 3 class names of names.txt, given before, are kept; --classes gives others" in again.err
    assert index().class_names == ("crow", "blue jay", "owl")
    assert computed(birds.extract("--classes", "own", "--json"))["globals"] == 0
    assert index().class_names == ("owl",) and not index().notes.get("classes")


def test_a_new_class_beside_names_of_before_is_refused_with_both_ways_out(birds):
    birds.extract("--classes", birds.names)
    birds.label(["magpie", "", "", "", "", "magpie"])
    done = birds.extract()
    assert done.code == 1 and "'magpie' (2 photos)" in done.err
    assert "the names of names.txt, given before" in done.err and "or --classes own" in done.err
    assert birds.extract("--classes", "own").code == 0


def test_names_that_were_taken_back_leave_no_text_behind(birds, run):
    birds.extract("--classes", birds.names)
    assert run("score", "birds").code == 0
    assert birds.extract("--classes", "own").code == 0
    done = run("score", "birds")
    assert done.code == 1 and "it has no class names" in done.message
    assert run("score", "birds", "--scorer", "region_global").code == 0


def test_the_store_keeps_the_name_of_the_file_and_no_path(birds, data, index):
    birds.extract("--classes", birds.names)
    assert index().notes["classes"] == "names.txt"
    for path in data.rglob("*"):
        assert not path.is_file() or str(birds.names).encode() not in path.read_bytes(), path


def test_labels_are_kept_as_numbers_into_the_new_names(birds, index):
    birds.label(["owl", "crow", "", "", "", "owl"])
    birds.extract("--classes", birds.names)
    np.testing.assert_array_equal(index().labels, [2, 0, -1, -1, -1, 2])

"""The drawn set by its parameters: which images it holds, and under which name it is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fgscore import datasets, specs
from fgscore.datasets import DataSet
from fgscore.store.cache import Store
from fgscore.store.index import read
from fgscore.store.match import bundles
from fgscore.store.paths import Layout

FAKE = ("--encoder", "fake", "--regions", "random_crop(n=2)")


def pictures(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.glob("t*/**/*.jpg")}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("drawn")

    def at(text: str) -> Path:
        root = folder / DataSet.bind(text).key
        DataSet.bind(text).make_photos(root, lambda done, total: None)
        return root

    return at


def test_a_larger_set_holds_the_images_of_a_smaller_one(drawn: Callable[[str], Path]) -> None:
    small, large = pictures(drawn("demo(train=1, test=1)")), pictures(drawn("demo(train=1, test=2)"))
    assert len(small) == 48 and len(large) == 72
    assert small.items() <= large.items()


def test_no_image_is_for_training_in_one_set_and_for_testing_in_another(drawn: Callable[[str], Path]) -> None:
    small, large = pictures(drawn("demo(train=1, test=2)")), pictures(drawn("demo(train=2, test=1)"))
    train = {content for name, content in large.items() if name.startswith("train/")}
    assert not train & {content for name, content in small.items() if name.startswith("test/")}


def test_photos_have_the_size_that_was_asked_for(drawn: Callable[[str], Path]) -> None:
    root = drawn("demo(train=1, test=1, width=100, height=75)")
    with Image.open(next(root.glob("test/*/000.jpg"))) as picture:
        assert picture.size == (100, 75)


def test_the_parameters_that_decide_the_images_are_in_its_name() -> None:
    texts = ("demo", "demo(train=10, test=10)", "demo(train=20, test=100)", "demo(height=375, width=500)")
    keys = ["demo", "demo", "demo-train20-test100", "demo-width500-height375"]
    assert [DataSet.bind(text).key for text in texts] == keys
    assert [datasets.key_of(specs.parse(text)) for text in texts] == keys


@pytest.mark.parametrize(
    "text", ["demo(train=0)", "demo(test=-1)", "demo(train=1.5)", "demo(test=1000)", "demo(width=8)"]
)
def test_numbers_that_mean_nothing_are_refused(text: str, run: Callable[..., Any], data: Path) -> None:
    found = run("index", text)
    assert found.code == 2
    assert "must be a whole number of at least" in found.message
    assert not data.exists()


def test_it_is_found_as_it_was_written_and_by_its_stored_name(run: Callable[..., Any], data: Path) -> None:
    text, stored = "demo(train=1, test=2)", "demo-train1-test2"
    assert run("extract", text, *FAKE).code == 0
    assert run("extract", stored, *FAKE).code == 0, "a second time by the name it is kept under"
    store = Store(Layout(data))
    for name in (text, stored, "demo(test=2, train=1)"):
        (bundle,) = bundles(store, name)
        assert bundle.dataset == stored and len(read(bundle.index_artefact)) == 72
    for name in ("demo", "demo(train=1)"):
        found = run("probe", name)
        assert (
            found.code == 1
            and f"fgscore extract {name if name == 'demo' else repr(name)}".replace("'", '"') in found.message
        )

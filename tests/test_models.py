"""What a function returns is taken as an encoder or a generator, with the contract's defaults for what it lacks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.encoders import Encoder, EncoderMaker
from fgscore.errors import BadParameter, DataError, UsageError
from fgscore.extract.part import Part
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.models import adopted
from fgscore.regions import Generator, GeneratorMaker
from fgscore.runtime import Runtime

IMAGE = np.zeros((20, 30, 3), np.uint8)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """``write(body)``: the component `f` of a file with that body."""

    def call(body: str) -> str:
        (tmp_path / "mine.py").write_text(body)
        return f"{tmp_path}/mine.py:f"

    return call


class Plain:
    """No relative of the contract; its width is known once it is loaded."""

    dim = 0
    device = "cpu"

    def load(self) -> None:
        self.dim = 7

    def embed_images(self, images: Any) -> Any:
        return np.ones((len(images), self.dim))


def test_what_it_has_is_its_own_as_it_changes_and_the_rest_is_the_contracts() -> None:
    plain = Plain()
    made = adopted(plain, Encoder)
    assert isinstance(made, Encoder) and made.dim == 0 and not made.reads_text and made.renders
    made.load()
    assert made.dim == plain.dim == 7 and made.embed_images([IMAGE]).shape == (1, 7)
    assert (made.version, made.needs, made.thread_safe, made.weights(), made.files()) == (1, (), False, None, [])
    assert made.fetch(lambda *counts: None) is False and not made.fetches


def test_what_is_one_already_is_taken_as_it_is() -> None:
    class Own(Encoder):
        dim = 3

        def embed_images(self, images: Any) -> Any:
            return np.ones((len(images), 3))

        def embed_texts(self, texts: Any) -> Any:
            return np.ones((len(texts), 3))

    own = Own()
    assert adopted(own, Encoder) is own and own.reads_text


def test_two_of_one_class_keep_their_own() -> None:
    one, two = Plain(), Plain()
    first, second = adopted(one, Encoder), adopted(two, Encoder)
    first.load()
    assert (first.dim, second.dim) == (7, 0)


@pytest.mark.parametrize("thing", [None, 3, "clip", object()], ids=lambda one: type(one).__name__)
def test_what_lacks_what_has_no_default_is_refused(thing: Any) -> None:
    with pytest.raises(UsageError, match="which has no dim and no embed_images"):
        adopted(thing, Encoder)


def test_the_runtime_is_given_to_who_takes_it(write: Callable[[str], str]) -> None:
    seen = "class E:\n    dim = 1\n    embed_images = None\n"
    with_it = f"{seen}def f(runtime, /, *, a: int = 1):\n    e = E()\n    e.device = runtime.device\n    return e\n"
    without = f"{seen}def f(*, a: int = 1):\n    e = E()\n    e.version = a\n    return e\n"
    assert EncoderMaker.bind(write(with_it)).make(Runtime(device="cuda:1")).device == "cuda:1"
    assert EncoderMaker.bind(write(without) + "(a=3)").make(Runtime()).version == 3


@pytest.mark.parametrize(
    "body",
    [
        "def f(image, image_id, /, *, side: int = 4):\n    return [(0, 0, side, side)]",
        "def f(*, side: int = 4):\n    return lambda image, image_id: [(0, 0, side, side)]",
        "def f(runtime, /, *, side: int = 4):\n    def g(image, image_id): return [(0, 0, side, side)]\n    return g",
        "class G:\n    def propose(self, image, image_id):\n        return [(0, 0, self.side, self.side)]\n"
        "def f(*, side: int = 4):\n    g = G()\n    g.side = side\n    return g",
    ],
    ids=["a function", "returned by one", "with the runtime", "an object"],
)
def test_a_generator_is_a_function_or_what_one_returns(body: str, write: Callable[[str], str]) -> None:
    part = GeneratorPart(write(body + "\n") + "(side=6)", Runtime())
    assert isinstance(part.made, Generator) and not part.made.masks
    found = part.propose(IMAGE, "a")
    assert found.boxes_xyxy.tolist() == [[0, 0, 6, 6]] and found.area.tolist() == [36 / 600]


def test_a_file_that_a_parameter_names_is_part_of_what_is_stored(write: Callable[[str], str], tmp_path: Path) -> None:
    body = "from pathlib import Path\ndef f(*, table: Path):\n    assert isinstance(table, Path)\n"
    text = write(body + "    return lambda image, image_id: [(0, 0, 5, 5)]\n")
    (tmp_path / "a.csv").write_text("one")

    def recipe() -> Any:
        return GeneratorPart(f"{text}(table='{tmp_path}/a.csv')", Runtime()).recipe("regions", {})

    first = recipe()
    assert first.component == "mine.py:f(table='a.csv')" and first.params == {"table": "a.csv"}
    assert first.source == hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()
    (tmp_path / "a.csv").write_text("two")
    assert recipe().digest != first.digest
    (tmp_path / "a.csv").write_text("one")
    assert recipe().digest == first.digest
    (tmp_path / "a.csv").unlink()
    with pytest.raises(DataError, match=r"expected a file at .*a\.csv, found none; name it by table="):
        recipe()


def test_weights_that_are_declared_and_files_are_both_in_the_recipe(write: Callable[[str], str]) -> None:
    body = "class E:\n    dim = 1\n    embed_images = None\n    def weights(self): return {}\ndef f(): return E()\n"
    found = [EncoderPart(write(body.format(repr(said))), Runtime()).weights for said in ("one", "two", None)]
    assert found[0] != found[1] and found[2] is None
    assert all(len(str(weights)) == 64 for weights in found[:2]), "a digest, whatever was said"


def test_a_python_object_is_made_but_never_stored() -> None:
    class Corner(Generator):
        def propose(self, image: np.ndarray, image_id: str) -> Any:
            return [(0, 0, 3, 3)]

    part: Part[Any] = GeneratorPart(Corner(), Runtime())
    assert part.text == "Corner" and isinstance(part, GeneratorPart) and len(part.propose(IMAGE, "a").area) == 1
    with pytest.raises(UsageError, match="is a Python object, of which the store keeps nothing"):
        part.recipe("regions", {})


@pytest.mark.parametrize("values", ["n = 0", "area_min, area_max = 0.5, 0.5", "area_max = 1.5"])
def test_an_empty_range_that_a_generator_declares_is_refused(values: str, write: Callable[[str], str]) -> None:
    text = write(f"class G:\n    {values}\n    def propose(self, image, image_id): return []\ndef f(): return G()\n")
    with pytest.raises(BadParameter, match="expected"):
        GeneratorMaker.bind(text).make(Runtime())


def test_what_it_declares_filters_and_cuts(write: Callable[[str], str]) -> None:
    boxes = "[(0, 0, 2, 2), (0, 0, 15, 20), (0, 0, 12, 20), (0, 0, 30, 20), (0, 0, 9, 20)]"
    body = "class G:\n    {}\n    def propose(self, image, image_id): return {}\ndef f(): return G()\n"
    asked = {"pass": 5, "n = 2": 2, "area_min, area_max = 0.1, 0.6": 3, "n, area_min, area_max = 2, 0.1, 0.6": 2}
    for declared, count in asked.items():
        found = GeneratorPart(write(body.format(declared, boxes)), Runtime()).propose(IMAGE, "a")
        assert len(found.area) == count, declared


def test_what_loading_brings_is_the_objects_own() -> None:
    class Duck:
        def load(self) -> None:
            self.dim, self.logit_scale, self.device = 3, 20.0, "cuda:7"

        def embed_images(self, images: list) -> np.ndarray:
            return np.ones((len(images), self.dim))

    encoder = adopted(Duck(), Encoder)
    assert (encoder.dim, encoder.logit_scale, encoder.device) == (0, Encoder.logit_scale, "cpu")
    encoder.load()
    assert (encoder.dim, encoder.logit_scale, encoder.device) == (3, 20.0, "cuda:7")

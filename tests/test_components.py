"""Components are found by name, one at a time, and listed without loading any; their text has no path in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fgscore import components
from fgscore.components import Component
from fgscore.datasets import DataSet
from fgscore.encoders import EncoderMaker
from fgscore.errors import BadParameter, UnknownName, UsageError
from fgscore.heads import Head
from fgscore.pooling import Pooling
from fgscore.regions import GeneratorMaker
from fgscore.scorers import Scorer
from fgscore.targets import Target

KINDS: list[type[Component]] = [DataSet, GeneratorMaker, EncoderMaker, Scorer, Target, Pooling, Head]
NAMES = {
    DataSet: {"cars", "cub", "demo", "folder"},
    GeneratorMaker: {"random_crop", "sam"},
    EncoderMaker: {"clip", "fake"},
    Scorer: {"entropy", "soft_margin"},
    Target: {"global", "oracle"},
    Pooling: {"none", "self", "topk"},
    Head: {"adamw", "logreg"},
}
HEAVY = {"torch", "torchvision", "transformers", "segment_anything", "sklearn", "PIL"}
IMPORTS = """
import json, sys
from fgscore import components
from fgscore.datasets import DataSet
from fgscore.encoders import EncoderMaker
from fgscore.regions import GeneratorMaker
KINDS = DataSet, EncoderMaker, GeneratorMaker
"""


def loaded_by(lines: str) -> set[str]:
    """The modules that ``lines`` leave loaded in a Python that has imported nothing yet."""
    code = f"{IMPORTS}{lines}\nprint(json.dumps(list(sys.modules)))"
    return set(json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_ours_are_listed_and_say_what_they_are(kind: type[Component]) -> None:
    assert set(kind.names()) >= NAMES[kind]
    rows = components.described(kind)
    assert [row["name"] for row in rows] == kind.names()
    assert all(row["doc"].rstrip().endswith((".", ")")) for row in rows), rows


def test_listing_names_imports_none_of_them() -> None:
    loaded = loaded_by("[kind.names() for kind in KINDS]")
    ours = {f"fgscore.{home}.{name}" for home, kind in
            (("datasets", DataSet), ("regions", GeneratorMaker), ("encoders", EncoderMaker))
            for name in kind.ours_named()}  # fmt: skip
    assert ours and not ours & loaded


def test_using_one_imports_no_other_and_nothing_heavy() -> None:
    loaded = loaded_by("EncoderMaker.bind('clip'), GeneratorMaker.bind('sam')")
    assert {"fgscore.encoders.clip", "fgscore.regions.sam"} <= loaded
    assert not {"fgscore.encoders.fake", "fgscore.regions.random_crop", *HEAVY} & loaded


def test_making_one_loads_nothing_heavy() -> None:
    made = "from fgscore.runtime import Runtime\nmake = lambda kind, text: kind.bind(text).make(Runtime())\n"
    assert not HEAVY & loaded_by(made + "make(EncoderMaker, 'clip'), make(GeneratorMaker, 'sam')")


def test_describing_all_needs_no_extra() -> None:
    assert not HEAVY & loaded_by("[components.described(kind) for kind in KINDS]")


def test_an_unknown_name_is_answered_with_the_nearest_and_the_command_that_lists() -> None:
    with pytest.raises(UnknownName, match="no encoder named 'fak'; did you mean 'fake'.*fgscore list encoders"):
        EncoderMaker.bind("fak")
    with pytest.raises(UnknownName, match="known: .*cars, cub, .*folder.*fgscore list datasets"):
        DataSet.bind("zzzzzz")


@pytest.mark.parametrize("name", ["_render", "..errors", "os", "fake.py"])
def test_helpers_and_other_modules_are_none(name: str) -> None:
    with pytest.raises(UnknownName):
        EncoderMaker.bind(name)


@pytest.mark.parametrize(
    ("kind", "text", "canonical"),
    [
        (GeneratorMaker, "random_crop", "random_crop"),
        (GeneratorMaker, "random_crop(n=32, area_max=0.5)", "random_crop"),
        (GeneratorMaker, "random_crop(seed=1, n=160, area_max=1)", "random_crop(n=160, area_max=1, seed=1)"),
        (GeneratorMaker, "sam(checkpoint='/home/someone/mine.pth')", "sam(checkpoint='mine.pth')"),
        (EncoderMaker, "fake(margin=0.5, dim=8, fit=crop)", "fake(dim=8, margin=0.5)"),
        (EncoderMaker, "clip(model='./some/where/mine')", "clip(model='mine')"),
        (EncoderMaker, "clip(model='openai/clip-vit-base-patch16')", "clip(model='openai/clip-vit-base-patch16')"),
        (DataSet, "table(file='/home/someone/mine.csv', name='mine')", "table(file='mine.csv', name='mine')"),
        (DataSet, "table(file='table.csv')", "table"),
    ],
)
def test_a_component_has_one_text_and_no_path_in_it(kind: type[Component], text: str, canonical: str) -> None:
    assert kind.bind(text).canonical == canonical


def test_what_is_called_has_the_path_itself() -> None:
    bound = GeneratorMaker.bind("sam(checkpoint='/home/someone/mine.pth', n=7)")
    assert bound.params["checkpoint"] == "/home/someone/mine.pth" and bound.stored["checkpoint"] == "mine.pth"
    assert (bound.params["n"], bound.params["max_side"]) == (7, 1024)
    assert DataSet.bind("table(file='a/b.csv')").params["file"] == Path("a/b.csv")


def test_a_choice_is_one_of_those_listed() -> None:
    with pytest.raises(BadParameter, match="fit must be 'crop' or 'pad' or 'squash', found 'stretch'"):
        EncoderMaker.bind("fake(fit='stretch')")


def test_two_components_of_one_file_are_of_one_run_of_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("SEEN = []\ndef f(*, a=1):\n    return SEEN\ndef g(*, a=1):\n    return SEEN\n")
    f, g = (EncoderMaker.bind(f"{tmp_path}/mine.py:{name}") for name in "fg")
    assert f.function() is g.function() and f.source.sha256 == g.source.sha256 and not f.is_ours
    (tmp_path / "mine.py").write_text("def f(*, a=1):\n    return 1\n")
    assert EncoderMaker.bind(f"{tmp_path}/mine.py:f").function() == 1


def test_a_file_that_does_not_do_is_named_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a Python file, found none"):
        DataSet.bind(f"{tmp_path}/none.py:birds")
    (tmp_path / "mine.py").write_text("birds = 3\n")
    with pytest.raises(UsageError, match="mine.py defines no function 'birds'"):
        DataSet.bind(f"{tmp_path}/mine.py:birds")
    (tmp_path / "mine.py").write_text("def cub(root, /):\n    return None\n")
    with pytest.raises(UsageError, match=r"mine.py:1: data set 'cub' is one of ours.*rename the function"):
        DataSet.bind(f"{tmp_path}/mine.py:cub")

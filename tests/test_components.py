"""A component is bound, told apart and matched in one way, whatever its kind and wherever it stands."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fgscore import components, specs
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


@dataclass
class Kept:
    """A component as a recipe keeps it."""

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    source: str | None = None


def write(path: Path, body: str) -> str:
    path.write_text(body)
    return f"{path}:f"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_name_of_ours_binds_and_is_told_from_a_misspelling(kind: type[Component]) -> None:
    for name in kind.ours_named():
        bound = kind.bind(name)
        assert (bound.name, bound.canonical, bound.is_ours) == (name, name, True)
        assert set(bound.params) == set(kind.tunables(bound.function))
    with pytest.raises(UnknownName, match=f"did you mean '{kind.ours_named()[-1]}'"):
        kind.bind(kind.ours_named()[-1] + "x")


@pytest.mark.parametrize("word", ["scorer", "scorers", "head", "pooling", "target"])
def test_a_kind_is_found_by_its_name_in_either_number(word: str) -> None:
    assert components.kind_named(word).kind.startswith(word[:4])
    with pytest.raises(UnknownName):
        components.kind_named(word + "ss")


def test_only_what_is_ours_is_bound_to_a_text_from_a_file(tmp_path: Path) -> None:
    own = write(tmp_path / "mine.py", "raise RuntimeError('run')\n")
    with pytest.raises(UnknownName):
        Scorer.built_in(own)


def test_a_component_of_another_kind_is_refused(tmp_path: Path) -> None:
    own = write(
        tmp_path / "mine.py",
        "from fgscore.scorers import Scorer\n@Scorer.declares()\ndef f(inputs, target, /): return inputs.area\n",
    )
    assert components.kind_declared(own) is Scorer
    with pytest.raises(UsageError, match="expected a head"):
        Head.bind(own)


def test_a_kind_declares_what_it_knows_and_nothing_else() -> None:
    with pytest.raises(TypeError, match="a pooling declares .*needs_scores"):
        Pooling.declares(needs_score=False)


def test_limits_stand_in_the_signature(tmp_path: Path) -> None:
    body = "from typing import Annotated\nfrom annotated_types import Ge, Lt\n"
    body += "def f(inputs, target, /, *, a: Annotated[float, Ge(0), Lt(1)] = 0.5): return inputs.area * a\n"
    own = write(tmp_path / "mine.py", body)
    assert Scorer.bind(f"{own}(a=0)").params == {"a": 0.0}
    for wrong in (1, -0.1, "'x'"):
        with pytest.raises(BadParameter, match="a must be a finite number of at least 0 and below 1, found"):
            Scorer.bind(f"{own}(a={wrong})")


def test_what_is_left_out_matches_and_what_is_written_must_agree() -> None:
    kept = Kept("entropy", {"tau": 50.0, "lam": 0.1})
    for text, wanted in (("entropy", True), ("entropy(tau=50)", True), ("entropy(tau=5)", False), ("area", False)):
        assert components.matches(Scorer, kept, specs.parse(text)) is wanted
    assert components.matches(Scorer, kept, None)


def test_a_parameter_that_a_recipe_of_before_lacks_has_its_default() -> None:
    before = Kept("entropy", {"tau": 50.0})
    assert components.matches(Scorer, before, specs.parse("entropy(lam=0.1)"))
    assert not components.matches(Scorer, before, specs.parse("entropy(lam=0.2)"))
    assert not components.matches(Scorer, before, specs.parse("entropy(other=None)"))


def test_a_file_matches_by_its_name_and_by_its_content_where_it_can_be_read(tmp_path: Path) -> None:
    own = write(tmp_path / "mine.py", "def f(inputs, target, /): return inputs.area\n")
    kept = Kept("mine.py:f", {}, Scorer.bind(own).source.sha256)
    assert components.matches(Scorer, kept, specs.parse(own))
    assert components.matches(Scorer, kept, specs.parse("elsewhere/mine.py:f"))
    write(tmp_path / "mine.py", "def f(inputs, target, /): return -inputs.area\n")
    assert not components.matches(Scorer, kept, specs.parse(own))


def test_a_python_object_has_the_name_and_the_parameters_of_its_function() -> None:
    def close(inputs: Any, target: Any, /, *, power: float = 2) -> Any:
        return inputs.region_global**power

    made = Scorer.of(close)
    assert (made.canonical, dict(made.params), made.source.is_object) == ("close", {"power": 2.0}, True)
    assert Scorer.of("entropy").is_ours


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
    made = "from fgscore.types import Runtime\nmake = lambda kind, text: kind.bind(text).make(Runtime())\n"
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


@pytest.mark.parametrize(
    ("written", "matched"),
    [
        ("fake", True),
        ("fake(dim=8)", True),
        ("fake(outside=black)", True),  # which the recipe of whole images lacks: its default
        ("fake(outside=keep)", False),
        ("fake(nonsense=1)", False),
        ("clip", False),
    ],
)
def test_what_all_encoders_have_is_matched_where_a_recipe_does_without(written: str, matched: bool) -> None:
    whole_images = Kept("fake", {"dim": 8, "seed": 0, "fit": "crop"})
    assert components.matches(EncoderMaker, whole_images, specs.parse(written)) is matched


def test_a_file_that_does_not_do_is_named_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a Python file, found none"):
        DataSet.bind(f"{tmp_path}/none.py:birds")
    (tmp_path / "mine.py").write_text("birds = 3\n")
    with pytest.raises(UsageError, match="mine.py defines no function 'birds'"):
        DataSet.bind(f"{tmp_path}/mine.py:birds")
    (tmp_path / "mine.py").write_text("def cub(root, /):\n    return None\n")
    with pytest.raises(UsageError, match=r"mine.py:1: data set 'cub' is one of ours.*rename the function"):
        DataSet.bind(f"{tmp_path}/mine.py:cub")

"""What was written matches what is stored in one way, and a kind declares what it knows."""

from __future__ import annotations

from collections.abc import Callable
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
        written = specs.text(name, dict.fromkeys(kind.needed(name), "x"))
        bound = kind.bind(written)
        assert (bound.name, bound.canonical, bound.is_ours) == (name, written, True)
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


OWN = """
from typing import Annotated
from fgscore.datasets import DataSet, Listing, Photo
from fgscore.specs import OF_CONTENT

@DataSet.declares(noun="bird")
def birds(root, /, *, year: int = 2024, halves: Annotated[bool, OF_CONTENT] = False):
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))
    return Listing(root, ("a", "b"), [Photo(f, f, i % 2, "test" if halves and i % 4 > 1 else "train")
                                      for i, f in enumerate(files)])
"""


def test_a_parameter_of_content_is_in_no_recipe_and_matches_whatever_it_is(
    tmp_path: Path, photos: Path, run: Callable[..., Any]
) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    own = f"{tmp_path}/mine.py:birds"
    bound = DataSet.bind(f"{own}(halves=True)")
    assert (bound.canonical, bound.stored) == ("mine.py:birds", {"year": 2024})
    assert bound.notes["content"] == {"halves": True} and "content" not in DataSet.bind(own).notes
    made = run("extract", f"{own}(halves=True)", "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=2)")
    assert made.code == 0, made.err
    for written in (own, f"{own}(halves=True)", f"{own}(halves=False)", "birds"):
        assert run("score", written, "--scorer", "entropy").code == 0
    assert run("score", f"{own}(year=2023)", "--scorer", "entropy").code == 1
    assert "has no parameter 'years'" in run("score", f"{own}(years=2024)", "--scorer", "entropy").message


@pytest.mark.parametrize("written", ["folder(split=0.3)", "folder(name='folder', seed=4, merge=True)"])
def test_what_is_content_of_an_index_is_passed_over(written: str) -> None:
    assert DataSet.bind(written).identity == DataSet.bind("folder").identity
    assert components.matches(DataSet, Kept("folder", {"name": "folder"}), specs.parse(written))
    assert not components.matches(DataSet, Kept("folder", {"name": "mine"}), specs.parse("folder(name='folder')"))

"""A scorer in a user's own file changes nothing for the built-in ones, and is blamed by file and line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.errors import UsageError
from fgscore.evaluate import score as scoring
from fgscore.scorers import Scorer
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.match import bundles
from fgscore.targets import Target

LOCAL = Target.bind("local")
Run = Callable[..., Any]

START = '''"""Scorers that do what they must not."""
import sys

import numpy as np

KEPT = []
NAMES = ["offsets", "regions", "globals", "text", "image_of_region", "region_text", "top_class", "top_text",
         "region_global", "global_text", "boxes_xyxy", "area", "predicted_iou"]


def arrays(inputs):
    """Everything that it is handed."""
    batch = inputs.read_regions()
    of_batch = [batch.image_ids, batch.offsets, batch.boxes_xyxy, batch.area, batch.predicted_iou, batch.stability]
    return [*(getattr(inputs, name) for name in NAMES), *inputs.softmax(inputs.logit_scale), *of_batch]


def spoil(array):
    """Written to by every way that numpy has, along all of its bases."""
    while isinstance(array, np.ndarray):
        try:
            array.setflags(write=True)
            array[...] = 7 if array.dtype.kind in "iuf" else "x"
        except ValueError:
            pass
        array = array.base


def f(inputs, target, /):
'''
BODY = START.count("\n") + 1  # the line that a body begins on
HOSTILE = {
    "reaches every base": "    for array in [*arrays(inputs), target]:\n        spoil(array)\n    return inputs.area",
    "keeps them for later": (
        "    KEPT.extend([inputs, *arrays(inputs), target])\n"
        "    for array in KEPT:\n        spoil(array)\n    return inputs.region_global * 0"
    ),
    "replaces them": (
        "    zeros = inputs.regions * 0\n    object.__setattr__(inputs, 'regions', zeros)\n"
        "    inputs.__dict__.update({name: getattr(inputs, name) * 0 for name in NAMES})\n"
        "    object.__setattr__(inputs, 'logit_scale', 1e-3)\n    inputs._softmaxes.clear()\n    return zeros[:, 0]"
    ),
    "changes how numpy computes": "    np.seterr(all='raise')\n    return inputs.region_global",
}


@pytest.fixture
def mine(tmp_path: Path) -> Callable[[str], str]:
    """``mine(body)`` writes a scorer file and gives its name for the command line."""

    def write(body: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(START + body + "\n")
        return f"{path}:f"

    return write


def contents(store: Store) -> dict[str, list[str | None]]:
    """Scorer and target to the content digests of its scores, those of the user's own file left out."""
    found = (a for a in store.artefacts("scores") if ".py:" not in a.recipe.component)
    return {f"{a.recipe.component} {a.recipe.extra}": [a.content(n) for n in a.shard_sizes] for a in found}


@pytest.mark.parametrize("what", ["keeps them for later", "changes how numpy computes"])
def test_built_in_scores_are_the_same_to_the_bit_beside_a_hostile_scorer(
    what: str, store: Store, run: Run, mine: Callable[[str], str]
) -> None:
    every = ("--scorer", "all", "--target", "global", "--target", "local")
    own = ("--scorer", mine(HOSTILE[what]))
    assert run("score", *every).code == 0
    alone = contents(store)
    assert len(alone) >= 9
    for order in (own + every, every + own):
        shutil.rmtree(store.layout.cache / "folder" / "scores")
        mixed = run("score", *order)
        assert mixed.code == 0, mixed.err
        assert contents(store) == alone


@pytest.mark.parametrize("what", HOSTILE)
def test_scorers_of_one_block_reach_nothing_of_each_other(what: str, store: Store, mine: Callable[[str], str]) -> None:
    (bundle,) = bundles(store)
    assert isinstance(bundle, RegionBundle)
    names = [*Scorer.ours_named()]
    alone = scoring.compute(
        scoring.runs_for(bundle, [Scorer.bind(n) for n in names], [LOCAL]), scoring.read_block(bundle, 0)
    )
    hostile, block = mine(HOSTILE[what]), scoring.read_block(bundle, 0)
    mixed = [hostile, *(name for pair in zip(names, [hostile] * len(names), strict=True) for name in pair)]
    for _ in range(2):  # on the same block once more
        found = scoring.compute(scoring.runs_for(bundle, [Scorer.bind(n) for n in mixed], [LOCAL]), block)
        for wanted, scored in zip(alone, found[1::2], strict=True):
            np.testing.assert_array_equal(scored.scores, wanted.scores)
            np.testing.assert_array_equal(scored.target, wanted.target)


@pytest.mark.parametrize("array", ["target", "inputs.offsets", "inputs.regions", "inputs.globals", "inputs.text",
    "inputs.image_of_region", "inputs.region_text", "inputs.top_class", "inputs.top_text", "inputs.region_global",
    "inputs.global_text", "inputs.boxes_xyxy", "inputs.area", "inputs.predicted_iou", "inputs.softmax(2.0).weights",
    "inputs.softmax(2.0).total", "inputs.softmax(2.0).gap", "inputs.read_regions().area"])  # fmt: skip
def test_a_write_in_place_is_an_error_that_says_so(
    array: str, store: Store, run: Run, mine: Callable[..., str]
) -> None:
    done = run("score", "--scorer", mine(f"    them = {array}\n    them[...] = 0\n    return inputs.area"))
    assert done.code == 2
    assert f"mine.py:{BODY + 1}: scorer mine.py:f: ValueError" in done.message
    assert "the arrays are read-only; work on a copy" in done.message


def test_what_a_built_in_scorer_is_given_is_read_only(store: Store) -> None:
    (bundle,) = bundles(store)
    assert isinstance(bundle, RegionBundle)
    inputs = scoring.read_block(bundle, 0).inputs
    names = [name for name in dir(inputs) if isinstance(getattr(inputs, name), np.ndarray)]
    assert len(names) == 15
    assert not [name for name in names if getattr(inputs, name).flags.writeable]
    assert not any(array.flags.writeable for array in inputs.softmax(3.0))


# body, what the line says of it, the line within the body
WRONG = {
    "divides by zero": ("    x = 1\n    return x / 0", "ZeroDivisionError: division by zero", 1),
    "exits": ("    sys.exit()", "it exits (no code)", 0),
    "exits well": ("    sys.exit(0)", "it exits (0)", 0),
    "asks to exit": ("    raise SystemExit('bye')", "it exits (bye)", 0),
    "interrupts": ("    raise KeyboardInterrupt", "KeyboardInterrupt", 0),
    "stops a generator": ("    raise GeneratorExit", "GeneratorExit", 0),
    "typer's exit": ("    import typer\n    raise typer.Exit(0)", "Exit", 1),
    "recurses": ("    return f(inputs, target)", "RecursionError", 0),
    "within numpy": ("    return np.linalg.inv(np.zeros((2, 2)))", "LinAlgError: Singular matrix", 0),
    "by a function of its own": ("    def g():\n        return [][0]\n    return g()", "IndexError", 1),
    "several lines": ("    raise ValueError('one\\ntwo')", "ValueError: one", 0),
    "uneven lists": ("    return [[1], [1, 2]]", "ValueError", -1),
    "the matrix": ("    return inputs.region_text", "must return shape (16,), found (16, 2)", -1),
    "nothing": ("    return None", "must return shape (16,), found ()", -1),
    "words": ("    return np.full(len(target), 'x')", "must return numbers, found <U1", -1),
    "objects": ("    return np.full(len(target), None)", "must return numbers, found object", -1),
    "complex numbers": ("    return inputs.area + 1j", "must return numbers, found complex", -1),
    "NaN": ("    return inputs.area * np.nan", "must return finite scores, found 16 that are not", -1),
    "masked": ("    return np.ma.masked_less(inputs.area, 9)", "must return finite scores, found 16", -1),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_goes_wrong_is_one_line_with_its_place(
    what: str, store: Store, run: Run, mine: Callable[[str], str]
) -> None:
    body, says, line = WRONG[what]
    done = run("score", "--scorer", mine(body))
    assert (done.code, done.out) == (2, "")
    assert done.message.startswith(f"error: {store.layout.cache.parent.parent / 'mine.py'}:{BODY + line}: ")
    assert says in done.message


@pytest.mark.parametrize(
    ("source", "says", "line"),
    [
        ("import sys\nsys.exit()\n", "it exits", 2),
        ("raise SystemExit(0)\n", "it exits (0)", 1),
        ("\nimport no_such_package_anywhere\n", "no_such_package_anywhere", 2),
        ("def f(inputs, target, /):\n    return (\n", "SyntaxError", 2),
        ("class Stop(BaseException):\n    pass\n\nraise Stop('enough')\n", "Stop: enough", 4),
        ("def f(inputs, target, /): return 1\nf.__call__(1)\n", "TypeError", 2),
        ("def __getattr__(name):\n    raise SystemExit\n", "it exits", 2),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line_with_its_place(
    source: str, says: str, line: int, store: Store, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "quits.py").write_text(source)
    done = run("score", "--scorer", f"{tmp_path}/quits.py:f")
    assert (done.code, done.out) == (2, "")
    assert f"quits.py:{line}: " in done.message
    assert says in done.message
    assert "expected a file that defines f(inputs, target, /" in done.message or "pip install no_such" in done.message


def test_a_damaged_store_is_not_the_scorers_fault(store: Store, run: Run, mine: Callable[[str], str]) -> None:
    for path in store.layout.cache.glob("folder/regions/*/shard-00000.h5"):
        path.write_bytes(b"no HDF5")
    done = run("score", "--scorer", mine("    return inputs.area"))
    assert done.code == 1 and "shard-00000.h5" in done.message and "mine.py" not in done.message


def test_what_the_built_in_scorers_have_made_is_kept_when_an_own_one_fails(
    store: Store, run: Run, mine: Callable[[str], str]
) -> None:
    assert run("score", "--scorer", mine("    return 1 / 0"), "--scorer", "entropy").code == 2
    again = run("score", "--scorer", "entropy", "--json").json["scores"]
    assert [row["computed"] for row in again] == [0], again


def test_an_edit_counts_at_once_whatever_was_compiled_before(tmp_path: Path) -> None:
    path, found = tmp_path / "mine.py", []
    for sign in "+-":  # as long as before, within the same second
        path.write_text(f"def f(inputs, target, /):\n    return {sign}inputs\n")
        found.append(Scorer.bind(f"{path}:f").function(1, None))
    assert found == [1, -1]
    assert [p.name for p in tmp_path.iterdir()] == ["mine.py"], "nothing is written beside the user's file"


def test_a_file_may_define_dataclasses(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n"
        "\ndef f(inputs, target, /):\n    return A().x\n"
    )
    assert Scorer.bind(f"{path}:f").function(None, None) == 1


def test_a_name_without_a_signature_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("f = max\n")
    with pytest.raises(UsageError, match="expected a function with a signature"):
        Scorer.bind(f"{tmp_path}/mine.py:f")

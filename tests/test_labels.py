"""The number of a class and its name, and what a probe wants of labels."""

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore import labels
from fgscore.types import ImageIndex

ROOT = Path(__file__).parents[1]
NAMES = ("jay", "crow", "owl")
# files that give names a number, and are tried above and in their own tests
HOMES = {"fgscore/labels.py", "fgscore/types.py"}


@given(st.lists(st.integers(-1, 2), min_size=1, max_size=8))
def test_a_label_is_named_and_none_is_none(of):
    n = len(of)
    ids = np.array([f"{i}.png" for i in range(n)])
    one, zero = np.ones(n), np.zeros(n)
    index = ImageIndex(
        "x", ids, ids, of, np.full(n, "test"), NAMES, np.ones((n, 2)), ids, one, zero, np.full((n, 4), np.nan)
    )
    assert [index.class_of(row) for row in range(n)] == [None if i == -1 else NAMES[i] for i in of]
    assert index.is_labelled.tolist() == [i >= 0 for i in of]


@pytest.mark.parametrize("label", [-2, 3])
def test_a_number_that_is_no_class_has_no_name(label):
    with pytest.raises(IndexError, match=f"0 to 2, or -1 for none, found {label}"):
        labels.class_named(NAMES, label)


def test_photos_without_a_label_are_counted_and_named():
    assert labels.without(np.array([0, 1]), ["a", "b"]) == ""
    assert labels.without(np.array([-1, 2]), ["a", "b"]) == "1 of 2 photos has no label: a"
    assert labels.without(np.array([-1, -1]), ["a", "b"]) == "none of 2 photos has a label"
    found = labels.without(np.array([0, -1, -1, -1, -1]), list("abcde"))
    assert found == "4 of 5 photos have no label: b, c, d and 1 more"


TRAIN2 = ([0, 1, 0], ["train", "train", "test"])


@pytest.mark.parametrize(
    ("of", "split", "measured", "learned"),
    [
        (*TRAIN2, "", ""),
        ([-1, -1], ["train", "test"], "found none on 2 photos", "found 0 images of 0"),
        ([0, 1], ["train", "val"], "expected test images", ""),
        ([0, 1, -1], ["train", "train", "test"], "labels of test images to measure by, found none on 1", ""),
        ([0, -1, 0], ["train", "train", "test"], "", "found 1 images of 1"),
        ([0, 1, 1], ["test", "test", "train"], "", "found 1 images of 1"),
    ],
)
def test_what_a_probe_lacks_is_said(of, split, measured, learned):
    for found, wanted in (
        (labels.unmeasurable(np.array(of), np.array(split)), measured),
        (labels.unlearnable(np.array(of), np.array(split)), learned),
    ):
        assert (found == "") if wanted == "" else (wanted in found)


def _by_number(tree):
    """Lines that take the name of a class out of a tuple of them by its number: ``x.class_names[i]``, or ``n[i]`` where
    ``n`` was set to such a tuple in the same function."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.Module):
            continue
        aliases = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and _is_names(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                of = node.value
                if _is_names(of) or (isinstance(of, ast.Name) and of.id in aliases):
                    yield node.lineno


def _is_names(node):
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.array", "np.asarray", "list", "tuple"):
        return any(_is_names(argument) for argument in node.args)
    return isinstance(node, ast.Attribute) and node.attr == "class_names"


def test_names_of_classes_come_from_the_accessor_alone():
    files = [p for d in ("fgscore", "stages") for p in (ROOT / d).rglob("*.py")]
    assert len(files) > 200
    found = {p.relative_to(ROOT).as_posix(): set(_by_number(ast.parse(p.read_text(encoding="utf-8")))) for p in files}
    wrong = {name: sorted(lines) for name, lines in found.items() if lines and name not in HOMES}
    assert not wrong, f"a label of -1 would name the last class in lines {wrong}"


@pytest.mark.parametrize(
    "line",
    ["index.class_names[3]", "x = a.class_names\n    x[i]", "np.array(a.class_names, np.str_)[i]",
     "x = np.array(a.class_names)\n    x[i]"],
)  # fmt: skip
def test_the_other_ways_to_a_name_are_found(line):
    assert list(_by_number(ast.parse(f"def f():\n    {line}")))

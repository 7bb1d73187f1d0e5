"""What a wrong call meets: an exit code and one line that names the way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgscore.store.cache import Store

Run = Callable[..., Any]
MADE_FROM = ("--encoder", "fake", "--regions", "random_crop(n=2)")

# call, exit code, what the one line on stderr must hold
CPU: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "unknown scorer": (("score", "--scorer", "entrpy"), 2, ("'entrpy'", "did you mean 'entropy'?", "list scorers")),
    "unknown parameter": (("score", "--scorer", "entropy(tua=5)"), 2, ("no parameter 'tua'", "did you mean 'tau'?")),
    "text for a number": (("score", "--scorer", "entropy(tau='x')"), 2, ("tau", "number", "'x'")),
    "tau of zero": (("score", "--scorer", "entropy(tau=0)"), 2, ("tau must be a finite number above 0",)),
    "open parenthesis": (("score", "--scorer", "entropy(tau=5"), 2, ("closing parenthesis",)),
    "code for a value": (("score", "--scorer", "entropy(tau=print(1))"), 2, ("entropy(tau=print(1))",)),
    "unknown target": (("score", "--target", "globl"), 2, ("'globl'", "did you mean 'global'?")),
    "unknown head": (("probe", "--head", "logrg"), 2, ("'logrg'", "did you mean 'logreg'?")),
    "C of zero": (("probe", "--head", "logreg(C=0)"), 2, ("C must be",)),
    "unknown pooling": (("probe", "--pool", "tpk"), 2, ("'tpk'", "did you mean 'topk'?")),
    "k without topk": (("probe", "--pool", "none", "--k", "5"), 2, ("--k is for --pool topk", "--pool none")),
    "k without topk, aggregate": (("aggregate", "--pool", "mean", "--k", "5"), 2, ("--k is for --pool topk",)),
    "k of zero": (("probe", "--k", "0"), 2, ("k must be a whole number of at least 1 or 'all'",)),
    "k of no number": (("probe", "--k", "many"), 2, ("k must be a whole number of at least 1 or 'all'", "many")),
    "unknown features": (("probe", "--features", "cooked"), 2, ("unit or raw", "'cooked'")),
    "two seeds": (("probe", "--seed", "1", "--head", "logreg(seed=2)"), 2, ("--seed 1", "logreg(seed=2)")),
    "two data sets": (("score", "folder", "--dataset", "cub"), 2, ("'folder'", "--dataset 'cub'")),
    "no such scorer file": (("score", "--scorer", "./none.py:f"), 2, ("none.py", "expected a Python file")),
    "unknown list": (("list", "scorer"), 2, ("'scorer'", "did you mean 'scorers'?")),
    "a data set not cached": (("score", "cub"), 1, ("'cub'", "cached: folder", "fgscore extract cub")),
    "an encoder not cached": (("score", "--encoder", "clip"), 1, ("'clip'", "by fake", "--encoder clip`")),
    "regions not cached": (("probe", "--regions", "sam"), 1, ("'sam'", "random_crop(n=4)", "--regions sam`")),
    "a prompt not cached": (("score", "--prompt", "a {}"), 1, ("'a {}'", '--prompt "a {}"')),
    "a typing error in regions": (("score", "--regions", "random_crops"), 2, ("'random_crops'", "mean 'random_crop'?")),
    "a typing error in an encoder": (("probe", "--encoder", "fke"), 2, ("'fke'", "did you mean 'fake'?")),
    "a typing error in a data set": (("score", "foldr"), 2, ("'foldr'", "did you mean 'folder'?")),
    "a typing error in a parameter": (("score", "--regions", "random_crop(m=4)"), 2, ("no parameter 'm'",)),
    "a typing error, export": (("export", "--regions", "random_crops"), 2, ("did you mean 'random_crop'?",)),
    "a typing error, status": (("status", "foldr"), 2, ("did you mean 'folder'?",)),
    "a typing error, report": (("report", "foldr"), 2, ("did you mean 'folder'?",)),
    "several k in one": (("probe", "--k", "1,5"), 2, ("--k 1,5", "--k 1 --k 5")),
    "several scorers in one": (("score", "--scorer", "entropy,hard_margin"), 2, ("repeating the option",)),
    "a dtype not cached": (("score", "--encoder", "fake(dim=8)"), 1, ("fake(dim=8)", "cached: folder")),
}


@pytest.mark.parametrize("what", CPU)
def test_cpu_stage(what: str, store: Store, run: Run) -> None:
    args, code, parts = CPU[what]
    result = run(*args)
    assert result.code == code
    assert result.out == ""
    for part in parts:
        assert part in result.message


GPU: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "no data set": (("extract",), 2, ("expected a data set", "fgscore extract demo")),
    "unknown data set": (("extract", "cubs"), 2, ("'cubs'", "did you mean 'cub'?", "list datasets")),
    "unknown encoder": (("extract", "folder", "--encoder", "fke"), 2, ("'fke'", "did you mean 'fake'?")),
    "unknown generator": (("extract", "folder", "--regions", "randm_crop"), 2, ("did you mean 'random_crop'?",)),
    "unknown parameter": (("regions", "folder", "--regions", "random_crop(m=2)"), 2, ("no parameter 'm'",)),
    "half a region": (("regions", "folder", "--regions", "random_crop(n=2.5)"), 2, ("n must be a whole number",)),
    "prompt without a place": (("embed", "folder", *MADE_FROM, "--prompt", "a bird"), 2, ("'a bird'", "{}")),
    "a name for no folder": (("index", "folder(name='a/b')"), 2, ("'a/b'", "try 'a-b'")),
    "no photos": (("extract", "folder", *MADE_FROM), 1, ("train/<class>", "no such folder")),
    "no photos, cub": (("extract", "cub", *MADE_FROM), 1, ("images.txt", "--root DIR")),
    "no sam weights": (("extract", "folder", "--encoder", "fake", "--regions", "sam"), 1, ("sam_vit_b_01ec64.pth",)),
    "no clip weights": (
        ("extract", "folder", "--encoder", "clip(model='./nowhere')", "--regions", "random_crop"),
        1,
        ("nowhere", "config.json"),
    ),
    "no clip in the hub cache": (
        ("extract", "folder", "--encoder", "clip(model='some/model')", "--regions", "random_crop"),
        1,
        ("'some/model'", "--encoder"),
    ),
}


@pytest.mark.parametrize("what", GPU)
def test_gpu_stage(what: str, run: Run, data: Path, photos: Path) -> None:
    if what in ("no sam weights", "no clip weights", "no clip in the hub cache"):
        pytest.importorskip("torch")
    args, code, parts = GPU[what]
    result = run(*args, *(("--root", photos) if "weights" in what or "hub" in what else ()))
    assert result.code == code, result.err
    assert result.out == ""
    for part in parts:
        assert part in result.message
    assert not list(data.glob("cache/**/*.h5")), "something was computed before the check"


@pytest.mark.parametrize(
    "component",
    ["random_crop(area_min=0.9, area_max=0.1)", "random_crop(n=0)", "random_crop(aspect_min=0)"],
)
def test_an_empty_range_is_refused_before_anything_is_computed(
    component: str, run: Run, photos: Path, data: Path
) -> None:
    result = run("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", component)
    assert result.code == 2
    assert "expected" in result.message and "found" in result.message
    assert not list(data.glob("cache/**/*.h5"))


@pytest.mark.parametrize(
    "args",
    [
        ("bogus",),
        ("score", "--bogus"),
        ("extract", "folder", "--limit", "0"),
        ("extract", "folder", "--batch-size", "x"),
        ("score", "one", "two"),
        ("probe", "--seed"),
    ],
)
def test_what_the_parser_refuses(args: tuple[str, ...], run: Run) -> None:
    result = run(*args)
    assert result.code == 2
    assert result.out == ""
    assert "Error" in result.err and "Traceback" not in result.err


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    package: str, run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    pytest.importorskip(package)
    monkeypatch.setitem(sys.modules, package, None)
    args = ("--encoder", "clip(model=demo)", "--regions", "random_crop")
    result = run("extract", "folder", "--root", photos, *args)
    assert result.code == 2
    assert f"'{package}'" in result.message
    assert "pip install 'fgscore[extract]'" in result.message


def test_a_partial_copy_is_refused_with_both_counts(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "CUB_200_2011"
    root.mkdir()
    for name, line in {
        "images.txt": "1 001.A/a.jpg\n2 001.A/b.jpg\n",
        "image_class_labels.txt": "1 1\n2 1\n",
        "train_test_split.txt": "1 1\n2 0\n",
        "classes.txt": "1 001.A\n",
        "bounding_boxes.txt": "1 0 0 1 1\n2 0 0 1 1\n",
    }.items():
        (root / name).write_text(line)
    (root / "images" / "001.A").mkdir(parents=True)
    (root / "images" / "001.A" / "a.jpg").write_bytes(b"no")
    result = run("index", "cub", "--root", tmp_path)
    assert result.code == 1
    for part in ("11788", "found 1", "--partial"):
        assert part in result.message


def test_a_full_disk_is_one_line(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run("index", "folder", "--root", photos)
    assert result.code == 1
    assert result.message.startswith("error: No space left on device")


def test_an_unforeseen_error_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from fgscore.upkeep import status

    def fail(*_: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(status, "status", fail)
    result = run("status")
    assert result.code == 1
    assert result.message == "error: RuntimeError: first line; the same command with --debug shows where"


@pytest.mark.parametrize("args", [("--debug", "score"), ("score", "--debug"), ("score", "--debug", "--k", "5")])
def test_debug_shows_where(args: tuple[str, ...], run: Run) -> None:
    from fgscore.errors import NothingCached

    if "--k" in args:  # the line is read as if it stood first
        assert run(*args).code == 2
        return
    with pytest.raises(NothingCached):
        run(*args)


def test_several_numbers_in_one_are_told_from_a_wrong_one(run: Run) -> None:
    several, wrong = run("probe", "--shots", "1,5"), run("probe", "--shots", "x")
    assert several.code == wrong.code == 2
    assert "repeating the option" in several.err and "repeating" not in wrong.err


def test_an_interruption_is_130_in_one_line(store: Store, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from fgscore.evaluate import score

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(score, "read_block", interrupt)
    result = run("score")
    assert result.code == 130
    assert result.message == "interrupted; the same command goes on where this one stopped"

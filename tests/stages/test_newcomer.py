"""The lines that the README gives to whoever brings photos, run one after another as they stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
FAKE = ("--encoder", "fake(dim=16)", "--device", "cpu")
KINDS = ("crow", "jay")


@pytest.fixture
def lines(root: Path) -> Callable[[str], list[list[str]]]:
    """The calls of the README that name a data set, in order, as words."""
    text = (root / "README.md").read_text(encoding="utf-8")
    calls = [line.partition("  #")[0] for line in re.findall(r"^fgscore .*", text, re.M) if ".py:" not in line]
    return lambda name: [words for c in calls if name in re.split(r"\W", c) and (words := shlex.split(c)[1:])]


@pytest.fixture
def brought(tmp_path: Path, draw: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the README has /photos: a folder of classes, a table's photos, photos without labels."""
    monkeypatch.chdir(tmp_path)
    for i in range(10):
        draw(tmp_path / "photos" / "mine" / KINDS[i % 2] / f"{i}.png", seed=i)
        draw(tmp_path / "photos" / "mine2" / f"{i}.png", seed=20 + i)
        draw(tmp_path / "photos" / "new" / f"{i}.png", seed=40 + i)
    rows = [f"{i}.png;{KINDS[i % 2]};{'training' if i < 6 else 'test'}" for i in range(10)]
    (tmp_path / "photos" / "mine2" / "list.csv").write_text("\n".join(["filename;species;fold", *rows]))
    (tmp_path / "names.txt").write_text("crow\njay\nheron\n")
    return tmp_path


def typed(run: Run, words: list[str]) -> Any:
    """What a line does: with the photos where they are here, and the encoder that needs no weights."""
    words = [word.lstrip("/") if word.startswith("/photos") else word for word in words]
    if words[0] == "extract":
        words += [*FAKE, *([] if "--regions" in words else ["--regions", "random_crop"])]
    return run(*words)


def test_classes_with_a_part_held_out_are_probed(lines: Any, brought: Path, run: Run) -> None:
    for words in lines("mine"):
        made = typed(run, words)
        assert made.code == 0, (words, made.err)
    assert len(lines("mine")) == 2
    assert run("probe", "mine", "--json").json["results"][0]["n_test"] == 2


def test_a_table_has_columns_of_its_own(lines: Any, brought: Path, run: Run) -> None:
    (words,) = lines("mine2")
    made = typed(run, words)
    assert made.code == 0, made.err
    assert run("probe", "mine2", "--json").json["results"][0]["n_test"] == 4


def test_photos_without_labels_go_all_the_way(lines: Any, brought: Path, run: Run) -> None:
    said = {}
    for words in lines("new"):
        made = typed(run, words)
        assert made.code == 0, (words, made.err)
        said[words[0]] = made.out
    assert list(said) == ["extract", "score", "predict", "export", "report"]
    assert "heron" in run("predict", "--dataset", "new", "--json").out
    assert (brought / "out").is_dir()
    refused = run("probe", "new")
    assert refused.code == 1 and "labels" in refused.err

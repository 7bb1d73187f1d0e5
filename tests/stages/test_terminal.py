"""Names from a data set, a store or a probe reach a terminal as signs to read, never as commands to it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.store import arrays
from fgscore.terminal import visible
from fgscore_stages import _run

Run = Callable[..., Any]
# title and colour of a terminal, C1's own escape, the other direction, a line of one's own, tabs and bells
CLASSES = ("ja\x1b]0;owned\x07y \x1b[31m", "cr\u202eow\u2066", "wr\x9b2Jen\tnow\u2028")


def obeyed(text: str) -> set[str]:
    """What a terminal would not show but do, line ends of our own apart."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}


def test_each_kind_of_control_is_escaped_and_all_else_is_left() -> None:
    kept = "Überschnäpper, 鳥, ‌نمی‌خواهم‌, 👩‍🔬, a\\b [red] 100 %"
    assert visible(kept) == kept
    assert visible("".join(CLASSES)).count("\\x1b") == 2
    assert visible("\x00\x1b\x7f\x85\x9b\n\r\t") == r"\x00\x1b\x7f\x85\x9b\n\r\t"
    assert visible("\u202e\u2066\u200f\u2028\ufeff\U000e0041") == r"\u202e\u2066\u200f\u2028\ufeff\U000e0041"
    assert visible("photo-\udcff.jpg") == r"photo-\udcff.jpg"  # a name that is no UTF-8
    everything = "".join(map(chr, range(0x11000)))
    assert obeyed(visible(everything)) == set("\u200c\u200d")


@pytest.fixture
def hostile(run: Run, tmp_path: Path, draw: Callable[..., None]) -> Path:
    """Photos and a cache whose class names, ids and reasons are full of such things; one photo cannot be read."""
    root = tmp_path / "photos"
    for s, split in enumerate(("train", "test")):
        for c, name in enumerate(CLASSES):
            for i in range(2):
                draw(root / split / name / f"{i}\x1b[2J.png", seed=100 * s + 10 * c + i)
    (root / "train" / CLASSES[0] / "no\x1b[31mphoto.png").write_bytes(b"none")
    done = run("extract", "folder", "--root", root, "--encoder", "fake", "--regions", "random_crop(n=3)")
    assert done.code == 3, done.err
    assert not obeyed(done.err)
    return root


def test_no_command_prints_a_control(hostile: Path, run: Run, data: Path, tmp_path: Path) -> None:
    image = next(hostile.glob(f"test/{CLASSES[0]}/*"))
    probe = tmp_path / "p.safetensors"
    commands = [
        ("check", "folder", "--root", hostile),
        ("status",),
        ("verify",),
        ("score", "--scorer", "all"),
        ("probe", "--head", "logreg(C=1)", "--k", "1", "--save-probe", probe),
        ("predict", "--probe", probe, image, tmp_path / "missing\x1b[31m.png"),
        ("sweep", "--head", "zeroshot", "--k", "1"),
        ("diagnose",),
        ("claims",),
        ("report", "--no-plots", "--images", "1"),
        ("show", f"test/{CLASSES[0]}/{image.name}", "--out", tmp_path / "x.svg"),
        ("show", "no\x1b[31msuch"),
        ("score", "no\x1b[31msuch"),
        ("score", "--scorer", "no\x1b[31msuch"),
        ("predict", "--probe", tmp_path / "no\x1b[31msuch.safetensors", image),
    ]
    shown = ""
    for command in commands:
        done = run(*command)
        assert obeyed(done.out) == obeyed(done.err) == set(), command
        assert "Traceback" not in done.err
        shown += done.out
    assert r"cr\u202eow\u2066" in shown and r"ja\x1b]0;owned\x07y \x1b[31m" in shown
    for command in (("predict", "--probe", probe, image, "--json"), ("diagnose", "--json"), ("status", "--json")):
        done = run(*command)
        assert not obeyed(done.out) and json.loads(done.out)
    (row,) = run("predict", "--probe", probe, image, "--json").json["predictions"]
    assert {c["class_name"] for c in row["classes"]} == set(CLASSES), "JSON keeps the names, escaped its own way"


def test_a_probe_of_someone_elses_prints_no_control(hostile: Path, run: Run, tmp_path: Path) -> None:
    path, photo = tmp_path / "p.safetensors", next(hostile.glob("test/*/*"))
    assert run("probe", "--pool", "none", "--head", "logreg(C=1)", "--save-probe", path).code == 0
    content = arrays.read(path)
    for key in ("encoder", "pool", "features", "crops", "encoder_weights"):
        made = {**json.loads(str(content["made_of"])), key: "x\x1b[31m\u202e\n"}
        arrays.write(path, {**content, "made_of": np.array(json.dumps(made))}, ())
        done = run("predict", "--probe", path, photo)
        assert done.code in (1, 2) and r"\x1b[31m" in done.message.replace("\\\\", "\\")
        assert not obeyed(done.err)


def test_progress_says_names_as_they_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    with _run.Bars() as bars:
        bars.say("logs in \x1b[31m")
        bars("folder\x1b[2J: score", 1, 1)
    said = capsys.readouterr().err
    assert r"logs in \x1b[31m" in said and r"folder\x1b[2J: score: 1 of 1" in said and "\x1b" not in said

"""What the Makefile's targets hand to fgscore: a stand-in for it prints its arguments."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a first line for sh")
ODD = 'it\'s "x" $HOME `id` (1) \\ ;&'


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment that make takes for ready."""
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    script = folder / "bin" / "fgscore"
    script.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    script.chmod(0o755)
    (folder / ".ready").touch()
    return folder


def make(root: Path, venv: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--silent", f"VENV={venv}", *args]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--limit 5", ["--limit", "5"]),
        ("--encoder clip(model=demo)", ["--encoder", "clip(model=demo)"]),
        ("--encoder \"clip(model='/a b/c')\"", ["--encoder", "clip(model='/a b/c')"]),
        ('--encoder "clip(model=/a/b)"', ["--encoder", "clip(model=/a/b)"]),  # pasted between single quotes
        (f"--prompt {shlex.quote(ODD)}", ["--prompt", ODD]),
        ("", []),
    ],
)
def test_the_words_of_args_arrive_as_after_a_command(args: str, words: list[str], root: Path, venv: Path) -> None:
    done = make(root, venv, "extract", "DATASET=cars", f"ARGS={args}")
    assert json.loads(done.stdout) == ["extract", "cars", *words]
    program, *shown = shlex.split(done.stderr)
    assert Path(program) == venv / "bin" / "fgscore" and shown == ["extract", "cars", *words], "what runs is shown"


@pytest.mark.parametrize("target", ["demo", "extract", "score", "probe", "report", "reproduce"])
def test_data_set_and_folder_are_read_by_no_shell(target: str, root: Path, venv: Path) -> None:
    dataset = f"folder(name={ODD!r})"
    done = make(root, venv, target, f"DATASET={dataset}", f"ROOT=/p/{ODD}", "ARGS=--data 'd e'")
    assert done.returncode == 0, done.stderr
    at = ["--root", f"/p/{ODD}"]
    calls = [json.loads(line) for line in done.stdout.splitlines()]
    if target == "reproduce":
        assert [call[0] for call in calls] == ["check", "extract", "sweep", "claims", "locate", "report"]
        assert all(call[1] == dataset for call in calls)
        assert [call[0] for call in calls if call[2:4] == at] == ["check", "extract", "locate"]
        calls = calls[1:2]
        made = ["--prompt", "plain", "--draws", "3"]
        assert calls[0][4:8] == made, "the paper's tables by its own sentence, and draws enough for a word"
        del calls[0][4:8]
    named = {"extract": [dataset, *at], "reproduce": [dataset, *at], "score": [dataset], "probe": [dataset]}
    assert calls == [["extract" if target == "reproduce" else target, *named.get(target, []), "--data", "d e"]]


def test_a_quote_that_does_not_end_is_one_line(root: Path, venv: Path) -> None:
    done = make(root, venv, "score", "ARGS=it's")
    assert done.returncode != 0 and done.stdout == ""
    assert "ARGS: No closing quotation in it's" in done.stderr and "Traceback" not in done.stderr


def test_the_exit_code_of_the_command_is_told(root: Path, venv: Path) -> None:
    (venv / "bin" / "fgscore").write_text(f"#!{sys.executable}\nraise SystemExit(3)\n")
    assert "Error 3" in make(root, venv, "extract").stderr


@pytest.mark.parametrize(("target", "own"), [("study", []), ("study-one-pass", ["--one-pass"])])
def test_the_seed_of_a_study_is_read_by_no_shell(
    target: str, own: list[str], root: Path, venv: Path, tmp_path: Path
) -> None:
    seed = f"1; touch {tmp_path}/made"
    done = make(root, venv, target, f"SEED={seed}", f"OUT={ODD}")
    assert done.returncode != 0 and not (tmp_path / "made").exists()
    shown = shlex.split(done.stderr.splitlines()[0])
    assert shown[1:] == ["docs/make_study", *own, "--seed", seed, "--out", ODD]

"""Every command that we tell to run works as it is printed, pasted into a shell."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.errors import quoted
from fgscore.store.cache import Store
from fgscore_stages import _next
from fgscore_stages._commands import COMMANDS, command

Run = Callable[..., Any]
ODD = "it's a `d` $HOME"
MADE = ("--encoder", "fake", "--regions", "random_crop(n=4)")
TOLD = re.compile(r"^(?:Missing results\. )?(?:Next|Then|Or|For example|Follow): (.*)$", re.M)


def words(line: str, tmp_path: Path) -> list[str]:
    """The words of a command line as sh reads them, where a program of its name prints what it was given."""
    program = tmp_path / "bin" / "fgscore"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", line], env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", (line, done.stderr)
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "word",
    ["a", "a b", "folder(name='x')", ODD, 'say "x"', "back\\slash", "!x", "~", "", "a;b", "*", "-", "ü", "a\nb", "=x"],
)
def test_a_quoted_word_is_one_word_to_a_shell(word: str, tmp_path: Path) -> None:
    assert words(f"fgscore {quoted(word)}", tmp_path) == [word]


@pytest.fixture
def place(store: Store, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, whose data folder and photos have odd names."""
    here = tmp_path / "here"
    here.mkdir()
    shutil.move(store.layout.root, here / ODD)
    shutil.move(photos, here / f"photos of {ODD}")
    monkeypatch.chdir(here)
    return here


IMPORT = ("import", "mine", "mine.npz")
CALLS: dict[str, tuple[tuple[str, ...], int]] = {
    "index": (("index", "folder(name='new')", "--root", f"photos of {ODD}", "--limit", "1"), 0),
    "regions": (("regions", "folder", "--root", f"photos of {ODD}", *MADE[2:]), 0),
    "embed": (("embed", "folder", "--root", f"photos of {ODD}", *MADE), 0),
    "extract": (("extract", "folder(name='new')", "--root", f"photos of {ODD}", *MADE), 0),
    "import": (IMPORT, 0),
    "import without regions": (IMPORT, 0),
    "score": (("score", "folder", *MADE, "--prompt", "photo", "--scorer", "entropy(tau=50)", "--target", "local"), 0),
    "aggregate": (("aggregate", "--pool", "mean", "--features", "raw"), 0),
    "check": (("check", "folder", "--root", f"photos of {ODD}"), 0),
    "check of nothing": (("check", "folder(name='new')"), 1),
    "check of cars": (("check", "cars", "--root", ODD), 1),
    "download": (("download", "cars", "--root", f"photos of {ODD}"), 0),
    "claims": (("claims", "--head", "logreg(C=10)"), 0),
    "list": (("list",), 0),
    "status": (("status",), 0),
    "verify of what is damaged": (("verify",), 1),
    "verify of what is unfinished": (("verify",), 0),
    "repair": (("repair",), 0),
    "prune": (("prune",), 0),
}
# photos that nothing has brought meanwhile, and weights of SAM
STILL_AT_FAULT = ("check of nothing", "check of cars", "download", "claims")


def prepare(what: str, place: Path) -> None:
    cache = place / ODD / "cache" / "folder"
    (shard,) = cache.glob("globals/*/shard-00001.h5")
    if what in ("verify of what is damaged", "repair"):
        shard.write_bytes(b"no")
    if what == "verify of what is unfinished":
        shard.with_suffix(".json").unlink()
    if what == "prune":
        (cache.parent / "damaged").mkdir()
        (cache.parent / "damaged" / "shard-00000.h5").write_bytes(b"no")
    arrays: dict[str, Any] = {
        "image_ids": [f"{i}.jpg" for i in range(8)],
        "labels": np.arange(8) % 2,
        "split": ["train"] * 4 + ["test"] * 4,
        "globals": np.eye(8, 5, dtype=np.float32) + 1,
        "text": np.eye(2, 5, dtype=np.float32),
    }
    if what == "import":
        arrays |= {"offsets": np.arange(9), "regions": arrays["globals"], "boxes_xyxy": np.tile([0, 0, 9, 9], (8, 1))}
        arrays |= {"area": np.full(8, 0.5, np.float32)}
    np.savez(place / "mine.npz", **{name: np.array(array) for name, array in arrays.items()})


@pytest.mark.parametrize("what", CALLS)
def test_what_a_command_tells_to_run_runs(what: str, place: Path, run: Run, tmp_path: Path) -> None:
    args, code = CALLS[what]
    prepare(what, place)
    env = {"FGSCORE_DATA": ""}
    data = () if what == "list" else ("--data", ODD)
    result = run(*args, *data, env=env)
    assert result.code == code, result.err
    lines = TOLD.findall(result.out)
    assert lines
    for line in lines:
        again = words(line, tmp_path)
        assert ("--data" in again) is (again[0] != "list"), line
        gpu = again[0] in ("embed", "extract")
        more = list(MADE) if gpu and "--encoder" not in again else []  # clip's weights are not here
        if again[0] == "extract" and "--root" not in again:  # which no store knows
            more += ["--root", f"photos of {ODD}"]
        done = run(*again, *more, env=env)
        still = what in STILL_AT_FAULT and again[0] not in ("download", "sweep")
        assert done.code == int(still), (line, done.err)


FAULTS = [
    ("score", "folder", "--prompt", "a `{}`'s $x"),
    ("score", "folder", "--regions", "random_crop(n=5)"),
    ("extract", "folder", "--encoder", "fake", "--regions", "sam"),
    ("extract", "cars", *MADE),
    ("report",),
    ("show", "train/crow/0.png"),
    ("export", "--kind", "predictions"),
    ("score", "--scorer", "entrpy"),
]


@pytest.mark.parametrize("args", FAULTS, ids=lambda args: " ".join(args))
def test_the_command_in_an_error_is_one_of_ours_on_the_same_data(
    args: tuple[str, ...], place: Path, run: Run, tmp_path: Path
) -> None:
    if args[0] == "show":
        shutil.rmtree(place / ODD / "cache" / "folder" / "thumbnails")
    result = run(*args, "--data", ODD, env={"FGSCORE_DATA": ""})
    assert result.code in (1, 2)
    (line,) = re.findall(r"`(fgscore (?:'[^']*'|\"[^\"]*\"|[^`'\"])*)`", result.err)
    name, *rest = words(line, tmp_path)
    parsed = command(name).make_context(name, list(rest))
    assert name == "list" or str(parsed.params["data"]) == ODD
    if "--prompt" in args:
        assert list(parsed.params["prompt"]) == ["a `{}`'s $x"]


@pytest.mark.parametrize("args", [("check", "cars"), ("status",)], ids=" ".join)
def test_so_is_the_command_in_a_finding(args: tuple[str, ...], place: Path, run: Run) -> None:
    (plan,) = (place / ODD).glob("cache/folder/globals/*/plan.json")
    plan.write_text("{}")
    out = " ".join(run(*args, "--data", ODD, env={"FGSCORE_DATA": ""}).out.split())  # a table folds
    told = re.findall(r"`(fgscore [a-z]+ [^;]*)", out)
    assert told and all(f"--data {quoted(ODD)}`" in one for one in told)


def test_a_variable_stays_in_the_shell_and_is_not_repeated(store: Store, run: Run, data: Path) -> None:
    assert run("score").out.splitlines()[-1] == "Next: fgscore probe --scorer soft_margin"
    assert run("score", "--data", data).out.splitlines()[-1] == "Next: fgscore probe --scorer soft_margin"
    said = run("score", "--data", data, env={"FGSCORE_DATA": "elsewhere"}).out.splitlines()[-1]
    assert said == f"Next: fgscore probe --scorer soft_margin --data {data}"


def test_a_program_that_is_not_on_the_path_is_called_as_it_was(
    store: Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by make, whose environment nobody has activated; the lines are run as they are printed."""
    own = tmp_path / "a venv" / "bin"
    own.mkdir(parents=True)
    script = own / "fgscore"
    script.write_text(f"#!{sys.executable}\nfrom fgscore_stages.cli import app\napp()\n")
    script.chmod(0o755)
    env = {**os.environ, "PATH": "/usr/bin:/bin"}
    env.pop("FGSCORE_DATA", None)

    def sh(line: str) -> str:
        return subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        ).stdout

    shutil.move(data, tmp_path / ODD)
    told = sh(f"'a venv/bin/fgscore' status --data {quoted(ODD)}").splitlines()[-1].removeprefix("Next: ")
    assert told == f'"a venv/bin/fgscore" score folder --data {quoted(ODD)}'
    assert "fgscore probe folder" not in told and "soft_margin" in sh(told)
    by_module = sh(f"{quoted(sys.executable)} -m fgscore status --data {quoted(ODD)}").splitlines()[-1]
    assert by_module.startswith(f"Next: {quoted(sys.executable)} -m fgscore probe folder")
    env["PATH"] = f"{own}:{env['PATH']}"
    assert sh(f"fgscore status --data {quoted(ODD)}").splitlines()[-1].startswith("Next: fgscore probe folder")


def literals(path: Path) -> Iterator[str]:
    """Every text in a module but its docstrings; what is put in at run time is one word, x."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(v.value if isinstance(v, ast.Constant) else "x" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | parts:
            yield node.value


def test_a_command_in_backticks_is_a_call_that_its_command_takes(root: Path) -> None:
    """Whatever is told in any message of the library: no bare name of a command, no dots in place of an argument."""
    seen = 0
    for path in [*(root / "fgscore").rglob("*.py"), *(root / "stages").glob("*.py")]:
        for text in literals(path):
            for call in _next._COMMAND.findall(text):
                _, name, *rest = [word.strip("\"'") for word in call.split()]
                assert name in COMMANDS or name == "x", f"{path.name}: {call}"
                if name != "x":
                    command(name).make_context(name, list(rest))
                    subject = any(p.name == "subject" for p in command(name).params)
                    needs = name in ("extract", "index", "regions", "embed", "check", "download")
                    assert rest or not (subject and needs), f"{path.name}: {call} of which data set?"
                    assert "..." not in rest, f"{path.name}: {call}"
                    seen += 1
    assert seen > 15

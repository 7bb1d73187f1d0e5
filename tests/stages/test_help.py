"""Every command explains itself, and explaining costs nothing."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from fgscore_stages._commands import COMMANDS, command
from fgscore_stages.cli import app

HEAVY = (
    "torch",
    "torchvision",
    "transformers",
    "segment_anything",
    "sklearn",
    "scipy",
    "numpy",
    "h5py",
    "pyarrow",
    "PIL",
    "matplotlib",
)


def examples(help_text: str) -> list[str]:
    """The example commands of a help text, each with the lines that it goes on over."""
    return [
        " ".join(e.split()) for e in re.findall(r"^ *Example: (fgscore .*(?:\n {2,}(?!Example).+)*)", help_text, re.M)
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_and_gives_an_example(name: str, run: Callable[..., Any]) -> None:
    result = run(name, "--help")
    assert result.code == 0
    assert len(result.out.split("Example:")[0].split("\n\n", 1)[1].split()) >= 5
    found = examples(result.out)
    assert found, "no example"
    assert len(found) == result.out.count("Example:"), "examples share a line"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_are_calls_that_the_command_takes(name: str, run: Callable[..., Any]) -> None:
    for example in examples(run(name, "--help").out):
        program, called, *args = shlex.split(example)
        assert (program, called) == ("fgscore", name), example
        command(name).make_context(name, args)  # raises where an option does not exist


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_its_help(name: str) -> None:
    for parameter in command(name).params:
        assert getattr(parameter, "help", "") or parameter.name == "help", parameter.name


def test_the_help_of_the_whole_names_every_command(run: Callable[..., Any]) -> None:
    out = run("--help").out
    assert {line.split()[0] for line in out.split("Commands:")[1].splitlines() if line.strip()} == set(COMMANDS)


@pytest.mark.parametrize("columns", [60, 100, 1000])
def test_the_list_says_of_each_command_what_its_own_help_says(columns: int) -> None:
    def listed(group: Any) -> str:
        context = typer.Context(group, terminal_width=columns, max_content_width=columns)
        return str(group.get_help(context).partition("Commands:")[2])

    own = TyperGroup(name="fgscore", commands={n: command(n) for n in COMMANDS}, rich_markup_mode=None)
    assert listed(typer.main.get_command(app)) == listed(own)
    assert own.list_commands(None) == [line.split()[0] for line in listed(own).splitlines() if line[2:3].strip()]


def test_no_command_at_all_is_help(run: Callable[..., Any]) -> None:
    result = run()
    assert "Commands:" in result.out + result.err


def test_a_command_that_there_is_not_brings_the_nearest(run: Callable[..., Any]) -> None:
    result = run("extrct")
    assert result.code == 2 and "extract" in result.err


def test_the_version_is_that_of_the_package(run: Callable[..., Any]) -> None:
    import fgscore

    assert run("--version").out.strip() == fgscore.__version__


@pytest.mark.parametrize("args", [["--help"], ["extract", "--help"], ["probe", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    code = (
        "import sys; from fgscore_stages.cli import app\n"
        f"try: app({args!r})\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        f"print('LOADED', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].strip() == "LOADED"


def test_a_command_is_imported_without_the_others() -> None:
    code = (
        "import sys; from fgscore_stages.cli import app\n"
        "def ours(): return sorted(m for m in sys.modules if m.startswith('fgscore_stages.') and '._' not in m)\n"
        "for args in (['--help'], ['score', '--help']):\n"
        "    try: app(args)\n"
        "    except SystemExit: print(*ours())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = [line for line in done.stdout.splitlines() if line.startswith("fgscore_stages")]
    assert said == ["fgscore_stages.cli", "fgscore_stages.cli fgscore_stages.score"]


@pytest.mark.parametrize("stage", ["score", "extract", "list"])
def test_a_stage_runs_as_a_module_from_the_repository(stage: str, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", "--help"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"python -m stages.{stage}" in done.stdout


def test_a_stage_module_gives_the_exit_code_and_the_line(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.score", "--data", str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: nothing in") and done.stderr.count("\n") == 1

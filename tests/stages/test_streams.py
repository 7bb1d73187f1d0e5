"""Standard streams that somebody closed, and the small ways in: -h, python -m fgscore."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgscore.store.cache import Store
from fgscore_stages._commands import COMMANDS

PROGRAM = [sys.executable, "-m", "fgscore"]


def piped_nowhere(*args: Any, stderr: bool = False) -> subprocess.CompletedProcess[bytes]:
    """Run with a standard output, or both streams, that nobody reads: every write meets a broken pipe."""
    read, write = os.pipe()
    os.close(read)
    try:
        into = {"stdout": write, "stderr": write if stderr else subprocess.PIPE}
        return subprocess.run([*PROGRAM, *map(str, args)], **into, check=False)
    finally:
        os.close(write)


def test_a_verdict_that_nobody_reads_is_the_exit_code_still(store: Store, data: Path) -> None:
    sound = piped_nowhere("verify", "--data", data)
    assert (sound.returncode, sound.stderr) == (0, b"verify: 6 of 6\n")
    (shard,) = data.glob("cache/folder/globals/*/shard-00000.h5")
    shard.write_bytes(b"no")
    at_fault = piped_nowhere("verify", "--data", data, stderr=True)
    assert at_fault.returncode == 1


@pytest.mark.parametrize(
    ("args", "code"),
    [(("status",), 0), (("score", "cubs"), 2), (("--help",), 141)],
    ids=lambda args: args[0] if isinstance(args, tuple) else "",
)
def test_no_command_complains_of_a_pipe_that_is_closed(
    args: tuple[str, ...], code: int, store: Store, data: Path
) -> None:
    where = ("--data", data) if args[0] in ("score", "status") else ()
    done = piped_nowhere(*args, *where)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr and b"BrokenPipe" not in done.stderr and b"Exception" not in done.stderr
    assert done.stderr.count(b"error") == (code == 2)


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_streams_that_were_never_open_do_no_harm(closed: str, store: Store, data: Path) -> None:
    from fgscore_stages._run import store as opened

    line = f'"$0" -m fgscore score --data "$1" {closed}'
    done = subprocess.run(["sh", "-c", line, sys.executable, data], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Error" not in done.stderr
    from fgscore.upkeep.verify import verify

    assert verify(opened(data)) == [], "no file of ours became the standard output"


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_h_is_help(name: str, run: Callable[..., Any]) -> None:
    args = [name] if name else []
    short, long = run(*args, "-h"), run(*args, "--help")
    assert short.code == 0 and short.out == long.out and "Usage:" in short.out


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([*PROGRAM, "score", "-h"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("Usage: python -m fgscore score")


def test_list_alone_says_what_it_lists(run: Callable[..., Any]) -> None:
    kinds = [row["name"] for row in run("list", "--json").json["kinds"]]
    out = run("list").out
    assert {"scorers", "datasets", "regions", "encoders", "heads", "targets", "prompts", "poolings"} == set(kinds)
    for kind in kinds:
        assert kind in out
        rows = run("list", kind, "--json").json[kind]
        assert rows and all(row["doc"] for row in rows), kind

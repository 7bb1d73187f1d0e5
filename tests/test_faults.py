"""The fault runs of `make faults`, in short."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals and file-size limits are POSIX")
def test_nothing_is_lost_and_everything_broken_is_named(tmp_path):
    table = tmp_path / "table.json"
    program = Path(__file__).parent / "faults"
    ended = subprocess.run(
        [sys.executable, str(program), "--scale", "0.05", "--json", str(table)], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    counts = json.loads(table.read_text())
    assert {c["what"].split(" (")[0] for c in counts} >= {"killed", "interrupted", "disk full"}
    assert all(c["survived"] == c["tried"] for c in counts)

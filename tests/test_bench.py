"""`make bench-extract`, in short: the demo's small Sam and a drawn photo; only that it measures what is equal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("segment_anything")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "what"), [("masks", "masks of drawn"), ("threads", "masks on "), ("crops", "32 crops of drawn")]
)
def test_ratios_are_printed_of_what_is_equal(part, what, tmp_path):
    table = tmp_path / "table.json"
    program = [sys.executable, str(Path(__file__).parent / "bench"), "--model", "demo", "--side", "4", "--only", part]
    env = {name: value for name, value in os.environ.items() if name != "FGSCORE_REAL_DATA"}
    ended = subprocess.run([*program, "--json", str(table)], capture_output=True, text=True, env=env)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = json.loads(table.read_text())
    assert len(rows) >= 2
    assert all(row["what"].startswith((what, "geometric mean")) and row["measured"] > 0 for row in rows)
    assert all(row["equal"] for row in rows), [row for row in rows if not row["equal"]]
    said = {"masks": "masks compared", "threads": "threads: upstream", "crops": "pixels within"}
    assert said[part] in ended.stdout

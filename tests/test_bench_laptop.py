"""`make bench`, in short, on a small store: only that it measures, and measures what is alike."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent / "bench" / "laptop.py"


@pytest.mark.slow
def test_every_figure_is_a_ratio_with_its_target(tmp_path):
    table = tmp_path / "table.json"
    size = ["--images", "300", "--regions", "4", "--classes", "3", "--dim", "16", "--grid", "--cells", "2"]
    program = [sys.executable, str(BENCH), *size, "--data", str(tmp_path), "--json", str(table)]
    ended = subprocess.run(program, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(table.read_text())
    assert len(found["rows"]) == 7
    assert all("x" in row["target"] and row["measured"].endswith("x") for row in found["rows"]), found["rows"]
    assert found["grid"]["alike"] and max(found["grid"]["accuracies"]) > 0.4
    assert not list(tmp_path.rglob("aside-*"))

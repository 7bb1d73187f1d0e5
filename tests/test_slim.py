"""The laptop: only the cache copied over, and none of the packages of the extra."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fgscore.store.cache import Store

BLOCKED = ("torch", "torchvision", "transformers", "segment_anything", "numba", "PIL", "cv2", "huggingface_hub")
SITECUSTOMIZE = f"""
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec


def without(name, path=None, target=None):
    return None if name.partition(".")[0] in {BLOCKED!r} else find_spec(name, path, target)


PathFinder.find_spec = without
"""


@pytest.fixture
def laptop(store: Store, data: Path, tmp_path: Path) -> Any:
    """``laptop("score")`` runs a command with the packages blocked, on a copy of data/cache alone."""
    fresh, site = tmp_path / "laptop", tmp_path / "site"
    shutil.copytree(data / "cache", fresh / "cache")
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
    paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": paths, "FGSCORE_DATA": str(fresh)}

    def call(*args: str, program: tuple[str, ...] = ("-m", "fgscore_stages.cli")) -> Any:
        return subprocess.run(
            [sys.executable, *program, *args], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )

    return call


def test_the_packages_are_really_blocked(laptop: Any) -> None:
    for package in BLOCKED:
        done = laptop(f"import {package}", program=("-c",))
        assert "ModuleNotFoundError" in done.stderr, package


def test_score_and_probe_run_from_the_cache_alone(laptop: Any, tmp_path: Path) -> None:
    done = laptop("score", "--scorer", "entropy", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["computed"] for row in json.loads(done.stdout)["scores"]] == [3]
    done = laptop("probe", "--scorer", "entropy", "--k", "2", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["results"]
    assert 0 <= row["accuracy"] <= 1 and row["n_test"] == 4
    assert (tmp_path / "laptop" / "results").is_dir()


def test_a_scorer_of_ones_own_runs_there_too(laptop: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(inputs, target, /):\n    return inputs.area + inputs.region_global\n")
    done = laptop("probe", "--scorer", "./mine.py:f", "--head", "zeroshot")
    assert done.returncode == 0, done.stderr


def test_the_page_and_the_tables_are_made_there_too(laptop: Any, tmp_path: Path) -> None:
    """Thumbnails are passed on as they are: no Pillow. Plots need matplotlib, and say so."""
    for args in (("probe", "--pool", "none", "--head", "zeroshot"), ("probe", "--head", "zeroshot")):
        assert laptop(*args).returncode == 0
    done = laptop("report", "--no-plots", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["images"] == 4 and made["notes"] == []
    text = (tmp_path / "laptop" / "results" / "report" / "report.html").read_text(encoding="utf-8")
    assert "Soft negative margin" in text and text.count("/9j/") == 4, "four JPEG files in base64"


@pytest.mark.parametrize("args", [("report",), ("show", "test/crow/0.png")])
def test_drawing_ends_in_one_line_that_installs_it(args: tuple[str, ...], laptop: Any, tmp_path: Path) -> None:
    assert laptop("score", "--scorer", "all").returncode == 0
    done = laptop(*args)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "'matplotlib'" in line and "pip install 'fgscore[report]'" in line
    assert not (tmp_path / "laptop" / "results").exists(), "nothing was half-written"


@pytest.mark.parametrize(
    "args",
    [
        ("list", "encoders"),
        ("list", "regions"),
        ("list", "datasets"),
        ("list", "scorers"),
        ("status",),
        ("verify",),
        ("aggregate", "--pool", "mean"),
        ("sweep", "--table", "1", "--head", "zeroshot"),
        ("claims",),
        ("diagnose", "--head", "zeroshot"),
        ("--help",),
        ("extract", "--help"),
    ],
)
def test_the_rest_of_the_laptop_half(args: tuple[str, ...], laptop: Any) -> None:
    done = laptop(*args)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("extract", "demo"),
        ("extract", "folder", "--encoder", "clip", "--regions", "random_crop"),
        ("extract", "folder", "--encoder", "fake", "--regions", "sam"),
        ("extract", "folder", "--encoder", "fake", "--regions", "random_crop"),
        ("regions", "folder", "--regions", "random_crop"),
        ("index", "folder"),
        ("index", "demo"),
        ("probe", "--head", "adamw"),
    ],
)
def test_the_gpu_half_ends_in_one_line_that_installs_it(args: tuple[str, ...], laptop: Any, tmp_path: Path) -> None:
    (tmp_path / "laptop" / "raw" / "folder" / "train" / "crow").mkdir(parents=True)
    (tmp_path / "laptop" / "raw" / "folder" / "train" / "crow" / "0.png").write_bytes(b"any")
    done = laptop(*args)
    assert done.returncode == (1 if "faults" in done.stderr else 2), done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "pip install" in line]  # beside the weights, say
    assert any(repr(package) in line for package in BLOCKED), line
    assert "pip install 'fgscore[extract]'" in line

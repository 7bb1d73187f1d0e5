"""The wheel holds what it should, and works where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages_of_the_tree() -> set[str]:
    found = set()
    for top, name in (("fgscore", "fgscore"), ("stages", "fgscore_stages")):
        for path in (ROOT / top).rglob("__init__.py"):
            found.add(".".join((name, *path.parent.relative_to(ROOT / top).parts)))
    return found


def modules_of_the_tree() -> set[str]:
    found = {p.relative_to(ROOT).as_posix() for p in (ROOT / "fgscore").rglob("*.py")}
    return found | {f"fgscore_stages/{p.name}" for p in (ROOT / "stages").glob("*.py")}


def test_the_package_list_is_that_of_the_tree() -> None:
    weights = ROOT / "fgscore" / "demo" / "weights"
    data = {path.relative_to(ROOT).as_posix().replace("/", ".") for path in (weights, *weights.glob("*/"))}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_of_the_tree() | data


def test_every_folder_with_modules_is_a_package() -> None:
    for top in ("fgscore", "stages"):
        for path in (ROOT / top).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("fgscore", "stages", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(folder / "dist"), str(source)]
    done = subprocess.run([*pip, *build], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "dist").glob("*.whl")
    return path


def test_the_wheel_holds_every_module_and_no_other(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {n for n in names if n.endswith(".py")} == modules_of_the_tree()


def test_the_wheel_holds_the_models_of_the_demo(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    weights = ROOT / "fgscore" / "demo" / "weights"
    expected = {p.relative_to(ROOT).as_posix() for p in weights.rglob("*") if p.is_file()}
    assert {n for n in names if "/weights/" in n} == expected
    for name in ("clip/model.safetensors", "clip/vocab.json", "clip/merges.txt", "sam/model.safetensors"):
        assert f"fgscore/demo/weights/{name}" in expected
    assert {"clip/config.json", "sam/config.json"} <= {n.partition("weights/")[2] for n in expected}


def test_the_wheel_holds_the_parts_of_the_page(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = ROOT / "fgscore" / "report"
    parts = {p.relative_to(ROOT).as_posix() for p in folder.iterdir() if p.suffix in (".css", ".html", ".js")}
    assert len(parts) >= 5
    assert parts <= names


def test_the_wheel_holds_the_papers_numbers(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    assert archive.read("fgscore/study/paper.csv") == (ROOT / "fgscore" / "study" / "paper.csv").read_bytes()


def test_the_wheel_holds_no_tests_and_stays_small(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {n.split("/")[0] for n in names}
    assert tops == {"fgscore", "fgscore_stages", f"fgscore-{PROJECT['project']['version']}.dist-info"}
    assert not [n for n in names if "test" in n.lower().split("/")]
    assert wheel.stat().st_size < 8_000_000
    assert any(n.endswith("licenses/LICENSE") for n in names)


def test_the_wheel_asks_for_no_torch(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [n for n in archive.namelist() if n.endswith("METADATA")]
    lines = archive.read(name).decode().splitlines()
    base = [line for line in lines if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert len(base) >= 6
    for package in ("torch", "transformers", "segment", "pillow", "matplotlib", "pytest"):
        assert not [line for line in base if package in line.lower()]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    args = ["install", "--no-deps", "--no-index", "-q", "--target", str(target), str(wheel)]
    done = subprocess.run([*pip, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def call(installed: Path, *args: str, data: Path) -> subprocess.CompletedProcess[str]:
    (script,) = [p for p in (installed / "bin", installed / "Scripts") if p.is_dir()]
    program = script / ("fgscore.exe" if os.name == "nt" else "fgscore")
    env = {**os.environ, "PYTHONPATH": str(installed), "FGSCORE_DATA": str(data)}
    return subprocess.run([str(program), *args], cwd=data, env=env, capture_output=True, text=True, check=False)


def test_the_console_script_of_the_wheel_works(installed: Path, tmp_path: Path) -> None:
    done = call(installed, "--version", data=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, PROJECT["project"]["version"])
    for kind in ("scorers", "datasets", "regions", "encoders"):
        assert call(installed, "list", kind, data=tmp_path).returncode == 0


def test_the_installed_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    code = "import fgscore, fgscore_stages; print(fgscore.__file__); print(fgscore_stages.__file__)"
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert all(line.startswith(str(installed)) for line in done.stdout.splitlines())


def test_the_installed_wheel_scores_a_cache(installed: Path, store: Any, data: Path) -> None:
    done = call(installed, "score", "--scorer", "entropy", "--json", data=data)
    assert done.returncode == 0, done.stderr
    assert '"computed": 3' in done.stdout

"""What needs no torch, with the lowest versions that pyproject.toml allows: the quick half's tests and an extraction.

uv makes ``.venv-lowest`` anew: of every direct dependency the lowest version that has a wheel for this Python, of all
others the newest. Tests that need torch skip by name. The content of the extraction must be, to the bit, that of the
environment which runs this program; arguments are passed on to pytest.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from fgscore.demo.write import write_dataset

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-lowest"
PYTHON = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
HEAVY = {"torch", "torchvision", "transformers", "segment-anything", "numba", "huggingface_hub", "sentencepiece",
         "protobuf", "open_clip_torch", "timm"}  # fmt: skip
TOOLS = {"build", "import-linter", "mypy", "ruff", "selenium"}  # that no test asks for, or that it does without
# the part maps beside the drawings are no photos of the set, which is said and ends with 3 where it is not allowed
EXTRACT = ("extract", "folder(name='drawn')", "--encoder", "fake", "--regions", "random_crop(n=4)", "--allow-failures")
NOTHING_COLLECTED = 5  # where the arguments ask for tests of the slow half alone


def requirements() -> list[str]:
    """Every direct dependency, those of the extras too, without torch and what is of no use without it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    left_out = {*HEAVY, *TOOLS, project["name"]}
    return [one for one in wanted if re.split(r"[^\w.-]", one)[0] not in left_out]


def environment() -> None:
    """``.venv-lowest`` with :func:`requirements` at their lowest, and this checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"], check=True)
    install = [PYTHON, "-m", "uv", "pip", "install", "--quiet", "--python", PYTHON]
    lowest = ["--resolution", "lowest-direct", "--only-binary", ":all:"]
    subprocess.run([*install, *lowest, *requirements()], check=True)
    subprocess.run([*install, "--no-deps", "--editable", ROOT], check=True)
    subprocess.run([PYTHON, "-m", "uv", "pip", "list", "--python", PYTHON], check=True)


def call(python: Path, *args: str | Path) -> None:
    """Run ``fgscore`` in the environment of ``python``; an error ends this program."""
    subprocess.run([python, "-m", "fgscore_stages.cli", *args], check=True, stdout=subprocess.DEVNULL)


def contents(data: Path) -> dict[str, str]:
    """Content digest of every shard and of every whole in the store below ``data``."""
    found = {path: json.loads(path.read_bytes()) for path in sorted((data / "cache").rglob("*.json"))}
    return {str(path.relative_to(data)): o["content_digest"] for path, o in found.items() if "content_digest" in o}


def extraction(folder: Path) -> bool:
    """Whether both environments store the same and find each other's store sound."""
    write_dataset(folder / "photos", train=4, test=2)
    newest, lowest = folder / "newest", folder / "lowest"
    pythons = {newest: Path(sys.executable), lowest: PYTHON}
    for data, python in pythons.items():
        call(python, *EXTRACT, "--root", folder / "photos", "--data", data)
    for data, python in zip((lowest, newest), pythons.values(), strict=True):
        call(python, "verify", "--data", data)
    ours, theirs = contents(newest), contents(lowest)
    differ = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    print(f"extraction: {len(ours)} content digests, {len(differ)} of them other with the lowest versions")
    for name in differ:
        print(f"  {name}: {ours.get(name)} newest, {theirs.get(name)} lowest")
    return len(ours) > 0 and not differ


def main() -> int:
    """The command line."""
    environment()
    with tempfile.TemporaryDirectory() as folder:
        same = extraction(Path(folder))
    tests = [PYTHON, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-m", "not slow", *sys.argv[1:]]
    ended = subprocess.run(tests, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode
    return 0 if same and ended in (0, NOTHING_COLLECTED) else 1


if __name__ == "__main__":
    sys.exit(main())

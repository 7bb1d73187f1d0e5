"""What pyproject.toml asks for is what the code needs, and an h5py that cannot write is refused before any work."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fgscore.errors import UnfitPackage
from fgscore.store import shards
from fgscore.store.cache import Store
from fgscore.types import GlobalShard, ScoreShard

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = [path for folder in ("fgscore", "stages") for path in (ROOT / folder).rglob("*.py")]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "annotated_types": "annotated-types",
    "open_clip": "open_clip_torch",
    "segment_anything": "segment-anything",
    "sklearn": "scikit-learn",
}
OPTIONAL = {
    "threadpoolctl",  # comes with scikit-learn, and is done without where it does not
    "pillow_heif",  # opens HEIC where it is installed
}

Run = Callable[..., Any]
Damage = Callable[[bytes], bytes]


def floors(requirements: list[str]) -> dict[str, str]:
    return dict(re.split(">=", one) for one in requirements if not one.startswith("fgscore["))


def imported(path: Path) -> set[str]:
    """Top names of all imports of a file, those inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).partition(".")[0])
    return names


def test_every_package_that_is_imported_is_asked_for_with_a_floor() -> None:
    extras = {name: one for name, one in PROJECT["optional-dependencies"].items() if name != "dev"}
    declared = floors(PROJECT["dependencies"] + [one for extra in extras.values() for one in extra])
    own = {*sys.stdlib_module_names, "fgscore", "fgscore_stages", *OPTIONAL}
    found = {DISTRIBUTIONS.get(name, name) for path in SOURCES for name in imported(path)} - own
    assert len(found) > 15
    assert found <= declared.keys()


def test_the_floor_of_h5py_is_the_one_that_the_error_names() -> None:
    assert floors(PROJECT["dependencies"])["h5py"] == shards.H5PY


def test_nothing_asks_pyarrow_for_what_needs_pandas() -> None:
    assert not [path for path in SOURCES if "to_pandas" in path.read_text(encoding="utf-8")]


def wrong_checksum(image: bytes) -> bytes:
    """As h5py before 3.16 does it: a superblock whose checksum is of other bytes."""
    return image[:11] + bytes([image[11] ^ 1]) + image[12:]


def last_number(image: bytes) -> bytes:
    """A whole file of other content."""
    arrays = {"image_ids": np.array([b"z"]), "globals": np.zeros((1, 2), np.float16), "norms": np.zeros(1, np.float32)}
    with h5py.File("other", "w", driver="core", backing_store=False, libver=("v110", "v110")) as file:
        for name, array in arrays.items():
            file[name] = array
        file.flush()
        return bytes(file.id.get_file_image())


DAMAGES: list[Damage] = [wrong_checksum, last_number, lambda image: image[: len(image) // 2], lambda image: b""]


@pytest.fixture(params=DAMAGES, ids=["checksum", "other content", "cut short", "empty"])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has written nothing, and an h5py whose files in memory are broken."""
    whole = shards._bytes_of
    monkeypatch.setattr(shards, "_bytes_of", lambda file: request.param(whole(file)))
    monkeypatch.setattr(shards, "_read_back", set())
    monkeypatch.setattr(shards._kept, "layout", None)
    shards.check_writing.cache_clear()


@pytest.fixture(autouse=True)
def _tried_anew() -> Any:
    yield
    shards._kept.layout = None
    shards.check_writing.cache_clear()


def records() -> list[Any]:
    ids, one = np.array(["a"]), np.ones(1)
    return [GlobalShard(ids, np.ones((1, 2)), one), ScoreShard(ids, np.array([0, 1]), one, np.zeros(1, int))]


@pytest.mark.usefixtures("broken")
def test_the_first_shard_of_a_kind_is_read_back_before_it_is_published(tmp_path: Path) -> None:
    for record in records() * 2:  # and what failed once is not believed the next time
        with pytest.raises(UnfitPackage) as caught:
            shards.write(tmp_path / "shard.h5", record)
        for part in (f"found h5py {h5py.__version__}", "3.16", 'run: pip install --force-reinstall --no-deps "h5py>='):
            assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("broken")
def test_extract_is_refused_before_a_photo_is_hashed(run: Run, photos: Path, data: Path) -> None:
    args = ("folder", "--root", photos)
    made_from = ("--encoder", "fake", "--regions", "random_crop(n=4)")
    for command in (("extract", *args, *made_from), ("regions", *args, *made_from[2:]), ("index", *args)):
        result = run(*command)
        assert result.code == 2 and result.out == ""
        assert "what it writes cannot be read back" in result.message
    assert not data.exists()


@pytest.mark.usefixtures("broken")
def test_what_needs_no_shard_written_goes_on(store: Store, run: Run) -> None:
    before = {path: path.read_bytes() for path in store.layout.cache.rglob("*.h5")}
    for command in (("score", "--scorer", "entropy"), ("aggregate", "--pool", "mean")):
        assert "what it writes cannot be read back" in run(*command).message
    for command in (("status",), ("verify",), ("probe", "--pool", "none", "--head", "zeroshot")):
        assert run(*command).code == 0
    assert {path: path.read_bytes() for path in store.layout.cache.rglob("*.h5")} == before


@pytest.mark.usefixtures("broken")
def test_an_import_is_refused_before_anything_is_stored(run: Run, data: Path, tmp_path: Path) -> None:
    arrays = {"ids": ["a", "b"], "labels": [0, 1], "split": ["train", "test"], "globals": np.eye(2, dtype=np.float32)}
    np.savez(tmp_path / "mine.npz", **{name: np.array(array) for name, array in arrays.items()})
    result = run("import", "mine", tmp_path / "mine.npz")
    assert result.code == 2 and "what it writes cannot be read back" in result.message
    assert not data.exists()

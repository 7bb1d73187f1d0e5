"""What many tests need: drawn photos, a cache made from them by the fake encoder, and the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image
from typer.testing import CliRunner

from fgscore.inputs import ScoreInputs
from fgscore.store import index as index_store
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore_stages.cli import app

pytest_plugins = ["bare", "copies", "invented"]
ROOT = Path(__file__).resolve().parent.parent
CLASSES = ("blue_jay", "crow")
PER_SHARD = 4  # instead of 128, so that ten photos make shards of 4, 4 and 2
EXTRACT = ("extract", "folder", "--encoder", "fake", "--regions", "random_crop(n=4)")

# a busy machine must not fail a property: no deadlines, and the same examples in every run
settings.register_profile(
    "fgscore", deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fgscore")


@dataclass(frozen=True)
class Result:
    """What a command left: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def message(self) -> str:
        """The one line that an error must be."""
        lines = [line for line in self.err.splitlines() if not re.search(r": \d+ of \d+$", line)]  # progress
        assert len(lines) == 1, f"expected one line on stderr, found:\n{self.err}"
        assert "Traceback" not in self.err
        return lines[0]


def draw_photo(path: Path, seed: int, size: tuple[int, int] = (60, 40)) -> None:
    """A picture of soft coloured blobs, different for every seed; ``size`` is (width, height)."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse.resize(size, Image.Resampling.BICUBIC).save(path)


def draw_photos(root: Path) -> Path:
    """Ten photos: two classes, three train and two test images each."""
    for s, (split, count) in enumerate((("train", 3), ("test", 2))):
        for c, name in enumerate(CLASSES):
            for i in range(count):
                draw_photo(root / split / name / f"{i}.png", seed=100 * s + 10 * c + i)
    return root


def invoke(*args: Any, data: Path, env: dict[str, str] | None = None) -> Result:
    """Run ``fgscore *args`` in this process, on the data folder ``data``."""
    variables = {"FGSCORE_DATA": str(data), "FGSCORE_DEBUG": "", "HF_HUB_OFFLINE": "1", **(env or {})}
    done = CliRunner().invoke(app, [str(a) for a in args], env=variables)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Result(done.exit_code, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def _no_store_of_the_working_tree(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What `make demo` left in the working tree is not what a test means."""
    monkeypatch.setattr("fgscore.store.match.HERE", tmp_path_factory.getbasetemp() / "no data")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def draw() -> Callable[..., None]:
    """``draw(path, seed, size)`` makes one photo."""
    return draw_photo


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder data set of ten photos."""
    return draw_photos(tmp_path / "photos")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder that `run` works on."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def call() -> Callable[..., Result]:
    """``call("score", data=folder)`` runs a command on a data folder of one's own."""
    return invoke


@pytest.fixture
def run(data: Path) -> Callable[..., Result]:
    """``run("score", "--json")`` runs a command and returns exit code, stdout and stderr."""

    def call(*args: Any, data: Path = data, **more: Any) -> Result:
        return invoke(*args, data=data, **more)

    return call


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> int:
    """Shards of four images, so that ten photos make three."""
    monkeypatch.setattr(index_store, "IMAGES_PER_SHARD", PER_SHARD)
    return PER_SHARD


@pytest.fixture
def extract(run: Callable[..., Result], photos: Path, small_shards: int) -> Callable[..., dict[str, Any]]:
    """``extract(...)`` brings the cache of `photos` up to date and returns what became of each kind, as
    ``{"globals": {"computed": 1, ...}, ...}``; more arguments are appended."""

    def call(*more: Any, code: int = 0) -> dict[str, Any]:
        result = run(*EXTRACT, "--root", photos, "--json", *more)
        assert result.code == code, result.err
        return {a["kind"]: a for a in result.json["artefacts"]}

    return call


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("template")
    draw_photos(folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_store, "IMAGES_PER_SHARD", PER_SHARD)
        result = invoke(*EXTRACT, "--root", folder / "photos", data=folder / "data")
    assert result.code == 0, result.err
    yield folder


@pytest.fixture
def store(_template: Path, data: Path, photos: Path, small_shards: int) -> Store:
    """A cache of `photos` by the fake encoder and random_crop(n=4), in three shards."""
    shutil.copytree(_template / "data", data)
    return Store(Layout(data))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photos and embeddings; the test is skipped without FGSCORE_REAL_DATA."""
    folder = os.environ.get("FGSCORE_REAL_DATA")
    if not folder:
        pytest.skip("needs real photos: set FGSCORE_REAL_DATA")
    return Path(folder)


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., ScoreInputs]:
    """A factory of score inputs; ``sizes`` are the numbers of regions of each image, zeros included."""

    def make(
        sizes: tuple[int, ...] = (3, 0, 5, 1),
        classes: int = 7,
        width: int = 16,
        seed: int = 0,
        logit_scale: float = 100.0,
    ) -> ScoreInputs:
        rng = np.random.default_rng(seed)
        shared = rng.standard_normal(width)  # CLIP's rows all lie in one narrow cone, so the cosines are close

        def rows(count: int, spread: float) -> np.ndarray:
            raw = shared + spread * rng.standard_normal((count, width))
            return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)

        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        regions, globals_, text = rows(int(offsets[-1]), 1.0), rows(len(sizes), 0.7), rows(classes, 0.5)
        return ScoreInputs(offsets, regions, globals_, text, logit_scale)

    return make

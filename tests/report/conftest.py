"""A cache to look at: photos with names that would break a careless page, crops, masks, scores and results."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.extract.extraction import Extraction
from fgscore.extract.index import make_index
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.regions import Proposals
from fgscore.regions.random_crop import RandomCrops
from fgscore.runtime import Runtime
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

CLASSES = ('</script><img src=x onerror="window.hacked=1">', 'Brewer\'s "Sparrow" & {{data}} $x_1$', "crow_")
DATASET = "table(file='list.csv', name='hostile')"
SIZE = (320, 200)
MASK_HW = (100, 160)
HEAD = "logreg(C=1.0)"


def photo_name(split: str, c: int, i: int) -> str:
    return f'{split}/"><svg onload=window.hacked=2>{c}{i}.png'


def draw_masks(image: np.ndarray, image_id: str) -> Proposals:
    """One to five discs in place of SAM, at half the photo's size; none in every seventh image or so."""
    rng = np.random.default_rng(zlib.crc32(image_id.encode()))
    m = int(rng.integers(0, 6))
    height, width = MASK_HW
    y, x = np.mgrid[:height, :width]
    runs, boxes, areas = [], [], []
    for _ in range(m):
        cx, cy, radius = rng.integers(10, width - 10), rng.integers(10, height - 10), rng.integers(8, 40)
        mask = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes.append([2 * columns[0], 2 * rows[0], 2 * columns[-1] + 2, 2 * rows[-1] + 2])
        areas.append(mask.mean())
        flat = mask.T.ravel()
        ends = np.append(np.flatnonzero(np.diff(flat)) + 1, flat.size)
        lengths = np.diff(ends, prepend=0)
        runs.append(np.concatenate([[0], lengths]) if flat[0] else lengths)
    ones = np.ones(m)
    return Proposals(np.array(boxes).reshape(-1, 4), np.array(areas), ones, ones, runs, MASK_HW)


def add_masks(data: Path, photos: Path) -> None:
    store, runtime = Store(Layout(data)), Runtime()
    extraction = Extraction(store, make_index(store, DATASET, root=photos), runtime)
    generator = GeneratorPart("random_crop(n=5, seed=9)", runtime)
    masked = {"masks": True, "propose": lambda self, image, image_id: draw_masks(image, image_id)}
    generator.made.__class__ = type("Masked", (RandomCrops,), masked)
    extraction.fill(extraction.embedded(generator, [EncoderPart("fake", runtime)]))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory, draw: Callable[..., None], call: Callable[..., Any]) -> Path:
    """The data folder: 3 classes, 2 train and 4 test photos each; two generators, all scorers, results at three k."""
    folder = tmp_path_factory.mktemp("hostile")
    photos, data = folder / "photos", folder / "data"
    rows = []
    for split, count in (("train", 2), ("test", 4)):
        for c, name in enumerate(CLASSES):
            for i in range(count):
                path = photo_name(split, c, i)
                draw(photos / path, seed=100 * c + 10 * i + len(split), size=SIZE)
                rows.append({"path": path, "label": name, "split": split})
    with open(photos / "list.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["path", "label", "split"])
        writer.writeheader()
        writer.writerows(rows)
    for args in (
        ("extract", DATASET, "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=12)"),
        add_masks,
        ("score", "--scorer", "all", "--target", "global", "--target", "local"),
        ("probe", "--pool", "none", "--head", HEAD, "--head", "zeroshot"),
        ("probe", "--pool", "mean", "--head", HEAD),
        ("probe", "--scorer", "soft_margin", "--scorer", "entropy", "--k", 1, "--k", 5, "--k", "all", "--head", HEAD),
        ("probe", "--scorer", "soft_margin", "--target", "oracle", "--head", HEAD),
    ):
        if callable(args):
            args(data, photos)
            continue
        done = call(*args, data=data)
        assert done.code == 0, done.err
    return data


@pytest.fixture(scope="session")
def written(hostile: Path, call: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on `hostile`."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("report")
    done = call("report", "--out", folder, "--json", data=hostile)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="session")
def page(written: Path) -> str:
    """The text of report.html."""
    return (written / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def packed(page: str) -> dict[str, Any]:
    """What the page holds for its gallery: the one data set's part of the embedded JSON."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    (one,) = json.loads(text)["sets"]
    return dict(one)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, driven by selenium; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    binary = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
    program = shutil.which("chromedriver")
    if not binary or not program:
        pytest.skip("needs Chromium and chromedriver; on Debian: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    # as root in a container Chromium has no sandbox of its own, and /dev/shm is small
    for switch in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program))
    yield driver
    driver.quit()

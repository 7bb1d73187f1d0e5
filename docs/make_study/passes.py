"""Crops and one pass as two encoders of the same cached regions: what is compared, and the commands that compare it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings import PROMPT, Settings, repeated
from steps import Steps

from fgscore.encoders import EncoderMaker

PAGE = "one_pass.md"
N = 32  # regions an image
REGIONS = f"random_crop(n={N}, seed={{seed}})"
CROPS = "clip(model='demo')"
ONE_PASS = "clip(model='demo', regions=one_pass, {})"


@dataclass(frozen=True)
class Feature:
    """A pooled vector: what the page calls it, and the words of a setting of `compare`."""

    title: str
    words: str


FEATURES = {
    "mean": Feature("[g; mean]", "--pool mean"),
    "top5": Feature("[g; soft margin, top 5]", "--scorer soft_margin --k 5"),
    "smallest": Feature("[g; the 5 smallest]", "--scorer reverse(of=area) --k 5"),
    "largest": Feature("[g; the 5 largest]", "--scorer area --k 5"),
}
SQUARE, WIDE = "square", "wide"
SETTINGS: Mapping[str, tuple[str, ...]] = {  # of one pass, by the set that they are tried on
    SQUARE: (
        "start=0",
        "start=1",
        "start=3",
        "start=1, member=0.5",
        "start=3, size=192",
        "start=3, tiles=2",
    ),
    WIDE: (
        "start=3, size=192, fit=squash",
        "start=3, size=192, fit=crop",
    ),
}
IN_README = ("start=1", "start=3, size=192", "start=3, tiles=2")


@dataclass(frozen=True)
class Row:
    """One setting of one pass against crops, on the same images and regions: see ``fgscore compare --json``. Seconds
    and multiply-accumulates are those of an image."""

    set: str
    feature: str
    setting: str
    accuracy: float
    crops_accuracy: float
    difference: float
    low: float
    high: float
    bound: float
    word: str
    draws: int
    n_test: int
    seconds: float
    crops_seconds: float
    macs: float
    crops_macs: float


@dataclass
class Found:
    """What was found: rows in the order of SETTINGS, and seconds by step."""

    rows: list[Row]
    seconds: dict[str, float]


def datasets(settings: Settings) -> dict[str, str]:
    """The drawn sets as commands take them, by what the page calls them."""
    wide = f"demo(train={settings.train}, test={settings.wide_test}, width=500, height=375)"
    return {SQUARE: settings.dataset, WIDE: wide}


def store(settings: Settings) -> Path:
    """The data folder of this run."""
    return settings.data / f"one-pass-{settings.seed}"


def study(settings: Settings) -> Found:
    """Everything from drawing to differences; what is in the store is not made again."""
    steps = Steps(store(settings))
    regions = repeated("--regions", [REGIONS.format(seed=settings.first + draw) for draw in range(settings.draws)])
    rows: list[Row] = []
    for name, dataset in datasets(settings).items():
        steps.run(f"{name}: drawing", "index", dataset, data=settings.drawn)
        photos = ["--root", str(settings.photos_of(dataset)), "--prompt", PROMPT, "--no-thumbnails"]
        # one pass first: whole images come with its regions, and each encoder is charged for decoding a photo once
        for setting in SETTINGS[name]:
            steps.run(f"{name}: one pass", "extract", dataset, *regions, "--encoder", _encoder(setting), *photos)
        steps.run(f"{name}: crops", "extract", dataset, *regions, "--encoder", CROPS, *photos)
        for feature in FEATURES:
            rows += _compared(steps, name, dataset, feature)
    return Found(rows, steps.seconds)


def _encoder(setting: str) -> str:
    return ONE_PASS.format(setting)


def _compared(steps: Steps, name: str, dataset: str, feature: str) -> Iterator[Row]:
    """A row for each setting of one pass."""
    sides = [f"--encoder clip(regions={how}) {FEATURES[feature].words}" for how in ("one_pass", "crops")]
    said = steps.run(f"{name}: {FEATURES[feature].title}", "compare", dataset, *sides)["comparisons"]
    by_encoder = {one["a"]["encoder"]: one for one in said}
    for setting in SETTINGS[name]:
        yield _row(name, feature, setting, by_encoder[EncoderMaker.bind(_encoder(setting)).canonical])


def _row(name: str, feature: str, setting: str, said: Mapping[str, Any]) -> Row:
    a, b = said["a"], said["b"]
    same = {key: said[key] for key in ("difference", "low", "high", "bound", "word", "draws", "n_test")}
    return Row(
        name, feature, setting, said["accuracy_a"], said["accuracy_b"], **same,
        seconds=a["image_seconds"], crops_seconds=b["image_seconds"], macs=a["macs"], crops_macs=b["macs"],
    )  # fmt: skip

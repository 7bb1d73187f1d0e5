"""Whole images come with their regions, by an encoder that embeds all of an image in one pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from fgscore.encoders._frozen import Frozen
from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Run = Callable[..., Any]
ONE_PASS = "clip(model=demo, regions=one_pass)"
CROPS = ("--regions", "random_crop(n=4)")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pictures of each forward pass of a model, once it is loaded; two of them count what a region costs."""
    counted: list[int] = []
    plain = Frozen._forward

    def forward(self: Frozen, inputs: Any, *more: Any) -> np.ndarray:
        if self._one_pass is not None:
            counted.append(len(inputs["pixel_values"]))
        return plain(self, inputs, *more)

    monkeypatch.setattr(Frozen, "_forward", forward)
    return counted


def bundle(data: Path) -> RegionBundle:
    (found,) = match.bundles(Store(Layout(data)), "folder")
    assert isinstance(found, RegionBundle)
    return found


def test_an_image_is_one_forward_pass_regions_and_all(photos: Path, data: Path, run: Run, passes: list[int]) -> None:
    extract = ("extract", "folder", "--root", photos, "--encoder")
    assert run(*extract, ONE_PASS, *CROPS).code == 0
    made = bundle(data)
    assert sum(passes) == len(made.index) + 2
    apart = data.parent / "apart"
    assert run(*extract, "clip(model=demo)", *CROPS, data=apart).code == 0
    for number in made.globals.shard_sizes:
        joint, alone = (one.store.read(one.globals, number) for one in (made, bundle(apart)))
        assert joint.image_ids.tolist() == alone.image_ids.tolist()
        assert np.float32(joint.globals) == pytest.approx(np.float32(alone.globals), abs=3e-4), "within half precision"
        assert joint.norms == pytest.approx(alone.norms, rel=1e-4)


def test_what_has_no_regions_record_is_embedded_by_itself(photos: Path, data: Path, run: Run) -> None:
    """One whose box file does not name it, say: a whole image needs no regions."""
    boxes = data.parent / "boxes.csv"
    named = sorted(p for p in photos.rglob("*.png"))[:3]
    lines = [f"{p.relative_to(photos).as_posix()},5,5,20,20" for p in named]
    boxes.write_text("\n".join(["path,x0,y0,x1,y1", *lines]) + "\n")
    regions = ("--regions", f"boxes(file='{boxes}')")
    done = run("extract", "folder", "--root", photos, "--encoder", ONE_PASS, *regions)
    assert done.code == 0, done.err
    made = bundle(data)
    assert sum(len(made.store.read(made.globals, n).image_ids) for n in made.globals.shard_sizes) == len(made.index)


def test_regions_that_come_later_leave_the_whole_images_alone(photos: Path, data: Path, run: Run) -> None:
    extract = ("extract", "folder", "--root", photos, "--encoder", ONE_PASS)
    assert run(*extract, *CROPS).code == 0
    before = {p: p.read_bytes() for p in data.glob("cache/folder/globals/*/*")}
    assert run(*extract, "--regions", "grid(rows=2, cols=2)").code == 0
    assert before == {p: p.read_bytes() for p in data.glob("cache/folder/globals/*/*")}

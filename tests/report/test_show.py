"""`fgscore show`: one image and the best of its regions, as numbers and as a figure."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore import ragged
from fgscore.report import figure, views
from fgscore.report.figure import Row
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

pytest.importorskip("matplotlib")
from PIL import Image

Show = Callable[..., Any]
IMAGE = 'test/"><svg onload=window.hacked=2>00.png'


@pytest.fixture
def show(hostile: Path, call: Callable[..., Any]) -> Show:
    return lambda *args: call("show", *args, data=hostile)


@pytest.mark.parametrize(("scorer", "target"), [("soft_margin", "global"), ("entropy", "local"), ("region_global", "")])
def test_the_numbers_are_those_of_the_cached_scores(
    scorer: str, target: str, show: Show, hostile: Path, tmp_path: Path
) -> None:
    args = ("--target", target) if target else ()
    made = show(IMAGE, "--scorer", scorer, *args, "--k", 3, "--out", tmp_path / "a.png", "--json").json
    store = Store(Layout(hostile))
    (several,) = views.sources(store).by_dataset.values()
    assert [row["regions"] for row in made["rows"]] == ["random_crop", "random_crop"]
    names = several[0].bundle.index.class_names
    for row, source in zip(made["rows"], several, strict=True):
        (view,) = [v for v in source.views if (v.scorer, v.target) == (scorer, target)]
        record = store.read(view.artefact, 0)
        i = record.image_ids.tolist().index(IMAGE)
        own = slice(*record.offsets[i : i + 2])
        kept, offsets = ragged.topk(record.scores[own], np.array([0, own.stop - own.start]), 3)
        assert [best["region"] for best in row["best"]] == kept.tolist()
        np.testing.assert_allclose([b["score"] for b in row["best"]], record.scores[own][kept], atol=1e-6)
        weights = ragged.softmax(record.scores[own][kept], offsets) if len(kept) else []
        np.testing.assert_allclose([b["weight"] for b in row["best"]], weights, atol=1e-6)
        wanted = [names[t] if target else "" for t in record.target[own][kept]]
        assert [b["target"] for b in row["best"]] == wanted
    assert made["label"] == names[0]


def test_the_figure_is_a_picture(show: Show, tmp_path: Path) -> None:
    done = show(IMAGE, "--out", tmp_path / "a.png")
    assert done.code == 0 and f"Written: {tmp_path / 'a.png'}" in done.out
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG" and picture.width > 800
        assert len(set(picture.convert("RGB").resize((64, 32)).getdata())) > 100, "not one flat colour"


def test_the_svg_says_image_labels_and_scores(show: Show, tmp_path: Path) -> None:
    made = show(IMAGE, "--k", 2, "--out", tmp_path / "a.svg", "--json").json
    tree = ElementTree.parse(tmp_path / "a.svg")
    said = "\n".join(t.strip() for t in tree.getroot().itertext())
    assert IMAGE in said and f"true label: {made['label']}" in said
    (best, _) = made["rows"][0]["best"]
    for words in (
        f"1: {best['score']:.4f}",
        f"weight {best['weight']:.3f}",
        "all 12 regions",
        "best 2",
        best["target"],
    ):
        assert words in said
    again = show(IMAGE, "--k", 2, "--out", tmp_path / "b.svg")
    assert again.code == 0 and (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_an_unknown_image_is_one_line_with_near_matches(show: Show, tmp_path: Path) -> None:
    done = show('test/"><svg onload=window.hacked=2>0.png', "--out", tmp_path / "a.png")
    assert done.code == 2 and "no image named" in done.message and done.message.count("hacked=2>") == 4, (
        "itself and three"
    )
    done = show("hacked=2>21", "--out", tmp_path / "a.png")
    assert done.code == 2 and "hacked=2>21.png'" in done.message
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--out", "a.gif"), "expected a file of .png or .svg"),
        (("--scorer", "entrpy"), "did you mean 'entropy'"),
        (("--target", "lokal"), "did you mean 'local'"),
        (("--k", "0"), "k must be a whole number of at least 1"),
    ],
)
def test_a_wrong_call_is_one_line(args: tuple[str, ...], said: str, show: Show) -> None:
    done = show(IMAGE, *args)
    assert done.code == 2 and said in done.message


def test_without_thumbnails_the_command_that_makes_them_is_named(
    hostile: Path, call: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copytree(hostile, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "cache" / "hostile" / "thumbnails")
    done = call("show", IMAGE, "--out", tmp_path / "a.png", data=tmp_path / "data")
    assert done.code == 1 and "no thumbnails of hostile are cached; run `fgscore extract" in done.message


def test_a_scorer_of_ones_own(show: Show, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(inputs, target, /):\n    return -inputs.area\n")
    made = show(
        IMAGE, "--scorer", f"{tmp_path / 'mine.py'}:f", "--k", "all", "--out", tmp_path / "a.png", "--json"
    ).json
    scores = [best["score"] for best in made["rows"][0]["best"]]
    assert len(scores) == 12 and scores == sorted(scores, reverse=True) and scores[-1] < 0


# ---- what is drawn


def test_a_crop_is_cut_from_the_picture_and_a_mask_leaves_white() -> None:
    pixels = np.arange(8 * 10 * 3, dtype=np.uint8).reshape(8, 10, 3)
    boxes = np.array([[1.2, 2.0, 6.9, 5.0]])
    cut = figure._cut(pixels, Row("crop", "s", boxes, None, []), 0)
    np.testing.assert_array_equal(cut[1:4], pixels[2:5, 1:7])
    assert cut.shape == (6, 6, 3) and (cut[[0, 4, 5]] == 255).all()
    mask = np.zeros((8, 10), bool)
    mask[2:5, 1] = True
    cut = figure._cut(pixels, Row("sam", "s", boxes, [mask], []), 0)
    np.testing.assert_array_equal(cut[1:4, 0], pixels[2:5, 1])
    assert (cut[:, 1:] == 255).all()

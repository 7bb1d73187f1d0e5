"""What a user's encoder or generator does wrong is told with its line before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
# f is an encoder made of Base and what a case says
ENCODER = """import numpy as np
from fgscore.encoders import Encoder
class Base:
    dim = 4
    def embed_images(self, images):
        return np.stack([np.append(image.mean((0, 1)), image.std()) for image in images])
"""
SMALL = {
    "another width": ("dim = 5", r"found \(2, 4\) float64 in place of \(2, 5\) floating"),
    "no width": ("dim = 0", "expected its dim to be a whole number above 0, found 0"),
    "fewer rows": (
        "def embed_images(self, images): return np.ones((1, 4))",
        r"found \(1, 4\) float64 in place of \(2,",
    ),
    "not finite": (
        "def embed_images(self, images): return np.full((len(images), 4), np.inf)",
        "returned a non-finite or zero embedding for a picture of noise",
    ),
    "zero": ("def embed_images(self, images): return np.zeros((len(images), 4))", "non-finite or zero embedding"),
    "whole numbers": ("def embed_images(self, images): return np.ones((len(images), 4), int)", "int64 in place of"),
    "nothing": ("def embed_images(self, images): return None", r"found \(\) object in place of"),
    "blind": ("def embed_images(self, images): return np.ones((len(images), 4))", "two pictures that differ get the"),
    "raises": ("def embed_images(self, images): return {}['no such key']", "KeyError: 'no such key'"),
    "exits": ("def embed_images(self, images): raise SystemExit(3)", r"it exits \(3\), which a component must leave"),
    "raises at loading": ("def load(self): open('no such weights')", "FileNotFoundError: .*no such weights"),
    "a package": ("def load(self): import no_such_one", "needs the package 'no_such_one'.* pip install no_such_one$"),
    "stops early": (
        "def embed_regions(self, images): yield np.ones((len(next(images)), 4))",
        "it stopped after 1 images, before the last",
    ),
    "rows for images": (
        "def embed_regions(self, images): return np.ones((len(list(images)), 4))",
        "found 2 rows in place of 4, one for each region",
    ),
    "width of texts": (
        "def embed_texts(self, texts): return np.ones((len(texts), 3))",
        r"\(2, 3\) float64 in place of",
    ),
    "texts of lists": ("def embed_texts(self, texts): return [[1.0], [2.0, 3.0]]", "ValueError"),
    "a logit scale": (
        "logit_scale = -1.0\n    def embed_texts(self, texts): return np.eye(len(texts), 4)",
        "expected its logit_scale to be a number above 0, found -1.0",
    ),
    "weights that are no text": ("weights = 3", "TypeError: 'int' object is not callable"),
}
OTHER = {
    "none": ("def f(): return None", "found NoneType, which has no dim and no embed_images"),
    "without a width": (
        "class No: embed_images = Base.embed_images\ndef f(): return No()",
        "found No, which has no dim;",
    ),
    "abstract": ("class No(Encoder): dim = 4\ndef f(): return No()", "abstract class No .*embed_images"),
    "positional": ("def f(a, b): return Base()", r"must take \(runtime, /, \*, parameters=...\), found \(a, b\)"),
    "raises": ("def f(): return 1 / 0", "ZeroDivisionError"),
    "a package that it declares": (
        "class E(Base): needs = ('torch', 'no_such_one')\ndef f(): return E()",
        "needs the package.* 'no_such_one'.*pip install .*no_such_one$",
    ),
    "another name": ("def ff(): return Base()", "defines no function 'f'; did you mean 'ff'"),
    "no Python": ("def f(:", "SyntaxError"),
    "a parameter": ("def f(*, a: int = 1): return Base()", "has no parameter 'z'"),
    "rendering of its own": (
        "class Own(Base):\n    def embed_regions(self, images): return []\ndef f(): return Own()",
        "embeds regions by a method of its own, which has no margin; leave that out",
    ),
}
GENERATORS = {
    "outside": ("return [(0, 0, 500, 10)]", "box 0: expected .* within 60 x 40, .* found 0, 0, 500, 10"),
    "negative": ("return [(0, 0, 5, 5), (-1, 0, 5, 5)]", "box 1: expected .* found -1, 0, 5, 5"),
    "no whole pixels": ("return [(0, 0, 5.5, 10)]", "box 0: .* found 0, 0, 5.5, 10"),
    "not finite": ("return [(0, 0, float('nan'), 10)]", "box 0: .* found 0, 0, nan, 10"),
    "empty": ("return [(5, 5, 5, 9)]", "box 0: .* found 5, 5, 5, 9"),
    "three corners": ("return [(0, 0, 5)]", r"expected boxes \(M, 4\) of numbers, found \(1, 3\)"),
    "words": ("return [('a', 'b', 'c', 'd')]", r"expected boxes \(M, 4\) of numbers"),
    "none": ("return None", r"expected boxes \(M, 4\) of numbers, found \(\) object"),
    "raises": ("return {}[image_id]", "KeyError: 'train/blue_jay/0.png'"),
    "exits": ("raise SystemExit", "it exits"),
}


def refused(run: Run, data: Path, *args: str) -> str:
    """The one line that refuses an extract, of which nothing is stored."""
    done = run("extract", "folder", *args)
    assert done.code in (1, 2), done.out
    assert not list(data.rglob("shard-*")) and not list(data.rglob("plan.json"))
    return str(done.message)


@pytest.mark.parametrize(("body", "says"), SMALL.values(), ids=SMALL)
def test_an_encoder_is_tried_on_small_pictures(
    body: str, says: str, run: Run, photos: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(f"{ENCODER}class Bad(Base):\n    {body}\ndef f(): return Bad()\n")
    asked = ("--root", str(photos), "--encoder", f"{tmp_path}/mine.py:f", "--regions", "random_crop(n=2)")
    message = refused(run, data, *asked)
    assert re.search(says, message), message
    assert re.match(rf"error: {tmp_path}/mine\.py:\d+: encoder mine\.py:f", message), message


@pytest.mark.parametrize(("body", "says"), OTHER.values(), ids=OTHER)
def test_what_makes_no_encoder_is_named(
    body: str, says: str, run: Run, photos: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(f"{ENCODER}{body}\n")
    params = {"a parameter": "(z=1)", "rendering of its own": "(margin=0.1)"}
    case = next(name for name, one in OTHER.items() if one == (body, says))
    asked = ("--encoder", f"{tmp_path}/mine.py:f{params.get(case, '')}", "--regions", "random_crop(n=2)")
    message = refused(run, data, "--root", str(photos), *asked)
    assert re.search(says, message) and ("mine.py:f" in message or "no_such_one" in message), message


@pytest.mark.parametrize(("body", "says"), GENERATORS.values(), ids=GENERATORS)
def test_a_generator_is_tried_on_the_first_photo(
    body: str, says: str, run: Run, photos: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(f"def f(image, image_id, /):\n    {body}\n")
    asked = ("--root", str(photos), "--encoder", "fake", "--regions", f"{tmp_path}/mine.py:f")
    message = refused(run, data, *asked)
    assert re.search(says, message), message
    place = rf"error: {tmp_path}/mine\.py:[12]: region generator mine\.py:f at train/blue_jay/0\.png: "
    assert re.match(place, message), message


def test_workers_find_the_same(run: Run, photos: Path, data: Path, tmp_path: Path) -> None:
    bad = "dim = 5\n    def embed_texts(self, texts): return np.eye(len(texts), 5)"
    (tmp_path / "mine.py").write_text(f"{ENCODER}class Bad(Base):\n    {bad}\ndef f(): return Bad()\n")
    asked = ("--root", photos, "--encoder", f"{tmp_path}/mine.py:f", "--regions", "random_crop(n=2)")
    done = run("extract", "folder", *asked, "--devices", "cpu,cpu")
    assert done.code == 2 and not list(data.rglob("shard-*"))
    assert "encoder mine.py:f: found (2, 4) float64 in place of (2, 5)" in done.message


def test_the_first_photo_that_can_be_read_is_meant(run: Run, photos: Path, data: Path, tmp_path: Path) -> None:
    (photos / "train" / "blue_jay" / "0.png").write_bytes(b"no picture")
    (tmp_path / "mine.py").write_text("def f(image, image_id, /):\n    return {}[image_id]\n")
    asked = ("--root", str(photos), "--encoder", "fake", "--regions", f"{tmp_path}/mine.py:f")
    assert "train/blue_jay/1.png" in refused(run, data, *asked)


def test_what_goes_wrong_later_names_the_image_and_keeps_what_is_done(
    run: Run, photos: Path, data: Path, tmp_path: Path, small_shards: int
) -> None:
    body = "if image_id == 'test/crow/1.png': raise ValueError('not this one')\n    return [(0, 0, 9, 9)]"
    (tmp_path / "mine.py").write_text(f"def f(image, image_id, /):\n    {body}\n")
    asked = ("--root", photos, "--encoder", "fake", "--regions", f"{tmp_path}/mine.py:f")
    failed = run("extract", "folder", *asked)
    assert failed.code == 2
    last = failed.err.splitlines()[-1]
    assert "mine.py:2: region generator mine.py:f at test/crow/1.png: ValueError: not this one" in last
    assert len(list(data.glob("cache/folder/regions/*/shard-*.h5"))) == 2


def test_what_has_worked_is_not_loaded_to_find_nothing_to_do(run: Run, photos: Path, tmp_path: Path) -> None:
    count = "def load(self): open(__file__ + '.loads', 'a').write('x')"
    (tmp_path / "mine.py").write_text(f"{ENCODER}class One(Base):\n    {count}\ndef f(): return One()\n")
    asked = ("--root", photos, "--encoder", f"{tmp_path}/mine.py:f", "--regions", "random_crop(n=2)")
    for _ in range(2):
        assert run("extract", "folder", *asked).code == 0
    assert (tmp_path / "mine.py.loads").read_text() == "x"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return None", "found NoneType in place of a fgscore.datasets.Listing"),
        ("return Listing(root, ('x',), [Photo('a', 'a.png', 3, 'train')])", "photo 'a': expected a label from 0 to 0"),
        ("return Listing(root, ('x',), [Photo('a', 'a.png', 0, 'training')])", "expected a split of train, val, test"),
        ("return Listing(root, ('x',), [Photo('a', 'a.png', 0, 'train', (0, 1))])", "expected a box x0, y0, x1, y1"),
        ("return Listing(root, ('x',), [('a', 'a.png')])", "expected every photo to be a fgscore.datasets.Photo"),
        ("return Listing(str(root), ('x',), [])", "whose root is a Path"),
        ("return open(root / 'list.txt')", "FileNotFoundError"),
        ("raise SystemExit", "it exits"),
    ],
)
def test_a_data_set_that_does_not_do_is_named(
    body: str, says: str, run: Run, photos: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(f"from fgscore.datasets import *\ndef f(root, /):\n    {body}\n")
    done = run("extract", f"{tmp_path}/mine.py:f", "--root", photos, "--encoder", "fake", "--regions", "random_crop")
    assert done.code == 2 and says in done.message, done.err
    assert re.match(rf"error: {tmp_path}/mine\.py:[23]: data set mine\.py:f: ", done.message)
    assert "--root DIR" in done.message and not list(data.rglob("plan.json"))

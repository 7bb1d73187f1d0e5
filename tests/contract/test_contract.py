"""Every component of ours keeps to the laws of its kind, and what breaks one of them is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgscore.components import Component
from fgscore.contract import Given, check, laws
from fgscore.datasets import DataSet
from fgscore.encoders import EncoderMaker
from fgscore.heads import Head
from fgscore.pooling import Pooling
from fgscore.regions import GeneratorMaker
from fgscore.scorers import Scorer
from fgscore.targets import Target

KINDS: tuple[type[Component], ...] = (Scorer, Target, Pooling, Head)
SAM = "sam(checkpoint='demo', points_per_side=4, pred_iou_thresh=0, stability_score_thresh=0, area_min=0, area_max=1)"
HEAVY = {"adamw", "clip(model='demo')", SAM}  # what needs torch
PARAMETERS = (
    (Scorer, "soft_margin(tau=1)"),
    (Scorer, "entropy(tau=10, lam=0.5)"),
    (Scorer, "random(seed=3)"),
    (Scorer, "shuffled(of=region_global, seed=1)"),
    (Scorer, "reverse(of='entropy(tau=10)')"),
    (Pooling, "topk(k=1)"),
    (Pooling, "topk(k=all, temperature=0.1)"),
    (Head, "logreg(C=1)"),
    (Head, "zeroshot(vote=probability)"),
    (EncoderMaker, "fake"),
    (EncoderMaker, "fake(fit=squash, margin=0.3, outside=mean)"),
    (EncoderMaker, "clip(model='demo')"),
    (GeneratorMaker, "random_crop"),
    (GeneratorMaker, "random_crop(n=3, area_min=0.1)"),
    (GeneratorMaker, SAM),
    (GeneratorMaker, "annotated"),
    (GeneratorMaker, "boxes(file='BOXES')"),
    (GeneratorMaker, "grid(rows=2, cols=3, overlap=0.5)"),
    (GeneratorMaker, "matched(to=theirs)"),
    (GeneratorMaker, "matched(to=theirs, same=area)"),
    (GeneratorMaker, "matched(to=theirs, same=shape)"),
    (GeneratorMaker, "multi_scale"),
    (GeneratorMaker, "ten_crop"),
    (GeneratorMaker, "whole"),
)
BOXES = "image_id,x0,y0,x1,y1,score\n" + "".join(  # of the pictures of the battery
    f"{image},0,0,{j + 1},{j + 1},{j / 20}\n" for image in ("a landscape", "a portrait", "a square", "a pixel")
    for j in range(13)
)  # fmt: skip
OURS = [*((kind, name) for kind in KINDS for name in kind.ours_named()), *PARAMETERS]

ENCODER = """class E:
    dim = 4
    def embed_images(self, images):
        rows = np.stack([np.resize(i.mean(axis=(0, 1)), 4) + [0, 0, 0, i.shape[0]] for i in images])
"""
# what breaks the law whose first words are the key
BROKEN: dict[tuple[type[Component], str], str] = {
    (Scorer, "A finite number"): "def f(inputs, target, /): return inputs.region_global[:-1]",
    (
        Scorer,
        "An image's scores",
    ): ("def f(inputs, target, /): return inputs.region_global - inputs.region_global.mean()"),
    (Scorer, "Regions in another order"): "def f(inputs, target, /): return np.arange(len(inputs.regions)) % 2",
    (Scorer, "The order of the classes"): "def f(inputs, target, /): return target.astype(float)",
    (Scorer, "It declares"): (
        "from fgscore.scorers import Scorer\n"
        "@Scorer.declares(needs_target=False)\ndef f(inputs, target, /): return target.astype(float)"
    ),
    (Scorer, "The same regions"): (
        "CALLS = []\ndef f(inputs, target, /):\n    CALLS.append(1)\n    return inputs.region_global + len(CALLS)"
    ),
    (Target, "A class"): "def f(inputs, /): return inputs.top_class[:1]",
    (Target, "An image's target"): (
        "def f(inputs, /): return inputs.top_class * 0 + inputs.top_class[:1].sum() if len(inputs.regions) "
        "else inputs.top_class"
    ),
    (Target, "Regions or classes"): "def f(inputs, /): return inputs.top_class * 0",
    (Pooling, "A finite row"): "def f(regions, scores, offsets, /): return regions[:1]",
    (Pooling, "An image's features"): (
        "def f(regions, scores, offsets, /): return np.zeros((len(offsets) - 1, 16)) + scores.sum()"
    ),
    (Pooling, "The order of an image's"): (
        "def f(regions, scores, offsets, /): "
        "return np.stack([regions[a:b][:1].sum(axis=0) for a, b in zip(offsets, offsets[1:])])"
    ),
    (EncoderMaker, "A finite row of the stated width for each picture"): ENCODER + "        return rows[:, :3]",
    (EncoderMaker, "Two pictures"): ENCODER + "        return rows * 0 + 1",
    (EncoderMaker, "A picture's embedding"): ENCODER + "        return rows + len(images)",
    (EncoderMaker, "A finite row for each region"): (
        ENCODER + "        return rows\n    def embed_regions(self, images):\n"
        "        return [self.embed_images([one.image]) for one in images]"
    ),
    (EncoderMaker, "Boxes in another order"): (
        ENCODER + "        return rows\n    def embed_regions(self, images):\n"
        "        return [np.arange(1.0, 1 + 4 * len(one)).reshape(-1, 4) for one in images]"
    ),
    (EncoderMaker, "The same picture"): (
        "CALLS = []\n" + ENCODER + "        CALLS.append(1)\n        return rows + len(CALLS)"
    ),
    (EncoderMaker, "A finite row of the stated width for each text"): (
        ENCODER + "        return rows\n    def embed_texts(self, texts):\n        return np.ones((1, 4))"
    ),
    (EncoderMaker, "Texts that differ"): (
        ENCODER + "        return rows\n    def embed_texts(self, texts):\n        return np.ones((len(texts), 4))"
    ),
    (GeneratorMaker, "Boxes of whole pixels"): "def f(image, image_id, /): return [(0, 0, image.shape[1] + 1, 1)]",
    (GeneratorMaker, "No region's area"): (
        "from fgscore.regions import Proposals\ndef f(image, image_id, /):\n"
        "    nan = np.full(1, np.nan)\n    return Proposals(np.array([[0, 0, 1, 1]]), np.array([1.0]), nan, nan)"
    ),
    (GeneratorMaker, "A picture's regions"): (
        "CALLS = []\ndef f(image, image_id, /):\n    CALLS.append(1)\n    return [(0, 0, 1, 1)] * (1 + len(CALLS) % 7)"
    ),
    (GeneratorMaker, "The regions of a small n"): (
        "def f(image, image_id, /, *, n: int = 5): return [(0, 0, 1 + (n > 4 and image.shape[1] > 1), 1)] * n"
    ),
    (Head, "One of the classes"): (
        "from fgscore.heads import Outcome\ndef f(data, test, /): return Outcome(np.full(len(test), 7), 1)"
    ),
    (Head, "What it predicts"): (
        "from fgscore.heads import Outcome\ndef f(data, test, /): return Outcome(data.labels[test], 1)"
    ),
    (Head, "Classes that lie far apart"): (
        "from fgscore.heads import Outcome\ndef f(data, test, /): return Outcome(np.zeros(len(test), int), 1)"
    ),
    (Head, "The same seed"): (
        "from sklearn.neighbors import KNeighborsClassifier\nCALLS = []\n"
        "class Fickle(KNeighborsClassifier):\n    def predict(self, x):\n        CALLS.append(1)\n"
        "        found = super().predict(x)\n        return np.roll(found, len(CALLS))\n"
        "def f(): return Fickle()"
    ),
    (Head, "Where it gives"): (
        "from fgscore.heads import Linear, Outcome\nfrom sklearn.neighbors import NearestCentroid\n"
        "def f(data, test, /):\n    train = data.training_rows()\n"
        "    fit = NearestCentroid().fit(data.features[train], data.labels[train])\n"
        "    wrong = Linear(np.zeros((3, 32), np.float32), np.array([0, 1, 0], np.float32), np.arange(3))\n"
        "    return Outcome(fit.predict(data.features[test]), 1, linear=wrong)"
    ),
}


@pytest.mark.parametrize(("kind", "text"), OURS, ids=lambda one: one if isinstance(one, str) else one.kind)
def test_ours_keep_to_every_law(kind: type[Component], text: str, tmp_path: Path) -> None:
    if text in HEAVY:
        pytest.importorskip("torch")
    (tmp_path / "boxes.csv").write_text(BOXES)
    text = text.replace("BOXES", str(tmp_path / "boxes.csv"))
    broken = [verdict for verdict in check(kind.bind(text)) if verdict.counterexample]
    assert not broken


def test_every_generator_of_ours_is_tried() -> None:
    tried = {text.partition("(")[0] for kind, text in PARAMETERS if kind is GeneratorMaker}
    assert tried | {"sam2", "sam3"} == set(GeneratorMaker.ours_named())  # which have no weights of ours


@pytest.mark.parametrize("name", [name for name in DataSet.ours_named() if not DataSet.bind(name).prepare])
def test_a_data_set_is_tried_on_its_photos_and_says_what_lacks(name: str, tmp_path: Path) -> None:
    assert "--root" in next(check(DataSet.bind(name))).counterexample
    first = next(check(DataSet.bind(name), Given(root=tmp_path)))
    assert first.counterexample.startswith("expected ")


def test_a_folder_of_photos_keeps_to_every_law(photos: Path) -> None:
    tried = list(check(DataSet.bind("folder"), Given(root=photos)))
    assert len(tried) == 4 and not any(one.counterexample for one in tried)


@pytest.mark.parametrize(("kind", "law"), BROKEN, ids=lambda one: one if isinstance(one, str) else one.kind)
def test_what_breaks_a_law_is_found(kind: type[Component], law: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"import numpy as np\n{BROKEN[kind, law]}\n")
    if kind is EncoderMaker:
        with (tmp_path / "mine.py").open("a") as file:
            file.write("def f(): return E()\n")
    verdicts = {one.law: one.counterexample for one in check(kind.bind(f"{tmp_path}/mine.py:f"))}
    (found,) = (says for says in verdicts if says.startswith(law))
    assert verdicts[found]


def test_what_a_component_does_not_declare_is_not_asked_of_it() -> None:
    said = {one.says for one in laws(Pooling.bind("none"))}
    assert len(said) == len(laws(Pooling.bind("topk"))) - 1
    assert not any("order of an image's regions" in law for law in said)

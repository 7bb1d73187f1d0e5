"""Every text of a class has an embedding of its own beside their mean, and zero-shot can compare with each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fgscore.encoders.fake import Fake
from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Run = Callable[..., Any]
SAID = {"blue jay": ["a blue bird", "a noisy bird"], "crow": ["a black bird", "a big bird", "it caws"]}
EVERY = [text for texts in SAID.values() for text in texts]
SETTING = ("--regions", "random_crop", "--scorer", "region_global", "--pool", "topk(k=all)")


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A file of descriptions of the classes of `photos`."""
    path = tmp_path / "said.json"
    path.write_text(json.dumps(SAID))
    return path


@pytest.fixture
def described(extract: Callable[..., Any], said: Path, data: Path, small_shards: int) -> Store:
    """A cache of `photos` with these descriptions."""
    assert extract("--prompt", said)["descriptions"]["computed"] == 1
    return Store(Layout(data))


def test_each_text_is_embedded_under_its_class(described: Store) -> None:
    (artefact,) = described.artefacts("descriptions")
    found = described.read(artefact, 0)
    assert found.class_names == ("blue jay", "crow")
    assert found.texts == tuple(EVERY)
    assert found.offsets.tolist() == [0, 2, 5]
    rows = Fake(32, 0).embed_texts(found.texts).astype(np.float64)
    np.testing.assert_allclose(found.descriptions, rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-6)
    alone = Fake(32, 0).embed_texts(["a photo of a blue jay.", "a photo of a crow."]).astype(np.float64)
    np.testing.assert_allclose(found.names, alone / np.linalg.norm(alone, axis=1, keepdims=True), atol=1e-6)


def test_one_text_a_class_is_stored_once(extract: Callable[..., Any]) -> None:
    assert "descriptions" not in extract()


def test_a_store_of_before_gets_them_and_redoes_nothing_else(
    described: Store, extract: Callable[..., Any], said: Path
) -> None:
    (artefact,) = described.artefacts("descriptions")
    (text,) = described.artefacts("text")
    before = text.content(0)
    shutil.rmtree(artefact.path)
    made = extract("--prompt", said)
    assert {kind for kind, one in made.items() if one["computed"]} == {"descriptions"}
    assert text.content(0) == before


def test_a_store_without_them_names_the_line(described: Store, run: Run) -> None:
    (artefact,) = described.artefacts("descriptions")
    shutil.rmtree(artefact.path)
    found = run("probe", *SETTING, "--head", "zeroshot(vote='wca')")
    assert found.code == 1
    assert "fgscore extract" in found.err and "said.json" in found.err


def test_a_prompt_of_one_text_says_what_would_do(store: Store, run: Run) -> None:
    found = run("probe", *SETTING, "--head", "zeroshot(vote='max')")
    assert found.code == 1 and "--prompt" in found.err


@pytest.mark.parametrize("vote", ["mean", "wca", "max"])
@pytest.mark.parametrize("pool", ["topk(k=all)", "topk(k=2)", "mean", "none"])
def test_zero_shot_is_the_formula(described: Store, run: Run, vote: str, pool: str) -> None:
    made = run("probe", *SETTING[:4], "--pool", pool, "--head", f"zeroshot(vote={vote!r})", "--json")
    assert made.code == 0, made.err
    (row,) = made.json["results"]
    (bundle,) = match.bundles(described)
    assert isinstance(bundle, RegionBundle) and bundle.descriptions is not None
    said = described.read(bundle.descriptions, 0)
    wanted = {}
    for number in range(3):
        regions, whole = described.read(bundle.region_embeddings, number), described.read(bundle.globals, number)
        for i, image_id in enumerate(regions.image_ids.tolist()):
            at = bundle.index.image_ids.tolist().index(image_id)
            if bundle.index.split[at] != "test":
                continue
            image = whole.globals[i].astype(np.float64)
            crops = regions.regions[regions.offsets[i] : regions.offsets[i + 1]].astype(np.float64)
            wanted[image_id] = class_of(image, crops, said, vote, pool)
    (path,) = described.layout.results.glob(f"folder/predictions/{row['digest'][:16]}.parquet")
    found = pq.read_table(path).to_pydict()
    assert dict(zip(found["image_id"], found["prediction"], strict=True)) == wanted


def class_of(image: np.ndarray, crops: np.ndarray, said: Any, vote: str, pool: str) -> int:
    """The class by plain loops: sum over i and j of w_i v_j cos(crop i, text j), or w_i times the largest over j."""
    if pool == "none":
        crops, weights = image[None], [1.0]
    elif pool == "mean":
        weights = [1 / len(crops)] * len(crops)
    else:
        near = [float(image @ crop) for crop in crops]
        kept = sorted(range(len(crops)), key=lambda i: -near[i])[: 2 if "2" in pool else None]
        total = sum(np.exp(near[i]) for i in kept)
        weights = [np.exp(near[i]) / total if i in kept else 0.0 for i in range(len(crops))]
    totals = []
    for c in range(2):
        texts = said.descriptions[said.offsets[c] : said.offsets[c + 1]].astype(np.float64)
        to_name = np.exp([float(text @ said.names[c]) for text in texts])
        v = to_name / to_name.sum() if vote == "wca" else np.full(len(texts), 1 / len(texts))
        total = 0.0
        for w, crop in zip(weights, crops, strict=True):
            cosines = [float(crop @ text) for text in texts]
            total += w * (max(cosines) if vote == "max" else sum(a * b for a, b in zip(v, cosines, strict=True)))
        totals.append(total)
    return int(np.argmax(totals))


def test_other_descriptions_are_another_result(
    described: Store, run: Run, extract: Callable[..., Any], said: Path
) -> None:
    args = ("probe", *SETTING, "--prompt", "said.json", "--head", "zeroshot(vote='mean')", "--json")
    first = run(*args).json["results"][0]
    assert run(*args).json["results"][0]["cached"]
    said.write_text(json.dumps({**SAID, "blue jay": ["another"]}))
    extract("--prompt", said)
    rows = run(*args).json["results"]
    assert first["digest"] in {row["digest"] for row in rows} and len(rows) == 2


def test_they_are_exported_and_looked_after(described: Store, run: Run, tmp_path: Path) -> None:
    made = run("export", "--kind", "descriptions", "--to", tmp_path / "out", "--format", "npz", "--json")
    assert made.code == 0, made.err
    (file,) = (tmp_path / "out").iterdir()
    arrays = np.load(file)
    assert arrays["texts"].tolist() == EVERY
    assert arrays["class_name"].tolist() == ["blue jay"] * 2 + ["crow"] * 3
    assert run("verify").code == 0
    assert run("prune", "--json").json["unused"] == []
    assert run("status").code == 0
    (artefact,) = described.artefacts("descriptions")
    (damaged,) = artefact.path.glob("*.h5")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert run("verify").code == 1


def test_new_class_names_make_them_anew(
    described: Store, extract: Callable[..., Any], photos: Path, said: Path
) -> None:
    for split in ("train", "test"):
        (photos / split / "crow").rename(photos / split / "rook")
    said.write_text(json.dumps({"rook": SAID["crow"], "blue jay": SAID["blue jay"]}))
    made = extract("--prompt", said)
    assert made["descriptions"]["computed"] == 1


def test_a_record_refuses_a_class_without_a_text(described: Store) -> None:
    (artefact,) = described.artefacts("descriptions")
    found = described.read(artefact, 0)
    with pytest.raises(ValueError, match="at least one text"):
        replace(found, offsets=np.array([0, 0, 5]))

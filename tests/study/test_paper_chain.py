"""One row of each of the paper's tables, recomputed from the stored embeddings by a second, plain implementation.

Nothing of fgscore takes part after the cache is there: h5py and pyarrow read it, loops in float64 score and pool,
scikit-learn fits. Every prediction must agree; only an exact tie, within 1e-6 of probability, may fall either way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from fgscore.store.cache import Store

Run = Callable[..., Any]
GRID = (1.0, 10.0, 100.0, 1000.0, 10000.0)


def shards(cache: Path, kind: str, **wanted: str) -> list[dict[str, np.ndarray]]:
    """The arrays of each shard of the one artefact of ``kind``, for embeddings that of the generator wanted."""
    for folder in sorted((cache / kind).iterdir()):
        plan = json.loads((folder / "plan.json").read_text())
        if "generator" in wanted:
            parent = plan["recipe"]["parents"]["regions"][:8]
            if not list((cache / "regions").glob(f"{wanted['generator']}*-{parent}")):
                continue
        found = []
        for path in sorted(folder.glob("*.h5")):
            with h5py.File(path) as file:
                found.append({name: np.asarray(file[name]) for name in file} | dict(file.attrs))
        return found
    raise AssertionError(f"no {kind}")


def images_of(cache: Path, generator: str) -> dict[str, dict[str, Any]]:
    """Image id to label, split, global embedding and region embeddings, float64."""
    (path,) = (cache / "index").glob("*/index-*.parquet")
    images: dict[str, Any] = {
        row["image_id"]: {"label": row["label"], "split": row["split"]} for row in pq.read_table(path).to_pylist()
    }
    for shard in shards(cache, "globals"):
        for image_id, g in zip(shard["image_ids"], shard["globals"], strict=True):
            images[image_id.decode()]["global"] = [float(v) for v in g]
    for shard in shards(cache, "region_embeddings", generator=generator):
        for i, image_id in enumerate(shard["image_ids"]):
            rows = shard["regions"][shard["offsets"][i] : shard["offsets"][i + 1]]
            images[image_id.decode()]["regions"] = [[float(v) for v in row] for row in rows]
    return images


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def first_largest(values: list[float]) -> int:
    return max(range(len(values)), key=lambda i: values[i])


def score(cosines: list[float], y: int, scorer: str, tau: float) -> float:
    """Section 3.4, IV to VII."""
    others = [c for i, c in enumerate(cosines) if i != y]
    if scorer == "region_text":
        return cosines[y]
    if scorer == "hard_margin":
        return cosines[y] - max(others)
    if scorer == "soft_margin":
        alpha = [math.exp(tau * (c - max(others))) for c in others]
        return cosines[y] - math.fsum(a * c for a, c in zip(alpha, others, strict=True)) / math.fsum(alpha)
    e = [math.exp(tau * (c - max(cosines))) for c in cosines]
    p = [v / math.fsum(e) for v in e]
    return p[y] + 0.1 * math.fsum(v * math.log(v) for v in p if v > 0)


def local_part(image: dict[str, Any], text: list[list[float]], tau: float, scorer: str, target: str, k: int) -> list:
    """Section 3.5: the softmax-weighted sum of the k best regions; the global embedding where there is none."""
    scored = []
    for j, f in enumerate(image["regions"]):
        cosines = [dot(f, t) for t in text]
        of_image = first_largest([dot(image["global"], t) for t in text])
        y = {"global": of_image, "local": first_largest(cosines), "oracle": image["label"]}.get(target, 0)
        s = dot(f, image["global"]) if scorer == "region_global" else score(cosines, y, scorer, tau)
        scored.append((-s, j))
    if not scored:
        return image["global"]
    best = sorted(scored)[:k]
    weights = [math.exp(-s + best[0][0]) for s, _ in best]
    total = math.fsum(weights)
    rows = [image["regions"][j] for _, j in best]
    return [math.fsum(w / total * row[d] for w, row in zip(weights, rows, strict=True)) for d in range(len(rows[0]))]


def choose_c(x: np.ndarray, y: np.ndarray, split: np.ndarray) -> float:
    """C by validation: the official images, else five folds of each class of train, dealt in an order of their own."""
    train, val = np.flatnonzero(split == "train"), np.flatnonzero(split == "val")
    folds = [val]
    if not len(val):
        rng = np.random.default_rng(0)
        folds = [np.zeros(0, int)] * 5
        for first, label in enumerate(sorted(set(y[train].tolist()))):
            for place, image in enumerate(rng.permutation(train[y[train] == label])):
                fold = (first + place) % 5
                folds[fold] = np.append(folds[fold], image)
    right = dict.fromkeys(GRID, 0)
    for held in folds:
        fit = np.setdiff1d(train, held)
        for c in GRID:
            model = LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(x[fit], y[fit])
            right[c] += int((model.predict(x[held]) == y[held]).sum())
    return max(GRID, key=lambda c: right[c])


ROWS = [
    (1, "cub", "random_crop", "soft_margin", "global", "5"),
    (1, "cub", "sam", "region_global", "", "5"),
    (2, "pets", "sam", "entropy", "oracle", "5"),
    (2, "cub", "random_crop", "hard_margin", "global", "5"),
    (3, "flowers", "random_crop", "entropy", "local", "3"),
    (4, "cub", "sam", "soft_margin", "local", "all"),
    (4, "flowers", "sam", "entropy", "global", "2"),
]


@pytest.mark.parametrize(("table", "dataset", "generator", "scorer", "target", "k"), ROWS)
def test_a_row_of_a_table_by_a_second_implementation(
    study: Store, run: Run, invent_into: Callable[..., None], table: int, dataset: str, generator: str, scorer: str,
    target: str, k: str,
) -> None:  # fmt: skip
    if dataset == "flowers":  # with official validation images
        invent_into(study.layout, "flowers", seed=9, val=4)
    done = run("sweep", dataset, "--table", str(table), "--regions", generator, "--json")
    assert done.code == 0, done.err
    pool = {"5": "topk", "all": "topk(k='all')"}.get(k, f"topk(k={k})")
    wanted_row = (scorer, target, pool, table)
    (row,) = [r for r in done.json["results"] if (r["scorer"], r["target"], r["pool"], r["table"]) == wanted_row]
    cache = study.layout.cache / dataset
    (bank,) = shards(cache, "text")
    text, tau = [[float(v) for v in t] for t in bank["text"]], float(np.ravel(bank["logit_scale"])[0])
    images = images_of(cache, generator)
    ids = list(images)
    many = 10**6 if k == "all" else int(k)
    features = np.array(
        [image["global"] + local_part(image, text, tau, scorer, target, many) for image in images.values()]
    )
    x = features.astype(np.float32)  # what is learnt from is kept in float32
    y = np.array([images[i]["label"] for i in ids])
    split = np.array([images[i]["split"] for i in ids])
    c = choose_c(x, y, split)
    model = LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(x[split != "test"], y[split != "test"])
    test = np.flatnonzero(split == "test")
    p = np.sort(model.predict_proba(x[test]), axis=1)
    tie = p[:, -1] - p[:, -2] < 1e-6
    wanted = {ids[i]: int(v) for i, v in zip(test, model.predict(x[test]), strict=True)}
    folder = study.layout.results / dataset / "predictions"
    kept = pq.read_table(folder / f"{row['digests'][0][:16]}.parquet").to_pydict()
    found = dict(zip(kept["image_id"], kept["prediction"], strict=True))
    assert set(found) == set(wanted) and len(found) == 60
    differ = [ids[i] for i, tied in zip(test, tie, strict=True) if not tied and found[ids[i]] != wanted[ids[i]]]
    assert differ == []
    mean = np.mean([found[i] == images[i]["label"] for i in found])
    assert row["accuracy"] == pytest.approx(mean)
    assert 0.25 < row["accuracy"] < 1, "neither chance nor perfect, so that a wrong feature would show"

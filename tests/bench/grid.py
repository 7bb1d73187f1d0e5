"""The paper's Tables 1, 3 and 4 as ``fgscore sweep`` computes them, against independent cold fits by scikit-learn."""

from __future__ import annotations

import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from synthetic import Size, make_store

from fgscore import probe
from fgscore.heads.logreg import C_GRID, TOLERANCE
from fgscore.pipeline import compare
from fgscore.pipeline.aggregate import matrices
from fgscore.pipeline.grid import CROPS, MASKS, Plan, families, paper_lines
from fgscore.pipeline.probe import ProbeRun
from fgscore.probe import ProbeData
from fgscore.store.match import bundles

TABLES = (1, 3, 4)
ALIKE = 1e-3  # one test image in a thousand


def cold(data: ProbeData) -> float:
    """Test accuracy with C chosen on validation: a fit from zero for every C and one on train and validation."""
    train, val, test = (data.rows(name) for name in ("train", "val", "test"))

    def fit(rows: np.ndarray, c: float) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that does not converge is seen in its accuracy
            return LogisticRegression(C=c, tol=TOLERANCE, max_iter=2000).fit(data.features[rows], data.labels[rows])

    def right(model: Any, rows: np.ndarray) -> float:
        return float((model.predict(data.features[rows]) == data.labels[rows]).mean())

    best = C_GRID[int(np.argmax([right(fit(train, c), val) for c in C_GRID]))]
    return right(fit(np.concatenate([train, val]), best), test)


def grid(folder: Path, size: Size, cells: int) -> dict[str, Any]:
    """Both, on ``cells`` cells spread over the tables: seconds of each, how far accuracies are apart, the full grid's
    seconds at that rate. What ours takes includes scores, features, intervals and files; the other is given its
    features."""
    for generator in (CROPS, MASKS):
        store = make_store(folder, size, generator=generator)
    for kind in ("scores", "features"):
        shutil.rmtree(folder / "cache" / "synthetic" / kind, ignore_errors=True)
    shutil.rmtree(folder / "results", ignore_errors=True)
    (family,) = families(bundles(store))
    lines, _ = paper_lines(family, TABLES, Plan([[probe.bind("logreg")]]))
    distinct = {line.runs[0].digest(): line for line in lines}  # k = 5 is in two tables
    sample = [
        list(distinct.values())[i] for i in np.linspace(0, len(distinct) - 1, min(cells, len(distinct))).astype(int)
    ]

    start = time.perf_counter()
    rows = compare.compare(sample)
    ours = time.perf_counter() - start
    theirs, apart = 0.0, []
    for line, row in zip(sample, rows, strict=True):
        run: ProbeRun = line.runs[0]
        data = run.data(matrices([run.features])[0])
        start = time.perf_counter()
        apart.append(abs(cold(data) - row["accuracy"]))
        theirs += time.perf_counter() - start
        print(f"  {row['scorer']} {row['target']} {row['pool']}: {row['accuracy']:.4f}, apart {apart[-1]:.5f}; "
              f"so far {theirs:.0f} s, all of ours {ours:.0f} s", flush=True)  # fmt: skip
    whole = ours / len(sample) * len(distinct)
    return {"cells": len(sample), "of": len(distinct), "ours": ours, "cold": theirs, "apart": max(apart),
            "alike": max(apart) <= ALIKE, "whole grid": whole}  # fmt: skip

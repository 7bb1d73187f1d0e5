"""The paper's Tables 1, 3 and 4 as ``fgscore sweep`` computes them, against independent cold fits by scikit-learn."""

from __future__ import annotations

import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from synthetic import Size, make_store, put_aside

from fgscore.evaluate.features import matrices
from fgscore.heads import Head, ProbeData
from fgscore.heads._regression import C_GRID, tolerance
from fgscore.machine.threads import ahead, processors
from fgscore.store.match import bundles
from fgscore.study import compare
from fgscore.study.grid import CROPS, MASKS, Plan, families, fixed, paper_lines

TABLES = (1, 3, 4)
ALIKE = 1e-3  # one test image in a thousand


def cold(data: ProbeData) -> float:
    """Test accuracy with C chosen on validation: a fit from zero for every C and one on train and validation."""
    train, val, test = (data.rows(name) for name in ("train", "val", "test"))

    def fit(rows: np.ndarray, c: float) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that does not converge is seen in its accuracy
            return LogisticRegression(C=c, tol=tolerance(c), max_iter=2000).fit(data.features[rows], data.labels[rows])

    def right(model: Any, rows: np.ndarray) -> float:
        return float((model.predict(data.features[rows]) == data.labels[rows]).mean())

    best = C_GRID[int(np.argmax([right(fit(train, c), val) for c in C_GRID]))]
    return right(fit(np.concatenate([train, val]), best), test)


def grid(folder: Path, size: Size, cells: int) -> dict[str, Any]:
    """Ours on ``cells`` cells spread over the tables; cold fits of the same, several at a time with a thread each, the
    best that can be done with them; and of three of these one after the other, as a plain script has them.

    Seconds a cell of each, how far accuracies are apart, seconds of the full grid at our rate. What ours takes includes
    scores, features, intervals and files; cold fits are given their features.
    """
    for generator in (CROPS, MASKS):
        store = make_store(folder, size, generator=generator)
    put_aside(folder, "scores", "features")
    shutil.rmtree(folder / "results", ignore_errors=True)
    (family,) = families(bundles(store))
    lines, _ = paper_lines(family, TABLES, Plan([fixed(Head.bind("logreg"))]))
    distinct = list({line.runs[0].digest: line for line in lines}.values())  # k = 5 is in two tables
    count = min(cells, len(distinct))
    sample = [distinct[i] for i in np.linspace(0, len(distinct) - 1, count).astype(int)]

    start = time.perf_counter()
    rows = compare.compare(sample)
    ours = (time.perf_counter() - start) / count
    data = [run.data(matrices([run.features])[0]) for run in (line.runs[0] for line in sample)]
    start = time.perf_counter()
    found = [accuracy for _, accuracy in ahead(cold, data, processors())]
    best = (time.perf_counter() - start) / count
    few = data[:: max(1, count // 3)][:3]
    start = time.perf_counter()
    for one in few:
        cold(one)
    plain = (time.perf_counter() - start) / len(few)
    apart = [abs(row["accuracy"] - accuracy) for row, accuracy in zip(rows, found, strict=True)]
    return {"cells": count, "of": len(distinct), "ours": ours, "cold": plain, "cold, a thread each": best,
            "accuracies": [row["accuracy"] for row in rows], "apart": apart, "alike": max(apart) <= ALIKE,
            "whole grid": ours * len(distinct)}  # fmt: skip

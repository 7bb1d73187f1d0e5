"""Fit heads on pooled features and keep each result: one Parquet row, and the prediction for every test image."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fgscore import specs
from fgscore.errors import StoreError
from fgscore.pipeline.aggregate import FeatureRun, matrix, prepare
from fgscore.pipeline.progress import Clock, Progress, silent
from fgscore.probe import Head, ProbeData, ProbeResult
from fgscore.store import files
from fgscore.store.match import Bundle

Row = dict[str, Any]
VERSION = 1  # of the heads' code: a change that moves results raises it, so that none is mistaken for current


@dataclass(frozen=True)
class ProbeRun:
    """One head on one set of features."""

    features: FeatureRun
    head: Head

    @property
    def bundle(self) -> Bundle:
        """Where the features come from."""
        return self.features.bundle

    def labels(self) -> Row:
        """What was compared, as the columns of a results table."""
        scores = self.features.scores
        pooled = self.features.pooling.name != "none"
        names = self.bundle.labels
        return {
            **names,
            "regions": names["regions"] if pooled else "",
            "encoder": names["encoder"] if pooled else self.bundle.globals.recipe.component,
            "scorer": scores.scorer.canonical if scores else "",
            "target": (scores.target if scores else None) or "",
            "pool": self.features.pooling.canonical,
            "features": self.features.rows,
            "head": self.head.canonical,
        }

    def digest(self) -> str:
        """Of everything that decides the result: recipes, contents, labels, head."""
        bundle = self.bundle
        roles = ("globals", "text", *(() if self.features.pooling.name == "none" else ("region_embeddings",)))
        parents = {role: _contents(getattr(bundle, role)) for role in roles}
        return specs.digest(
            {
                "version": VERSION,
                "recipe": self.features.recipe.digest,
                "parents": parents,
                "labels": bundle.index.labels_digest(),
                "head": self.head.canonical,
            }
        )

    @property
    def is_own(self) -> bool:
        """Whether a user's own scorer took part: such a result is computed anew each time."""
        return bool(self.features.scores and self.features.scores.scorer.sha256)


def _contents(artefact: Any) -> list[str | None]:
    return [artefact.content(number) for number in artefact.shard_sizes]


def probe(runs: Sequence[ProbeRun], progress: Progress = silent) -> list[Row]:
    """The results of ``runs``, in order; ``cached`` tells those that were known already."""
    rows: list[Row] = []
    prepared: set[int] = set()
    for done, run in enumerate(runs):
        progress("probe", done, len(runs))
        known = None if run.is_own else _read(run)
        if known is None and id(run.bundle) not in prepared:
            prepared.add(id(run.bundle))
            prepare([r.features for r in runs if r.bundle is run.bundle], progress)
        rows.append({**known, "cached": True} if known else {**_compute(run), "cached": False})
    progress("probe", len(runs), len(runs))
    return rows


def _compute(run: ProbeRun) -> Row:
    clock = Clock()
    index = run.bundle.index
    features, rows, n_pooled = matrix(run.features)
    data = ProbeData(features, index.labels[rows], index.split[rows], len(index.class_names), run.bundle.text_bank.text)
    result = run.head(data)
    row = {
        **run.labels(),
        "accuracy": result.accuracy,
        "per_class": result.per_class,
        "n_train": result.n_train,
        "n_test": len(result.test_rows),
        "without_regions": int((n_pooled == 0).sum()) if run.features.pooling.name != "none" else 0,
        "converged": result.converged,
        "seconds": round(clock.seconds(), 3),
        "details": json.dumps(dict(result.details), sort_keys=True),
        "digest": run.digest(),
    }
    _write(run, row, result, rows)
    return row


def _paths(run: ProbeRun) -> tuple[Path, Path]:
    folder = run.bundle.store.layout.results / run.bundle.index_artefact.dataset
    name = f"{run.digest()[:16]}.parquet"
    return folder / "probes" / name, folder / "predictions" / name


def _write(run: ProbeRun, row: Row, result: ProbeResult, rows: np.ndarray) -> None:
    row_path, predictions_path = _paths(run)
    index = run.bundle.index
    tested = rows[result.test_rows]
    predictions = pa.table(
        {
            "image_id": index.image_ids[tested].tolist(),
            "label": index.labels[tested],
            "prediction": result.predictions,
        }
    )
    files.publish(predictions_path, _parquet(predictions))
    files.publish(row_path, _parquet(pa.Table.from_pylist([row])))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _read(run: ProbeRun) -> Row | None:
    path, predictions = _paths(run)
    if not path.is_file() or not predictions.is_file():
        return None
    try:
        row: Row = pq.read_table(path).to_pylist()[0]
    except (pa.ArrowException, OSError, IndexError) as error:
        raise StoreError(f"{path}: not a result ({error}); remove the file and run again") from error
    return row if row.get("digest") == run.digest() else None

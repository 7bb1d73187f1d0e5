"""Results on disk: one Parquet row a probe, and beside it the prediction for every test image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fgscore import regular
from fgscore.errors import StoreError
from fgscore.store import files

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Predictions:
    """For each test image its id, true class and predicted class: three arrays (n,)."""

    image_ids: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """(n,) bool."""
        return self.labels == self.predictions


def write(folder: Path, name: str, row: Row, predictions: Predictions) -> None:
    """Publish a result under ``folder``: the predictions first, so that a row is never without."""
    table = pa.table(
        {
            "image_id": predictions.image_ids.tolist(),
            "label": predictions.labels,
            "prediction": predictions.predictions,
        }
    )
    files.publish(folder / "predictions" / name, _parquet(table))
    files.publish(folder / "probes" / name, _parquet(pa.Table.from_pylist([row])))


def read_row(folder: Path, name: str) -> Row | None:
    """The row; None where it, or its predictions, are not there."""
    path = folder / "probes" / name
    if not path.is_file() or not (folder / "predictions" / name).is_file():
        return None
    rows: list[Row] = _table(path).to_pylist()
    if not rows:
        raise StoreError(f"{path}: not a result (it is empty); remove the file and run again")
    return rows[0]


def read_predictions(folder: Path, name: str) -> Predictions:
    """The predictions beside a row."""
    table = _table(folder / "predictions" / name)
    try:
        ids = np.array(table["image_id"].to_pylist(), np.str_)
        return Predictions(ids, table["label"].to_numpy(), table["prediction"].to_numpy())
    except KeyError as error:
        raise StoreError(f"{folder / 'predictions' / name}: lacks {error}; remove the file and run again") from error


def heads(folder: Path) -> list[str]:
    """Every head that has a result under ``folder``, sorted."""
    return sorted({str(_table(path)["head"][0]) for path in sorted((folder / "probes").glob("*.parquet"))})


def _table(path: Path) -> pa.Table:
    try:
        regular.check(path)
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        regular.check_exhausted(path, error)
        raise StoreError(f"{path}: not a result ({error}); remove the file and run again") from error


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()

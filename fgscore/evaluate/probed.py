"""Results that probes left under ``data/results``: read back, whatever columns later versions add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fgscore import regular
from fgscore.errors import StoreError
from fgscore.store.match import Store, dataset_key

LABELS = ("dataset", "regions", "encoder", "prompt", "scorer", "target", "pool", "features", "crops", "head",
          "shots")  # fmt: skip
SEED = "seed"
NEEDED = ("dataset", "regions", "scorer", "target", "pool", "head", "accuracy", "per_class")


@dataclass(frozen=True)
class Result:
    """One row of results; predictions are read when asked for."""

    row: Mapping[str, Any]
    predictions_path: Path

    def predictions(self) -> dict[str, int] | None:
        """Image id to predicted class of every test image; None where the file is not there."""
        if not self.predictions_path.is_file():
            return None
        table = _table(self.predictions_path)
        try:
            return dict(zip(table["image_id"].to_pylist(), table["prediction"].to_pylist(), strict=True))
        except KeyError as error:
            raise _fault(self.predictions_path, f"lacks {error}") from error

    def accuracy_by_class(self, n_classes: int) -> np.ndarray | None:
        """(C,) accuracy among the test images of each class, NaN for a class without any."""
        if not self.predictions_path.is_file():
            return None
        table = _table(self.predictions_path)
        labels, right = table["label"].to_numpy(), table["label"].to_numpy() == table["prediction"].to_numpy()
        if len(labels) and labels.max() >= n_classes:
            return None  # of an index that had other classes
        with np.errstate(invalid="ignore"):
            return np.bincount(labels, right, n_classes) / np.bincount(labels, minlength=n_classes)


def read(store: Store, dataset: str | None = None) -> list[Result]:
    """Every result, in the order of file names. Of several with the same labels the latest counts: the others were
    computed from what the cache held before. Raises :class:`StoreError` for a file that is no result."""
    found: dict[tuple, tuple[int, Result]] = {}
    for path in sorted(store.layout.results.glob(f"{dataset_key(dataset) or '*'}/probes/*.parquet")):
        row = _row(path)
        key = (*(str(row.get(name) or "") for name in LABELS), row.get(SEED))
        age = path.stat().st_mtime_ns
        if key not in found or age >= found[key][0]:
            found[key] = (age, Result(row, path.parent.parent / "predictions" / path.name))
    return [result for _, result in found.values()]


def _row(path: Path) -> dict[str, Any]:
    rows = _table(path).to_pylist()
    missing = [name for name in NEEDED if not rows or name not in rows[0]]
    if missing:
        raise _fault(path, f"lacks {missing[0]}")
    return dict(rows[0])


def _table(path: Path) -> pa.Table:
    try:
        regular.check(path)
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        regular.check_exhausted(path, error)
        raise _fault(path, str(error).partition("\n")[0]) from error


def _fault(path: Path, what: str) -> StoreError:
    return StoreError(f"{path}: not a result ({what}); remove the file and run the same probe again")

"""The files of a result: a row, its predictions, and a seal over both.

Below ``<data set>/`` of the results, and below ``<data set>/validation/`` for what validation images measured,
``probes/1a2b3c4d5e6f7081.parquet`` is the row, ``predictions/1a2b3c4d5e6f7081.parquet`` the predictions, and
``seals/1a2b3c4d5e6f7081-0a1b2c3d.json`` the SHA-256 of both files, named by that of the row. The row comes last, so
that a result is there whole or not at all; two who write the same result at a time each have a seal of their own. The
row says that it is sealed; rows of before are not.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from fgscore import regular
from fgscore.errors import StoreError
from fgscore.store import files

PROBES, PREDICTIONS, SEALS, VALIDATION = "probes", "predictions", "seals", "validation"
SEALED = "sealed"  # the column that says so
SEAL_DIGITS = 8
CHANGED = "not the file that was sealed (SHA-256 differs)"
T = TypeVar("T")


class DamagedResult(StoreError):
    """A file of a result, at ``path``, is not what was written; ``what`` says why."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        super().__init__(f"{path}: {what}; run `fgscore repair`, then the same probe again")

    def __reduce__(self) -> tuple[type[DamagedResult], tuple[Path, str]]:
        return DamagedResult, (self.path, self.what)  # a worker hands it to its parent


@dataclass(frozen=True)
class Place:
    """Where a result lies: below the ``root`` of all results, by the folder of its ``dataset`` and the ``name`` of its
    files; ``validation`` for what validation images measured."""

    root: Path
    dataset: str
    name: str
    validation: bool = False

    @property
    def row(self) -> Path:
        """The file of the row: once that is there, so is the result."""
        return self._folder / PROBES / f"{self.name}.parquet"

    @property
    def predictions(self) -> Path:
        """The file of the predictions."""
        return self._folder / PREDICTIONS / f"{self.name}.parquet"

    def seal(self, row: bytes) -> Path:
        """The file that seals a row of that content with its predictions."""
        return self._folder / SEALS / f"{self.name}-{_sha256(row)[:SEAL_DIGITS]}.json"

    def seals(self) -> list[Path]:
        """Every seal of this name: that of the row, and any of a writer who was interrupted."""
        folder = self._folder / SEALS
        names = os.listdir(folder) if folder.is_dir() else []
        return [folder / name for name in sorted(names) if name.startswith(f"{self.name}-")]

    @property
    def _folder(self) -> Path:
        folder = self.root / self.dataset
        return folder / VALIDATION if self.validation else folder


def places(root: Path, dataset: str | None = None, validation: bool = False) -> list[Place]:
    """Where there are rows below ``root``, of one data set's folder or of all, in the order of their names; with
    ``validation`` those that validation images measured, in place of the others."""
    kind = f"{VALIDATION}/{PROBES}" if validation else PROBES
    rows = sorted(root.glob(f"{dataset or '*'}/{kind}/*.parquet"))
    return [
        Place(root, path.relative_to(root).parts[0], path.stem, validation)
        for path in rows
        if not path.name.startswith(files.TEMPORARY)  # of a writer who was interrupted
    ]


def publish(place: Place, row: pa.Table, predictions: pa.Table) -> None:
    """Write a result: predictions, the seal of both, the row. One that was there before goes first."""
    row_file = _parquet(row.append_column(SEALED, pa.array([True])))
    predictions_file = _parquet(predictions)
    seal, before = place.seal(row_file), place.seals() if place.row.exists() else []
    place.row.unlink(missing_ok=True)
    files.publish(place.predictions, predictions_file)
    files.write_sealed(seal, {"row_sha256": _sha256(row_file), "predictions_sha256": _sha256(predictions_file)})
    files.publish(place.row, row_file)
    for path in before:
        with suppress(FileNotFoundError):
            if path != seal and time.time() - path.stat().st_mtime > files.DAY:  # else maybe of another writer's row
                path.unlink()


class Files(NamedTuple):
    """What was read of a result: the columns of its row, and the file of its predictions, None where that is gone."""

    row: dict[str, Any]
    predictions: bytes | None


def reading(place: Place, use: Callable[[Files], T]) -> T | None:
    """What ``use`` makes of a result whose seal, if it has one, is right; None where no row is there. Raises
    :class:`DamagedResult`, unless the row is another by then: whoever writes a result anew is not waited for."""
    while (row := content(place.row)) is not None:
        try:
            return use(_opened(place, row))
        except DamagedResult:
            if content(place.row) == row:
                raise
    return None


def _opened(place: Place, row: bytes) -> Files:
    predictions = content(place.predictions)
    sealed = _is_sealed(place, row, predictions)
    rows = parsed(place.row, row).to_pylist()
    if len(rows) != 1:
        raise DamagedResult(place.row, f"expected the row of a result, found {len(rows)}")
    if rows[0].pop(SEALED, False) and not sealed:
        raise DamagedResult(place.row, "its seal is missing")
    return Files(rows[0], predictions)


def _is_sealed(place: Place, row: bytes, predictions: bytes | None) -> bool:
    """Whether there is a seal, and ``row`` and ``predictions`` are as it says; False where none of that name is."""
    seal = place.seal(row)
    if not os.path.lexists(seal):
        if place.seals():
            raise DamagedResult(place.row, CHANGED)
        return False
    try:
        said = files.read_sealed(seal)
    except StoreError as error:
        raise DamagedResult(seal, "not the seal that was written") from error
    for path, found, key in ((place.row, row, "row_sha256"), (place.predictions, predictions, "predictions_sha256")):
        if found is not None and said.get(key) != _sha256(found):
            raise DamagedResult(path, CHANGED)
    return True


def content(path: Path) -> bytes | None:
    """The bytes of a file; None where it is not there. Raises :class:`DamagedResult` for what cannot be read."""
    try:
        return regular.read(path)
    except FileNotFoundError:
        return None
    except (OSError, MemoryError) as error:
        regular.check_exhausted(path, error)
        raise DamagedResult(path, f"cannot be read ({error})") from error


def parsed(path: Path, file: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table in a Parquet ``file`` that was read from ``path``, or some of its columns, checksums verified; strings
    too are looked at. Raises :class:`DamagedResult`."""
    try:
        with pq.ParquetFile(pa.BufferReader(file), page_checksum_verification=True) as opened:
            # no threads: one that still holds `file` while Python ends would abort the process
            table = opened.read(columns=None if columns is None else list(columns), use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        regular.check_exhausted(path, error)
        raise DamagedResult(path, f"not a result ({str(error).partition(chr(10))[0]})") from error
    if lacking := set(columns or ()) - set(table.column_names):
        raise DamagedResult(path, f"not a result (it lacks {', '.join(sorted(lacking))})")
    return table


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def _sha256(file: bytes) -> str:
    return hashlib.sha256(file).hexdigest()

"""CoOp's splits: a JSON file a data set, published by its authors, that lists photos by split.

Only the split is taken from it. Labels stay those of the official lists: CoOp numbers and names classes its own way.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fgscore import regular
from fgscore.datasets import Photo
from fgscore.errors import DataError
from fgscore.types import SPLITS

WHERE = "get it from the CoOp repository (https://github.com/KaiyangZhou/CoOp, DATASETS.md), or use protocol='official'"


def resplit(photos: Sequence[Photo], folder: Path, name: str, prefix: str = "") -> list[Photo]:
    """``photos`` in the splits of the CoOp file ``name`` in ``folder`` or its parent; photos that it does not list are
    left out. Its paths are relative to ``prefix``. Raises :class:`DataError` where it is missing or lists others."""
    splits = _read(next((p for p in (folder / name, folder.parent / name) if p.is_file()), folder / name), prefix)
    known = {p.path for p in photos}
    if strangers := [path for path in splits if path not in known]:
        raise DataError(
            f"expected {name} to list photos of the official lists, found {strangers[0]!r} ({len(strangers)} such); "
            f"{WHERE}"
        )
    return [replace(p, split=splits[p.path]) for p in photos if p.path in splits]


def _read(path: Path, prefix: str) -> dict[str, str]:
    try:
        content = json.loads(regular.read(path))
        return {f"{prefix}{row[0]}": split for split in SPLITS for row in content[split]}
    except OSError as error:
        raise DataError(f"protocol 'coop' needs {path}, found none ({error.strerror}); {WHERE}") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"expected lists of photos under train, val and test in {path}, found something else ({error}); {WHERE}"
        ) from error

"""Arrays of tables: what columns of Parquet and CSV have in common.

Columns ``feature_0``, ``feature_1`` ... are one array ``feature``, those called 0, 1 ... are ``embedding``, and ``x0``,
``y0``, ``x1``, ``y1`` are ``boxes_xyxy``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from fgscore.exchange.contents import Entry

CORNERS = ("x0", "y0", "x1", "y1")
UNNAMED = "embedding"  # what columns that are called by numbers alone make up


def joined(columns: Mapping[str, Entry], numbers: Callable[[str], np.ndarray]) -> dict[str, Entry]:
    """``columns`` with those that belong together as one entry each, of a column a number; ``numbers`` reads one."""
    entries = dict(columns)
    groups = {"boxes_xyxy": list(CORNERS)} if set(CORNERS) <= set(columns) else {}
    for name, keys in (groups | dict(_runs([key for key in columns if key not in CORNERS]))).items():
        if name in columns or any(columns[key].load is None for key in keys):
            continue
        for key in keys:
            del entries[key]
        rows = columns[keys[0]].shape[0]
        entries[name] = Entry(
            f"{len(keys)} columns of numbers",
            (rows, len(keys)),
            8 * rows * len(keys),
            lambda keys=keys: np.stack([numbers(key) for key in keys], axis=1),  # type: ignore[misc]
        )
    return entries


def _runs(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Names that are numbered from 0 or 1 on, none missing: (what is before the number, the names in order)."""
    numbered: dict[str, dict[int, str]] = {}
    for name in names:
        if found := re.fullmatch(r"(.*?)[ _.:-]?(\d{1,6})", name, re.DOTALL):
            numbered.setdefault(found[1], {}).setdefault(int(found[2]), name)
    for prefix, keys in numbered.items():
        first = min(keys)
        if len(keys) > 1 and first in (0, 1) and max(keys) - first == len(keys) - 1:
            yield prefix or UNNAMED, [keys[number] for number in sorted(keys)]

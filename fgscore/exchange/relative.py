"""Paths of photos as a store may keep them: below one folder, with '/', and no place of a machine."""

from __future__ import annotations

import re

import numpy as np

from fgscore.errors import DataError

ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*://|/|[A-Za-z]:[/\\]|\\\\")


def relative(paths: np.ndarray, where: str, notes: list[str]) -> np.ndarray:
    """Paths with '/', from the folder that absolute ones have in common: a store keeps no place of a machine."""
    found = [path.replace("\\", "/") if "/" not in path else path for path in paths.tolist()]
    if (up := next((row for row, path in enumerate(found) if ".." in path.split("/")), None)) is not None:
        raise DataError(
            f"{where}: expected paths below one folder, found {found[up]!r} in row {up}; write it without .."
        )
    absolute = [bool(ABSOLUTE.match(path)) for path in found]
    if not any(absolute):
        return np.array(found, np.str_)
    if not all(absolute):
        a, b = absolute.index(True), absolute.index(False)
        raise DataError(f"{where}: expected all paths from one folder, found {found[a]!r} in row {a} and {found[b]!r} "
                        f"in row {b}; write them alike")  # fmt: skip
    folders = [path.split("/")[:-1] for path in found]
    common = 0
    while all(len(f) > common for f in folders) and len({f[common] for f in folders}) == 1:
        common += 1
    notes.append("paths: absolute ones are kept from the folder on that all of them share")
    return np.array(["/".join(path.split("/")[common:]) for path in found], np.str_)

"""MATLAB list files, read by scipy and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fgscore import regular
from fgscore.errors import DataError


def read_mat(path: Path, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    """The arrays of a ``.mat`` file, singleton dimensions squeezed. Raises :class:`DataError`, ending in ``where``,
    for a file that is missing, is something else or lacks one of ``keys``."""
    from scipy.io import loadmat

    try:
        regular.check(path)
        contents = dict(loadmat(path, squeeze_me=True))
    except FileNotFoundError:
        raise DataError(f"expected the list {path}, found none; {where}") from None
    except Exception as error:  # scipy raises whatever a damaged file makes it meet
        raise DataError(f"expected a MATLAB list in {path}, found something else ({error}); {where}") from error
    if missing := [key for key in keys if key not in contents]:
        found = ", ".join(sorted(k for k in contents if not k.startswith("__")))
        raise DataError(f"expected {', '.join(missing)} in {path}, found {found or 'nothing'}; {where}")
    return contents

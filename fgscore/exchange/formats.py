"""Files of arrays by their suffix: which formats come in, and what reads each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fgscore.errors import DataError, UsageError
from fgscore.exchange.contents import Contents, check_plain, reading
from fgscore.exchange.csv_files import csv_file
from fgscore.exchange.hdf5 import hdf5
from fgscore.exchange.numpy_files import npy, npz
from fgscore.exchange.parquet import parquet
from fgscore.exchange.tensors import safetensors, torch_file

READERS: Mapping[str, Callable[[Path], Contents]] = {
    ".npz": npz,
    ".parquet": parquet,
    ".safetensors": safetensors,
    ".npy": npy,
    ".pt": torch_file,
    ".pth": torch_file,
    ".h5": hdf5,
    ".hdf5": hdf5,
    ".csv": csv_file,
    ".tsv": csv_file,
}
SHOWN = 10  # names of files
PICKLES = (".pkl", ".pickle", ".joblib")


def contents(path: Path) -> Contents:
    """What the file at ``path`` holds; no array is read. Raises :class:`UsageError` for a suffix that none of
    :data:`READERS` reads, :class:`DataError` for a file that is not what its suffix says, or holds nothing."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        never = "; a pickle is never loaded" if path.suffix.lower() in PICKLES else ""
        raise UsageError(
            f"expected a file of {', '.join(READERS)}, found {path.name!r}{never}; convert it to one of these, as with "
            "numpy.savez('x.npz', globals=embeddings, labels=labels, split=split)"
        )
    check_plain(path)
    with reading(path):
        found = reader(path)
    if not found.entries:
        raise DataError(f"expected arrays in {path}, found an empty file: it holds none; write it again")
    return found


def expanded(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """``paths`` with the files below each folder in its place, and a line for those that no reader reads. Raises
    :class:`DataError` for a folder without any that one does."""
    files: list[Path] = []
    passed: list[str] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        below = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        inside = [file for file in below if file.suffix.lower() in READERS]
        if not inside:
            raise DataError(f"expected files of {', '.join(READERS)} below {path}, found none; name another folder")
        files += inside
        passed += [file.name for file in below if file not in inside]
    more = f" and {len(passed) - SHOWN} more files" if len(passed) > SHOWN else ""
    return files, [f"passed over {', '.join(passed[:SHOWN])}{more}: no format that is read"] if passed else []

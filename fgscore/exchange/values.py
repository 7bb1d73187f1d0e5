"""The values of arrays that come in: taken as they are where they can be, refused by row and column where not.

Rows are counted from 0, as in numpy. What is right already is returned as it came, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fgscore.errors import DataError
from fgscore.exchange.numerals import What, from_text
from fgscore.labels import UNLABELLED
from fgscore.separated import is_number
from fgscore.types import SPLITS, split_named

LARGEST = 1 << 53  # beyond it floating point skips whole numbers
NAN = ("nan", "NaN")  # how a label that came from floating point and is missing reads as text
NUMBERS = {"i": "whole numbers", "u": "whole numbers", "f": "floating point", "U": "text", "b": "True and False"}


Check = Callable[[np.ndarray, What], np.ndarray]


def clean(name: str, array: np.ndarray, what: What, as_text: bool = False, named: bool = False) -> np.ndarray:
    """The array called ``name``, one of ours, with values that can be kept. ``as_text`` says that numbers came as text,
    as in CSV, ``named`` that class names came beside, so that a label of -1 can be none. Raises :class:`DataError` that
    names the row at fault."""
    if name == "labels":
        return _numbers_of_text(array, what) if as_text else labels(array, what, named)
    of_numbers = name in OF_NUMBERS
    if of_numbers and array.dtype.kind == "U" and array.ndim == 1:
        array = from_text(array, what)
    check = CHECKS.get(name)
    return array if check is None else check(array, what)


def ids(array: np.ndarray, what: What) -> np.ndarray:
    """Ids as text: whole numbers exactly, text as it is."""
    if array.size and array.dtype.kind in "fb":
        why = ", in which large ids are not told apart" if array.dtype.kind == "f" else ""
        there = f"{NUMBERS[array.dtype.kind]}{why}"
        raise what.fault(f"{what.name} as text or whole numbers", there, "write them as int64 or text")
    found = array.astype(np.str_)
    if (empty := np.flatnonzero(found == "")).size:
        raise what.fault(f"{what.name} in every row", f"none in row {empty[0]}", "fill it in, or leave the row out")
    return found


def check_once(found: np.ndarray, where: str, then: str) -> None:
    """Raises :class:`DataError` that names what is there twice among the ids ``found`` (N,), and where."""
    first: dict[str, int] = {}
    for row, text in enumerate(found.tolist()):
        if first.setdefault(text, row) != row:
            raise DataError(f"{where}: expected each image id once, found {text!r} in rows {first[text]} and {row}; "
                            f"{then}")  # fmt: skip


def _numbers_of_text(array: np.ndarray, what: What) -> np.ndarray:
    """Labels that came as text: int64 where all that are there are numbers, -1 where a cell is empty; else names."""
    empty = np.array([not text.strip() for text in array.tolist()], bool)
    if empty.all() or not all(map(is_number, array[~empty].tolist())):
        return labels(array, what)
    return np.where(empty, UNLABELLED, labels(from_text(np.where(empty, "0", array), what), what))


def labels(array: np.ndarray, what: What, named: bool = False) -> np.ndarray:
    """int64, or names as text, '' where there is none. Class names that came beside, ``named``, leave no doubt of what
    -1 is: no label."""
    if array.dtype.kind == "U":
        rows = array.ravel().tolist()
        if (absent := next((row for row, text in enumerate(rows) if text.strip() in NAN), None)) is not None:
            there = f"{rows[absent]!r} in row {absent}"
            raise what.fault(f"{what.name} in every row", there, "name its class, or leave the cell empty")
        filled = [(i, text) for i, text in enumerate(rows) if text.strip()]
        numbers = all(is_number(text) for _, text in filled)
        if numbers and (odd := next((i for i, text in filled if float(text) % 1), None)) is not None:
            raise what.fault(f"whole numbers or names as {what.name}", f"{rows[odd]!r} in row {odd}", "mend the row")
        return array
    found = whole(array, what)
    then = "an image without a label has an empty cell, or -1 where class_names come beside"
    return _refuse(found < (UNLABELLED if named else 0), found, what, f"{what.name} from 0 on", then)


def whole(array: np.ndarray, what: What, wanted: str = "") -> np.ndarray:
    """int64 of numbers that are whole."""
    wanted = wanted or f"whole numbers as {what.name}"
    if array.dtype.kind not in "iuf":
        raise what.fault(wanted, f"{array.flat[0]} in row 0" if array.size else array.dtype, "write numbers, or names")
    with np.errstate(invalid="ignore"):
        odd = array % 1 != 0
        if array.dtype.kind in "fu":
            odd |= ~(np.abs(array.astype(np.float64)) <= LARGEST)
    _refuse(odd, array, what, wanted, "mend the row")
    return array if array.dtype == np.int64 else array.astype(np.int64)


def _refuse(wrong: np.ndarray, array: np.ndarray, what: What, wanted: str, then: str = "mend the file") -> np.ndarray:
    """``array``, unless some of it is ``wrong``."""
    if wrong.any():
        at = np.argwhere(wrong)[0]
        where = ", ".join(f"{name} {i}" for name, i in zip(("row", "column"), at, strict=False))
        more = f" ({int(wrong.sum())} such)" if wrong.sum() > 1 else ""
        raise what.fault(wanted, f"{array[tuple(at)]}{f' in {where}' if where else ''}{more}", then)
    return array


def split(array: np.ndarray, what: What) -> np.ndarray:
    """train, val or test, by whichever of their names each row has."""
    found = [split_named(str(name)) for name in array.ravel().tolist()]
    if None in found:
        row = found.index(None)
        raise what.fault(f"{what.name} of {', '.join(SPLITS)}", f"{str(array.flat[row])!r} in row {row}", "name it so")
    return np.array(found, np.str_).reshape(array.shape)


def texts(array: np.ndarray, what: What) -> np.ndarray:
    """Text, of numbers too."""
    return array.astype(np.str_)


def finite(array: np.ndarray, what: What) -> np.ndarray:
    """Numbers of which none is NaN or infinite."""
    _check_numbers(array, what)
    return _refuse(~np.isfinite(array), array, what, f"finite {what.name}")


def _check_numbers(array: np.ndarray, what: What) -> None:
    if array.dtype.kind not in "iuf":
        raise what.fault(f"numbers as {what.name}", NUMBERS[array.dtype.kind], "name another array with --array")


def norms(array: np.ndarray, what: What) -> np.ndarray:
    """Finite numbers above zero."""
    finite(array, what)
    return _refuse(array <= 0, array, what, f"{what.name} above 0")


def area(array: np.ndarray, what: What) -> np.ndarray:
    """Fractions of the image, NaN where it is not known."""
    _check_numbers(array, what)
    with np.errstate(invalid="ignore"):
        wrong = np.isinf(array) | (array < 0) | (array > 1 + 1e-3)
    return _refuse(wrong, array, what, f"{what.name} as fractions of the image, 0 to 1, or NaN")


def estimates(array: np.ndarray, what: What) -> np.ndarray:
    """Numbers, NaN where they are not known."""
    _check_numbers(array, what)
    return _refuse(np.isinf(array), array, what, f"finite {what.name}, or NaN")


def boxes(array: np.ndarray, what: What) -> np.ndarray:
    """Corners in pixels, NaN where they are not known; not fractions of the image, and not width and height."""
    _check_numbers(array, what)
    if array.ndim != 2 or array.shape[1] != 4:
        raise what.fault(f"{what.name} of 4 numbers, x0 y0 x1 y1", f"shape {array.shape}")
    _refuse(np.isinf(array) | (np.abs(array) >= 1 << 31), array, what, f"{what.name} in pixels")
    known = array[~np.isnan(array).any(axis=1)]
    if array.dtype.kind == "f" and known.size and known.min() >= 0 and 0 < known.max() <= 1:
        found = f"none beyond {known.max():g}, fractions of the image"
        raise what.fault(f"{what.name} in pixels", found, "multiply them by its width and height")
    with np.errstate(invalid="ignore"):
        turned = (array[:, 2] < array[:, 0]) | (array[:, 3] < array[:, 1])
    if turned.any():
        row = int(np.argmax(turned))
        found = f"{array[row].tolist()} in row {row}, which ends before it begins"
        raise what.fault(f"{what.name} as x0 y0 x1 y1", found, "if it is x y width height, add x and y")
    return array


def scale(array: np.ndarray, what: What) -> np.ndarray:
    """One finite number above zero."""
    finite(array, what)
    if array.size != 1 or float(array.flat[0]) <= 0:
        found = f"{array.size} of them" if array.size != 1 else array.flat[0]
        raise what.fault(f"one number above 0 as {what.name}", found, "bring the factor of cosines, CLIP's own is 100")
    return array


def shards(array: np.ndarray, what: What) -> np.ndarray:
    """Numbers of shards, none lower than the one before."""
    found = _between(0, (1 << 24) - 1)(array, what)
    return _refuse(np.diff(found, prepend=found[:1]) < 0, found, what, f"non-decreasing {what.name}")


def _between(least: int, greatest: int) -> Check:
    def check(array: np.ndarray, what: What) -> np.ndarray:
        found = whole(array, what)
        return _refuse((found < least) | (found > greatest), found, what, f"{what.name} of {least} to {greatest}")

    return check


CHECKS: Mapping[str, Check] = {
    "image_ids": ids,
    "paths": ids,
    "labels": labels,
    "label_names": texts,
    "split": split,
    "class_names": texts,
    "templates": texts,
    "sha256": texts,
    "globals": finite,
    "regions": finite,
    "text": finite,
    "norms": norms,
    "global_norms": norms,
    "region_norms": norms,
    "offsets": whole,
    "boxes_xyxy": boxes,
    "area": area,
    "predicted_iou": estimates,
    "stability": estimates,
    "logit_scale": scale,
    "shard": shards,
    "orientation": _between(1, 8),
    "sizes_wh": _between(0, (1 << 31) - 1),
    "banner": _between(0, (1 << 31) - 1),
    "mask_counts": _between(0, (1 << 32) - 1),
    "mask_offsets": whole,
    "mask_size_hw": _between(0, (1 << 31) - 1),
    "mirrored": _between(0, 1),
}
OF_TEXT = {"image_ids", "paths", "labels", "label_names", "split", "class_names", "templates", "sha256"}
OF_NUMBERS = frozenset(CHECKS) - OF_TEXT

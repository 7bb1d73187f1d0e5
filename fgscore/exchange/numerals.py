"""Numbers that come as text, alone or as lists in a cell."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from fgscore.errors import DataError
from fgscore.separated import is_number

WHOLE = re.compile(r"\s*[+-]?\d+(\.0*)?\s*")
CUT = "..."  # in the text of an array that numpy wrote in short


@dataclass(frozen=True)
class What:
    """An array for people: the file at ``where`` and our ``name``, with what the file calls it."""

    where: str
    name: str

    def fault(self, wanted: str, found: object, then: str = "mend the file") -> DataError:
        """The error for another thing ``found`` than was ``wanted``."""
        return DataError(f"{self.where}: expected {wanted}, found {found}; {then}")


def from_text(array: np.ndarray, what: What) -> np.ndarray:
    """Numbers, or rows of numbers as ``[0.1, 0.2]``, out of their text."""
    rows = [text.strip().strip("[]()") for text in array.tolist()]
    if all(WHOLE.fullmatch(text) for text in rows):
        return np.array([int(text.partition(".")[0]) for text in rows], np.int64)
    if CUT in "".join(rows[:1]):
        raise what.fault(f"all numbers of {what.name}", f"them cut to '{CUT}' in row 0", "write them in full")
    found = []
    for row, text in enumerate(rows):
        try:
            found.append([float(number) for number in re.split(r"[\s,;]+", text.strip(" ,;"))])
        except ValueError:
            raise what.fault(f"numbers as {what.name}", f"{text[:40]!r} in row {row}", "mend the row") from None
        if len(found[row]) != len(found[0]):
            both = f"{len(found[0])} numbers in row 0 and {len(found[row])} in row {row}"
            raise what.fault(f"rows of one length as {what.name}", both, "mend the row")
    return np.array(found)[:, 0] if found and len(found[0]) == 1 else np.array(found)


def reads_as_numbers(text: str, several: bool) -> bool:
    """Whether a cell holds a number or, where ``several``, a list of them, if only in short."""
    parts = re.split(r"[\s,;]+", text.strip().strip("[]()").strip(" ,;"))
    return len(parts) > several and all(is_number(part) or part == CUT for part in parts)

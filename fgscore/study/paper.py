"""The figures that the paper prints in Tables 1 to 4, to set beside one's own.

``paper.csv`` has a row for each of the 505 printed numbers: table, data set, regions, scorer, target, k, value. Table 2
gives the accuracy with true labels (target ``oracle``) and, as targets ``delta_global`` and ``delta_local``, what the
pseudo-labels lose. Scorer ``none`` is the global embedding alone and ``mean`` the average of all regions.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

DATASETS = ("cub", "flowers", "pets", "cars", "aircraft")


@dataclass(frozen=True)
class Cell:
    """One place in a table of the paper, for one data set. ``k`` is '' where nothing is chosen, or 'all'."""

    table: int
    regions: str
    scorer: str
    target: str
    k: str

    @property
    def pool(self) -> str:
        """The pooling that makes it."""
        return self.scorer if self.scorer in ("none", "mean") else f"topk(k={self.k})"


@cache
def figures() -> dict[tuple[str, Cell], float]:
    """(data set, cell) to the printed number, all 505 of them; accuracies and differences in 0..1."""
    text = resources.files("fgscore.study").joinpath("paper.csv").read_text(encoding="utf-8")
    found = {}
    for row in csv.DictReader(text.splitlines()):
        cell = Cell(int(row["table"]), row["regions"], row["scorer"], row["target"], row["k"])
        found[row["dataset"], cell] = float(row["value"])
    return found


@cache
def cells(table: int) -> tuple[Cell, ...]:
    """The settings of a table in the paper's order, each once: those of Table 2 with the targets oracle, global and
    local."""
    made = {
        Cell(table, c.regions, c.scorer, c.target.removeprefix("delta_"), c.k): None
        for _, c in figures()
        if c.table == table
    }
    return tuple(made)


def accuracy(dataset: str, cell: Cell) -> float | None:
    """What the paper prints for ``cell``, or implies: in Table 2 a pseudo-label's accuracy is the true label's plus
    its difference. None where it says nothing."""
    printed = figures()
    if cell.table != 2 or cell.target == "oracle":
        return printed.get((dataset, cell))
    true = printed.get((dataset, Cell(2, cell.regions, cell.scorer, "oracle", cell.k)))
    delta = printed.get((dataset, Cell(2, cell.regions, cell.scorer, f"delta_{cell.target}", cell.k)))
    return None if true is None or delta is None else round(true + delta, 4)


def gain(dataset: str, cell: Cell) -> float | None:
    """The paper's accuracy less that of its own global linear probe."""
    own, whole = accuracy(dataset, cell), accuracy(dataset, Cell(1, "", "none", "", ""))
    return None if own is None or whole is None else round(own - whole, 4)


def repeats() -> list[float]:
    """Differences between the two accuracies that the paper prints for one setting: k = 5 stands in Tables 3 and 4 and
    again in Table 1. What differs there is chance, so this is how far its figures scatter by themselves."""
    return [
        round(value - figures()[dataset, Cell(1, cell.regions, cell.scorer, cell.target, "5")], 4)
        for (dataset, cell), value in figures().items()
        if cell.table in (3, 4) and cell.k == "5"
    ]

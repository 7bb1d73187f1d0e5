"""Six drawn photos, of which some or all have no label, as a data set in a user's file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

N = 6
LISTED = """
from fgscore.datasets import DataSet, Listing, Photo

@DataSet.declares(own=True)
def birds(root, /):
    rows = [line.split(",") for line in (root / "list.csv").read_text().splitlines()]
    names = tuple(sorted({name for _, name, _ in rows} - {""}))
    return Listing(root, names, [Photo(f, f, names.index(n) if n else -1, split) for f, n, split in rows])
"""


@dataclass(frozen=True)
class Birds:
    """The photos in ``root``, as the data set ``spec``, known as birds; ``names`` is a file of class names."""

    root: Path
    spec: str
    names: Path
    run: Callable[..., Any]

    def label(self, labels: Sequence[str], split: Sequence[str] = ("test",) * N) -> None:
        """Say which class each photo is of, '' for none, and which split."""
        rows = [f"{i}.png,{label},{of}" for i, (label, of) in enumerate(zip(labels, split, strict=True))]
        (self.root / "list.csv").write_text("\n".join(rows))

    def extract(self, *more: Any) -> Any:
        """Extract them by the fake encoder and three crops."""
        options = ("--encoder", "fake", "--regions", "random_crop(n=3)", "--root", self.root)
        return self.run("extract", self.spec, *options, *more)


@pytest.fixture
def birds(tmp_path: Path, draw: Callable[..., None], run: Callable[..., Any]) -> Birds:
    """Six photos without a label, all of test, and a file of three class names."""
    made = Birds(tmp_path / "birds", f"{tmp_path / 'mine.py'}:birds", tmp_path / "names.txt", run)
    for i in range(N):
        draw(made.root / f"{i}.png", seed=i)
    (tmp_path / "mine.py").write_text(LISTED)
    made.names.write_text("crow\nblue jay\nowl\n")
    made.label([""] * N)
    return made

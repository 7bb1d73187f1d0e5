"""A cache to import into, and the same arrays in every format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.exchange.export import collect
from fgscore.exchange.import_ import import_files
from fgscore.store.cache import Store
from fgscore.store.paths import Layout


@pytest.fixture
def elsewhere(tmp_path: Path) -> Store:
    """A cache with nothing in it."""
    return Store(Layout(tmp_path / "elsewhere"))


@dataclass(frozen=True)
class Came:
    """What an import made: the arrays of a kind, and the lines that were said."""

    store: Store
    said: list[str]

    def arrays(self, kind: str) -> dict[str, np.ndarray]:
        (artefact,) = self.store.artefacts(kind)
        return collect(self.store, artefact)


@pytest.fixture
def bring(elsewhere: Store) -> Callable[..., Came]:
    """``bring(path, ...)`` imports these files; ``sources`` as for --array."""

    def call(*paths: Path, sources: Sequence[str] = (), **more: Any) -> Came:
        said: list[str] = []
        import_files(elsewhere, "mine", list(paths), sources=sources, say=said.append, **more)
        return Came(elsewhere, said)

    return call

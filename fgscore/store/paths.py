"""Where things lie under the data folder: the one place that joins a cache path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fgscore.errors import UsageError


@dataclass(frozen=True)
class Layout:
    """The folders under one data root: raw photos, model weights, the cache, results."""

    root: Path

    @property
    def models(self) -> Path:
        """Local model weights."""
        return self.root / "models"

    @property
    def cache(self) -> Path:
        """The store; all that a laptop needs."""
        return self.root / "cache"

    @property
    def results(self) -> Path:
        """Probe rows and predictions."""
        return self.root / "results"

    @property
    def logs(self) -> Path:
        """Logs and files of cluster jobs, for their user alone."""
        return self.root / "logs"

    def raw(self, dataset: str) -> Path:
        """Where the photos of ``dataset`` lie by default."""
        return self.root / "raw" / dataset

    def artefact(self, dataset: str, kind: str, name: str, digest: str) -> Path:
        """``cache/<dataset>/<kind>/<name>-<digest8>``."""
        return self.cache / dataset / kind / f"{slug(name)}-{digest[:8]}"


def slug(text: str) -> str:
    """``text`` as a file name: letters, digits, '.', '_' and '-', at most 60 characters."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")
    return plain[:60].rstrip("-.") or "x"


def check_name(name: str, what: str) -> str:
    """``name`` itself where it can serve as a folder's name; raises :class:`UsageError` otherwise."""
    if name != slug(name):
        raise UsageError(f"{what} must be of letters, digits, '.', '_' and '-', found {name!r}; try {slug(name)!r}")
    return name


def shard_file(number: int) -> str:
    """``shard-00007.h5``."""
    return f"shard-{number:05d}.h5"


def sidecar_file(number: int) -> str:
    """``shard-00007.json``, beside the shard and after it."""
    return f"shard-{number:05d}.json"

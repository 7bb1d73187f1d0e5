"""What a long call reports while it runs, and what it says at the end."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from fgscore import tables

# (label, done, total): called often; the command line draws bars from it
Progress = Callable[[str, int, int], None]


def silent(label: str, done: int, total: int) -> None:
    """Report nothing."""


EVERY = 60.0  # seconds between two lines of progress in a log


class Lines:
    """Progress in a log: a line a minute, and one when a label ends; ``say`` writes a line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = time.monotonic()
        self._started: dict[str, tuple[float, int]] = {}  # label to when it was first heard of, and how far it was
        self._ended: set[str] = set()

    def __call__(self, label: str, done: int, total: int) -> None:
        """Note ``done`` of ``total`` for ``label``."""
        now = time.monotonic()
        since, before = self._started.setdefault(label, (now, done))
        if done == total and label not in self._ended:
            self._ended.add(label)
            self._say(f"{label}: {done} of {total}")
        elif done < total and now - self._said > EVERY:
            self._said = now
            rate = (done - before) / (now - since) if now > since else 0.0
            left = f", {tables.text((total - done) / rate, 'seconds')} left" if rate else ""
            self._say(f"{label}: {done} of {total}, {tables.text(rate, 'number')}/s{left}")


@dataclass
class Summary:
    """What became of one artefact: shards ``computed`` now and ``reused`` from before, ``failures`` of images;
    ``spent`` is where the seconds went, summed over threads; ``unseen`` regions lie outside of what the encoder sees of
    their images."""

    label: str
    kind: str
    computed: int = 0
    reused: int = 0
    images: int = 0
    regions: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)
    unseen: int = 0

    def add(self, computed: bool, sidecar: Mapping[str, Any] | None, spent: Mapping[str, float] | None = None) -> None:
        """Count one shard, with what its sidecar says and where the seconds went."""
        for name, seconds in (spent or {}).items():
            self.spent[name] = self.spent.get(name, 0.0) + seconds
        self.computed += computed
        self.reused += not computed
        if sidecar:
            self.images += sidecar["counts"].get("images", 0)
            self.regions += sidecar["counts"].get("regions", 0)
            self.failures += sidecar["failures"]
            self.unseen += sidecar["provenance"].get("unseen", 0)

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        spent = {name: round(seconds, 3) for name, seconds in self.spent.items()}
        return {**vars(self), "seconds": round(self.seconds, 3), "spent": spent}


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def seconds(self) -> float:
        """Elapsed seconds."""
        return time.perf_counter() - self._start


def provenance(seconds: float, images: int, **facts: Any) -> dict[str, Any]:
    """How a shard was made: library versions, device and what else is given, timings. No path, host or secret."""
    return {
        "versions": dict(_versions()),
        "seconds": round(seconds, 4),
        "images_per_second": round(images / seconds, 3) if seconds > 0 else None,
        **facts,
    }


PACKAGES = ("fgscore", "numpy", "h5py", "pillow", "torch", "torchvision", "transformers", "segment-anything", "numba")
_cache: dict[str, str] = {}


def _versions() -> Mapping[str, str]:
    if not _cache:
        _cache["python"] = platform.python_version()
        for package in PACKAGES:
            try:
                _cache[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
    return _cache

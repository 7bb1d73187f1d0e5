"""Flip bytes and cut files of a store in one process: `verify` must name the file each time."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from bench import Count  # type: ignore[import-not-found]

from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.upkeep.verify import verify


def store_files(data: Path) -> list[Path]:
    """Every file of the cache."""
    return sorted(p for p in (data / "cache").rglob("*") if p.is_file())


def named(data: Path, path: Path) -> bool:
    """Whether `verify` finds something wrong and names ``path``, as itself or as a file that goes with it."""
    problems = verify(Store(Layout(data)))
    return any(path in problem.paths or path.parent == problem.paths[0].parent for problem in problems)


def flips(data: Path, trials: int, seed: int = 2) -> Count:
    """One bit of one byte, anywhere in any file; each file is hit at least once."""
    count, rng = Count("one byte flipped, found by verify"), random.Random(seed)
    paths = store_files(data)
    for trial in range(trials):
        path = paths[trial] if trial < len(paths) else rng.choice(paths)
        whole = path.read_bytes()
        at = rng.randrange(len(whole))
        changed = bytearray(whole)
        changed[at] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        count.note(named(data, path), f"{path.relative_to(data)} byte {at}")
        path.write_bytes(whole)
    return count


def cuts(data: Path, trials: int, seed: int = 3) -> Count:
    """A file cut at any length, zero included."""
    count, rng = Count("file truncated, found by verify"), random.Random(seed)
    paths = store_files(data)
    for _ in range(trials):
        path = rng.choice(paths)
        whole = path.read_bytes()
        length = rng.choice([0, rng.randrange(len(whole))])
        path.write_bytes(whole[:length])
        count.note(named(data, path), f"{path.relative_to(data)} at {length}")
        path.write_bytes(whole)
    return count


def swaps(data: Path) -> Count:
    """Two shards exchanged, with and without their sidecars; files of another run put in; a file dropped."""
    count = Count("files swapped, mixed or dropped, found by verify")
    folders = sorted({p.parent for p in store_files(data) if p.name == "shard-00001.h5"})
    for folder in folders:
        for suffixes in ((".h5",), (".json",), (".h5", ".json")):
            _swap(folder, suffixes)
            count.note(named(data, folder / "shard-00000.h5"), f"{folder.name} swapped {suffixes}")
            _swap(folder, suffixes)
        for name in ("shard-00000.h5", "shard-00000.json", "manifest.json", "plan.json"):
            path = folder / name
            aside = shutil.move(path, path.with_name("aside"))
            count.note(named(data, path), f"{folder.name} without {name}")
            shutil.move(aside, path)
    return count


def _swap(folder: Path, suffixes: tuple[str, ...]) -> None:
    for suffix in suffixes:
        a, b, aside = (folder / f"{name}{suffix}" for name in ("shard-00000", "shard-00001", "aside"))
        a.rename(aside)
        b.rename(a)
        aside.rename(b)

"""Which photo a name in somebody else's file stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

SEVERAL = -2  # photos that a name could stand for
NONE = -1
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".avif", ".heic")


class Names:
    """Photos by their ids and paths. ``theirs`` are the names of each picture of the file, by which it is known whether
    the last part of one is enough to tell."""

    def __init__(self, image_ids: Sequence[str], paths: Sequence[str], theirs: Iterable[Sequence[str]]) -> None:
        self._ids = {image_id: row for row, image_id in enumerate(image_ids)}
        self._paths = {path: row for row, path in enumerate(paths)}
        self._stems = _once((_stem(path), row) for row, path in enumerate(paths))
        self._tails = _once((tail, row) for row, path in enumerate(paths) for tail in _tails(path))
        self._stem_tails = _once((tail, row) for row, path in enumerate(paths) for tail in _tails(_stem(path)))
        self._numbers = _once((int(last), row) for row, path in enumerate(paths)
                              if (last := _last(_stem(path))).isdecimal())  # fmt: skip
        self._times = Counter(last for names in theirs for last in {_stem(_last(_plain(name))) for name in names})

    def row(self, names: Iterable[str]) -> int:
        """The row of the photo that one of ``names`` stands for: an image id, a path or the end of one, from whatever
        folder, with a suffix or without; at last a number, as COCO pads it with zeros. :data:`SEVERAL` where it could
        be more than one, :data:`NONE` where there is none."""
        found = [self._row(_plain(name)) for name in names if name]
        return next((row for row in found if row >= 0), min(found, default=NONE))

    def _row(self, name: str) -> int:
        if name in self._ids:
            return self._ids[name]
        for tails, paths, said in ((self._tails, self._paths, name), (self._stem_tails, self._stems, _stem(name))):
            if said in tails:
                return tails[said]
            for tail in _tails(said):
                if tail in paths:
                    return paths[tail]
        last = _stem(_last(name))
        if self._times[last] < 2 and last in self._stem_tails:  # of another folder, but no other is called so
            return self._stem_tails[last]
        return self._numbers.get(int(name), NONE) if name.isdecimal() and name.isascii() else NONE


def _once(pairs: Iterable[tuple]) -> dict:
    """Rows by their keys, :data:`SEVERAL` where a key is of several."""
    found: dict = {}
    for key, row in pairs:
        found[key] = row if found.setdefault(key, row) == row else SEVERAL
    return found


def _plain(name: str) -> str:
    return name.strip().replace("\\", "/").removeprefix("./")


def _tails(path: str) -> Iterator[str]:
    """``a/b/c``, ``b/c``, ``c``."""
    parts = path.split("/")
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    suffix = PurePosixPath(path).suffix
    return path[: -len(suffix)] if suffix.lower() in PICTURES else path

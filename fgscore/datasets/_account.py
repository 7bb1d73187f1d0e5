"""What lies below the folder of the photos and is no photo of the set: every such file, by reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# harmless: nobody expects a photo to come of these
NO_PHOTO = "no photo by its name"
HIDDEN = "hidden"
SYSTEM = "in a hidden or system folder"
TABLE = "the table itself"
NOT_NAMED = "a photo that the table does not name"
# lost: somebody will miss these
BY_CONTENT = "a picture by its content, without a suffix that says so"
LOOSE = "a photo in no folder of a class"
NO_SPLIT = "a photo in a folder that is none of train, val and test"
WITH_HEIF = "is read once you ran `pip install pillow-heif`"
SHUT = "a folder that may not be read"
INSIDE = "in a folder that is named like a photo"


@dataclass(frozen=True)
class PassedOver:
    """A file that is no photo of the set: ``path`` below the root, with '/', and why. ``is_lost`` says that it is a
    picture which somebody will miss, and no list or table leaves it out."""

    path: str
    reason: str
    is_lost: bool = False


@dataclass(frozen=True)
class Account:
    """All files below a root that are no photos of the set."""

    files: tuple[PassedOver, ...] = ()

    def __iter__(self) -> Iterator[PassedOver]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    @property
    def lost(self) -> int:
        """How many of them are pictures that somebody will miss."""
        return sum(file.is_lost for file in self.files)

    def by_reason(self) -> list[dict[str, Any]]:
        """For each reason how many ``files`` there are, one as ``example``, and whether they are ``lost``; pictures
        first, then by number."""
        found: dict[str, list[PassedOver]] = {}
        for file in self.files:
            found.setdefault(file.reason, []).append(file)
        rows = [{"reason": reason, "files": len(of), "example": of[0].path, "lost": of[0].is_lost}
                for reason, of in found.items()]  # fmt: skip
        return sorted(rows, key=lambda row: (not row["lost"], -row["files"], row["reason"]))

    def lines(self, lost: bool = False) -> list[str]:
        """``passed over 3: hidden (.DS_Store and 2 more)``, a line a reason; of pictures that are ``lost`` alone."""
        return [
            f"passed over {row['files']}: {row['reason']} ({row['example']}"
            f"{f' and {more} more' if (more := row['files'] - 1) else ''})"
            for row in self.by_reason()
            if row["lost"] or not lost
        ]

    def to_json(self) -> list[dict[str, Any]]:
        """All of them, as ``--json`` prints them."""
        return [{"path": file.path, "reason": file.reason, "lost": file.is_lost} for file in self.files]

    @classmethod
    def of(cls, files: Iterable[PassedOver]) -> Account:
        """The account of ``files``, in the order of their paths; names that are no UTF-8 with the bytes written out."""
        shown = (PassedOver(printable(file.path), file.reason, file.is_lost) for file in files)
        return cls(tuple(sorted(shown, key=lambda file: file.path)))


def printable(path: str) -> str:
    """``path`` with those of its bytes written out that are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")

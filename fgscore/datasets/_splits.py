"""Which photos are for training and which for testing, where nobody has said so."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fgscore.datasets._listing import Photo
from fgscore.errors import DataError


def set_aside(photos: Sequence[Photo], share: float, seed: int, root: Path) -> Sequence[Photo]:
    """``photos`` below ``root`` with a ``share`` of those of train in test, of each class as near to it as whole photos
    come; nothing is moved for 0.

    A class of two photos or more has at least one on either side; of one photo, it stays in train. Which ones is
    decided by ``seed`` and their ids alone, so that a photo more or less moves few others. Raises :class:`DataError`
    where there are photos of test already.
    """
    if not share:
        return photos
    if "test" in {photo.split for photo in photos}:
        raise DataError(f"expected no photos of test in {root} where split={share:g} is to set them aside, found some; "
                        "leave split= out")  # fmt: skip
    of_class: dict[int, list[str]] = {}
    for photo in photos:
        if photo.split == "train":
            of_class.setdefault(photo.label, []).append(photo.image_id)
    taken: set[str] = set()
    for ids in of_class.values():
        wanted = min(max(round(share * len(ids)), 1), len(ids) - 1)
        taken.update(sorted(ids, key=lambda image_id: _drawn(seed, image_id))[:wanted])
    return [replace(photo, split="test") if photo.image_id in taken else photo for photo in photos]


def _drawn(seed: int, image_id: str) -> str:
    return hashlib.sha256(f"{seed}/{image_id}".encode("utf-8", "surrogateescape")).hexdigest()

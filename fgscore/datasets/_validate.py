"""What is wrong with photos that a user brought: each finding one phrase, refused together unless forced.

The official data sets are not looked at: they are what they are, and their numbers are compared as published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fgscore.datasets import Listing, Photo
from fgscore.errors import DataError
from fgscore.labels import UNLABELLED
from fgscore.types import ImageIndex


def check_listing(listing: Listing, force: bool) -> tuple[Listing, list[str]]:
    """Ids that occur twice; classes without a training image where other classes have some.

    Returns the listing, of each id its first photo only, and what was found. Raises :class:`DataError` unless
    ``force``.
    """
    counts = Counter(p.image_id for p in listing.photos)
    twice = [image_id for image_id, n in counts.items() if n > 1]
    findings = [f"{_some(twice)} listed more than once"] if twice else []
    trained = {p.label for p in listing.photos if p.split == "train"} - {UNLABELLED}
    every = {p.label for p in listing.photos} - {UNLABELLED}
    without = [str(listing.class_named(label)) for label in sorted(every - trained)]
    if trained and without:
        findings.append(f"no training image of {_some(without)}")
    _refuse(findings, force)
    return replace(listing, photos=_first_of_each(listing.photos)) if twice else listing, findings


def check_contents(index: ImageIndex, force: bool) -> list[str]:
    """The same file, by its hash, in training and test (or validation). Raises :class:`DataError` unless ``force``."""
    train = (index.split == "train") & (index.sha256 != "")  # what could not be read has no hash
    place = dict(zip(index.sha256[train].tolist(), index.paths[train].tolist(), strict=True))
    rows = [int(row) for row in np.flatnonzero(~train) if index.sha256[row] in place]
    pairs = [f"{index.paths[row]} = {place[index.sha256[row]]}" for row in rows]
    findings = [f"the same file in {index.split[rows[0]]} and train: {_some(pairs)}"] if pairs else []
    _refuse(findings, force)
    return findings


def _refuse(findings: list[str], force: bool) -> None:
    if findings and not force:
        raise DataError(f"{'; '.join(findings)}; mend this, or go on as it is with --force")


def _some(names: list[str], n: int = 3) -> str:
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")


def _first_of_each(photos: Sequence[Photo]) -> list[Photo]:
    return list({p.image_id: p for p in reversed(photos)}.values())[::-1]

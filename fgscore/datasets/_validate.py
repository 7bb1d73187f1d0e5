"""What is wrong with photos that a user brought: each finding one phrase, refused together unless forced.

The official data sets are not looked at: they are what they are, and their numbers are compared as published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fgscore.datasets import Listing, Photo
from fgscore.errors import DataError, shortened
from fgscore.labels import UNLABELLED
from fgscore.types import ImageIndex


def check_listing(listing: Listing, force: bool) -> tuple[Listing, list[str]]:
    """Ids that occur twice, what the listing itself found, classes without a training image where other classes have
    some.

    Returns the listing, of each id its first photo only, and what was found. Raises :class:`DataError` unless
    ``force``.
    """
    counts = Counter(p.image_id for p in listing.photos)
    twice = [image_id for image_id, n in counts.items() if n > 1]
    findings = [*([f"{shortened(twice)} listed more than once"] if twice else []), *listing.faults]
    trained = {p.label for p in listing.photos if p.split == "train"} - {UNLABELLED}
    every = {p.label for p in listing.photos} - {UNLABELLED}
    without = [str(listing.class_named(label)) for label in sorted(every - trained)]
    if trained and without:
        findings.append(f"no training image of {shortened(without)}")
    _refuse(findings, force)
    return replace(listing, photos=_first_of_each(listing.photos)) if twice else listing, findings


def check_contents(index: ImageIndex, force: bool) -> list[str]:
    """What :func:`same_contents` finds among photos that can be read. Raises :class:`DataError` unless ``force``."""
    readable = (index.sizes_wh > 0).all(axis=1)
    columns = (index.paths.tolist(), index.labels.tolist(), index.split.tolist())
    photos = [Photo(path, path, label, split) for path, label, split in zip(*columns, strict=True)]
    hashes = dict(zip(index.paths.tolist(), np.where(readable, index.sha256, "").tolist(), strict=True))
    findings = same_contents(photos, hashes)
    _refuse(findings, force)
    return findings


def same_contents(photos: Sequence[Photo], sha256: Mapping[str, str]) -> list[str]:
    """Files that are one by their content, ``sha256`` by path, empty where it is not known: in training and in test or
    validation; under two labels."""
    known = [(photo, digest) for photo in photos if (digest := sha256[photo.path])]
    trained = {digest: photo for photo, digest in known if photo.split == "train"}
    both = [(photo, trained[digest]) for photo, digest in known if photo.split != "train" and digest in trained]
    first: dict[str, Photo] = {}
    labelled = [(photo, first.setdefault(digest, photo)) for photo, digest in known if photo.label != UNLABELLED]
    torn = [(photo, other) for photo, other in labelled if photo.label != other.label]
    findings = [f"the same file in {both[0][0].split} and train: {_pairs(both)}"] if both else []
    return findings + ([f"the same file under two labels: {_pairs(torn)}"] if torn else [])


def _pairs(found: Sequence[tuple[Photo, Photo]]) -> str:
    return shortened([f"{photo.path} = {other.path}" for photo, other in found])


def _refuse(findings: Sequence[str], force: bool) -> None:
    if findings and not force:
        raise DataError(f"{'; '.join(findings)}; mend this, or go on as it is with --force")


def _first_of_each(photos: Sequence[Photo]) -> list[Photo]:
    return list({p.image_id: p for p in reversed(photos)}.values())[::-1]

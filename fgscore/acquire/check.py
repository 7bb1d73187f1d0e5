"""Look at the photos of a data set where they lie: layout, counts, files that cannot be read, what to do next."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fgscore import datasets, regular, specs
from fgscore.datasets import Account, DataSet, Listing, Photo
from fgscore.datasets._validate import check_listing, same_contents
from fgscore.errors import BadImage, DataError, quoted
from fgscore.labels import UNLABELLED, wanted
from fgscore.machine.progress import Progress, silent
from fgscore.store.paths import Layout

MEND = "Mend this and check again, or name another folder with --root DIR."
SHARE = 0.2  # of photos for testing, where there are none


@dataclass(frozen=True)
class Report:
    """What was found under ``root``. ``found`` and ``expected`` count photos by split; ``unreadable`` maps paths to
    reasons; ``account`` is of the files that are no photos of the set; ``findings`` are what indexing would refuse,
    ``remarks`` what else a user should know; ``unlabelled`` says which photos have no label, ``probe`` what a probe
    will want of labels and splits: neither is a fault. ``next`` is the command to run, ``otherwise`` another that goes
    on with what is there, ``advice`` what no command does."""

    dataset: str
    root: Path
    layout: Path | None
    found: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    classes: int = 0
    missing: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    account: Account = Account()
    remarks: list[str] = field(default_factory=list)
    unlabelled: str = ""
    probe: list[str] = field(default_factory=list)
    next: str = ""
    otherwise: str = ""
    advice: str = ""

    @property
    def sound(self) -> bool:
        """Whether everything expected is there and can be read, and no picture was passed over."""
        return self.usable and not (self.unreadable or self.account.lost)

    @property
    def usable(self) -> bool:
        """Whether `extract` takes it as it is, without what cannot be read or was passed over."""
        return bool(self.layout) and not (self.missing or self.findings)

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        text = {"root": str(self.root), "layout": str(self.layout) if self.layout else None}
        content = {key: value for key, value in vars(self).items() if key != "account"}
        return {**content, **text, "passed_over": self.account.to_json(), "sound": self.sound}


def check(dataset: str, layout: Layout, *, root: Path | None = None, progress: Progress = silent) -> Report:
    """Read the lists, look for every listed photo and decode each that is there. Raises :class:`UsageError` for an
    unknown data set only: what is wrong with the photos is in the report."""
    chosen = DataSet.bind(dataset)
    given = f" --root {quoted(str(root))}" if root else ""
    root = root or layout.raw(chosen.key)
    try:
        listing = chosen.listing(root)
        here, _ = datasets.present(listing, partial=True)
    except (DataError, OSError, ValueError) as error:
        command, advice = _get(dataset, chosen, given)
        advice = MEND if advice and root.is_dir() else advice
        return Report(dataset, root, None, findings=[str(error)], next=command, advice=advice)
    findings = [*listing.lacking, *(check_listing(listing, force=True)[1] if chosen.is_looked_at else [])]
    there = {p.path for p in here.photos}
    unreadable, hashes = _decode(here, lambda done, total: progress(f"{dataset}: decode", done, total))
    if chosen.is_looked_at:
        findings += same_contents(here.photos, {path: "" if path in unreadable else of for path, of in hashes.items()})
    missing = [p.path for p in listing.photos if p.path not in there]
    expected = dict(listing.expected) or _count(listing.photos)
    found = _count(here.photos, expected)
    if not missing and found != expected and not listing.lacking:  # the lists themselves are cut
        findings.append("the lists name fewer photos than were published")
    remarks = [*listing.remarks, *_without_test(chosen, dataset, here)]
    report = Report(dataset, root, listing.root, found, expected, len(listing.class_names), missing, unreadable,
                    findings, listing.account, remarks, here.without(), wanted(here.labels, here.splits))  # fmt: skip
    return _with_next(report, chosen, given)


def _without_test(chosen: DataSet, dataset: str, listing: Listing) -> list[str]:
    """What sets photos aside for testing, where there are photos to train on alone."""
    spec, key = specs.parse(dataset), "split"
    trained = any(photo.split == "train" and photo.label != UNLABELLED for photo in listing.photos)
    if not trained or "test" in listing.splits or key not in specs.of_content(chosen.function):
        return []
    line = quoted(specs.text(spec.name, {**spec.params, key: SHARE}))
    return [f"no photo is of test: {line} sets a fifth of each class aside"]


def _count(photos: Sequence[Photo], splits: dict[str, int] | None = None) -> dict[str, int]:
    names = [p.split for p in photos]
    return {split: names.count(split) for split in splits or sorted(set(names))}


def _decode(listing: Listing, tick: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Reasons by path of photos that cannot be decoded, and SHA-256 by path of all."""
    unreadable, hashes = {}, {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda p: _read(listing.root / p.path, listing.banner), listing.photos)
        for done, (photo, (sha256, reason)) in enumerate(zip(listing.photos, results, strict=True), 1):
            hashes[photo.path] = sha256
            if reason:
                unreadable[photo.path] = reason
            tick(done, len(listing.photos))
    return unreadable, hashes


def _read(path: Path, banner: int) -> tuple[str, str]:
    from fgscore.datasets import _images

    try:
        content = regular.read(path, datasets.PHOTO_BYTES)
    except regular.Irregular as error:
        return "", f"is {error}"
    except OSError as error:
        return "", f"cannot be read: {error.strerror}"
    try:
        _images.read_rgb(io.BytesIO(content), banner)
    except BadImage as error:
        return hashlib.sha256(content).hexdigest(), str(error)
    return hashlib.sha256(content).hexdigest(), ""


def _with_next(report: Report, chosen: DataSet, given: str) -> Report:
    name = quoted(report.dataset) + given
    partial = " --partial" if report.missing else ""
    force = " --force" if report.findings else ""
    advice = otherwise = ""
    if report.usable:
        command = f"fgscore extract {name}"
        advice = "" if report.sound else "Mend what cannot be read or was passed over, or go on without it."
    elif chosen.is_looked_at:
        command, otherwise = f"fgscore check {name}", f"fgscore index {name}{force}{partial}"
        advice = "Mend this and check again, or go on as it is."
    else:
        command, advice = _get(report.dataset, chosen, given)
        otherwise = f"fgscore index {name} --partial"
    return replace(report, next=command, otherwise=otherwise, advice=advice)


def _get(dataset: str, chosen: DataSet, given: str) -> tuple[str, str]:
    """The command that brings the photos, and what no command does."""
    if chosen.downloads or chosen.instructions:
        return f"fgscore download {quoted(specs.parse(dataset).name)}{given}", ""
    if chosen.prepare:
        return f"fgscore extract {quoted(dataset)}{given}", ""
    return f"fgscore check {quoted(dataset)}{given}", "Put the photos there, or name their folder with --root DIR."

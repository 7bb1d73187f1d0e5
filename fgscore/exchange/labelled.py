"""An index out of arrays: which class each label means, and what the classes are called."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fgscore.errors import DataError
from fgscore.exchange.arrays import check_told_apart, checked, twice
from fgscore.labels import UNLABELLED, in_order, without
from fgscore.store import index as index_store
from fgscore.store.arrays import Arrays
from fgscore.types import SPLITS, ImageIndex

MOST_CLASSES = 1_000_000  # without names of their own


def to_index(dataset: str, record: Arrays, text: Arrays | None, notes: list[str]) -> ImageIndex:
    """An index of images that may be elsewhere: paths stand in as ids, sizes as 0, hashes as empty.

    ``labels`` are numbers into the class names, or names, -1 or '' where an image has none, and left out where none
    has; ``label_names`` is the name of each row's class; ``text`` is the record of text embeddings, whose class names
    stand in where the index has none. Raises :class:`DataError`.
    """
    given = record.get("class_names", (text or {}).get("class_names"))
    has_labels = bool({"labels", "label_names"} & set(record))
    if (
        text is not None
        and given is None
        and has_labels
        and ("labels" not in record or record["labels"].dtype.kind == "U")
    ):
        raise DataError("expected class_names beside text where labels are names, found none; bring them in the order "
                        "of text")  # fmt: skip
    classes, labels = _classes(record, None if given is None else tuple(given.tolist()), notes)
    ids, n = record["image_ids"], len(labels)
    split = record.get("split")
    if split is None and (labels == UNLABELLED).all():
        split = np.full(n, "test")
        notes.append("split: none came, all images are of test")
    if split is None:
        raise DataError(
            f"expected split beside labels, one of {', '.join(SPLITS)} an image, found none; name it with --array "
            "split=KEY, or bring a file a split that says so in its name, as x_train.npz and x_test.npz"
        )
    if double := twice(classes):
        name, places = next(iter(double.items()))
        notes.append(f"class names: {len(double)} stand for several classes, as {name!r} for {places[0]} and for "
                     f"{places[1]}, which are told apart by number")  # fmt: skip
    if said := without(labels, ids):
        notes.append(f"labels: {said}" + ("" if has_labels else "; none came, or name them with --array labels=KEY"))
    if "test" not in set(split.tolist()):
        notes.append("split: no image is of test, which a probe is measured on")
    _, numbers = index_store.assign_shards(ids, None)
    columns = {
        "paths": ids,
        "sizes_wh": np.zeros((n, 2)),
        "sha256": np.full(n, "", np.str_),
        "orientation": np.ones(n),
        "shard": numbers,
        "boxes_xyxy": np.full((n, 4), np.nan),
    }
    columns |= {name: record[name] for name in columns if name in record}
    index: ImageIndex = checked(
        lambda: ImageIndex(
            dataset=dataset,
            image_ids=ids,
            labels=labels,
            split=split,
            class_names=classes,
            banner=int(record["banner"]) if "banner" in record else 0,
            notes=_notes(record),
            **columns,
        )
    )
    return index


def _notes(record: Arrays) -> dict[str, Any]:
    try:
        found = json.loads(str(record["notes"])) if "notes" in record else {}
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected JSON in notes, found something else ({error}); leave it out") from None
    if not isinstance(found, dict):
        raise DataError(f"expected a JSON object in notes, found {type(found).__name__}; leave it out")
    return found


def _classes(record: Arrays, given: tuple[str, ...] | None, notes: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """(class names, labels (N,) int64 into them)."""
    labels = record.get("labels", record.get("label_names", np.full(len(record["image_ids"]), UNLABELLED)))
    if labels.dtype.kind == "U":
        return _by_name(labels, given, notes)
    largest = int(labels.max(initial=-1))
    if given is not None:
        _check_below(labels, len(given))
        return given, labels
    if "label_names" in record:
        return _from_rows(labels, record["label_names"]), labels
    if largest >= MOST_CLASSES:
        raise DataError(f"expected labels below {MOST_CLASSES:,} where no class names come, found {largest} in row "
                        f"{int(labels.argmax())}; count classes from 0, or bring labels that are names")  # fmt: skip
    if largest < 0:
        return (), labels
    absent = largest + 1 - len(np.unique(labels[labels != UNLABELLED]))
    idle = f", of which {absent} have no image" if absent else ""
    notes.append(f"class names: none came, classes are called 0 to {largest}{idle}")
    return tuple(str(i) for i in range(largest + 1)), labels


def _check_below(labels: np.ndarray, classes: int) -> None:
    if (beyond := np.flatnonzero(labels >= classes)).size:
        from_one = labels[labels != UNLABELLED].min() == 1 and labels.max() == classes
        advice = "they count from 1: subtract 1" if from_one else "bring all class names, in order"
        raise DataError(f"expected labels from 0 to {classes - 1} for {classes} class names, found "
                        f"{labels[beyond[0]]} in row {beyond[0]}; {advice}")  # fmt: skip


def _by_name(names: np.ndarray, given: tuple[str, ...] | None, notes: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Labels that are names, '' for none: spaces around them are taken off, unless a class is called so."""
    kept = set(given or ())
    trimmed = [name if name in kept else name.strip() for name in names.tolist()]
    if changed := [name for name, short in zip(names.tolist(), trimmed, strict=True) if name != short]:
        notes.append(f"labels: spaces around {len(changed)} names are taken off, as in {changed[0]!r}")
    named = set(trimmed) - {""}
    classes = in_order(named) if given is None else given
    check_told_apart(classes, "labels")
    if strangers := sorted(named - set(classes)):
        raise DataError(f"expected labels among the {len(classes)} class names, found {strangers[0]!r} in row "
                        f"{trimmed.index(strangers[0])}; name the classes alike")  # fmt: skip
    place = {"": UNLABELLED} | {name: number for number, name in enumerate(classes)}
    return classes, np.array([place[name] for name in trimmed], np.int64)


def _from_rows(labels: np.ndarray, names: np.ndarray) -> tuple[str, ...]:
    """Class names by number, out of the name beside each label; a number without an image is its own name."""
    found: dict[int, str] = {}
    for row, (label, name) in enumerate(zip(labels.tolist(), names.tolist(), strict=True)):
        if label == UNLABELLED and name:
            raise DataError(f"expected a label beside class name {name!r} in row {row}, found none; fill it in, or "
                            "leave both empty")  # fmt: skip
        if label == UNLABELLED or not name:
            continue
        if found.setdefault(label, name) != name:
            raise DataError(f"expected one class name for label {label}, found {found[label]!r} and, in row {row}, "
                            f"{name!r}; mend the table")  # fmt: skip
    largest = int(labels.max(initial=-1))
    if largest >= MOST_CLASSES:
        raise DataError(f"expected labels below {MOST_CLASSES:,}, found {largest}; count classes from 0")
    return tuple(found.get(label, str(label)) for label in range(largest + 1))


def same_index(a: ImageIndex, b: ImageIndex) -> bool:
    """Whether two indexes agree in everything that is stored."""
    columns = ("image_ids", "paths", "labels", "split", "sha256", "sizes_wh", "orientation", "shard")
    same = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in columns)
    return (
        same
        and np.array_equal(a.boxes_xyxy, b.boxes_xyxy, equal_nan=True)
        and (a.class_names, a.banner, dict(a.notes)) == (b.class_names, b.banner, dict(b.notes))
    )

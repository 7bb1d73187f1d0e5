"""Which class each image is nearest to by the text alone: what there is to say of images without a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fgscore.errors import UnknownName, guess
from fgscore.heads import probabilities
from fgscore.machine.halves import to_float32
from fgscore.store import records
from fgscore.store.bundle import Bundle


def by_text(bundle: Bundle) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shard by shard (image ids (n,), probabilities (n, C) float32): softmax of the cosines of whole images with the
    class texts, times the encoder's logit scale. Raises :class:`NoText` for a bundle without text."""
    bank = bundle.text_bank
    if bank is None:
        raise bundle.no_text("a class by text", "an encoder that reads text")
    for number in bundle.globals.shard_sizes:
        whole = bundle.store.read(bundle.globals, number)
        yield whole.image_ids, probabilities(to_float32(whole.globals) @ bank.text.T, bank.logit_scale)


def nearest(bundle: Bundle, image_ids: np.ndarray) -> list[str | None]:
    """The name of the nearest class of each of ``image_ids`` (n,); None without text, and for an image that has no
    embedding."""
    if bundle.text is None or not len(image_ids):
        return [None] * len(image_ids)
    parts = [(ids, found.argmax(axis=1)) for ids, found in by_text(bundle)]
    ids, classes = (np.concatenate(column) for column in zip(*parts, strict=True))
    where = records.places(ids, image_ids)
    return [None if at < 0 else bundle.index.class_named(int(classes[at])) for at in where]


def counted(bundle: Bundle) -> dict[str, int]:
    """Names of classes to the number of images without a label that are nearest to each, most first."""
    index = bundle.index
    found = nearest(bundle, index.image_ids[~index.is_labelled])
    return dict(Counter(name for name in found if name is not None).most_common())


def ranked(probabilities_: np.ndarray, named: Callable[[int], str | None], top: int) -> dict[str, Any]:
    """The ``top`` classes by their probabilities (C,), best first: ``class_name`` of the first, and ``classes`` with
    ``class_name``, ``label`` and ``probability`` of each."""
    best = np.argsort(-probabilities_, kind="stable")[:top].tolist()
    classes = [{"class_name": named(c), "label": c, "probability": float(probabilities_[c])} for c in best]
    return {"class_name": classes[0]["class_name"], "classes": classes}


def predict(bundle: Bundle, top: int, image_ids: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """For each image of ``bundle``, or each of ``image_ids``, its ``top`` classes by text, as :func:`ranked` says, in
    the order of the index. Raises :class:`NoText` without text, :class:`UnknownName` for an id that the index lacks."""
    known = set(bundle.index.image_ids.tolist())
    if strangers := [name for name in image_ids if name not in known]:
        raise UnknownName(
            f"no image named {strangers[0]!r} in {bundle.dataset}; {guess(strangers[0], sorted(known)[:6])}"
        )
    wanted = set(image_ids) or known
    for ids, found in by_text(bundle):
        for image_id, of in zip(ids.tolist(), found, strict=True):
            if image_id in wanted:
                yield {"image": image_id, **ranked(of, bundle.index.class_named, top)}

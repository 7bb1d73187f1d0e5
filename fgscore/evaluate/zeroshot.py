"""Which class each image is nearest to by the text alone: what there is to say of images without a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from fgscore.evaluate.features import probabilities
from fgscore.machine.halves import to_float32
from fgscore.store import records
from fgscore.store.match import Bundle


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
    if bundle.text is None:
        return [None] * len(image_ids)
    parts = [(ids, found.argmax(axis=1)) for ids, found in by_text(bundle)]
    ids, classes = (np.concatenate(column) for column in zip(*parts, strict=True))
    where = records.places(ids, image_ids)
    return [None if at < 0 else bundle.index.class_named(int(classes[at])) for at in where]


def counted(bundle: Bundle) -> list[tuple[str, int]]:
    """Names of classes with the number of images without a label that are nearest to each, most first."""
    index = bundle.index
    found = nearest(bundle, index.image_ids[~index.is_labelled])
    return Counter(name for name in found if name is not None).most_common()

"""Two records of one kind as one: what `--retry-failed` adds to a shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgscore import ragged
from fgscore.store import schema


def merge(a: Any, b: Any, order: Sequence[str]) -> Any:
    """The images of ``a`` and ``b``, which have none in common, in the order of their ids in ``order``."""
    kind = schema.kind_of(a)
    left, right = schema.pack(a), schema.pack(b)
    place = {image_id: i for i, image_id in enumerate(order)}
    ids = [*a.image_ids.tolist(), *b.image_ids.tolist()]
    images = np.argsort([place[i] for i in ids], kind="stable")
    taken = {"N": images}
    made = {}
    # regions of images, then runs of regions; bytes of images
    for letter, name, owner in (("R", "offsets", "N"), ("K", "mask_offsets", "R"), ("B", "jpeg_offsets", "N")):
        if name in left:
            joined = np.concatenate([left[name], left[name][-1] + right[name][1:]])
            taken[letter], made[name] = ragged.take(joined, taken[owner])
    for name, column in schema.COLUMNS[kind].items():
        if name in left and name not in made:
            made[name] = np.concatenate([left[name], right[name]])[taken[column.dims[0]]]
    return schema.unpack(kind, made)

"""One image with its regions under a scorer, for `fgscore show`: read from the cache, scored on the spot."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from fgscore import ragged
from fgscore.errors import DataError, NothingCached, UnknownName, UsageError
from fgscore.evaluate import strategies
from fgscore.evaluate.score import ScoreRun, check_complete, check_needs, compute, read_block, runs_for
from fgscore.report import figure, gallery, plots
from fgscore.report.figure import Kept, Row, Shown
from fgscore.scorers import Scorer
from fgscore.store import files, records
from fgscore.store.bundle import RegionBundle
from fgscore.targets import Target
from fgscore.types import RegionBatch, ThumbnailShard

SUFFIXES = (".png", ".svg")
T = TypeVar("T")


def show(
    bundles: Sequence[RegionBundle], image_id: str, scorer: Scorer, target: Target, k: int | None, out: Path
) -> Shown:
    """Draw the image, its regions and the ``k`` best (all with None) into ``out``, one row for each bundle that has the
    image. Returns what was drawn.

    Raises :class:`UsageError` for a suffix other than .png and .svg, :class:`UnknownName` for an image that no index
    holds, :class:`DataError` for one that could not be read, :class:`NothingCached` where thumbnails are missing.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--out: expected a file of {' or '.join(SUFFIXES)}, found {out.name!r}; name one")
    plots.check()
    having = [bundle for bundle in bundles if image_id in set(bundle.index.image_ids.tolist())]
    if not having:
        raise _unknown(bundles, image_id)
    having = [bundle for bundle in having if bundle.index_artefact.path == having[0].index_artefact.path]
    index = having[0].index
    row = index.image_ids.tolist().index(image_id)
    number = int(index.shard[row])
    picture = _picture(having[0], number, image_id)
    label = index.class_of(row)
    rows = []
    for bundle in sorted(having, key=lambda bundle: bundle.regions.recipe.component):
        check_complete(bundle)
        (run,) = runs_for(bundle, [scorer], [target])
        check_needs([run])
        rows.append(_row(run, number, image_id, picture, k))
    shown = Shown(image_id, label, picture.jpeg, rows[0].run, rows)
    files.publish(out, figure.render(shown, out.suffix.lower()[1:]))
    return shown


def _unknown(bundles: Sequence[RegionBundle], image_id: str) -> UnknownName:
    ids = list(dict.fromkeys(i for bundle in bundles for i in bundle.index.image_ids.tolist()))
    part = [i for i in ids if image_id and image_id in i]
    near = list(dict.fromkeys([*part, *difflib.get_close_matches(image_id, ids, n=3, cutoff=0.3)]))[:3]
    near = near or ids[:3]
    where = ", ".join(dict.fromkeys(bundle.dataset for bundle in bundles))
    return UnknownName(f"no image named {image_id!r} in {where}; near it: {', '.join(map(repr, near))}")


@dataclass(frozen=True)
class Picture:
    """A thumbnail, its size, and pixels of it for a pixel of the photo, both (x, y)."""

    jpeg: bytes
    size_wh: tuple[int, int]
    scale_xy: np.ndarray


def _picture(bundle: RegionBundle, number: int, image_id: str) -> Picture:
    artefact = gallery.thumbnails(bundle.store, bundle.index_artefact)
    if artefact is None:
        raise NothingCached(f"no thumbnails of {bundle.dataset} are cached; {bundle.way_out(bundle.labels['regions'])}")
    record: ThumbnailShard = bundle.store.read(artefact, number)
    own = _own(record, image_id, "thumbnail")
    width, height = own.sizes_wh[0].tolist()
    return Picture(own.file(0), (width, height), own.sizes_wh[0] / own.original_wh[0])


def _own(record: T, image_id: str, what: str) -> T:
    """What ``record`` has of one image."""
    if image_id not in record.image_ids:  # type: ignore[attr-defined]
        raise DataError(f"image {image_id!r} has no {what}: it was quarantined; the same extract again says why")
    return records.take(record, [image_id])


def _row(run: ScoreRun, number: int, image_id: str, picture: Picture, k: int | None) -> Row:
    """All regions of the image by one generator, and the best of them."""
    bundle = run.bundle
    block = read_block(bundle, number)
    (whole,) = compute([run], block)
    scored = _own(whole, image_id, "embedding")
    scores, targets = scored.scores, scored.target
    kept, kept_offsets = ragged.topk(scores, scored.offsets, k)
    weights = ragged.softmax(scores[kept], kept_offsets) if len(kept) else scores
    batch: RegionBatch = _own(bundle.store.read(bundle.regions, number), image_id, "regions")
    boxes = batch.boxes_xyxy * np.tile(picture.scale_xy, 2)
    masks = None
    if batch.masks is not None:
        masks = [gallery.shrunk(batch.masks, r, picture.size_wh) for r in range(len(scores))]
    best = [
        Kept(int(r), float(scores[r]), float(w), bundle.index.class_named(int(targets[r])) or "")
        for r, w in zip(kept, weights, strict=True)
    ]
    made_by = bundle.regions.recipe.component
    return Row(f"{made_by.partition('(')[0]}{strategies.bound(made_by)}", run.label, boxes, masks, best)

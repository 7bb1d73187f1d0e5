"""Frozen containers that pass between the stages; shapes and dtypes are checked on construction.

Letters: N images, R regions in all, M regions of one image, C classes, d width. Ragged data are flat arrays with CSR
``offsets``, never one object per image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fgscore import specs
from fgscore.labels import UNLABELLED, class_named
from fgscore.machine import halves

SPLITS = ("train", "val", "test")
CONTENT = "content"  # of an index's notes: the parameters of its data set that decide it and are in no recipe
SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
               "test": "test", "testing": "test"}  # fmt: skip
EQUAL = 1e-2  # between unit rows of text: what bfloat16 makes of one text twice; two texts are ten times as far apart


def split_named(name: str) -> str | None:
    """The split that ``name`` stands for: train, val or test, also as training, valid, validation, dev or testing, in
    capitals or not; None for any other."""
    return SPLIT_NAMES.get(name.strip().casefold())


def check_array(owner: object, name: str, shape: tuple[int | None, ...], dtype: Any = None) -> np.ndarray:
    """The named array, cast to ``dtype``; raises ValueError with both shapes where they differ."""
    array = np.asarray(getattr(owner, name))
    if array.dtype == np.float16 and dtype is np.float32:
        array = halves.to_float32(array)
    array = np.asarray(array, dtype)
    fits = array.ndim == len(shape) and all(w is None or w == h for w, h in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = tuple("any" if s is None else s for s in shape)
        raise ValueError(f"{type(owner).__name__}.{name}: expected shape {wanted}, found {array.shape}")
    object.__setattr__(owner, name, array)
    return array


def check_offsets(owner: object, n: int, r: int, name: str = "offsets") -> None:
    """Raises ValueError unless the named offsets (n+1,) lead from 0 to ``r`` without falling."""
    offsets = check_array(owner, name, (n + 1,), np.int64)
    if offsets[0] != 0 or offsets[-1] != r or (np.diff(offsets) < 0).any():
        raise ValueError(
            f"{type(owner).__name__}.{name}: expected 0 to {r} and non-decreasing, found {offsets[0]} to {offsets[-1]}"
        )


def read_only(array: np.ndarray) -> np.ndarray:
    """A view of ``array`` that refuses to be written to; whoever holds ``array`` itself can still do so."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """The images of one data set. Its order is the order of every later array.

    ``image_ids``, ``paths`` (relative, with '/'), ``split`` and ``sha256`` (of the file) are (N,) strings; ``labels``
    (N,) int64 into ``class_names``, -1 where an image has none; a class may have no image, and there may be no class.
    ``sizes_wh`` (N, 2) int32 pixels, upright and after the banner is cut, zero where
    the file cannot be read; ``orientation`` (N,) int8 EXIF; ``shard`` (N,) int32, non-decreasing; ``boxes_xyxy``
    (N, 4) float32 object boxes in pixels, NaN where unknown. ``banner`` is the number of bottom rows to cut.
    """

    dataset: str
    image_ids: np.ndarray
    paths: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    class_names: tuple[str, ...]
    sizes_wh: np.ndarray
    sha256: np.ndarray
    orientation: np.ndarray
    shard: np.ndarray
    boxes_xyxy: np.ndarray
    banner: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.image_ids)
        for name in ("image_ids", "paths", "split", "sha256"):
            check_array(self, name, (n,), np.str_)
        check_array(self, "labels", (n,), np.int64)
        check_array(self, "sizes_wh", (n, 2), np.int32)
        check_array(self, "orientation", (n,), np.int8)
        check_array(self, "shard", (n,), np.int32)
        check_array(self, "boxes_xyxy", (n, 4), np.float32)
        if len(set(self.image_ids.tolist())) != n:
            raise ValueError(f"ImageIndex.image_ids: {n} ids, but only {len(set(self.image_ids.tolist()))} distinct")
        if n and (self.labels.min() < UNLABELLED or self.labels.max() >= len(self.class_names)):
            raise ValueError(f"ImageIndex.labels: expected 0 to {len(self.class_names) - 1}, or {UNLABELLED} for none")
        if set(self.split.tolist()) - set(SPLITS):
            raise ValueError(f"ImageIndex.split: expected {SPLITS}, found {sorted(set(self.split.tolist()))}")
        if (np.diff(self.shard) < 0).any():
            raise ValueError("ImageIndex.shard: expected non-decreasing shard numbers")

    def __len__(self) -> int:
        return len(self.image_ids)

    def class_named(self, label: int) -> str | None:
        """The name of class ``label``; None for -1, of an image without one."""
        return class_named(self.class_names, int(label))

    def class_of(self, row: int) -> str | None:
        """The name of the class of the image in ``row``; None where it has no label."""
        return self.class_named(self.labels[row])

    @property
    def is_labelled(self) -> np.ndarray:
        """(N,) bool: which images have a label."""
        return self.labels != UNLABELLED

    @cached_property
    def shards(self) -> dict[int, slice]:
        """Shard number to the rows it covers, in order."""
        numbers, starts = np.unique(self.shard, return_index=True)
        stops = np.append(starts[1:], len(self))
        return {int(i): slice(int(a), int(b)) for i, a, b in zip(numbers, starts, stops, strict=True)}

    def images_digest(self, rows: slice = slice(None)) -> str:
        """What pixels depend on: ids, file hashes, sizes, orientation and banner of ``rows``."""
        columns = (self.image_ids, self.sha256, self.sizes_wh, self.orientation)
        return specs.digest([self.banner, *(c[rows].tolist() for c in columns)])

    def labels_digest(self, rows: slice = slice(None)) -> str:
        """What oracle scores and probes depend on: class names, and labels and split of ``rows``, by image id."""
        columns = (self.image_ids, self.labels, self.split)
        return specs.digest([list(self.class_names), *(c[rows].tolist() for c in columns)])

    def boxes_digest(self, rows: slice = slice(None)) -> str:
        """What regions made of the object boxes of ``rows`` depend on, by image id."""
        boxes = np.where(np.isnan(self.boxes_xyxy[rows]), -1, self.boxes_xyxy[rows])  # no box lies there
        return specs.digest([self.image_ids[rows].tolist(), boxes.tolist()])

    def paths_digest(self) -> str:
        """What regions that are found by the photos' names depend on: every path, by image id."""
        return specs.digest([self.image_ids.tolist(), self.paths.tolist()])

    def names_digest(self) -> str:
        """What text embeddings depend on: the class names in order."""
        return specs.digest(list(self.class_names))


@dataclass(frozen=True, eq=False)
class Runs:
    """One mask of ``size_hw`` as run lengths ``counts`` (K,) uint32, column-major from background on, as in COCO."""

    counts: np.ndarray
    size_hw: tuple[int, int]

    @classmethod
    def of(cls, mask: np.ndarray) -> Runs:
        """The run lengths of ``mask`` (H, W) bool."""
        flat = np.asarray(mask, bool).T.ravel()
        ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
        lengths = np.diff(ends, prepend=0)
        counts = np.insert(lengths, 0, 0) if flat.size and flat[0] else lengths
        return cls(counts.astype(np.uint32), (mask.shape[0], mask.shape[1]))

    def ends(self) -> np.ndarray:
        """(K,) int64: the cells, column by column, at which the runs end. Raises ValueError where the last is not the
        number of cells."""
        ends = np.cumsum(self.counts, dtype=np.int64)
        height, width = self.size_hw
        if (ends[-1] if len(ends) else 0) != height * width:
            found = ends[-1] if len(ends) else 0
            raise ValueError(f"runs add up to {found}, expected {height} x {width}")
        return ends

    def decode(self) -> np.ndarray:
        """(H, W) bool. Raises ValueError where the runs do not add up to the size."""
        self.ends()
        height, width = self.size_hw
        inside = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(inside, self.counts).reshape(width, height).T


@dataclass(frozen=True, eq=False)
class MaskRLE:
    """Run lengths of binary masks: column-major runs that start with background, as in COCO.

    ``counts`` (K,) uint32, ``offsets`` (R+1,) int64 into it, ``size_hw`` (N, 2) int32: the size of the masks of each
    image.
    """

    counts: np.ndarray
    offsets: np.ndarray
    size_hw: np.ndarray

    def __post_init__(self) -> None:
        counts = check_array(self, "counts", (None,), np.uint32)
        check_array(self, "size_hw", (None, 2), np.int32)
        check_offsets(self, len(np.asarray(self.offsets)) - 1, len(counts))

    def runs(self, region: int, image: int) -> Runs:
        """The mask of ``region``, which belongs to ``image``, as it is stored."""
        height, width = (int(v) for v in self.size_hw[image])
        return Runs(self.counts[self.offsets[region] : self.offsets[region + 1]], (height, width))

    def decode(self, region: int, image: int) -> np.ndarray:
        """The mask of ``region``, which belongs to ``image``: (H, W) bool.

        Raises ValueError where the runs do not add up to the size.
        """
        try:
            return self.runs(region, image).decode()
        except ValueError as error:
            raise ValueError(f"mask {region}: {error}") from None


@dataclass(frozen=True, eq=False)
class RegionBatch:
    """The regions of N images. ``boxes_xyxy`` (R, 4) int32 pixels of the upright image, right and bottom exclusive;
    ``area`` (R,) float32, fraction of the image (the mask's for masks, the box's for crops); ``predicted_iou`` and
    ``stability`` (R,) float32, NaN for crops; ``mirrored`` (R,) bool, None where no region is seen in a mirror. M may
    be 0 for any image.
    """

    image_ids: np.ndarray
    offsets: np.ndarray
    boxes_xyxy: np.ndarray
    area: np.ndarray
    predicted_iou: np.ndarray
    stability: np.ndarray
    masks: MaskRLE | None = None
    mirrored: np.ndarray | None = None

    def __post_init__(self) -> None:
        n, r = len(self.image_ids), len(self.boxes_xyxy)
        check_array(self, "image_ids", (n,), np.str_)
        check_array(self, "boxes_xyxy", (r, 4), np.int32)
        for name in ("area", "predicted_iou", "stability"):
            check_array(self, name, (r,), np.float32)
        if self.mirrored is not None:
            check_array(self, "mirrored", (r,), np.bool_)
        check_offsets(self, n, r)
        if self.masks is not None and (len(self.masks.offsets) != r + 1 or len(self.masks.size_hw) != n):
            raise ValueError(
                f"RegionBatch.masks: expected {r} masks of {n} images, "
                f"found {len(self.masks.offsets) - 1} of {len(self.masks.size_hw)}"
            )


@dataclass(frozen=True, eq=False)
class EmbeddingShard:
    """Region embeddings: ``regions`` (R, d) float16 unit rows, used as stored; ``norms`` (R,) float32, before
    normalising."""

    image_ids: np.ndarray
    offsets: np.ndarray
    regions: np.ndarray
    norms: np.ndarray

    def __post_init__(self) -> None:
        n, r = len(self.image_ids), len(self.regions)
        check_array(self, "image_ids", (n,), np.str_)
        check_array(self, "regions", (r, None), np.float16)
        check_array(self, "norms", (r,), np.float32)
        check_offsets(self, n, r)


@dataclass(frozen=True, eq=False)
class GlobalShard:
    """Embeddings of whole images: ``globals`` (N, d) float16 unit rows and ``norms`` (N,) float32."""

    image_ids: np.ndarray
    globals: np.ndarray
    norms: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.image_ids)
        check_array(self, "image_ids", (n,), np.str_)
        check_array(self, "globals", (n, None), np.float16)
        check_array(self, "norms", (n,), np.float32)


@dataclass(frozen=True, eq=False)
class ThumbnailShard:
    """Small JPEG copies of N images, upright and without the banner, to be passed on as they are.

    ``jpeg`` (B,) uint8 holds the files one after another, ``jpeg_offsets`` (N+1,) int64 cuts it; ``sizes_wh`` (N, 2)
    int32 is the size of each in pixels, ``original_wh`` (N, 2) int32 that of the photo, in whose pixels boxes are.
    """

    image_ids: np.ndarray
    jpeg: np.ndarray
    jpeg_offsets: np.ndarray
    sizes_wh: np.ndarray
    original_wh: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.image_ids)
        check_array(self, "image_ids", (n,), np.str_)
        jpeg = check_array(self, "jpeg", (None,), np.uint8)
        check_array(self, "sizes_wh", (n, 2), np.int32)
        check_array(self, "original_wh", (n, 2), np.int32)
        check_offsets(self, n, len(jpeg), "jpeg_offsets")

    def file(self, image: int) -> bytes:
        """The JPEG file of one image."""
        return self.jpeg[self.jpeg_offsets[image] : self.jpeg_offsets[image + 1]].tobytes()


@dataclass(frozen=True, eq=False)
class TextBank:
    """Class embeddings: ``text`` (C, d) float32 unit rows, the mean over ``templates`` normalised again;
    ``logit_scale`` is the encoder's own multiplier of cosines (100 for OpenAI's CLIP)."""

    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    text: np.ndarray
    logit_scale: float

    def __post_init__(self) -> None:
        check_array(self, "text", (len(self.class_names), None), np.float32)

    def equal_classes(self) -> list[tuple[str, str]]:
        """Names of classes, two by two, whose embeddings are one but for rounding (:data:`EQUAL` apart at most)."""
        from scipy.spatial import KDTree

        if len(self.text) < 2 or not np.isfinite(self.text).all():
            return []
        width = self.text.shape[1]
        axes = np.linalg.qr(np.random.default_rng(0).standard_normal((width, min(width, 16))))[0]
        near = sorted(KDTree(self.text @ axes).query_pairs(EQUAL))  # no further apart than in all of their width
        equal = (pair for pair in near if np.linalg.norm(self.text[pair[0]] - self.text[pair[1]]) <= EQUAL)
        return [(self.class_names[a], self.class_names[b]) for a, b in equal]


@dataclass(frozen=True, eq=False)
class Descriptions:
    """Every text that is said of the classes, embedded: ``descriptions`` (T, d) float32 unit rows, ``texts`` the T
    sentences, ``offsets`` (C+1,) int64, which cut both by class; ``names`` (C, d) float32 unit rows, of each class's
    name alone, in :data:`fgscore.encoders.NAME_ALONE`."""

    class_names: tuple[str, ...]
    texts: tuple[str, ...]
    offsets: np.ndarray
    descriptions: np.ndarray
    names: np.ndarray

    def __post_init__(self) -> None:
        check_array(self, "descriptions", (len(self.texts), None), np.float32)
        check_array(self, "names", (len(self.class_names), self.descriptions.shape[1]), np.float32)
        check_offsets(self, len(self.class_names), len(self.texts))
        if (np.diff(self.offsets) < 1).any():
            raise ValueError("Descriptions.offsets: expected at least one text of every class")


NOT_TOLD_APART = "no scorer can tell them apart"


def pairs(names: Sequence[tuple[str, str]]) -> str:
    """``'crow' and 'Crow' (and 3 more pairs)``."""
    (a, b), more = names[0], len(names) - 1
    return f"{a!r} and {b!r}" + (f" (and {more} more pair{'s' * (more > 1)})" if more else "")


@dataclass(frozen=True, eq=False)
class ScoreShard:
    """Scores of one scorer: ``scores`` (R,) float32, larger is better; ``target`` (R,) int32, -1 where the scorer has
    none."""

    image_ids: np.ndarray
    offsets: np.ndarray
    scores: np.ndarray
    target: np.ndarray

    def __post_init__(self) -> None:
        n, r = len(self.image_ids), len(self.scores)
        check_array(self, "image_ids", (n,), np.str_)
        check_array(self, "scores", (r,), np.float32)
        check_array(self, "target", (r,), np.int32)
        check_offsets(self, n, r)


@dataclass(frozen=True, eq=False)
class FeatureShard:
    """Features for a probe: ``features`` (N, D) float32 with D = d or 2d; ``n_pooled`` (N,) int32, how many regions
    went into each, 0 where the global embedding stands in."""

    image_ids: np.ndarray
    features: np.ndarray
    n_pooled: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.image_ids)
        check_array(self, "image_ids", (n,), np.str_)
        check_array(self, "features", (n, None), np.float32)
        check_array(self, "n_pooled", (n,), np.int32)

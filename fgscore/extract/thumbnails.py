"""Small JPEG copies of the photos, so that whoever has the cache can look at regions without the photos."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fgscore import ragged, specs
from fgscore.store import manifest
from fgscore.types import ThumbnailShard

SIZE, QUALITY = 256, 80


def jpeg(*, size: int = SIZE, quality: int = QUALITY) -> None:
    """JPEG files whose longest side is at most ``size`` pixels."""


@dataclass(frozen=True)
class Thumbnail:
    """One JPEG file, its size and that of the photo, (width, height) in pixels."""

    content: bytes
    size_wh: tuple[int, int]
    original_wh: tuple[int, int]


def recipe(size: int, images: str) -> manifest.Recipe:
    """The recipe of thumbnails of the index with digest ``images``."""
    params = specs.bind(specs.parse(f"jpeg(size={size})"), jpeg, "thumbnails")
    component = specs.canonical("jpeg", params, specs.tunables(jpeg))
    return manifest.Recipe("thumbnails", component, params, parents={"images": images})


def shrink(image: np.ndarray, size: int, quality: int = QUALITY) -> Thumbnail:
    """``image`` (H, W, 3) uint8 as a JPEG with sides in proportion, the longest at most ``size``; never enlarged."""
    from PIL import Image

    picture = Image.fromarray(image)
    original = picture.size
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return Thumbnail(buffer.getvalue(), picture.size, original)


def batch(image_ids: Sequence[str], made: Sequence[Thumbnail]) -> ThumbnailShard:
    """Thumbnails as one record, in order."""
    lengths = np.array([len(t.content) for t in made], np.int64)
    return ThumbnailShard(
        image_ids=np.array(image_ids, np.str_),
        jpeg=np.frombuffer(b"".join(t.content for t in made), np.uint8),
        jpeg_offsets=ragged.from_lengths(lengths),
        sizes_wh=np.array([t.size_wh for t in made], np.int32).reshape(-1, 2),
        original_wh=np.array([t.original_wh for t in made], np.int32).reshape(-1, 2),
    )

"""Laws of encoders and region generators: functions of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import regions
from fgscore.contract import Broken, Given, law, same, untouched
from fgscore.encoders import Encoder, EncoderMaker, ImageRegions, batched
from fgscore.errors import UsageError
from fgscore.models import Maker
from fgscore.regions import Generator, GeneratorMaker, Known, Proposals
from fgscore.runtime import Runtime
from fgscore.tables import text
from fgscore.types import RegionBatch, Runs

SIZES_WH = [(64, 48), (48, 64), (1, 30), (30, 1), (1, 1), (32, 32), (200, 10)]
TEXTS = ["a photo of a crow,", "a photo of a raven,", "ein Rotkehlchen ä", "two white gulls over the sea"]


def picture(width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8 noise, which can only be read."""
    made = np.random.default_rng(1000 * width + height).integers(0, 256, (height, width, 3), np.uint8)
    made.flags.writeable = False
    return made


def pictures() -> list[np.ndarray]:
    """Pictures of every shape, down to a single pixel."""
    return [picture(*size) for size in SIZES_WH]


def with_regions() -> list[ImageRegions]:
    """Each picture with its left and its upper half and a box of one pixel; every other one with masks."""
    made = []
    for i, image in enumerate(pictures()):
        height, width = image.shape[:2]
        boxes = np.array(
            [(0, 0, max(1, width // 2), height), (0, 0, width, max(1, height // 2)), (0, 0, 1, 1)], np.int32
        )
        mask = Runs(np.array([0, height * width], np.uint32), (height, width))
        made.append(ImageRegions(image, boxes, [mask] * len(boxes) if i % 2 else None))
    return made


def loaded(maker: Maker, given: Given) -> Any:
    """The encoder or generator, loaded once for all laws."""
    key = maker.canonical, *maker.params.values()
    if key not in given.loaded:
        given.loaded[key] = maker.make(Runtime(device=given.device))
        given.loaded[key].load()
    return given.loaded[key]


def regions_of(encoder: Encoder, images: Sequence[ImageRegions]) -> np.ndarray:
    """(R, d) embeddings of all regions of ``images``."""
    return np.concatenate([np.zeros((0, encoder.dim)), *(np.asarray(rows) for rows in encoder.embed_regions(images))])


def _rows(found: object, n: int, encoder: Encoder, what: str) -> np.ndarray:
    rows = np.asarray(found)
    if rows.shape != (n, encoder.dim) or rows.dtype.kind != "f":
        raise Broken(f"{n} {what}: expected ({n}, {encoder.dim}) floats, found {rows.shape} {rows.dtype}")
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(wrong):
        raise Broken(f"{what} {int(wrong[0])} of {n}: an embedding that is zero or not finite")
    return rows


@law(EncoderMaker)
def a_row_for_each_picture(maker: EncoderMaker, given: Given) -> None:
    """A finite row of the stated width for each picture, down to a single pixel."""
    encoder = loaded(maker, given)
    _rows(encoder.embed_images(pictures()), len(SIZES_WH), encoder, "pictures")


@law(EncoderMaker)
def pictures_that_differ_are_told_apart(maker: EncoderMaker, given: Given) -> None:
    """Two pictures that differ have different embeddings."""
    one, two = loaded(maker, given).embed_images([picture(64, 64), picture(64, 64)[::-1] // 2])
    if np.allclose(one, two, rtol=1e-6, atol=0):
        raise Broken("two pictures of 64 x 64 pixels of noise have one embedding")


@law(EncoderMaker)
def pictures_alone(maker: EncoderMaker, given: Given) -> None:
    """A picture's embedding does not depend on the batch it is in."""
    encoder, given_pictures = loaded(maker, given), pictures()
    whole = np.asarray(encoder.embed_images(given_pictures))
    for size in (1, 3):
        parts = np.concatenate([encoder.embed_images(some) for some in batched(given_pictures, size)])
        same(parts, whole, f"batches of {size}", atol=1e-3 * float(np.abs(whole).max()))


@law(EncoderMaker)
def a_row_for_each_region(maker: EncoderMaker, given: Given) -> None:
    """A finite row for each region of each picture, in their order; none for none."""
    encoder, images = loaded(maker, given), with_regions()
    whole = _rows(regions_of(encoder, images), 3 * len(images), encoder, "regions")
    alone = np.concatenate([regions_of(encoder, [one]) for one in images])
    same(alone, whole, "pictures one by one", atol=1e-3 * float(np.abs(whole).max()))
    none = ImageRegions(picture(64, 48), np.zeros((0, 4), np.int32))
    _rows(regions_of(encoder, [none, images[0], none]), 3, encoder, "regions beside pictures without any")


@law(EncoderMaker)
def regions_follow_their_boxes(maker: EncoderMaker, given: Given) -> None:
    """Boxes in another order have the same embeddings, in that order."""
    encoder, one = loaded(maker, given), with_regions()[0]
    other = ImageRegions(one.image, one.boxes_xyxy[::-1])
    wanted = regions_of(encoder, [one])[::-1]
    same(regions_of(encoder, [other]), wanted, "boxes in another order", atol=1e-3 * float(np.abs(wanted).max()))


@law(EncoderMaker)
def pictures_are_not_written_to(maker: EncoderMaker, given: Given) -> None:
    """The same picture has the same embedding once more, and is not written to."""
    encoder, image = loaded(maker, given), picture(64, 48).copy()
    first = np.array(encoder.embed_images([image]))
    untouched(picture(64, 48), image, "a picture")
    same(encoder.embed_images([image]), first, "the same picture once more", atol=1e-3 * float(np.abs(first).max()))


def _reads_text(maker: EncoderMaker) -> bool:
    return bool(maker.make(Runtime()).reads_text)


@law(EncoderMaker, _reads_text)
def a_row_for_each_text(maker: EncoderMaker, given: Given) -> None:
    """A finite row of the stated width for each text, whatever it is embedded beside."""
    encoder = loaded(maker, given)
    whole = _rows(encoder.embed_texts(TEXTS), len(TEXTS), encoder, "texts")
    alone = np.concatenate([encoder.embed_texts([text]) for text in TEXTS])
    same(alone, whole, "texts one by one", atol=1e-3 * float(np.abs(whole).max()))


@law(EncoderMaker, _reads_text)
def texts_that_differ_are_told_apart(maker: EncoderMaker, given: Given) -> None:
    """Texts that differ have different embeddings, and the logit scale is above 0."""
    encoder = loaded(maker, given)
    one, two = encoder.embed_texts(TEXTS[:2])
    if np.allclose(one, two, rtol=1e-6, atol=0):
        raise Broken(f"{TEXTS[0]!r} and {TEXTS[1]!r} have one embedding")
    if not (np.isfinite(encoder.logit_scale) and encoder.logit_scale > 0):
        raise Broken(f"expected a logit scale above 0, found {encoder.logit_scale}")


IMAGES = {
    "a landscape": (320, 240),
    "a portrait": (97, 301),
    "a square": (40, 40),
    "a line": (1, 400),
    "a pixel": (1, 1),
}


def told(generator: Generator) -> None:
    """Tell a generator that asks what is known of ``IMAGES``: each has a name, a box and two regions of a parent."""
    sizes = np.array(list(IMAGES.values()), np.int32)
    boxes = np.concatenate([np.zeros_like(sizes), np.maximum(sizes // 2, 1)], axis=1)

    def of_parent(image_id: str) -> RegionBatch:
        width, height = IMAGES[image_id]
        own = np.array([[0, 0, max(1, width // 2), max(1, height // 3)], [0, 0, width, height]], np.int32)
        return regions.batch([image_id], [Proposals.of_boxes(own, (height, width))], masks=False)

    paths = np.array([f"{image_id}.png" for image_id in IMAGES])
    ids = np.array(list(IMAGES))
    generator.meet(Known(ids, sizes, Path(), paths, boxes.astype(np.float32), of_parent))


def found(maker: GeneratorMaker, given: Given, image_id: str) -> Proposals:
    """The regions of one of ``IMAGES`` as they would be stored: checked, within the area, at most n."""
    generator, image = loaded(maker, given), picture(*IMAGES[image_id])
    if generator.asks or generator.parent is not None:
        told(generator)
    try:
        every = regions.checked(generator.propose(image, image_id), image.shape, generator.masks, generator.mirrors)
    except UsageError as error:
        raise Broken(f"{image_id} of {' x '.join(map(str, IMAGES[image_id]))} pixels: {error}") from error
    return regions.select(every, generator.n, generator.area_min, generator.area_max)


@law(GeneratorMaker)
def regions_lie_in_their_picture(maker: GeneratorMaker, given: Given) -> None:
    """Boxes of whole pixels within the picture, each with an area and, where declared, a mask; none for ids unknown."""
    for image_id in IMAGES:
        found(maker, given, image_id)


@law(GeneratorMaker)
def areas_are_of_the_picture(maker: GeneratorMaker, given: Given) -> None:
    """No region's area is larger than its box."""
    for image_id, (width, height) in IMAGES.items():
        regions_found = found(maker, given, image_id)
        boxes = regions_found.boxes_xyxy.astype(float)
        share = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) / (width * height)
        wrong = np.flatnonzero(regions_found.area > share + 1e-2)
        if len(wrong):
            i = int(wrong[0])
            own, most = (text(float(of[i]), "share") for of in (regions_found.area, share))
            raise Broken(f"{image_id}: region {i} has area {own}, its box {most}")


@law(GeneratorMaker)
def regions_depend_on_picture_and_id_alone(maker: GeneratorMaker, given: Given) -> None:
    """A picture's regions do not depend on the pictures before it."""
    first = {image_id: found(maker, given, image_id).boxes_xyxy for image_id in IMAGES}
    for image_id in reversed(IMAGES):
        same(found(maker, given, image_id).boxes_xyxy, first[image_id], f"{image_id}, after other pictures")


@law(GeneratorMaker, lambda maker: "n" in maker.params)
def few_are_the_first_of_many(maker: GeneratorMaker, given: Given) -> None:
    """The regions of a small n are the first of those of a larger one."""
    asked = dict(maker.params)
    few, many = (replace(maker, params={**asked, "n": n}) for n in (4, 12))
    for image_id in IMAGES:
        some, more = (found(one, given, image_id).boxes_xyxy for one in (few, many))
        if len(some) > 4:
            raise Broken(f"{image_id}: expected at most 4 regions with n=4, found {len(some)}")
        same(more[: len(some)], some, f"{image_id}, n=12 against n=4")

"""Everything that could stop an extraction, looked at before the first photo is hashed and told at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain, islice, product
from typing import Any

from fgscore import encoders, tables
from fgscore.datasets import DataSet
from fgscore.errors import BadImage, DataError, MissingExtra
from fgscore.execute.estimate import free_bytes
from fgscore.extract import known
from fgscore.extract.index import Indexed, Listed, Photos, index_listed, list_photos
from fgscore.extract.part import Fault, Part, fault_of, stop_at
from fgscore.extract.parts import EncoderPart, GeneratorPart, Parts, equal_text
from fgscore.machine.progress import Progress, silent
from fgscore.store import index as index_store
from fgscore.store import shards
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

WIDTH, THUMBNAIL_BYTES = 512, 1_000  # of the narrowest CLIP's embeddings; of the smallest JPEG


def make_index(
    store: Store,
    dataset: str | DataSet,
    parts: Parts,
    photos: Photos,
    thumbnails: bool = True,
    progress: Progress = silent,
    allow_equal_text: bool = False,
    here: bool = True,
) -> Indexed:
    """The index of the photos, once all was looked at. Raises the fault that was found, or :class:`Faults`."""
    listed, faults = look(store, dataset, parts, photos, thumbnails, progress, allow_equal_text, here)
    stop_at(faults)
    assert listed, "photos are listed, or at fault"
    indexed = index_listed(store, listed, progress)
    for generator in (part for part in parts.generators if part.made.parent is None):
        generator.meet(known.of_index(generator, indexed.index, indexed.root))  # once more, with sizes
    return indexed


def look(
    store: Store,
    dataset: str | DataSet,
    parts: Parts,
    photos: Photos,
    thumbnails: bool = True,
    progress: Progress = silent,
    allow_equal_text: bool = False,
    here: bool = True,
) -> tuple[Listed | None, list[Fault]]:
    """Packages, weights, photos, what is said of each class, and free space; encoders and generators of the user's own
    are tried, where the run is to be ``here``, in this process.

    Returns the photos as listed, None where they are not to be had, and all faults that were found. Weights are not
    fetched for photos that are not there. Raises :class:`UsageError` where the call itself is wrong, or what is the
    user's own.
    """
    listed: list[Listed] = []
    of_photos = list(fault_of("photos", lambda: listed.append(list_photos(store, dataset, photos, progress))))
    of_parts = [*fault_of("packages", shards.check_writing), *parts.faults(progress, fetch=bool(listed))]
    told = any(what == "packages" for what, _ in of_parts)
    faults = of_parts + [fault for fault in of_photos if not (told and isinstance(fault[1], MissingExtra))]
    for one in listed:
        sound = [] if told else [part for part in parts.every if f"weights of {part.text}" not in dict(of_parts)]
        said = _prompts(parts, one)
        usable = [encoder for encoder in parts.encoders if encoder in sound]
        equal = [] if allow_equal_text or said else _equal_text(store, usable, parts.prompts, one)
        faults += [*said, *equal, *_met(store, parts, sound, one), *_space(store.layout, one, parts, thumbnails)]
        if here and not faults:
            _try(store, [part for part in parts.every if not part.maker.is_ours], one)
    return (listed[0] if listed else None), faults


def _met(store: Store, parts: Parts, sound: Sequence[Part[Any]], listed: Listed) -> list[Fault]:
    """Tell the ``sound`` generators what they ask of the photos; whether cached regions that are named are there."""
    faults: list[Fault] = []
    chosen = listed.dataset
    digest = index_store.recipe(chosen.canonical, chosen.stored, chosen.version, listed.photos.limit).digest
    wanted = dict.fromkeys(parts.cached, "")
    for generator in (part for part in parts.generators if part in sound):
        parent = generator.made.parent
        if parent is None:
            told = known.of_listing(generator, listed.listing)
            faults += fault_of(f"regions {generator.text}", partial(generator.meet, told))
        elif not any(known.makes(part, parent) for part in parts.generators if part is not generator):
            wanted[parent] = generator.maker.canonical
    for text, but in wanted.items():
        faults += fault_of(f"regions {text}", partial(known.cached, store, listed.key, digest, text, but))
    return faults


def _try(store: Store, own: Sequence[Part[Any]], listed: Listed) -> None:
    """Load those of a user's ``own`` that have not made anything yet, and have generators propose regions of the first
    photo that can be read: what they look up by the id of an image is there for real ones alone."""
    new = [part for part in own if not _has_worked(store, part, listed.key)]
    for part in new:
        _ = part.loaded
    generators = [part for part in new if isinstance(part, GeneratorPart) and part.made.parent is None]
    if not generators:
        return
    from fgscore.datasets import _images

    for photo in listed.listing.photos:
        with suppress(BadImage):
            image = _images.read_rgb(listed.listing.root / photo.path, listed.listing.banner)
            for generator in generators:
                generator.propose(image.copy(), photo.image_id)
            return


def _has_worked(store: Store, part: Part[Any], dataset: str) -> bool:
    kind = "regions" if isinstance(part, GeneratorPart) else "globals"
    wanted = part.recipe(kind, {})
    same = (a for a in store.artefacts(kind, dataset) if replace(a.recipe, parents={}).digest == wanted.digest)
    return any(artefact.published() for artefact in same)


def _equal_text(store: Store, usable: Sequence[EncoderPart], prompts: Sequence[str], listed: Listed) -> list[Fault]:
    """Classes that an encoder cannot tell apart, by what it reads of them: before any worker or job is started."""
    if not (names := listed.listing.class_names):
        return []
    stored = {(a.recipe.component, a.recipe.extra["prompt"]) for a in store.artefacts("text", listed.key)}
    faults: list[Fault] = []
    for encoder, prompt in product(usable, prompts):
        said = encoders.prompt_set(prompt, listed.dataset.noun)
        of_before = (encoder.recipe("text", {}).component, said.label) in stored  # opened with a warning
        if of_before:
            continue
        if equal := _read_alike(encoder, names, [said.texts(name) for name in names]):
            faults.append((f"text of {encoder.text}", equal_text(encoder, said.label, equal)))
    return faults


def _read_alike(encoder: EncoderPart, names: Sequence[str], texts: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """Classes, two by two, of whose ``texts`` (C lists) the encoder reads the same tokens, as far as that is known."""
    tokens = encoder.token_ids(list(chain.from_iterable(texts)))
    if tokens is None:
        return []
    read = iter(tokens)
    first: dict[tuple, str] = {}
    firsts = [
        first.setdefault(tuple(sorted(islice(read, len(of)))), name) for name, of in zip(names, texts, strict=True)
    ]
    return [(a, b) for a, b in zip(firsts, names, strict=True) if a != b]


def _prompts(parts: Parts, listed: Listed) -> list[Fault]:
    prompts = {prompt: encoders.prompt_set(prompt, listed.dataset.noun) for prompt in parts.prompts}
    names = listed.listing.class_names
    prompts = prompts if names else {}  # nothing is said of no classes
    return [f for text, said in prompts.items() for f in fault_of(f"prompt {text}", partial(said.check, names))]


def _space(layout: Layout, listed: Listed, parts: Parts, thumbnails: bool) -> list[Fault]:
    """Whether the least that the run will write fits beside what is there of it already."""
    # of masks an image may have fewer than were asked for
    regions = sum(g.made.n or 0 for g in parts.generators if not g.unmade() and not g.made.masks)
    widths = (encoder.made.dim or WIDTH for encoder in parts.encoders if not encoder.unmade())
    an_image = sum(2 * width * (1 + regions) for width in widths) + (THUMBNAIL_BYTES if thumbnails else 0)
    needed, free = an_image * len(listed.listing.photos), free_bytes(layout)
    if needed > free:
        needed -= sum(path.stat().st_size for path in (layout.cache / listed.key).rglob("*") if path.is_file())
    if needed <= free:
        return []
    error = DataError(
        f"expected {tables.text(needed, 'bytes')} at least for {len(listed.listing.photos):,} photos, found "
        f"{tables.text(free, 'bytes')} free at {layout.cache}; make room, or name another place with --data DIR"
    )
    return [("space", error)]

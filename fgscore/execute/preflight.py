"""Everything that could stop an extraction, looked at before the first photo is hashed and told at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain, islice, product

from fgscore import encoders, tables
from fgscore.errors import DataError, MissingExtra
from fgscore.execute.estimate import free_bytes
from fgscore.extract.components import Component, Components, Fault, equal_text, fault_of, stop_at
from fgscore.extract.index import Indexed, Listed, Photos, index_listed, list_photos, noun
from fgscore.machine.progress import Progress, silent
from fgscore.store import shards
from fgscore.store.match import Store
from fgscore.store.paths import Layout

WIDTH, THUMBNAIL_BYTES = 512, 1_000  # of the narrowest CLIP's embeddings; of the smallest JPEG


def make_index(
    store: Store,
    dataset: str,
    parts: Components,
    photos: Photos,
    thumbnails: bool = True,
    progress: Progress = silent,
    allow_equal_text: bool = False,
) -> Indexed:
    """The index of the photos, once all was looked at. Raises the fault that was found, or :class:`Faults`."""
    listed, faults = look(store, dataset, parts, photos, thumbnails, progress, allow_equal_text)
    stop_at(faults)
    assert listed, "photos are listed, or at fault"
    return index_listed(store, listed, progress)


def look(
    store: Store,
    dataset: str,
    parts: Components,
    photos: Photos,
    thumbnails: bool = True,
    progress: Progress = silent,
    allow_equal_text: bool = False,
) -> tuple[Listed | None, list[Fault]]:
    """Packages, weights, photos, what is said of each class, and free space.

    Returns the photos as listed, None where they are not to be had, and all faults that were found. Weights are not
    fetched for photos that are not there. Raises :class:`UsageError` where the call itself is wrong.
    """
    listed: list[Listed] = []
    of_photos = list(fault_of("photos", lambda: listed.append(list_photos(store, dataset, photos, progress))))
    of_parts = [*fault_of("packages", shards.check_writing), *parts.faults(progress, fetch=bool(listed))]
    told = any(what == "packages" for what, _ in of_parts)
    faults = of_parts + [fault for fault in of_photos if not (told and isinstance(fault[1], MissingExtra))]
    for one in listed:
        usable = [e for e in parts.encoders if f"weights of {e.text}" not in dict(of_parts) and not told]
        said = _prompts(parts, dataset, one)
        equal = [] if allow_equal_text or said else _equal_text(store, usable, parts.prompts, dataset, one)
        faults += [*said, *equal, *_space(store.layout, one, parts, thumbnails)]
    return (listed[0] if listed else None), faults


def _equal_text(
    store: Store, usable: Sequence[Component], prompts: Sequence[str], dataset: str, listed: Listed
) -> list[Fault]:
    """Classes that an encoder cannot tell apart, by what it reads of them: before any worker or job is started."""
    names = listed.listing.class_names
    stored = {(a.recipe.component, a.recipe.extra["prompt"]) for a in store.artefacts("text", listed.key)}
    faults: list[Fault] = []
    for encoder, prompt in product(usable, prompts):
        said = encoders.prompt_set(prompt, noun(dataset))
        of_before = (encoder.recipe("text", {}).component, said.label) in stored  # opened with a warning
        if of_before or not hasattr(encoder.bound.module, "tokens"):
            continue
        if equal := _read_alike(encoder, names, [said.texts(name) for name in names]):
            faults.append((f"text of {encoder.text}", equal_text(encoder, said.label, equal)))
    return faults


def _read_alike(encoder: Component, names: Sequence[str], texts: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """Classes, two by two, of whose ``texts`` (C lists) the encoder reads the same tokens."""
    read = iter(encoder.bound.module.tokens(encoder.runtime, encoder.params, list(chain.from_iterable(texts))))
    first: dict[tuple, str] = {}
    firsts = [
        first.setdefault(tuple(sorted(islice(read, len(of)))), name) for name, of in zip(names, texts, strict=True)
    ]
    return [(a, b) for a, b in zip(firsts, names, strict=True) if a != b]


def _prompts(parts: Components, dataset: str, listed: Listed) -> list[Fault]:
    prompts = {prompt: encoders.prompt_set(prompt, noun(dataset)) for prompt in parts.prompts}
    names = listed.listing.class_names
    return [f for text, said in prompts.items() for f in fault_of(f"prompt {text}", partial(said.check, names))]


def _space(layout: Layout, listed: Listed, parts: Components, thumbnails: bool) -> list[Fault]:
    """Whether the least that the run will write fits beside what is there of it already."""
    # of masks an image may have fewer than were asked for
    regions = sum(int(str(g.params.get("n", 0))) for g in parts.generators if not g.bound.module.MASKS)
    widths = (int(str(encoder.params.get("dim", WIDTH))) for encoder in parts.encoders)
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

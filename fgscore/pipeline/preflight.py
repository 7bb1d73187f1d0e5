"""Everything that could stop an extraction, looked at before the first photo is hashed and told at once."""

from __future__ import annotations

from functools import partial

from fgscore import encoders
from fgscore.errors import DataError, MissingExtra
from fgscore.pipeline.components import Components, Fault, fault_of, stop_at
from fgscore.pipeline.estimate import free_bytes
from fgscore.pipeline.index import Indexed, Listed, Photos, index_listed, list_photos, noun
from fgscore.pipeline.progress import Progress, silent
from fgscore.store import shards
from fgscore.store.match import Store
from fgscore.store.paths import Layout

WIDTH, THUMBNAIL_BYTES = 512, 1_000  # of the narrowest CLIP's embeddings; of the smallest JPEG


def make_index(
    store: Store, dataset: str, parts: Components, photos: Photos, thumbnails: bool = True, progress: Progress = silent
) -> Indexed:
    """The index of the photos, once all was looked at. Raises the fault that was found, or :class:`Faults`."""
    listed, faults = look(store, dataset, parts, photos, thumbnails, progress)
    stop_at(faults)
    assert listed, "photos are listed, or at fault"
    return index_listed(store, listed, progress)


def look(
    store: Store, dataset: str, parts: Components, photos: Photos, thumbnails: bool = True, progress: Progress = silent
) -> tuple[Listed | None, list[Fault]]:
    """Packages, weights, photos, what is said of each class, and free space.

    Returns the photos as listed, None where they are not to be had, and all faults that were found. Raises
    :class:`UsageError` where the call itself is wrong.
    """
    faults = [*fault_of("packages", shards.check_writing), *parts.faults(progress)]
    listed: list[Listed] = []
    found = list(fault_of("photos", lambda: listed.append(list_photos(store, dataset, photos, progress))))
    told = any(what == "packages" for what, _ in faults)
    faults += [(what, error) for what, error in found if not (told and isinstance(error, MissingExtra))]
    for one in listed:
        faults += [*_prompts(parts, dataset, one), *_space(store.layout, one, parts, thumbnails)]
    return (listed[0] if listed else None), faults


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
        f"expected {needed / 1e6:,.1f} MB at least for {len(listed.listing.photos):,} photos, found "
        f"{free / 1e6:,.1f} MB free at {layout.cache}; make room, or name another place with --data DIR"
    )
    return [("space", error)]

"""Find artefacts in the cache: CPU stages never recompute a recipe, they match what is there.

A component as written (``clip`` or ``clip(dtype='bf16')``) matches every artefact that agrees on what is written; an
option left out matches everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from fgscore import components, specs
from fgscore.components import Component
from fgscore.datasets import DataSet, key_of
from fgscore.encoders import OF_REGIONS, EncoderMaker
from fgscore.errors import DataError, MissingParameter, NothingCached, UsageError, quoted, unknown
from fgscore.pooling import Pooling
from fgscore.regions import GeneratorMaker
from fgscore.regular import file_sha256
from fgscore.scorers import Scorer
from fgscore.store import index as index_store
from fgscore.store import manifest, paths, schema
from fgscore.store.bundle import LIMIT, Bundle, RegionBundle, without_copies
from fgscore.store.cache import Store

MADE_BY: Mapping[str, type[Component]] = {  # what makes the artefacts of a kind
    "index": DataSet,
    "regions": GeneratorMaker,
    "globals": EncoderMaker,
    "text": EncoderMaker,
    "descriptions": EncoderMaker,
    "region_embeddings": EncoderMaker,
    "scores": Scorer,
    "features": Pooling,
}
HERE = Path("data")  # where a data folder is by default


def matches(recipe: manifest.Recipe, written: specs.Spec | None) -> bool:
    """Whether ``recipe`` agrees with every parameter that was written, and with the content of the file that was; see
    :func:`fgscore.components.matches`."""
    return components.matches(MADE_BY[recipe.kind], recipe, written) and _same_files(recipe, written)


def _same_files(recipe: manifest.Recipe, written: specs.Spec | None) -> bool:
    """Whether the files that parameters of a generator of ours name hold what they held; so too where they are not all
    written, or cannot be read here."""
    if written is None or recipe.kind != "regions" or recipe.source or recipe.extra.get("imported"):
        return True
    try:
        maker = GeneratorMaker.built_in(str(written))
        return not maker.paths() or recipe.weights == maker.identity_of(None)
    except (UsageError, DataError):
        return True


def of_dataset(index: manifest.Artefact, written: str | None) -> bool:
    """Whether an index, whose folder has the name that was written, agrees with its parameters too, and, where a file
    of the user's was written, was made by what stands there now."""
    if written is None:
        return True
    spec, recipe = specs.parse(written), index.recipe
    if specs.file_of(spec.name) and not (
        specs.stored_name(spec.name) == recipe.name and components.same_source(DataSet, spec.name, source_of(index))
    ):
        return False
    named = {key: value for key, value in spec.params.items() if key not in ("name", "file")}
    if LIMIT in named and LIMIT not in recipe.params and named.pop(LIMIT) != recipe.extra.get(LIMIT):
        return False
    path = specs.file_of(spec.name)
    is_there = path and path.is_file() and set(named) - set(recipe.params)
    own = DataSet.bind(specs.text(spec.name, named)).function if is_there else None
    return components.agrees(DataSet, recipe, named, own)


def source_of(artefact: manifest.Artefact) -> str | None:
    """The digest of the user's file or of the distribution that made it; None for ours. An index keeps it with its
    content, as the same photos may be listed in another way."""
    if artefact.recipe.kind != "index":
        return artefact.recipe.source
    return (artefact.manifest() or {"notes": {}})["notes"].get("source")


def bundles(
    store: Store,
    dataset: str | None = None,
    regions: str | None = None,
    encoder: str | None = None,
    prompt: str | None = None,
    every_copy: bool = False,
) -> list[Bundle]:
    """Every combination in the cache that agrees with what is written; raises :class:`NothingCached` for none.

    Where ``regions`` is left out, embeddings of whole images that have no regions count too, as a plain
    :class:`Bundle`; where ``prompt`` is, those that have no text. A copy that was limited to some images a class is
    left out where the whole data set has the same combination, unless it is named, ``cub(limit=5)``, or
    ``every_copy`` is asked for.
    """
    region_spec = specs.parse(regions) if regions else None
    encoder_spec = specs.parse(encoder) if encoder else None
    found: list[Bundle] = []
    for embedded in store.artefacts("region_embeddings", dataset_key(dataset)):
        generated = store.parent(embedded, "regions")
        if matches(generated.recipe, region_spec) and matches(embedded.recipe, encoder_spec):
            for whole in _companions(store, embedded, "globals", "images"):
                wholes = _bundles_of(store, whole, dataset, prompt)
                found += [RegionBundle(store, b.index_artefact, whole, b.text, generated, embedded) for b in wholes]
    covered = {b.globals.path for b in found}
    for whole in store.artefacts("globals", dataset_key(dataset)):
        if region_spec is None and whole.path not in covered and matches(whole.recipe, encoder_spec):
            found += _bundles_of(store, whole, dataset, prompt)
    if not found:
        raise nothing_cached(store, dataset, regions, encoder, prompt)
    return found if every_copy else without_copies(found, lambda b: b.dataset, _setting)


def _setting(bundle: Bundle) -> tuple[str, ...]:
    return tuple(text for key, text in bundle.labels.items() if key != "dataset")


def _bundles_of(store: Store, whole: manifest.Artefact, dataset: str | None, prompt: str | None) -> list[Bundle]:
    """One bundle for every text that goes with ``whole``, embeddings of whole images; one without where none does."""
    indexed = store.parent(whole, "images")
    if not of_dataset(indexed, dataset):
        return []
    texts = _newest(_companions(store, whole, "text", "names")) if index_store.has_classes(indexed) else []
    if not texts and prompt is None:
        return [Bundle(store, indexed, whole, None)]
    return [Bundle(store, indexed, whole, t) for t in texts if _same_prompt(prompt, str(t.recipe.extra["prompt"]))]


def _newest(texts: Iterable[manifest.Artefact]) -> list[manifest.Artefact]:
    """Of texts that say the same by several versions of one encoder, the last version's."""
    found: dict[str, manifest.Artefact] = {}
    for text in sorted(texts, key=lambda text: text.recipe.version):
        found[specs.digest([text.recipe.component, dict(text.recipe.extra)])] = text
    return sorted(found.values(), key=lambda text: text.path)


def _same_prompt(written: str | None, stored: str) -> bool:
    """A file is stored as ``mine.txt@1a2b3c4d``: by its name, and by its content where it can be read here."""
    if written is None or written == stored:
        return True
    name, _, sha256 = stored.rpartition("@")
    path = Path(written)
    return bool(name) and path.name == name and (not path.is_file() or file_sha256(path)[:8] == sha256)


def dataset_key(dataset: str | None) -> str | None:
    """The folder of a data set as written: ``folder(name='mine')`` is kept under ``mine``."""
    return None if dataset is None else key_of(specs.parse(dataset))


def _companions(store: Store, embedded: manifest.Artefact, kind: str, index_role: str) -> Iterator[manifest.Artefact]:
    """Artefacts of ``kind`` by the same encoder and weights for the same index as ``embedded``."""
    for artefact in store.artefacts(kind, embedded.dataset):
        same_index = artefact.recipe.parents[index_role] == embedded.recipe.parents["images"]
        if same_index and same_model(artefact.recipe, embedded.recipe):
            yield artefact


def same_model(fewer: manifest.Recipe, more: manifest.Recipe) -> bool:
    """Whether two recipes are of one encoder with the same weights, as far as ``fewer`` depends on its parameters.

    Whole images depend on all parameters of an encoder of ours but those of regions; one that a recipe of before lacks
    has its default."""
    same = fewer.name == more.name and fewer.weights == more.weights and fewer.source == more.source
    ours = fewer.kind == "globals" and fewer.source is None and fewer.name in EncoderMaker.ours_named()
    own = specs.tunables(EncoderMaker.ours(fewer.name)) if ours else {}
    defaults = {key: value for key, value in own.items() if key not in OF_REGIONS}
    params = {**defaults, **fewer.params}
    return same and all(more.params.get(key, defaults.get(key)) == value for key, value in params.items())


def check_names(store: Store, dataset: str | None, regions: str | None = None, encoder: str | None = None) -> None:
    """Raises :class:`UnknownName` for a data set, generator or encoder that is neither ours, nor installed, nor in a
    file, nor in the cache, and :class:`BadParameter` for a parameter that it does not have."""
    for kind, text in (("index", dataset), ("regions", regions), ("globals", encoder)):
        if text is None:
            continue
        makers, spec = MADE_BY[kind], specs.parse(text)
        if kind == "index":
            text = specs.text(spec.name, {key: value for key, value in spec.params.items() if key != LIMIT})
        held = set(_held(store.layout)) if kind == "index" else {a.recipe.name for a in store.artefacts(kind)}
        path, name = specs.file_of(spec.name), dataset_key(text) if kind == "index" else specs.stored_name(spec.name)
        if spec.name in makers.names() or (path and (path.is_file() or name not in held)):
            try:
                makers.bind(text)
            except MissingParameter:  # what is left out agrees with all that is cached
                if name not in held:
                    raise
        elif name not in held:
            raise unknown(makers.kind, spec.name, held.union(makers.names()))


def check_there(store: Store, command: str, dataset: str | None = None) -> None:
    """Raises :class:`NothingCached` where the store holds nothing at all, or nothing of ``dataset``: with what is there
    instead, and a line that works in place of this call of ``command``; and what :func:`check_names` does."""
    layout, key = store.layout, dataset_key(dataset)
    held = _held(layout)
    if key in held or (key is None and held):
        return
    if held:
        check_names(store, dataset)
        what = f"nothing of {dataset} is cached: {layout.cache} holds {', '.join(held)}"
        raise NothingCached(f"{what}; run `fgscore extract {quoted(str(dataset))}`")
    absent = "" if layout.root.is_dir() else f": there is no folder {layout.root}"
    what = f"nothing is cached under {layout.cache}{absent}"
    if meant := _meant(layout):
        words = [command, *([dataset] if dataset else []), "--data", str(meant.root)]
        line = " ".join(quoted(word) for word in words)
        raise NothingCached(f"{what}; {meant.cache} holds {', '.join(_held(meant))}: run `fgscore {line}`")
    check_names(store, dataset)
    raise NothingCached(f"{what}; run `fgscore extract {quoted(dataset or 'demo')}`")


def _meant(layout: paths.Layout) -> paths.Layout | None:
    """A data folder with a cache, near the one that was named or where it is by default."""
    near = (Path(os.path.normpath(layout.root / step)) for step in ("..", "../..", "data"))
    return next((found for folder in (*near, HERE) if _held(found := paths.Layout(folder))), None)


def _held(layout: paths.Layout) -> list[str]:
    """Folders of data sets in a cache, with whatever state of artefacts."""
    return sorted({path.parent.parent.name for kind in schema.KINDS for path in layout.cache.glob(f"*/{kind}/*")})


def nothing_cached(
    store: Store, dataset: str | None, regions: str | None, encoder: str | None, prompt: str | None
) -> NothingCached:
    """The error that says what was asked for, what the cache holds and which command makes what is missing. Raises
    what :func:`check_names` does."""
    check_names(store, dataset, regions, encoder)
    if prompt is not None:
        with suppress(NothingCached):
            found = bundles(store, dataset, regions, encoder)
            if all(bundle.text is None for bundle in found):
                return NothingCached(str(found[0].no_text(f"--prompt {prompt!r}", "the command without --prompt")))
    options = {"regions": regions, "encoder": encoder, "prompt": prompt}
    if changed := what_changed(store, dataset, regions, encoder):
        return NothingCached(f"{changed}; {_way_out(store, dataset, options)}")
    asked = " ".join([*([repr(dataset)] if dataset else []), *(f"--{k} {v!r}" for k, v in options.items() if v)])
    held = sorted(
        {
            f"{a.dataset}: {store.parent(a, 'regions').recipe.component} by {a.recipe.component}"
            for a in store.artefacts("region_embeddings")
        }
        | {f"{a.dataset}: whole images by {a.recipe.component}" for a in store.artefacts("globals")}
    )
    if not held and (meant := _meant(store.layout)):
        return NothingCached(
            f"nothing in {store.layout.cache} matches {asked}, as nothing is there; {meant.cache} holds "
            f"{', '.join(_held(meant))}: name it with --data {meant.root}"
        )
    return NothingCached(
        f"nothing in {store.layout.cache} matches {asked or 'any embeddings'}; "
        f"cached: {'; '.join(held) or 'nothing'}; {_way_out(store, dataset, options)}"
    )


def what_changed(store: Store, dataset: str | None, regions: str | None = None, encoder: str | None = None) -> str:
    """That a file of the user's, or a distribution, has changed since it made what is asked for; empty where that is
    not the matter."""
    for kind, text in (("index", dataset), ("regions", regions), ("globals", encoder)):
        name = specs.parse(text).name if text else ""
        if kind == "index" and not specs.file_of(name):  # by its name alone, a data set is whatever was indexed
            continue
        made = [a for a in store.artefacts(kind, dataset_key(dataset)) if a.recipe.name == specs.stored_name(name)]
        if made and not any(components.same_source(MADE_BY[kind], name, source_of(artefact)) for artefact in made):
            return f"{specs.file_of(name) or name} has changed since it made what is cached"
    return ""


def _way_out(store: Store, dataset: str | None, options: Mapping[str, str | None]) -> str:
    """The command that makes what is missing, or lists what could have been meant."""
    components = {option: [text] for option, text in options.items() if text}
    cached = {index.dataset: index for index in store.artefacts("index")}
    if dataset is None and len(cached) > 1:
        return "`fgscore status` lists what is cached"
    index = cached.get(str(dataset_key(dataset))) if dataset else next(iter(cached.values()), None)
    spec = specs.parse(dataset or "demo")
    params = {key: value for key, value in spec.params.items() if key != LIMIT}
    if index is None or params or specs.file_of(spec.name):  # as it was written, not as it is cached
        typed = quoted(specs.text(spec.name, params))
    else:
        typed = index_store.typed(index, whole=LIMIT in spec.params)
    limit = f" --limit {spec.params[LIMIT]}" if LIMIT in spec.params else ""
    return index_store.way_out(index_store.extract(typed and typed + limit, components))

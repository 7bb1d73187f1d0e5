"""Find artefacts in the cache: CPU stages never recompute a recipe, they match what is there.

A component as written (``clip`` or ``clip(dtype='bf16')``) matches every artefact that agrees on what is written; an
option left out matches everything.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fgscore import components, specs
from fgscore.components import Component
from fgscore.datasets import DataSet, key_of
from fgscore.encoders import EncoderMaker
from fgscore.errors import DataError, MissingParameter, NoText, NothingCached, StoreError, UsageError, quoted, unknown
from fgscore.labels import without
from fgscore.pooling import Pooling
from fgscore.regions import GeneratorMaker
from fgscore.regular import file_sha256
from fgscore.scorers import Scorer
from fgscore.store import index as index_store
from fgscore.store import manifest, paths, schema
from fgscore.types import NOT_TOLD_APART, ImageIndex, TextBank, pairs

INDEX_ROLES = ("images", "names", "labels", "boxes", "paths")
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
LIMIT = "limit"  # cub(limit=5) is the copy of cub that --limit 5 made
HERE = Path("data")  # where a data folder is by default


class Store:
    """The cache under one data folder. Indexes are read once and kept."""

    def __init__(self, layout: paths.Layout) -> None:
        self.layout = layout
        self._indexes: dict[Path, ImageIndex] = {}
        self._index_contents: dict[tuple[Path, str, int], str | None] = {}
        self._parents: dict[tuple[Path, str], manifest.Artefact] = {}

    def artefacts(self, kind: str, dataset: str | None = None) -> Iterator[manifest.Artefact]:
        """Every artefact of ``kind``, of one data set or of all, in the order of their names."""
        for path in sorted(self.layout.cache.glob(f"{dataset or '*'}/{kind}/*/{manifest.PLAN}")):
            yield manifest.load(path.parent)

    def find(self, kind: str, dataset: str, digest: str) -> manifest.Artefact | None:
        """The artefact of that recipe digest; whole digests are compared."""
        for path in self.layout.cache.glob(f"{dataset}/{kind}/*-{digest[:8]}/{manifest.PLAN}"):
            artefact = manifest.load(path.parent)
            if artefact.recipe.digest == digest:
                return artefact
        return None

    def parent(self, artefact: manifest.Artefact, role: str) -> manifest.Artefact:
        """The parent of ``artefact`` in ``role``; raises :class:`StoreError` when the cache lacks it."""
        kind = "index" if role in INDEX_ROLES else role
        found = self.find(kind, artefact.dataset, artefact.recipe.parents[role])
        if found is None:
            raise StoreError(f"{artefact.label}: its parent {kind} is not in this cache; copy all of data/cache")
        return found

    def index(self, artefact: manifest.Artefact) -> ImageIndex:
        """The index that an index artefact holds."""
        if artefact.path not in self._indexes:
            self._indexes[artefact.path] = index_store.read(artefact)
        return self._indexes[artefact.path]

    def forget(self, artefact: manifest.Artefact) -> None:
        """Read the index that an index artefact holds anew: it was written once more."""
        self._indexes.pop(artefact.path, None)
        self._index_contents = {key: found for key, found in self._index_contents.items() if key[0] != artefact.path}

    def parents_now(self, artefact: manifest.Artefact, number: int) -> dict[str, str]:
        """Role to content digest of what shard ``number`` must have been made from to be valid now.

        Raises :class:`StoreError` when a parent shard is not there.
        """
        return self.parents_of((artefact,), number)[0]

    def parents_of(self, artefacts: Iterable[manifest.Artefact], number: int) -> list[dict[str, str]]:
        """:meth:`parents_now` of each of ``artefacts``; what they share is read once."""
        read: dict[tuple[Path, str], str] = {}
        return [
            {role: self._content(artefact, role, number, read) for role in artefact.recipe.parents}
            for artefact in artefacts
        ]

    def _content(self, artefact: manifest.Artefact, role: str, number: int, read: dict[tuple[Path, str], str]) -> str:
        # recipes never change: a parent is looked up once, not once a shard
        parent = self._parents.get((artefact.path, role)) or self.parent(artefact, role)
        self._parents[artefact.path, role] = parent
        if (key := (parent.path, role)) in read:
            return read[key]
        if role in INDEX_ROLES:
            digest = self._index_content(parent, role, number)
        else:
            digest = parent.content(0 if role in schema.OF_CLASSES else number)
        if digest is None:
            raise StoreError(f"{parent.label}: shard {number} is missing; run the same extract again")
        read[key] = digest
        return digest

    def _index_content(self, parent: manifest.Artefact, role: str, number: int) -> str | None:
        key = parent.path, role, number
        if key not in self._index_contents:
            self._index_contents[key] = self._index_digest(parent, role, number)
        return self._index_contents[key]

    def _index_digest(self, parent: manifest.Artefact, role: str, number: int) -> str | None:
        index = self.index(parent)
        if role == "names":
            return index.names_digest()
        if role == "paths":
            return index.paths_digest()
        rows = index.shards.get(number)
        if rows is None:
            return None
        of_rows = {"images": index.images_digest, "labels": index.labels_digest, "boxes": index.boxes_digest}
        return of_rows[role](rows)

    def read(self, artefact: manifest.Artefact, number: int) -> Any:
        """The record of one shard, refused where its parents have changed since."""
        return artefact.read(number, self.parents_now(artefact, number))

    def columns(self, artefact: manifest.Artefact, number: int, names: Collection[str] | None = None) -> schema.Arrays:
        """Some arrays of one shard, all with None, refused as :meth:`read` does; strings as numpy strings."""
        return schema.in_memory(artefact.arrays(number, self.parents_now(artefact, number), names))


@dataclass(frozen=True)
class Bundle:
    """Cached artefacts that belong together: one data set, encoder and prompt; whole images, no regions. ``text`` is
    None for an encoder of images alone, which has no prompt."""

    store: Store
    index_artefact: manifest.Artefact
    globals: manifest.Artefact
    text: manifest.Artefact | None

    @property
    def artefacts(self) -> tuple[manifest.Artefact, ...]:
        """Those that come in shards."""
        return (self.globals, *([self.text] if self.text else []))

    @property
    def family(self) -> tuple[Path, ...]:
        """The same for bundles of one data set, encoder and prompt, whatever their regions."""
        return (self.index_artefact.path, self.globals.path, *([self.text.path] if self.text else []))

    @cached_property
    def index(self) -> ImageIndex:
        """The images, labels and split."""
        return self.store.index(self.index_artefact)

    @cached_property
    def _contents(self) -> dict[str, list[str | None]]:
        return {}

    def contents(self, role: str) -> list[str | None]:
        """Content digests of the shards of one of its artefacts, as they were when first asked for."""
        if role not in self._contents:
            artefact = getattr(self, role)
            self._contents[role] = [artefact.content(number) for number in artefact.shard_sizes]
        return self._contents[role]

    @property
    def limit(self) -> int | None:
        """How many images of each class and split it was limited to; None where it is the whole data set."""
        return self.index_artefact.recipe.extra.get("limit")

    @property
    def dataset(self) -> str:
        """The data set's name, with what it was asked for and its limit where it has one."""
        return named(self.whole_dataset, self.limit)

    @property
    def whole_dataset(self) -> str:
        """The same without its limit."""
        written = specs.parse(self.index_artefact.recipe.component).params
        return specs.text(self.index_artefact.dataset, {k: v for k, v in written.items() if k not in ("name", "file")})

    @property
    def asked(self) -> str:
        """The data set as the commands that read the store take it."""
        return asked(self.dataset)

    def extract(self, *regions: str) -> str:
        """The command that embeds regions by the generators ``regions`` with the same encoder and prompt; empty for an
        import."""
        same = {key: [self.labels[key]] for key in ("encoder", "prompt") if self.labels[key]}
        return index_store.extract(index_store.typed(self.index_artefact), {"regions": regions, **same})

    def way_out(self, *regions: str) -> str:
        """The same, as a message says it."""
        return index_store.way_out(self.extract(*regions))

    @property
    def labels(self) -> dict[str, str]:
        """How a table names this bundle."""
        return {
            "dataset": self.dataset,
            "regions": "",
            "encoder": self.globals.recipe.component,
            "prompt": str(self.text.recipe.extra["prompt"]) if self.text else "",
        }

    def unlabelled(self) -> str:
        """How many of its images have no label, and which; empty where all have one."""
        return without(self.index.labels, self.index.image_ids)

    @cached_property
    def descriptions(self) -> manifest.Artefact | None:
        """The embeddings of every text that its class text is a mean of; None where there are none."""
        if self.text is None:
            return None
        recipe = replace(self.text.recipe, kind="descriptions")
        found = self.store.find("descriptions", self.index_artefact.dataset, recipe.digest)
        return found if found and found.is_whole() else None

    def no_descriptions(self, needed_by: str) -> DataError:
        """The error for what compares with every text of a class where this bundle has but their mean, or one."""
        if self.text is None:
            return self.no_text(needed_by, "--head logreg")
        said = self.text.recipe.extra
        file = str(said["prompt"]).rpartition("@")[0]
        if self.globals.recipe.extra.get("imported"):
            way = "use --head zeroshot"
        elif file:
            way = f"{self.way_out()} with --prompt and the path of your {file}, which adds them"
        elif len(said.get("templates", ())) > 1:
            way = f"{self.way_out()}, which adds them"
        else:
            way = "extract with a prompt of several, as --prompt descriptions.json of one's own, or use --head zeroshot"
        return DataError(f"{needed_by} needs every text of a class, and {self.dataset} has none by the prompt "
                         f"{said['prompt']!r}; {way}")  # fmt: skip

    @property
    def width(self) -> int:
        """d: of its embeddings."""
        (_, (_, d)) = self.globals.shapes(next(iter(self.globals.shard_sizes)))["globals"]
        return d

    def no_text(self, needed_by: str, instead: str) -> NoText:
        """The error for what needs text where this bundle has none; ``instead`` is what does without."""
        ways = [f"use {instead}"]
        if not self.index.class_names:
            command = self.extract(*filter(None, [self.labels["regions"]]))
            ways.append(f"give class names: `{command} --classes names.txt`" if command else "import class names too")
        elif self.globals.recipe.extra.get("imported"):
            ways.append("import its text too")
        elif self.globals.recipe.name in EncoderMaker.ours_named():
            ways.append(self.way_out())
        no_names = "" if self.index.class_names else ", as it has no class names"
        has = f"{self.dataset} by {self.labels['encoder']} has none{no_names}"
        return NoText(f"{needed_by} needs class text, and {has}; {', or '.join(ways)}")

    @cached_property
    def text_bank(self) -> TextBank | None:
        """Class embeddings, with a warning where two classes have the same; None where there are none."""
        if self.text is None:
            return None
        bank = self.store.read(self.text, 0)
        warn_of_equal(bank, self.text)
        return bank


@dataclass(frozen=True)
class RegionBundle(Bundle):
    """A bundle with the regions of one generator: all that scorers need."""

    regions: manifest.Artefact
    region_embeddings: manifest.Artefact

    @property
    def artefacts(self) -> tuple[manifest.Artefact, ...]:
        """Those that come in shards."""
        return (self.regions, self.region_embeddings, *super().artefacts)

    @property
    def labels(self) -> dict[str, str]:
        """How a table names this bundle."""
        regions, encoder = self.regions.recipe.component, self.region_embeddings.recipe.component
        return {**super().labels, "regions": regions, "encoder": encoder}


def named(whole: str, limit: int | None) -> str:
    """The name in tables of a data set, or of a copy of it with ``limit`` images of each class and split."""
    return f"{whole} (limit {limit})" if limit else whole


def taken_apart(name: str) -> tuple[str, int | None]:
    """The name of the whole data set and the limit that :func:`named` made one of; any other name as it is."""
    found = re.fullmatch(r"(.+) \(limit ([1-9]\d{0,8})\)", name)
    return (found[1], int(found[2])) if found else (name, None)


def asked(name: str) -> str:
    """The data set of that name in tables as the commands that read the store take it: ``cub(limit=5)``."""
    return with_limit(*taken_apart(name))


def with_limit(dataset: str, limit: int | None) -> str:
    """The copy of ``dataset`` with ``limit`` images of each class and split, as these commands take it."""
    spec = specs.parse(dataset)
    return specs.text(spec.name, {**spec.params, LIMIT: limit}) if limit else dataset


def warn_of_equal(bank: TextBank, text: manifest.Artefact) -> None:
    """Warn where two classes of ``text`` cannot be told apart."""
    equal = bank.equal_classes()
    if equal:
        warnings.warn(f"{text.label}: one text embedding for {pairs(equal)}; {NOT_TOLD_APART}", stacklevel=2)


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
    whole_sets = [] if every_copy else [{**b.labels, "dataset": b.dataset} for b in found if not b.limit]
    return [b for b in found if {**b.labels, "dataset": b.whole_dataset} not in whole_sets or not b.limit]


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

    Whole images depend on all parameters of an encoder of ours; one that a recipe of before lacks has its default."""
    same = fewer.name == more.name and fewer.weights == more.weights and fewer.source == more.source
    ours = fewer.kind == "globals" and fewer.source is None and fewer.name in EncoderMaker.ours_named()
    defaults = specs.tunables(EncoderMaker.ours(fewer.name)) if ours else {}
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

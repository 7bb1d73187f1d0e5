"""Embeddings that someone else computed, as artefacts of the store that every CPU stage works on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgscore import specs
from fgscore.errors import DataError, StoreError, UsageError, quoted
from fgscore.exchange import arrays as records
from fgscore.exchange import formats, gather, labelled
from fgscore.exchange.choose import Unnamed
from fgscore.exchange.names import parse
from fgscore.machine.progress import Clock, Progress, Summary, provenance, silent
from fgscore.regular import file_sha256
from fgscore.store import index as index_store
from fgscore.store import manifest, schema, shards
from fgscore.store.arrays import Arrays
from fgscore.store.cache import Store
from fgscore.store.index import IMPORTED
from fgscore.store.paths import check_name
from fgscore.store.records import at, places
from fgscore.types import ImageIndex

_log = logging.getLogger("fgscore")


@dataclass(frozen=True)
class Names:
    """Under what names an import is kept: components as in --encoder and --regions, any text for the prompt."""

    encoder: str = IMPORTED
    regions: str = IMPORTED
    prompt: str = IMPORTED


def import_files(
    store: Store,
    dataset: str,
    paths: Sequence[Path],
    *,
    sources: Sequence[str] = (),
    names: Names = Names(),
    progress: Progress = silent,
    say: Callable[[str], None] = _log.info,
) -> list[Summary]:
    """Make artefacts of ``dataset`` from the arrays in ``paths``, files or folders of files; ``sources`` name them as
    ``NAME[:SPLIT]=KEY``.

    Files with labels make an index of their own; others join the one index that the cache has under that name, or where
    there is none make one of images without a label. The
    same import again changes nothing, another one under the same names replaces it. ``say`` is given a line for what
    was taken for what, was passed over or was changed. Raises :class:`UsageError` and :class:`DataError` that say what
    was expected where; nothing is written then.
    """
    check_name(dataset, "the name of a data set")
    files, notes = formats.expanded(paths)
    joins = any(True for _ in store.artefacts("index", dataset))
    named_by = [parse(source) for source in sources]
    try:
        found, said = gather.read(files, named_by, joins)
        if joins and "index" not in found and _has_others(store, dataset, found):
            found, said = gather.read(files, named_by)
    except Unnamed as error:
        raise DataError(f"{error}; {_way_out(dataset, paths, [*sources, *error.sources], names)}") from error
    named = Counter(path.name for path in files)
    facts = {"source": {p.name if named[p.name] == 1 else f"{p.parent.name}/{p.name}": file_sha256(p) for p in files}}
    making = _Import(store, dataset, found, names, facts, progress)
    making.look()
    for note in [*notes, *said, *making.notes]:
        say(note)
    return making.run()


def _has_others(store: Store, dataset: str, found: Mapping[str, Arrays]) -> bool:
    """Whether images came, or their first class names, that an index which was imported without labels has not: they
    replace it, as they would with labels."""
    known = list(store.artefacts("index", dataset))
    if len(known) != 1 or known[0].recipe.component != IMPORTED or index_store.has_labels(known[0]):
        return False
    ids = set(store.index(known[0]).image_ids.tolist())
    came = [set(record["image_ids"].tolist()) for record in found.values() if "image_ids" in record]
    names = "text" in found and not index_store.has_classes(known[0])
    return any(names or one - ids for one in came)


def _way_out(dataset: str, paths: Sequence[Path], sources: Sequence[str], names: Names) -> str:
    """The command that names arrays as ``sources`` do."""
    if not sources:
        return "name them with --array NAME=KEY"
    words = [*map(str, paths), *(word for source in sources for word in ("--array", source))]
    named = [word for option, name in vars(names).items() if name != IMPORTED for word in (f"--{option}", name)]
    return f"name what is meant: `fgscore import {dataset} {' '.join(quoted(word) for word in [*words, *named])}`"


class _Import:
    """One import: the index, then what belongs to images, then text."""

    def __init__(
        self,
        store: Store,
        dataset: str,
        found: Mapping[str, Arrays],
        names: Names,
        facts: Mapping[str, Any],
        progress: Progress,
    ) -> None:
        self.store, self.dataset, self.records, self.names = store, dataset, found, names
        self.facts, self.progress = facts, progress
        self.summaries: list[Summary] = []
        self.notes: list[str] = []

    def look(self) -> None:
        """Make the records of all that came; raises :class:`DataError` for what is at fault, before anything is
        written."""
        shards.check_writing()
        have = self.records
        self.globals = records.to_globals(have["globals"]) if "globals" in have else None
        self.embeddings = records.to_embeddings(have["region_embeddings"]) if "region_embeddings" in have else None
        self.regions = records.to_regions(have, self.notes) if {"regions", "region_embeddings"} & set(have) else None
        self.known = None if "index" in have else self._known_index()
        self.index = self.store.index(self.known) if self.known else self._own_index()
        self.text = records.to_text(have["text"], self.index.class_names, self.notes) if "text" in have else None
        self._check(self.globals, self.embeddings, self.regions, self.text)

    def run(self) -> list[Summary]:
        """All artefacts, parents first."""
        self.artefact = self.known or self._write_index()
        images = {"images": self.artefact.recipe.digest}
        if self.globals is not None:
            self._publish(self._recipe("globals", self.names.encoder, images), self.globals)
        if self.regions is not None:
            parent = self._publish(self._recipe("regions", self.names.regions, images), self.regions)
            if self.embeddings is not None:
                recipe = self._recipe(
                    "region_embeddings", self.names.encoder, {"regions": parent.recipe.digest, **images}
                )
                self._publish(recipe, self.embeddings)
        if self.text is not None:
            extra = {"prompt": self.names.prompt, "templates": list(self.text.templates)}
            recipe = self._recipe("text", self.names.encoder, {"names": images["images"]}, **extra)
            self._publish(recipe, self.text)
        return self.summaries

    def _own_index(self) -> ImageIndex:
        return labelled.to_index(self.dataset, self.records["index"], self.records.get("text"), self.notes)

    def _write_index(self) -> manifest.Artefact:
        recipe = manifest.Recipe("index", IMPORTED)
        known = self.store.find("index", self.dataset, recipe.digest)
        try:
            same = known is not None and labelled.same_index(index_store.read(known), self.index)
        except StoreError:  # a damaged one is made anew
            same = False
        artefact = known if known is not None and same else index_store.write(self.store.layout, self.index, recipe)
        self.store.forget(artefact)
        self.summaries.append(Summary(artefact.label, "index", int(not same), int(same), len(self.index)))
        return artefact

    def _known_index(self) -> manifest.Artefact:
        known = list(self.store.artefacts("index", self.dataset))
        if len(known) != 1:
            found = f"{len(known)} indexes of it" if known else "none"
            raise UsageError(
                f"expected images in the files, or one index of {self.dataset!r} in the cache to join, found {found}; "
                "import their embeddings too, or index the photos first"
            )
        return known[0]

    def _recipe(self, kind: str, component: str, parents: Mapping[str, str], **extra: Any) -> manifest.Recipe:
        spec = specs.parse(component)
        return manifest.Recipe(
            kind, str(spec), dict(spec.params), parents=dict(parents), extra={"imported": True, **extra}
        )

    def _check(self, globals_: Any, embeddings: Any, regions: Any, text: Any) -> None:
        """Raises :class:`DataError` for ids that the index lacks, and for embeddings of different widths."""
        known = set(self.index.image_ids.tolist())
        for record in filter(None, (globals_, embeddings, regions)):
            if strangers := sorted(set(record.image_ids.tolist()) - known):
                raise DataError(
                    f"expected image ids of the index of {self.dataset!r}, such as {self.index.image_ids[0]}, found "
                    f"{strangers[0]} ({len(strangers)} such); name the ids alike"
                )
        if regions is not None:
            records.check_inside(regions, self.index, places(self.index.image_ids, regions.image_ids))
        rows = {"globals": globals_, "regions": embeddings, "text": text}
        widths = {name: getattr(record, name).shape[1] for name, record in rows.items() if record is not None}
        if len(set(widths.values())) > 1:
            found = ", ".join(f"{name} {width}" for name, width in widths.items())
            raise DataError(f"expected embeddings of one width, found {found}; import those of one encoder together")

    def _publish(self, recipe: manifest.Recipe, record: Any) -> manifest.Artefact:
        """Every shard that is not there as it should be; text is one."""
        is_text = recipe.kind == "text"
        sizes = {0: 1} if is_text else {n: rows.stop - rows.start for n, rows in self.index.shards.items()}
        artefact = manifest.plan(self.store.layout, self.dataset, recipe, sizes)
        summary = Summary(artefact.label, recipe.kind)
        self.summaries.append(summary)
        clock = Clock()
        where = None if is_text else places(record.image_ids, self.index.image_ids)
        for number, size in sizes.items():
            part, failures = record, []
            if where is not None:
                shard = self.index.shards[number]
                there = where[shard] >= 0
                part = at(record, where[shard][there])
                lacking = self.index.image_ids[shard][~there].tolist()
                failures = [{"image_id": i, "reason": "is not in the import"} for i in lacking]
            parents = self.store.parents_now(artefact, number)
            digest = shards.content_digest(schema.pack(part))
            if artefact.is_current(number, parents) and artefact.content(number) == digest:
                summary.reused += 1
            else:
                artefact.publish(number, part, parents, failures, provenance(clock.seconds(), size, **self.facts))
                summary.computed += 1
            summary.images += 0 if is_text else size - len(failures)
            summary.regions += int(part.offsets[-1]) if hasattr(part, "offsets") else 0
            summary.failures += failures
            self.progress(artefact.label, number + 1, max(sizes) + 1)
        artefact.finish()
        summary.seconds = clock.seconds()
        return artefact

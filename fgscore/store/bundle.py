"""Cached artefacts that belong together, and what tables and commands call their data set."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from fgscore import specs
from fgscore.datasets import in_key
from fgscore.encoders import EncoderMaker
from fgscore.errors import DataError, NoText
from fgscore.labels import without
from fgscore.store import index as index_store
from fgscore.store import manifest
from fgscore.store.cache import Store
from fgscore.types import NOT_TOLD_APART, Descriptions, ImageIndex, TextBank, pairs

T = TypeVar("T")
LIMIT = "limit"  # cub(limit=5) is the copy of cub that --limit 5 made


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
        written = specs.parse(self.index_artefact.recipe.component)
        said = {"name", "file", *in_key(written.name)}
        return specs.text(self.index_artefact.dataset, {k: v for k, v in written.params.items() if k not in said})

    @property
    def asked(self) -> str:
        """The data set as the commands that read the store take it."""
        return asked(self.dataset)

    def extract(self, *regions: str, encoders: Sequence[str] = ()) -> str:
        """The command that embeds regions by the generators ``regions`` with the same prompt and encoder, or with other
        ``encoders``; empty for an import."""
        named = {"encoder": encoders or [self.labels["encoder"]], "prompt": [self.labels["prompt"]]}
        same = {key: list(filter(None, texts)) for key, texts in named.items()}
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

    @cached_property
    def every_text(self) -> Descriptions | None:
        """The embeddings of every text of each class; None where there are none."""
        return self.store.read(self.descriptions, 0) if self.descriptions else None

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


def without_copies(
    found: Sequence[T], name: Callable[[T], str], setting: Callable[[T], Hashable], dataset: str | None = None
) -> list[T]:
    """``found`` but for what is of a limited copy, by its ``name``, where the whole data set has the same ``setting``;
    where ``dataset`` means such a copy, ``cub(limit=5)``, what is of that copy alone."""
    limit = specs.parse(dataset).params.get(LIMIT) if dataset else None
    if limit is not None:
        return [one for one in found if taken_apart(name(one))[1] == limit]
    whole_sets = {(name(one), setting(one)) for one in found}
    kept = []
    for one in found:
        whole, own = taken_apart(name(one))
        if own is None or (whole, setting(one)) not in whole_sets:
            kept.append(one)
    return kept


def warn_of_equal(bank: TextBank, text: manifest.Artefact) -> None:
    """Warn where two classes of ``text`` cannot be told apart."""
    equal = bank.equal_classes()
    if equal:
        warnings.warn(f"{text.label}: one text embedding for {pairs(equal)}; {NOT_TOLD_APART}", stacklevel=2)

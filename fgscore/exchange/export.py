"""Artefacts as files that others read: Parquet, ``.npz`` or safetensors, and masks as COCO JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import specs
from fgscore.errors import NothingCached, UsageError
from fgscore.evaluate import results
from fgscore.exchange import coco, flows
from fgscore.labels import UNLABELLED
from fgscore.machine.progress import Progress, silent
from fgscore.store import arrays as array_files
from fgscore.store import manifest, schema
from fgscore.store.arrays import FORMATS, Arrays
from fgscore.store.cache import Store
from fgscore.store.match import check_names, check_there, dataset_key, matches, of_dataset, what_changed
from fgscore.store.paths import slug
from fgscore.types import ImageIndex

ARTEFACTS = tuple(kind for kind in schema.KINDS if kind != "thumbnails")  # pictures, not arrays
KINDS = (*ARTEFACTS, "predictions", "masks")
INDEX_COLUMNS = ("image_ids", "paths", "labels", "split", "sha256", "sizes_wh", "orientation", "shard", "boxes_xyxy")


NAMED = ("scores", "features")  # of which a data set has many: their files say what they are made of
MADE_OF = ("pool", "scorer", "target", "regions", "head")
WORD, DIGITS = 36, 8  # letters of a component in the name of a file, and digits that tell equal names apart
WHOLE = {"index": INDEX_COLUMNS, "text": ("class_names", "text"),
         "descriptions": ("class_name", "texts", "descriptions")}  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """What to export; None is everything. ``regions``, ``encoder`` and ``scorer`` are components as written."""

    dataset: str | None = None
    kinds: tuple[str, ...] = ARTEFACTS
    regions: str | None = None
    encoder: str | None = None
    scorer: str | None = None

    def __str__(self) -> str:
        """As typed: `` --dataset cub --kind masks``."""
        named = ((k, v) for k, v in vars(self).items() if isinstance(v, str))
        kinds = () if self.kinds == schema.KINDS else tuple(("kind", k) for k in self.kinds)
        return "".join(f" --{k} {v!r}" for k, v in (*named, *kinds)) or " anything"


def export(
    store: Store, chosen: Chosen, folder: Path, suffix: str, progress: Progress = silent
) -> list[dict[str, Any]]:
    """Write every artefact that ``chosen`` names into ``folder``, one file each. Returns one row a file: ``kind``,
    ``rows``, ``file``, ``bytes``, and ``pool``, ``scorer``, ``target``, ``regions`` and ``head``, '' where it has none.

    ``suffix`` is a key of FORMATS; masks are COCO JSON always. Raises :class:`UsageError` for an unknown kind, format
    or component, :class:`NothingCached` where nothing matches.
    """
    if suffix not in FORMATS:
        raise UsageError(f"expected a format of {', '.join(FORMATS)}, found {suffix!r}; choose one")
    if wrong := [kind for kind in chosen.kinds if kind not in KINDS]:
        raise UsageError(f"expected kinds of {', '.join(KINDS)}, found {wrong[0]!r}; choose some of these")
    check_names(store, chosen.dataset, chosen.regions, chosen.encoder)
    jobs = list(_jobs(store, chosen, folder, FORMATS[suffix]))
    if not jobs:
        check_there(store, "export", chosen.dataset)
        changed = what_changed(store, chosen.dataset, chosen.regions, chosen.encoder)
        why = changed or f"nothing in {store.layout.cache} matches{chosen}"
        raise NothingCached(f"{why}; `fgscore status` lists what is cached")
    rows = []
    for done, (kind, path, write, made_of) in enumerate(jobs):
        progress("export", done, len(jobs))
        rows.append({"kind": kind, "rows": write(path), "file": str(path), "bytes": path.stat().st_size, **made_of})
    progress("export", len(jobs), len(jobs))
    return rows


Export = tuple[str, Path, Callable[[Path], int], dict[str, str]]


def _jobs(store: Store, chosen: Chosen, folder: Path, suffix: str) -> Iterator[Export]:
    for kind in dict.fromkeys(chosen.kinds):
        if kind == "predictions":
            yield from _predictions(store, chosen, folder, suffix)
            continue
        for artefact in store.artefacts("regions" if kind == "masks" else kind, dataset_key(chosen.dataset)):
            if not _is_chosen(store, artefact, chosen):
                continue
            made_of = _made_of(store, artefact)
            name = f"{artefact.dataset}-{kind}-{artefact.path.name}"
            if kind in NAMED:
                words = [slug(text)[:WORD] for text in made_of.values() if text]
                name = "-".join([artefact.dataset, kind, *words, artefact.recipe.digest[:DIGITS]])
            if kind != "masks":
                yield kind, folder / f"{name}{suffix}", _writer(store, artefact), made_of
            elif flows.has(artefact, "mask_counts"):
                yield kind, folder / f"{name}.json", _coco_writer(store, artefact), made_of


def _made_of(store: Store, artefact: manifest.Artefact) -> dict[str, str]:
    """The components behind it, as tables write them."""
    recipes: dict[str, manifest.Recipe] = {}
    for one in _with_ancestors(store, artefact):
        recipes.setdefault(one.recipe.kind, one.recipe)  # of regions made of others, the nearer
    told = [recipes[kind].component if kind in recipes else "" for kind in ("features", "scores", "regions")]
    target = str(recipes["scores"].extra.get("target", "")) if "scores" in recipes else ""
    return dict(zip(MADE_OF, (told[0], told[1], target, told[2], ""), strict=True))


def _writer(store: Store, artefact: manifest.Artefact) -> Callable[[Path], int]:
    def write(path: Path) -> int:
        kind = artefact.recipe.kind
        if columns := WHOLE.get(kind):
            arrays = collect(store, artefact)
            array_files.write(path, arrays, columns, {"labels": UNLABELLED} if kind == "index" else {})
            return len(arrays[columns[0]])
        return flows.write(store, artefact, path)

    return write


def _coco_writer(store: Store, artefact: manifest.Artefact) -> Callable[[Path], int]:
    def write(path: Path) -> int:
        index = store.index(store.parent(artefact, "images"))
        return coco.write(path, ((number, store.read(artefact, number)) for number in artefact.shard_sizes), index)

    return write


def _predictions(store: Store, chosen: Chosen, folder: Path, suffix: str) -> Iterator[Export]:
    for place in results.places(store.layout.results, dataset_key(chosen.dataset)):
        found = results.read_predictions(place)
        if found is None:
            continue
        arrays = {"label": found.labels, "prediction": found.predictions, "image_ids": found.image_ids}

        def write(to: Path, arrays: Arrays = arrays) -> int:
            array_files.write(to, arrays, tuple(arrays))
            return len(arrays["image_ids"])

        row = results.read(place)
        made_of = {key: str(getattr(row, key)) if row else "" for key in MADE_OF}
        yield "predictions", folder / f"{place.dataset}-predictions-{place.name}{suffix}", write, made_of


def _is_chosen(store: Store, artefact: manifest.Artefact, chosen: Chosen) -> bool:
    """Whether the artefact, or what it was made from, agrees with every component that was written."""
    ancestors: dict[str, manifest.Artefact] = {}
    for one in _with_ancestors(store, artefact):
        ancestors.setdefault(one.recipe.kind, one)  # of regions made of others, the nearer
    if not of_dataset(ancestors.get("index", artefact), chosen.dataset):
        return False
    for written, kinds in (
        (chosen.regions, ("regions",)),
        (chosen.scorer, ("scores",)),
        (chosen.encoder, ("region_embeddings", "globals", "text", "descriptions")),
    ):
        concerned = [ancestors[kind].recipe for kind in kinds if kind in ancestors]
        if written and concerned and not matches(concerned[0], specs.parse(written)):
            return False
    return True


def _with_ancestors(store: Store, artefact: manifest.Artefact) -> Iterator[manifest.Artefact]:
    yield artefact
    for role in artefact.recipe.parents:
        yield from _with_ancestors(store, store.parent(artefact, role))


def collect(store: Store, artefact: manifest.Artefact) -> Arrays:
    """All shards of an artefact as one set of arrays, by the names of the README's format section."""
    if artefact.recipe.kind == "index":
        return _index_arrays(store.index(artefact))
    if artefact.recipe.kind == "text":
        return store.columns(artefact, 0)
    if artefact.recipe.kind == "descriptions":
        arrays = store.columns(artefact, 0)
        return {**arrays, "class_name": np.repeat(arrays["class_names"], np.diff(arrays["offsets"]))}
    small, large = flows.of(store, artefact)
    return {**small, **{name: np.concatenate(list(flow.parts())) for name, flow in large.items()}}


def _index_arrays(index: ImageIndex) -> Arrays:
    arrays = {name: getattr(index, name) for name in INDEX_COLUMNS}
    names = np.array(index.class_names, np.str_)
    return {
        **arrays,
        "class_names": names,
        "banner": np.array(index.banner),
        "notes": np.array(json.dumps(index.notes)),
    }

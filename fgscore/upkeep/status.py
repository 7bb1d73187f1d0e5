"""What the cache holds, read from JSON alone: shards done of planned, failures, bytes, seconds, what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from fgscore import datasets, specs
from fgscore.components import Component, same_source
from fgscore.errors import NothingCached, StoreError, quoted
from fgscore.evaluate import results
from fgscore.evaluate.probe import without_labels
from fgscore.store import index as index_store
from fgscore.store import manifest, schema
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.manifest import Artefact
from fgscore.store.match import MADE_BY, bundles, check_there, dataset_key, same_model, source_of

Row = dict[str, Any]
NEEDS_PHOTOS = (["index"], ["regions"], ["extract"])
COMPLETE, UNFINISHED, DAMAGED, LEFT = "complete", "unfinished", "damaged", "left"


def status(store: Store, dataset: str | None = None) -> list[Row]:
    """One row an artefact, in the order in which they are made. ``state`` is complete, unfinished, or damaged or left
    as it is with the reason; ``next`` the command that mends that, empty for what is complete. Raises
    :class:`NothingCached` where there is nothing, :class:`UnknownName` for a data set that is neither one of ours nor
    in the cache."""
    check_there(store, "status", dataset)
    rows = []
    for kind in schema.KINDS:
        for path in sorted(store.layout.cache.glob(f"{dataset_key(dataset) or '*'}/{kind}/*/{manifest.PLAN}")):
            try:
                rows.append(_row(store, manifest.load(path.parent)))
            except StoreError as error:
                damaged = {"state": f"{DAMAGED}: {error}", "next": "fgscore repair"}
                rows.append({"dataset": path.parts[-4], "kind": kind, "artefact": path.parent.name, **damaged})
    return sorted(rows, key=lambda row: row["dataset"])


def _row(store: Store, artefact: Artefact) -> Row:
    row: Row = {
        "dataset": artefact.dataset,
        "kind": artefact.recipe.kind,
        "artefact": artefact.path.name,
        "component": artefact.recipe.component,
    }
    if artefact.recipe.kind == "index":
        content = artefact.manifest()
        counts = content["counts"] if content else {}
        size = content["file_bytes"] if content else 0
        return {**row, "images": counts.get("images"), "bytes": size, **_state(store, artefact, content is not None)}
    sidecars = [s for n in artefact.shard_sizes if (s := artefact.sidecar(n))]
    done, total = len(sidecars), len(artefact.shard_sizes)
    row |= {
        "shards": f"{done} of {total}",
        "images": sum(s["counts"].get("images", 0) for s in sidecars),
        "regions": sum(s["counts"].get("regions", 0) for s in sidecars),
        "failed": sum(len(s["failures"]) for s in sidecars),
        "bytes": sum(s["file_bytes"] for s in sidecars),
        "seconds": round(sum(s["provenance"].get("seconds", 0) for s in sidecars), 2),
    }
    return {**row, **_state(store, artefact, done == total)}


def _state(store: Store, artefact: Artefact, complete: bool) -> Row:
    if complete:
        return {"state": COMPLETE, "next": ""}
    if changed := _changed(store, artefact):
        return {"state": f"{LEFT}: {changed} has changed since it was begun", "next": ""}
    return {"state": UNFINISHED, "next": remake(store, artefact)}


def _changed(store: Store, artefact: Artefact) -> str:
    """The user's component that made ``artefact``, or what it was made from, where its file or distribution is here and
    has another content now: no command makes the rest of it. Empty for any other."""
    name = artefact.recipe.name
    if not same_source(MADE_BY.get(artefact.recipe.kind, Component), name, source_of(artefact)):
        return name
    with suppress(StoreError):
        parents = (store.parent(artefact, role) for role in artefact.recipe.parents)
        return next((changed for parent in parents if (changed := _changed(store, parent))), "")
    return ""


def remake(store: Store, artefact: Artefact) -> str:
    """The command that makes the shards of ``artefact`` that are missing, with the components that it was begun with;
    empty for an import."""
    kind, component, dataset = artefact.recipe.kind, artefact.recipe.component, artefact.dataset
    if kind == "index":
        return f"fgscore index {typed}" if (typed := index_store.typed(artefact)) else ""
    if kind == "scores":
        return f"fgscore score {dataset} --scorer {quoted(component)}{_target(artefact)}"
    if kind == "features":
        scorer = ""
        if "scores" in artefact.recipe.parents:
            scores = store.parent(artefact, "scores")
            scorer = f" --scorer {quoted(scores.recipe.component)}{_target(scores)}"
        rows = f" --features {artefact.recipe.extra['features']}" if "features" in artefact.recipe.extra else ""
        return f"fgscore aggregate {dataset} --pool {quoted(component)}{scorer}{rows}"
    index = store.parent(artefact, "names" if kind in schema.OF_CLASSES else "images")
    typed = index_store.typed(index)
    if kind == "regions":
        return f"fgscore regions {typed} --regions {quoted(component)}" if typed else ""
    command = index_store.extract(typed, _made_with(store, artefact, index))
    size = f" --thumbnail-size {artefact.recipe.params['size']}" if kind == "thumbnails" else ""
    return command + size if command else ""


def remake_all(store: Store, files: Iterable[Path]) -> list[str]:
    """The commands that make anew the artefacts that ``files`` of the cache belong to, each once, parents first; none
    for an artefact whose plan cannot be read, or for an import."""
    cache = store.layout.cache
    folders = {cache.joinpath(*file.relative_to(cache).parts[:3]) for file in files}
    commands: dict[str, None] = {}
    for folder in sorted(folders, key=lambda path: (schema.KINDS.index(path.parent.name), path)):
        with suppress(StoreError):
            commands[remake(store, manifest.load(folder))] = None
    return [command for command in commands if command]


def _target(scores: Artefact) -> str:
    target = scores.recipe.extra.get("target", "global")
    return "" if target == "global" else f" --target {target}"


def _made_with(store: Store, artefact: Artefact, index: Artefact) -> dict[str, list[str]]:
    """Regions, encoder and prompts with which `extract` makes ``artefact`` and begins nothing else."""
    kind = artefact.recipe.kind

    def own(of: str, role: str = "images") -> list[Artefact]:
        return [a for a in store.artefacts(of, index.dataset) if a.recipe.parents[role] == index.recipe.digest]

    models = own("globals") if kind == "thumbnails" else [artefact]
    others = [e for e in own("region_embeddings") if any(same_model(model.recipe, e.recipe) for model in models)]
    embedded = [artefact] if kind == "region_embeddings" else others
    # what embedded regions has all parameters of an encoder, what embedded whole images only some
    model = next(iter(embedded or models), None)
    regions = [store.parent(embedded[0], "regions")] if embedded else own("regions")
    texts = [t for t in own("text", "names") if model and same_model(t.recipe, model.recipe)]
    return {
        "regions": [a.recipe.component for a in regions],
        "encoder": [model.recipe.component] if model else [],
        "prompt": [str(t.recipe.extra["prompt"]) for t in ([artefact] if kind in schema.OF_CLASSES else texts)],
    }


def by_dataset(store: Store, rows: list[Row]) -> list[Row]:
    """One row a data set of the rows that :func:`status` gives: ``state``, ``next``, what to run now, and ``note``,
    what that command cannot know."""
    return [_dataset(store, name, list(own)) for name, own in groupby(rows, lambda row: row["dataset"])]


def _dataset(store: Store, name: str, rows: list[Row]) -> Row:
    kinds = {row["kind"] for row in rows}
    damaged = [row for row in rows if row["state"].startswith(DAMAGED)]
    first = next(iter([*damaged, *(row for row in rows if row["state"] == UNFINISHED)]), None)
    command = first["next"] if first else _after(store, name, kinds)
    state = str(first["state"]).partition(":")[0] if first else COMPLETE
    return {"dataset": name, "state": state, "next": command, "note": _note(store, name, command)}


def _note(store: Store, name: str, command: str) -> str:
    """The store knows no folders: photos that are not where they lie by default have to be named again, and so do files
    of the user's own that are not here."""
    notes = []
    index = next(store.artefacts("index", name), None) if command.split()[1:2] in NEEDS_PHOTOS else None
    folder = store.layout.raw(name)
    if index is not None and not folder.is_dir():
        ours = datasets.ours(index.recipe.name)
        if not (ours and ours.prepare):
            notes.append(f"no photos are in {folder}: add --root DIR, where they are")
    for file in dict.fromkeys(path for word in shlex.split(command) if (path := specs.file_of(_name(word)))):
        if not file.is_file():
            notes.append(f"{file} is not in this folder: name it by its path")
    return "; ".join(notes)


def _name(word: str) -> str:
    return word.partition("(")[0]


def _after(store: Store, name: str, kinds: set[str]) -> str:
    """What follows where all that was begun is done."""
    if not kinds & {"globals", "region_embeddings"}:
        index = next(store.artefacts("index", name), None)
        cached = [a.recipe.component for a in store.artefacts("regions", name)]
        return index_store.extract(index_store.typed(index), {"regions": cached}) if index else ""
    if results.places(store.layout.results, name):
        return f"fgscore report {name}"
    return after_embedding(store, name)


def after_embedding(store: Store, name: str) -> str:
    """What to run on the embeddings of a data set; empty where nothing can be."""
    try:
        found = bundles(store, name)
    except NothingCached:
        return ""
    with_regions = [bundle for bundle in found if isinstance(bundle, RegionBundle)]
    has_labels = any(index_store.has_labels(bundle.index_artefact) for bundle in found)
    scores = any(True for _ in store.artefacts("scores", name))
    if not has_labels and (scores or not with_regions):
        return without_labels(next((bundle for bundle in found if bundle.text), found[0]))
    measured = index_store.eval_split(found[0].index_artefact)
    if not with_regions:
        return f"fgscore probe {name} --pool none{measured}"
    # where a file of the user's lies is not known
    scored = next((a for a in store.artefacts("scores", name) if specs.file_of(a.recipe.name) is None), None)
    if scored:
        return f"fgscore probe {name} --scorer {quoted(scored.recipe.component)}{measured}"
    return f"fgscore score {name}" + ("" if any(b.text for b in with_regions) else " --scorer region_global")

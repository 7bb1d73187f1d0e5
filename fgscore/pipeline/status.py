"""What the cache holds, read from JSON alone: shards done of planned, failures, bytes, seconds, the next command."""

from __future__ import annotations

from typing import Any

from fgscore.errors import StoreError
from fgscore.store import index as index_store
from fgscore.store import manifest, schema
from fgscore.store.match import Store, check_there, dataset_key


def status(store: Store, dataset: str | None = None) -> list[dict[str, Any]]:
    """One row an artefact, in the order in which they are made. Raises :class:`NothingCached`."""
    check_there(store, "status", dataset)
    dataset = dataset_key(dataset)
    rows = []
    for kind in schema.KINDS:
        for path in sorted(store.layout.cache.glob(f"{dataset or '*'}/{kind}/*/{manifest.PLAN}")):
            try:
                rows.append(_row(store, manifest.load(path.parent)))
            except StoreError as error:
                rows.append(
                    {"dataset": path.parts[-4], "kind": kind, "artefact": path.parent.name, "next": f"damaged: {error}"}
                )
    return sorted(rows, key=lambda row: row["dataset"])


def _row(store: Store, artefact: manifest.Artefact) -> dict[str, Any]:
    row: dict[str, Any] = {
        "dataset": artefact.dataset,
        "kind": artefact.recipe.kind,
        "artefact": artefact.path.name,
        "component": artefact.recipe.component,
    }
    if artefact.recipe.kind == "index":
        content = artefact.manifest()
        counts = content["counts"] if content else {}
        size = content["file_bytes"] if content else 0
        return {
            **row,
            "images": counts.get("images"),
            "bytes": size,
            "next": _after_index(store, artefact, content is not None),
        }
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
    return {**row, "next": _next(store, artefact, done < total)}


def _after_index(store: Store, index: manifest.Artefact, complete: bool) -> str:
    if complete and index.recipe.component == index_store.IMPORTED:
        return _laptop(store, index.dataset)
    return f"fgscore {'extract' if complete else 'index'} {_as_typed(index)}"


def _laptop(store: Store, dataset: str) -> str:
    """What follows embeddings: scores, or where no region was embedded a probe of whole images."""
    scorable = any(store.layout.cache.glob(f"{dataset}/region_embeddings/*/{manifest.PLAN}"))
    return f"fgscore score {dataset}" if scorable else f"fgscore probe {dataset} --pool none"


def _as_typed(index: manifest.Artefact) -> str:
    """The data set as `extract` takes it, with its limit: ``"folder(name='mine')" --limit 5``."""
    component, limit = index.recipe.component, index.recipe.extra.get("limit")
    text = f'"{component}"' if "(" in component else component
    return text + (f" --limit {limit}" if limit else "")


def _next(store: Store, artefact: manifest.Artefact, unfinished: bool) -> str:
    kind, component = artefact.recipe.kind, artefact.recipe.component
    if kind == "scores":
        return f'fgscore {"score" if unfinished else "probe"} {artefact.dataset} --scorer "{component}"'
    if kind == "features":
        return f'fgscore aggregate {artefact.dataset} --pool "{component}"' if unfinished else "fgscore probe"
    if not unfinished:
        return _laptop(store, artefact.dataset)
    dataset = _as_typed(store.parent(artefact, "names" if kind == "text" else "images"))
    if kind == "regions":
        return f'fgscore regions {dataset} --regions "{component}"'
    if kind == "thumbnails":
        return f"fgscore extract {dataset} --thumbnail-size {artefact.recipe.params['size']}"
    command = f'fgscore extract {dataset} --encoder "{component}"'
    if kind == "region_embeddings":
        command += f' --regions "{store.parent(artefact, "regions").recipe.component}"'
    return command

"""The index artefact: one Parquet file of all images, beside a plan and a manifest like any other artefact's."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fgscore import regular, specs
from fgscore.errors import StoreError, quoted
from fgscore.labels import UNLABELLED, measurable
from fgscore.regular import file_sha256
from fgscore.store import files, manifest, paths
from fgscore.store.records import places
from fgscore.types import CONTENT, ImageIndex

ROWS = 1 << 12  # of the index, at a time
IMAGES_PER_SHARD = 128
IMPORTED = "imported"  # the component of an index that came with embeddings, not from a data set's own lists
BOX = ("x0", "y0", "x1", "y1")


def recipe(component: str, params: Mapping[str, Any], version: int, limit: int | None) -> manifest.Recipe:
    """The recipe of an index: the data set's own parameters and ``limit`` images a class. Never the photos' folder."""
    extra = {} if limit is None else {"limit": limit}
    return manifest.Recipe("index", component, dict(params), version, extra=extra)


def written(index: manifest.Artefact) -> str:
    """The data set of an index as it was written, ``folder(name='mine', split=0.2)``."""
    spec = specs.parse(index.recipe.component)
    content: Mapping[str, Any] = {}
    with suppress(StoreError):  # where the index is damaged, what it was made of is known from its plan
        content = (index.manifest() or {"notes": {}})["notes"].get(CONTENT, {})
    return specs.text(spec.name, {**spec.params, **content})


def typed(index: manifest.Artefact, whole: bool = False) -> str:
    """The data set of an index as `extract` takes it, ``"folder(name='mine')" --limit 5``, or without its limit, as a
    ``whole``. Empty for an import, which has no photos."""
    if index.recipe.component == IMPORTED:
        return ""
    limit = None if whole else index.recipe.extra.get("limit")
    return quoted(written(index)) + (f" --limit {limit}" if limit else "")


def extract(dataset: str, components: Mapping[str, Iterable[str]] | None = None) -> str:
    """The command that extracts ``dataset``, as :func:`typed` gives it, with ``components`` by their options; empty for
    an import. A prompt that was a file is left out: where it lies is not known."""
    named = [(option, text) for option, texts in (components or {}).items() for text in texts]
    options = [f" --{option} {quoted(text)}" for option, text in named if option != "prompt" or "@" not in text]
    return f"fgscore extract {dataset}{''.join(options)}" if dataset else ""


def way_out(command: str) -> str:
    """What a message says to do: run what :func:`extract` gave, or import once more."""
    return f"run `{command}`" if command else "import what is missing"


def write(layout: paths.Layout, index: ImageIndex, index_recipe: manifest.Recipe) -> manifest.Artefact:
    """Publish ``index``. The Parquet file is named by its own hash and the manifest points to it, so that a reader
    sees the old index or the new one."""
    artefact = manifest.plan(layout, index.dataset, index_recipe, {})
    buffer = io.BytesIO()
    pq.write_table(_to_table(index), buffer, compression="zstd")
    content_bytes = buffer.getvalue()
    sha256 = hashlib.sha256(content_bytes).hexdigest()
    final = artefact.path / f"index-{sha256[:8]}.parquet"
    content = {
        "kind": "index",
        "recipe_digest": index_recipe.digest,
        "file": final.name,
        "file_sha256": sha256,
        "file_bytes": len(content_bytes),
        "content_digest": index.images_digest(),
        "counts": _counts(index),
        "notes": dict(index.notes),
    }
    with files.publishing(artefact.path / manifest.MANIFEST) as file:  # begun first: `prune` sees a writer at work
        files.publish(final, content_bytes)
        file.write(files.seal(content))
    for old in artefact.path.glob("index-*.parquet"):
        if old != final:
            old.unlink(missing_ok=True)
    return artefact


def _counts(index: ImageIndex) -> dict[str, Any]:
    unlabelled = int((~index.is_labelled).sum())
    more = {"unlabelled": unlabelled} if unlabelled else {}
    of_splits = {"measurable": measurable(index.labels, index.split)}
    return {"images": len(index), "classes": len(index.class_names), **of_splits, **more}


def has_classes(artefact: manifest.Artefact) -> bool:
    """Whether an index has class names, by its manifest alone."""
    content = artefact.manifest()
    return content is None or bool(content["counts"].get("classes", True))


def eval_split(artefact: manifest.Artefact) -> str:
    """What a probe has to be told to measure on, by the manifest of an index alone: ``--eval-split val`` where there
    are labelled validation images and no test images, else nothing."""
    counts = (artefact.manifest() or {"counts": {}})["counts"].get("measurable", {"test": 1})
    return " --eval-split val" if counts.get("val") and not counts.get("test") else ""


def has_labels(artefact: manifest.Artefact) -> bool:
    """Whether an image of an index has a label, by its manifest alone."""
    content = artefact.manifest()
    return content is None or content["counts"].get("unlabelled") != content["counts"].get("images")


def read(artefact: manifest.Artefact) -> ImageIndex:
    """The index that an artefact holds; raises :class:`StoreError` where its file is missing or has changed."""
    content = artefact.manifest()
    if content is None:
        raise StoreError(f"{artefact.label}: the index was never finished; {_again(artefact)}")
    path = artefact.path / str(content["file"])
    if path.parent != artefact.path or not path.is_file() or file_sha256(path) != content["file_sha256"]:
        raise StoreError(f"{path}: missing or changed; {_again(artefact)}")
    return _from_table(path, _again(artefact))


def _again(index: manifest.Artefact) -> str:
    dataset = typed(index)
    return f"run `fgscore index {dataset}` again" if dataset else "import it again"


def _to_table(index: ImageIndex) -> pa.Table:
    columns: dict[str, Any] = {
        "image_id": index.image_ids,
        "path": index.paths,
        "label": pa.array(index.labels, mask=~index.is_labelled),
        "class_name": pa.array([index.class_named(label) for label in index.labels.tolist()], pa.string()),
        "split": index.split,
        "width": index.sizes_wh[:, 0],
        "height": index.sizes_wh[:, 1],
        "sha256": index.sha256,
        "orientation": index.orientation,
        "shard": index.shard,
        **{name: index.boxes_xyxy[:, i] for i, name in enumerate(BOX)},
    }
    table = pa.table({name: _column(values) for name, values in columns.items()})
    meta = {
        "dataset": index.dataset,
        "class_names": list(index.class_names),
        "banner": index.banner,
        "notes": dict(index.notes),
    }
    return table.replace_schema_metadata({"fgscore": json.dumps(meta, sort_keys=True)})


def _column(values: np.ndarray | pa.Array) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    return pa.array(values.tolist()) if values.dtype.kind == "U" else pa.array(values)


def _from_table(path: Path, way_out: str) -> ImageIndex:
    try:
        column, metadata = _columns(path)
        meta = json.loads(metadata[b"fgscore"])
        return ImageIndex(
            dataset=meta["dataset"],
            image_ids=column["image_id"],
            paths=column["path"],
            labels=column["label"],
            split=column["split"],
            class_names=tuple(meta["class_names"]),
            sizes_wh=np.stack([column["width"], column["height"]], axis=1),
            sha256=column["sha256"],
            orientation=column["orientation"],
            shard=column["shard"],
            boxes_xyxy=np.stack([column[name] for name in BOX], axis=1),
            banner=meta["banner"],
            notes=meta["notes"],
        )
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError, MemoryError) as error:
        regular.check_exhausted(path, error)
        raise StoreError(f"{path}: not an index ({error}); {way_out}") from error


def _columns(path: Path) -> tuple[dict[str, np.ndarray], dict[bytes, bytes]]:
    """The columns of an index and its metadata. Some thousand rows at a time, straight into place: as a whole, the
    table and its strings as Python's would take several times what the arrays do."""
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        names = [name for name in schema.names if name != "class_name"]  # which is for other readers
        kinds = {name: _values(pa.array([], schema.field(name).type)).dtype for name in names}
        columns = {name: np.empty(file.metadata.num_rows, kind) for name, kind in kinds.items()}
        start = 0
        for batch in file.iter_batches(ROWS, columns=names):
            stop = start + len(batch)
            for name, column in zip(names, batch.columns, strict=True):
                values = _values(column.fill_null(UNLABELLED) if name == "label" else column)
                if values.dtype.itemsize > columns[name].dtype.itemsize:  # longer strings than any before
                    columns[name] = columns[name].astype(values.dtype)
                columns[name][start:stop] = values
            start = stop
    return columns, schema.metadata


def _values(column: pa.Array) -> np.ndarray:
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), np.str_)
    return column.to_numpy()  # refuses nulls


def assign_shards(image_ids: np.ndarray, earlier: ImageIndex | None) -> tuple[np.ndarray, np.ndarray]:
    """Order and shard numbers for ``image_ids`` (N,): returns (order (N,), shard (N,)), both int64.

    Images of an earlier index keep their order and their shard; new ones follow in shards of their own, so that what
    was computed before stays valid.
    """
    if earlier is None:
        return np.arange(len(image_ids)), np.arange(len(image_ids)) // IMAGES_PER_SHARD
    where = places(image_ids, earlier.image_ids)
    kept = where >= 0
    new = np.flatnonzero(places(earlier.image_ids, image_ids) < 0)
    first = int(earlier.shard.max()) + 1 if len(earlier) else 0
    numbers = np.concatenate([earlier.shard[kept], first + np.arange(len(new)) // IMAGES_PER_SHARD])
    return np.concatenate([where[kept], new]), numbers.astype(np.int64)

"""An artefact as one set of arrays: what has an entry an image in memory, the rest shard by shard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fgscore.store import files, manifest, schema, streams
from fgscore.store.arrays import Arrays
from fgscore.store.cache import Store
from fgscore.store.streams import Flow

ROWS = {"globals": "N", "features": "N", "regions": "R", "region_embeddings": "R", "scores": "R"}
SMALL = (("N",), ("N+1",), ("N", "2"))  # an index of the same images is in memory anyway


def write(store: Store, artefact: manifest.Artefact, path: Path) -> int:
    """The artefact as a file in the format of the suffix of ``path``. Returns the rows of its table."""
    small, large = of(store, artefact)
    columns = _columns(artefact, [*small, *large])
    with files.publishing(path) as file:
        if path.suffix == ".npz":
            streams.write_npz(file, small, large)
        elif path.suffix == ".safetensors":
            streams.write_safetensors(file, small, large)
        else:
            parts = (store.columns(artefact, number) for number in artefact.shard_sizes)
            streams.write_parquet(file, small, parts, columns)
    return len(small[columns[0]]) if columns[0] in small else large[columns[0]].shape[0]


def has(artefact: manifest.Artefact, name: str) -> bool:
    """Whether the artefact's shards hold ``name``, which may be absent."""
    number = next(iter(artefact.shard_sizes))
    return name in artefact.shapes(number)


def of(store: Store, artefact: manifest.Artefact) -> tuple[Arrays, dict[str, Flow]]:
    """(arrays with an entry an image, the others as flows), by the names of the README's format section."""
    kind = artefact.recipe.kind
    shapes = [artefact.shapes(number) for number in artefact.shard_sizes]
    present = [name for name in schema.COLUMNS[kind] if name in shapes[0]]
    small = {name for name in present if schema.COLUMNS[kind][name].dims in SMALL}
    parts = [store.columns(artefact, number, small) for number in artefact.shard_sizes]
    arrays = {name: np.concatenate(list(_joined(kind, name, (p[name] for p in parts)))) for name in small}
    flows = {}
    for name in present:
        if name not in small:
            plus = _plus(kind, name)
            rows = sum(shape[name][1][0] - plus for shape in shapes) + plus
            dtype, (_, *rest) = shapes[0][name]
            flows[name] = Flow(dtype, (rows, *rest), lambda name=name: _parts(store, artefact, name))  # type: ignore[misc]
    return {name: arrays[name] for name in present if name in small}, flows


def _parts(store: Store, artefact: manifest.Artefact, name: str) -> Iterator[np.ndarray]:
    read = (store.columns(artefact, number, [name])[name] for number in artefact.shard_sizes)
    return _joined(artefact.recipe.kind, name, read)


def _joined(kind: str, name: str, parts: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The parts as those of one array: offsets go on where the shard before them ended."""
    if not _plus(kind, name):
        yield from parts
        return
    last = np.zeros(1, np.int64)
    yield last
    for part in parts:
        yield part[1:] + last
        last = part[-1:] + last


def _plus(kind: str, name: str) -> bool:
    return schema.COLUMNS[kind][name].dims[0].endswith("+1")


def _columns(artefact: manifest.Artefact, names: list[str]) -> tuple[str, ...]:
    """Those of ``names`` that have one entry for each row of a table: an image or a region."""
    kind = artefact.recipe.kind
    rows = [name for name in names if schema.COLUMNS[kind][name].dims[0] == ROWS[kind]]
    return (*rows, *(["mask_counts"] if "mask_counts" in names else []))

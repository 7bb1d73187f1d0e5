"""One shard: a record to an HDF5 file and back, checked against the schema on the way in."""

from __future__ import annotations

import hashlib
import io
import math
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from fgscore import regular
from fgscore.errors import StoreError, UnfitPackage
from fgscore.store import files, schema
from fgscore.store.packs import Place

CHUNK_BYTES = 1 << 20
KEPT_BYTES = 1 << 20  # a file in memory no larger is kept to be written over
MAX_DATASET_BYTES = 1 << 36  # a header that claims more is refused before anything is allocated
H5PY = "3.16"  # what those before it, with an HDF5 before 2.0, write from memory nobody can read, themselves included


def write(path: Path, record: Any, durable: bool = True) -> dict[str, Any]:
    """Publish ``record`` at ``path``, see :func:`files.publish`. Returns content digest, SHA-256 and size of the file.

    Every dataset carries fletcher32, so that a flipped bit never becomes a number. The first file of its kind that a
    process writes is read back before it is published; raises :class:`UnfitPackage` where that fails.
    """
    kind, arrays = schema.kind_of(record), schema.pack(record)
    wrong = schema.problems(kind, {n: (a.dtype.str, a.shape) for n, a in arrays.items()})
    if wrong:
        raise ValueError(f"{kind} record: {'; '.join(wrong)}")

    image, digest = _image(kind, arrays), content_digest(arrays)
    if kind not in _read_back:
        _check_image(image, digest)
        _read_back.add(kind)
    files.publish(path, image, durable)
    return {
        "content_digest": digest,
        "file_sha256": hashlib.sha256(image).hexdigest(),
        "file_bytes": len(image),
    }


_read_back: set[str] = set()  # kinds of which this process has read back what it wrote


@cache
def check_writing() -> None:
    """To be called before anything is computed for a shard: raises :class:`UnfitPackage` where this h5py writes what it
    cannot read back. Tried once a process, in memory, which takes a millisecond."""
    arrays = {"image_ids": np.array([b"a"]), "globals": np.ones((1, 2), np.float16), "norms": np.ones(1, np.float32)}
    _check_image(_image("globals", arrays), content_digest(arrays))


def _check_image(image: bytes, digest: str) -> None:
    """Raises :class:`UnfitPackage` unless the HDF5 file ``image`` is read as content of that ``digest``."""
    try:
        with _turn, h5py.File(io.BytesIO(image), "r") as file:
            found = content_digest({name: np.asarray(item) for name, item in file.items()})
        wrong = "" if found == digest else "other content comes back"
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        wrong = str(error).partition("\n")[0] or type(error).__name__
    if wrong:
        raise UnfitPackage(
            f"expected h5py {H5PY} or later with HDF5 2.0, found h5py {h5py.__version__} with HDF5 "
            f"{h5py.version.hdf5_version}: what it writes cannot be read back ({wrong}); no shard was written; run: "
            f'pip install --force-reinstall --no-deps "h5py>={H5PY}"'
        )


class _Kept(threading.local):
    """The file in memory that a thread wrote last, its datasets and their layout."""

    file: h5py.File | None = None
    datasets: Mapping[str, Any] = {}
    layout: Any = None


_kept = _Kept()
_turn = threading.RLock()  # HDF5 serves one thread at a time: to wait once a file is cheaper than once a call
_numbers = count()  # HDF5 tells open files apart by name, even in memory


def _image(kind: str, arrays: schema.Arrays) -> bytes:
    """The bytes of the HDF5 file, built in memory: a full disk is then an ordinary error of one plain write.

    To create datasets takes ten times as long as to write them. So a small file is kept, and the next of the same
    layout, another scorer's or another shard's, is written over it; it has the same bytes as a new one would.
    """
    with _turn:
        return _written(kind, arrays)


def _written(kind: str, arrays: schema.Arrays) -> bytes:
    layout = kind, {name: (array.dtype, array.shape) for name, array in arrays.items()}
    if _kept.layout == layout and _kept.file is not None:
        for name, array in arrays.items():
            if array.size:
                _kept.datasets[name].write(h5py.h5s.ALL, h5py.h5s.ALL, array)
        return _bytes_of(_kept.file)
    if _kept.file is not None:
        _kept.file.close()
        _kept.file = _kept.layout = None
    with ExitStack() as closing:
        name = f"shard-{next(_numbers)}"
        file = closing.enter_context(h5py.File(name, "w", driver="core", backing_store=False, libver=("v110", "v110")))
        file.attrs["fgscore_kind"] = kind
        file.attrs["fgscore_schema"] = schema.SCHEMA
        for key, array in arrays.items():
            _write_dataset(file, key, array)
        image = _bytes_of(file)
        if len(image) <= KEPT_BYTES and _bytes_of(file) == image:  # HDF5 may tidy up a new file when flushed again
            _kept.file, _kept.layout, _kept.datasets = file, layout, {key: file[key].id for key in arrays}
            closing.pop_all()
    return image


def _bytes_of(file: h5py.File) -> bytes:
    file.flush()
    return bytes(file.id.get_file_image())


def _write_dataset(file: h5py.File, name: str, array: np.ndarray) -> None:
    if array.size == 0:
        file.create_dataset(name, data=array, track_times=False)
        return
    row_bytes = max(1, array.nbytes // len(array))
    rows = max(1, min(len(array), CHUNK_BYTES // row_bytes))
    chunks = (rows, *array.shape[1:])
    file.create_dataset(name, data=array, chunks=chunks, fletcher32=True, track_times=False)


def content_digest(arrays: schema.Arrays) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all arrays: equal for equal content, whatever the file."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        if array.dtype.kind == "S":  # the padding of strings depends on their neighbours, their text does not
            array = np.frombuffer("\0".join(np.char.decode(array, "utf-8").ravel().tolist()).encode(), np.uint8)
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def read(path: Path | Place, kind: str) -> Any:
    """The whole record at ``path``. Raises :class:`StoreError` that names the file and the dataset at fault."""
    arrays = read_arrays(path, kind)
    try:
        return schema.unpack(kind, arrays)
    except ValueError as error:
        raise _fault(path, str(error)) from error


def read_arrays(path: Path | Place, kind: str, names: Collection[str] | None = None) -> schema.Arrays:
    """Datasets of the shard at ``path`` as arrays; all of them, or those in ``names`` that are there."""
    with _opened(path, kind) as found:
        return {name: _read(name, found[name], path) for name in found if names is None or name in names}


def shapes(path: Path | Place, kind: str) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """dtype and shape of every dataset of the shard at ``path``, from the headers alone."""
    with _opened(path, kind) as found:
        return {name: (item.dtype, item.shape) for name, item in found.items()}


@contextmanager
def _file(path: Path | Place) -> Iterator[h5py.h5f.FileID]:
    if isinstance(path, Place) and path.size is not None:
        with path.opened() as part, h5py.File(part, "r") as file:
            yield file.id
        return
    name = path.path if isinstance(path, Place) else path
    regular.check(name)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    # a published file never changes, so it needs no lock; some network file systems refuse them
    access.set_file_locking(False, True)
    file = h5py.h5f.open(os.fsencode(name), h5py.h5f.ACC_RDONLY, fapl=access)
    try:
        yield file
    finally:
        file.close()


class _Header(NamedTuple):
    """A dataset as its header describes it. All of this is h5py's low-level interface: an h5py.Dataset takes longer to
    make than most of ours to read."""

    id: h5py.h5d.DatasetID
    dtype: np.dtype
    shape: tuple[int, ...]
    properties: h5py.h5p.PropDCID

    @property
    def bytes(self) -> int:
        """How many it promises."""
        return math.prod(self.shape) * self.dtype.itemsize


@contextmanager
def _opened(path: Path | Place, kind: str) -> Iterator[dict[str, _Header]]:
    """The datasets of a shard, checked against the schema; whatever goes wrong is a :class:`StoreError`."""
    try:
        with _turn, _file(path) as file:
            names = [name.decode() for name in h5py.h5g.open(file, b"/")]
            found = {name: _header(file, name, path) for name in names}
            if (said := _attribute(file, b"fgscore_kind")) != kind:
                raise _fault(path, f"expected a shard of kind {kind!r}, found {said!r}")
            if (said := _attribute(file, b"fgscore_schema")) != schema.SCHEMA:
                raise _fault(path, f"expected schema {schema.SCHEMA}, found {said}")
            wrong = schema.problems(kind, {name: (item.dtype.str, item.shape) for name, item in found.items()})
            if wrong:
                raise _fault(path, "; ".join(wrong))
            yield found
    except FileNotFoundError:
        raise _fault(path, "the file is missing") from None
    except (OSError, RuntimeError, ValueError, KeyError, OverflowError, TypeError, MemoryError) as error:
        regular.check_exhausted(path, error)
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise _fault(path, f"cannot be read ({reason})") from error


def _attribute(file: h5py.h5f.FileID, name: bytes) -> Any:
    """Text or a number; None where the file has no such attribute."""
    if not h5py.h5a.exists(file, name):
        return None
    attribute = h5py.h5a.open(file, name)
    value = np.empty(attribute.shape, attribute.dtype)
    attribute.read(value)
    found: Any = value[()]
    return found.decode() if isinstance(found, bytes) else found


def _header(file: h5py.h5f.FileID, name: str, path: Path | Place) -> _Header:
    """The header of a dataset; links out of the file are refused, and sizes that no shard has."""
    if file.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise _fault(path, f"{name!r} is a link, not a dataset")
    item = h5py.h5o.open(file, name.encode())
    if not isinstance(item, h5py.h5d.DatasetID):
        raise _fault(path, f"{name!r} is a {type(item).__name__.removesuffix('ID')}, not a dataset")
    found = _Header(item, item.dtype, item.shape, item.get_create_plist())
    if found.properties.get_layout() == h5py.h5d.VIRTUAL or found.properties.get_external_count():
        raise _fault(path, f"dataset {name!r} keeps its data in another file")
    if found.dtype.hasobject or found.bytes > MAX_DATASET_BYTES:
        raise _fault(path, f"dataset {name!r}: {found.dtype} of shape {found.shape} is refused")
    return found


def _read(name: str, item: _Header, path: Path | Place) -> np.ndarray:
    # A few bytes of header can promise any shape: what is allocated must be covered by bytes that are really there,
    # which only holds without compression.
    filters = [item.properties.get_filter(i) for i in range(item.properties.get_nfilters())]
    if any(number != h5py.h5z.FILTER_FLETCHER32 for number, *_ in filters):
        raise _fault(path, f"dataset {name!r} is stored through filters {[said.decode() for *_, said in filters]}")
    if (stored := item.id.get_storage_size()) < item.bytes:
        raise _fault(path, f"dataset {name!r} holds {stored} of {item.bytes} bytes")
    array = np.empty(item.shape, item.dtype)
    if array.size:
        item.id.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array


def _fault(path: Path | Place, what: str) -> StoreError:
    return StoreError(f"{path}: {what}; run `fgscore repair`, then the same extract again")

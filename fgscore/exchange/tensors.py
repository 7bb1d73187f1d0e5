"""Arrays of safetensors, and of torch's own files by ``weights_only``: no pickle of anyone else's is ever run."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fgscore.errors import DataError
from fgscore.exchange.contents import Contents, Entry, entry
from fgscore.machine.packages import check_package
from fgscore.store import arrays as array_files

if TYPE_CHECKING:
    import torch

DTYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1", "U64": "u8",
          "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "?"}  # fmt: skip
DEEP = 4  # folders of a torch file are no deeper than this


def safetensors(path: Path) -> Contents:
    """What a ``.safetensors`` holds, with the strings of its metadata."""
    from safetensors import SafetensorError, safe_open

    entries: dict[str, Entry] = {}
    try:
        with safe_open(path, framework="numpy") as content:
            for key in content.keys():  # noqa: SIM118 (not a mapping)
                part = content.get_slice(key)
                entries[key] = _of_tensor(path, key, part.get_dtype(), tuple(part.get_shape()))
            metadata = content.metadata() or {}
    except SafetensorError as error:
        raise ValueError(error) from error
    return Contents(path, entries | {key: _given(array) for key, array in array_files.texts(metadata).items()})


def _of_tensor(path: Path, key: str, dtype: str, shape: tuple[int, ...]) -> Entry:
    if dtype == "BF16":
        return entry(np.dtype(np.float32), shape, lambda: _bfloat16(_bytes(path, key)).reshape(shape))
    if dtype not in DTYPES:
        return Entry(f"numbers of {dtype}", shape)
    return entry(np.dtype(DTYPES[dtype]), shape, lambda: _tensor(path, key))


def _tensor(path: Path, key: str) -> np.ndarray:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as content:
        return np.asarray(content.get_tensor(key))


def _bytes(path: Path, key: str) -> bytes:
    """Those of one tensor, for what numpy has no type for."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        start, stop = json.loads(file.read(length))[key]["data_offsets"]
        file.seek(8 + length + start)
        return file.read(stop - start)


def _bfloat16(raw: bytes) -> np.ndarray:
    """bfloat16 as float32, exactly: it is the upper half of one."""
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)


def _given(array: np.ndarray) -> Entry:
    """An array that is in memory already."""
    return entry(array.dtype, array.shape, lambda: array)


def torch_file(path: Path) -> Contents:
    """What a ``.pt`` or ``.pth`` holds: a tensor by the name of the file, or the tensors and lists of a dictionary,
    those of dictionaries in it as ``outer/inner``. Raises :class:`MissingExtra` without torch, :class:`DataError` for
    what only running code of the file could load."""
    check_package("torch", f"reading {path.name}")
    import torch

    mapped = zipfile.is_zipfile(path)  # the form of torch 1.6 and later; the older one has no mmap
    if mapped:
        with zipfile.ZipFile(path) as archive:
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise DataError(f"expected tensors in {path}, found a compressed archive, which torch does not write; "
                                "write it again by torch.save")  # fmt: skip
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises whatever its reader met; none of it is for the user
        raise DataError(_refused(path, str(error))) from error
    return Contents(path, dict(_entries(content, "", path.stem)))


def _refused(path: Path, reason: str) -> str:
    wanted = f"expected tensors in {path}, found"
    if "TorchScript" in reason:
        return f"{wanted} a TorchScript archive, which is a program; save its tensors by torch.save"
    if named := re.search(r"GLOBAL ([\w.]+)", reason):
        return (
            f"{wanted} {named[1]} too, which only running code of the file could load: refused; save tensors alone, as "
            "torch.save({'features': features, 'labels': labels}, 'x.pt') with torch.from_numpy for numpy's arrays"
        )
    return f"{wanted} something else, cut short or damaged; write it again"


def _entries(value: Any, key: str, stem: str, depth: int = 0) -> Iterator[tuple[str, Entry]]:
    import torch

    name = key or stem
    if isinstance(value, torch.Tensor):
        yield name, _of_torch(value.detach())
    elif isinstance(value, Mapping) and depth < DEEP:
        for inner, one in value.items():
            yield from _entries(one, f"{key}/{inner}" if key else str(inner), stem, depth + 1)
    elif isinstance(value, list | tuple) and any(isinstance(one, torch.Tensor | Mapping | list) for one in value):
        for number, one in enumerate(value if depth < DEEP else ()):
            yield from _entries(one, f"{key}/{number}" if key else str(number), stem, depth + 1)
    else:
        yield name, _of_value(value)


def _of_value(value: Any) -> Entry:
    """Numbers and strings, alone or in a list."""
    several = list(value) if isinstance(value, list | tuple) else [value]
    kinds = {str if isinstance(one, str) else type(one) for one in several}
    if kinds <= {int, float} or kinds in ({str}, {bool}):
        array = np.array(value)
        return entry(array.dtype, array.shape, lambda: array)
    return Entry(" and ".join(sorted(kind.__name__ for kind in kinds)) or "an empty list")


def _of_torch(tensor: torch.Tensor) -> Entry:
    import torch

    shape = tuple(tensor.shape)
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
        return Entry("a sparse, quantized, complex or empty tensor", shape)
    if tensor.dtype == torch.bfloat16:
        return entry(np.dtype(np.float32), shape, lambda: tensor.float().numpy())
    try:
        dtype = torch.empty(0, dtype=tensor.dtype).numpy().dtype
    except TypeError:
        return Entry(f"numbers of {tensor.dtype}", shape)
    return entry(dtype, shape, lambda: tensor.resolve_conj().resolve_neg().numpy())

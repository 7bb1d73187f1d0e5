"""Files of model weights: opened without running anything that they hold, and named where they are not what they say.

safetensors, or torch's own files by ``weights_only``. What is wrong with a file is a :class:`MissingWeights` that names
it and what to do; so are weights that do not fit their model.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgscore.errors import MissingWeights, shortened

if TYPE_CHECKING:
    import torch

SAFE = ".safetensors"
POINTER = b"version https://git-lfs"
MAX_HEADER = 100_000_000  # bytes; safetensors' own limit
ADAPTERS = ("lora_", "adapter", "ia3_")  # parts of names that change what a model computes
AGAIN = "fetch it again"


def read(path: Path) -> Mapping[str, Any]:
    """What a file of weights holds: names to tensors, or, in a training checkpoint, whatever lies around them.

    Tensors are mapped from the file, and so take no memory before they are used. Raises :class:`MissingWeights` for a
    file that is missing, empty, cut short, no weights at all, or that holds more than plain values.
    """
    if not path.is_file():
        raise MissingWeights(f"expected weights at {path}, found {'no file' if not path.exists() else 'no plain file'}")
    with open(path, "rb") as file:
        start = file.read(64)
    if not start:
        raise MissingWeights(f"{path} is empty; {AGAIN}")
    if start.startswith(POINTER):
        raise MissingWeights(f"{path} is a pointer of git-lfs, not the weights; run `git lfs pull` in its folder")
    if re.match(rb"\s*<(!doctype|html|\?xml)", start, re.IGNORECASE):
        raise MissingWeights(f"{path} is a web page, not the weights; {AGAIN}, by its direct link")
    return _safetensors(path) if path.suffix == SAFE else _torch_file(path)


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _check_whole(path)
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:  # such as a dtype that this torch does not have
        raise MissingWeights(f"expected safetensors in {path}, found a damaged file ({error}); {AGAIN}") from error


def _check_whole(path: Path) -> None:
    """Raises :class:`MissingWeights` unless the file is as long as its header says."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= MAX_HEADER:
            raise MissingWeights(f"expected safetensors in {path}, found something else; {AGAIN}")
        if size < 8 + length:
            raise MissingWeights(f"{path} is cut short ({size:,} bytes, its header alone is {8 + length:,}); {AGAIN}")
        try:
            entries = [entry for name, entry in json.loads(file.read(length)).items() if name != "__metadata__"]
            wanted = 8 + length + max((entry["data_offsets"][1] for entry in entries), default=0)
        except (ValueError, RecursionError, AttributeError, TypeError, KeyError, IndexError):
            raise MissingWeights(f"expected safetensors in {path}, found a damaged header; {AGAIN}") from None
    if size != wanted:
        how = "is cut short" if size < wanted else "is longer than its header says"
        raise MissingWeights(f"{path} {how} ({size:,} of {wanted:,} bytes); {AGAIN}")


def _torch_file(path: Path) -> Mapping[str, Any]:
    import torch

    mapped = zipfile.is_zipfile(path)  # the form of torch 1.6 and later; the older one has no mmap
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises whatever the reader met; none of it is for the user
        raise MissingWeights(_refused(path, str(error))) from error
    if not isinstance(content, Mapping):
        raise MissingWeights(f"expected names and tensors in {path}, found one {type(content).__name__}")
    return content


def _refused(path: Path, reason: str) -> str:
    if "TorchScript" in reason:
        return f"{path} is a TorchScript archive, a program with its weights: save the weights alone, as safetensors"
    named = re.search(r"GLOBAL ([\w.]+)", reason)
    if named is None:
        return f"{path} is cut short, damaged or no file of weights ({path.stat().st_size:,} bytes); {AGAIN}"
    return (
        f"{path} holds {named[1]} beside its weights, which only running code of the file could load: refused; save "
        "the weights alone, as safetensors or by torch.save(model.state_dict(), ...)"
    )


def stand_ins(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Zeros of the same names, shapes and dtypes that take no memory: enough to see whether they fit a model."""
    import torch

    return {name: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for name, tensor in tensors.items()}


def unwrapped(content: Mapping[str, Any], ending: str, path: Path) -> Mapping[str, torch.Tensor]:
    """The one state dict in ``content`` with a name of that ``ending``, out of whatever a training run wraps around it.

    Raises :class:`MissingWeights` where there is none, or more than one.
    """
    every = dict(_state_dicts(content, ""))
    fitting = {where: found for where, found in every.items() if any(name.endswith(ending) for name in found)}
    if len(fitting) > 1:
        raise MissingWeights(f"{path} holds several models ({listed(fitting)}); save the one that is meant by itself")
    if not fitting:
        names = next(iter(every.values()), content)
        raise MissingWeights(f"expected a state dict with {ending!r} in {path}, found {listed(names, 'one of')}")
    return next(iter(fitting.values()))


def _state_dicts(content: Mapping[str, Any], where: str, depth: int = 3) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping of names to tensors in ``content``, itself included, and where it is."""
    import torch

    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if tensors:
        yield where or "itself", tensors
    for name, value in content.items():
        if depth and isinstance(value, Mapping):
            yield from _state_dicts(value, f"{where}.{name}".lstrip("."), depth - 1)


def tensors_of(content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The entries of ``content`` that are tensors under a dotted name or, without exception, under any name."""
    import torch

    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    return tensors if len(tensors) == len(content) or any("." in name for name in tensors) else {}


def not_finite(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of tensors with numbers that are not finite, or that are no floating point numbers at all."""
    return [name for name, t in tensors.items() if not (t.is_floating_point() and bool(t.isfinite().all()))]


def prefix_of(found: Iterable[str], wanted: Collection[str]) -> str:
    """What ``found`` names have in front of the ``wanted`` ones, such as 'module.'; '' where that is not the matter."""
    for name in found:
        for dot in (i + 1 for i, letter in enumerate(name) if letter == "."):
            if name[dot:] in wanted:
                return name[:dot]
    return ""


def pattern(name: str) -> str:
    """``name`` with its numbers left out: the same for all layers."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name)


def listed(names: Iterable[str], what: str = "") -> str:
    """The first three of ``names`` in order, and how many more: ``a, b, c and 4 more``."""
    return f"{what + ' ' if what else ''}{shortened(sorted(map(str, names))) or 'nothing'}"

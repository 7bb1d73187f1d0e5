"""A model folder in transformers' layout: which of its files are meant, whether all are there, and whether they fit.

A folder may hold its weights several times over; one container is read, the first of safetensors (one file, by an
index, numbered) and torch's own (likewise).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from fgscore import weights
from fgscore.errors import MissingWeights

if TYPE_CHECKING:
    import torch

SETTINGS = ("*.json", "*.txt", "*.model")  # all that says how weights are used, words among them
CONTAINERS = (("model", ".safetensors"), ("pytorch_model", ".bin"))
NUMBERED = re.compile(r"(?P<stem>[\w.-]+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.safetensors|\.bin)")
WORDS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",), ("spiece.model",), ("tokenizer.model",),
         ("sentencepiece.bpe.model",))  # fmt: skip
PIXELS = ("preprocessor_config.json", "processor_config.json")
# names of other layouts: what they are called, and what to do
ELSEWHERE = {
    "open_clip_config.json": "open_clip's layout, which this encoder does not read",
    "open_clip_model.safetensors": "open_clip's layout, which this encoder does not read",
    "open_clip_pytorch_model.bin": "open_clip's layout, which this encoder does not read",
    "adapter_config.json": "an adapter, not a model: merge it into its model and save that",
    "tf_model.h5": "weights of TensorFlow alone: save them by PyTorch's transformers",
    "flax_model.msgpack": "weights of Flax alone: save them by PyTorch's transformers",
}


def container(names: Collection[str], read: Callable[[str], bytes]) -> tuple[str, ...]:
    """The files with the weights among ``names``, an index that lists them first; () where there are none.

    ``read`` gives the content of one of ``names``. All that an index lists are named, there or not.
    Raises :class:`MissingWeights` for an index that is none.
    """
    for stem, suffix in CONTAINERS:
        one, index = f"{stem}{suffix}", f"{stem}{suffix}.index.json"
        if one in names:
            return (one,)
        if index in names:
            return (index, *_in_index(index, read(index)))
        numbered = [
            found for name in sorted(names) if (found := NUMBERED.fullmatch(name)) and found["suffix"] == suffix
        ]
        numbered = [found for found in numbered if not found["stem"].startswith("open_clip")]
        if numbered:  # with no index beside them
            first = numbered[0]
            count = int(first["count"])
            return tuple(f"{first['stem']}-{i:05}-of-{first['count']}{suffix}" for i in range(1, count + 1))
    return ()


def _in_index(name: str, content: bytes) -> list[str]:
    try:
        files = sorted(set(json.loads(content)["weight_map"].values()))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        files = []
    if not files or any(not isinstance(f, str) or not re.fullmatch(r"[\w.-]+", f) for f in files):
        raise MissingWeights(f"expected the names of weight files in {name}, found something else; fetch it again")
    return files


def lacking(names: Collection[str], read: Callable[[str], bytes]) -> list[str]:
    """What a model of those files lacks, in words: its configuration, weights, picture settings or words."""
    files = container(names, read)
    lacks = [] if "config.json" in names else ["config.json"]
    parts = [name for name in files if name not in names]
    lacks += [f"{len(parts)} of {len(files)} parts: {weights.listed(parts)}"] if parts else []
    if not files:
        lacks.append("weights (model.safetensors, pytorch_model.bin, or numbered parts with an index)")
    if not any(name in names for name in PIXELS):
        lacks.append("preprocessor_config.json")
    if not any(all(name in names for name in form) for form in WORDS):
        lacks.append("a tokenizer (tokenizer.json, vocab.json and merges.txt, spiece.model or vocab.txt)")
    return lacks


def files_of(folder: Path) -> list[Path]:
    """The files that identify the model in ``folder``: all settings and safetensors, and torch's own weights where
    these are what is read."""
    names = names_in(folder)
    read = container(names, lambda name: (folder / name).read_bytes())
    settings = {name for name in names if any(fnmatch(name, pattern) for pattern in ("*.safetensors", *SETTINGS))}
    return sorted(folder / name for name in settings | set(read))


def names_in(folder: Path) -> set[str]:
    """Names of the plain files in ``folder``: no pipe to wait at, and no link to what is gone."""
    return {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()


def check_files(folder: Path) -> None:
    """Raises :class:`MissingWeights` unless ``folder`` holds a whole model in transformers' layout."""
    if folder.is_file():
        raise MissingWeights(f"expected a model's folder, found the file {folder}; name the folder that it lies in")
    names = names_in(folder)
    odd = [path.name for path in sorted(folder.glob("*")) if not (path.is_file() or path.is_dir())]
    if odd:
        raise MissingWeights(f"expected plain files in {folder}, found a broken link, a pipe or a device: {odd[0]}")
    lacks = lacking(names, lambda name: (folder / name).read_bytes())
    if not lacks:
        return
    other = elsewhere(names)
    raise MissingWeights(
        f"expected a transformers model in {folder}, found {_found(folder, names)}; it lacks {', '.join(lacks)}"
        + (other or "; write one with save_pretrained, or name a hub id")
    )


def elsewhere(names: Collection[str]) -> str:
    """`` (what other layout it is)`` where files of ``names`` tell, else ''."""
    return next((f" ({why})" for name, why in ELSEWHERE.items() if name in names), "")


def _found(folder: Path, names: Collection[str]) -> str:
    if not folder.is_dir():
        return "no such folder"
    return ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "") if names else "an empty folder"


def state_dict(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the model in ``folder``, mapped from its files. Raises :class:`MissingWeights`."""
    files = container(names_in(folder), lambda name: (folder / name).read_bytes())
    tensors: dict[str, torch.Tensor] = {}
    for name in (name for name in files if not name.endswith(".json")):
        content = weights.read(folder / name)
        found = weights.tensors_of(content)
        if not found:
            raise MissingWeights(
                f"expected the model's weights in {folder / name}, found {weights.listed(content, 'a file of')}, as "
                "training writes it; save the model itself by save_pretrained"
            )
        tensors |= found
    return tensors


def remote_code(folder: Path) -> str:
    """The module that config.json would have transformers import, '' where there is none."""
    try:
        named = json.loads((folder / "config.json").read_bytes()).get("auto_map", {})
        return next((str(v).partition(".")[0] + ".py" for k, v in named.items() if k.startswith("AutoModel")), "")
    except (OSError, ValueError, RecursionError, AttributeError):
        return ""

"""A model's folder: which of its files are meant, and whether all are there, by the layout that a component reads.

A folder may hold its weights several times over; one container is read, the first of safetensors (one file, by an
index, numbered) and torch's own (likewise).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgscore import specs, weights
from fgscore.errors import MissingWeights, quoted

if TYPE_CHECKING:
    import torch

SETTINGS = ("*.json", "*.txt", "*.model")  # all that says how weights are used, words among them
NUMBERED = re.compile(r"(?P<stem>[\w.-]+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.safetensors|\.bin)")
WORDS = ("a tokenizer (tokenizer.json, vocab.json and merges.txt, spiece.model or vocab.txt)",
         (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",), ("spiece.model",), ("tokenizer.model",),
          ("sentencepiece.bpe.model",)))  # fmt: skip
PIXELS = ("preprocessor_config.json", (("preprocessor_config.json",), ("processor_config.json",)))
# names of other layouts: what they are called, and what to do
ELSEWHERE = {
    "open_clip_config.json": "open_clip's layout: name it by open_clip(model=...)",
    "open_clip_model.safetensors": "open_clip's layout: name it by open_clip(model=...)",
    "open_clip_pytorch_model.bin": "open_clip's layout: name it by open_clip(model=...)",
    "adapter_config.json": "an adapter, not a model: merge it into its model and save that",
    "tf_model.h5": "weights of TensorFlow alone: save them by PyTorch's transformers",
    "flax_model.msgpack": "weights of Flax alone: save them by PyTorch's transformers",
}


@dataclass(frozen=True)
class Layout:
    """What a folder holds that ``component`` reads, which the user names by ``option``.

    ``needs`` are things that it must hold, by what they are called, each as one of several lists of files;
    ``containers`` the files that may hold the weights, best first, in parts too where ``parted``; ``settings`` are
    patterns of the other files that decide what it computes; ``writer`` is what writes such a folder.
    """

    component: str
    called: str
    needs: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    containers: tuple[tuple[str, str], ...] = (("model", ".safetensors"), ("pytorch_model", ".bin"))
    parted: bool = True
    settings: tuple[str, ...] = SETTINGS
    option: str = "--encoder"
    writer: str = "save_pretrained"

    @property
    def weights(self) -> str:
        """What a folder without weights lacks, in words."""
        parts = ", or numbered parts with an index" if self.parted else ""
        return f"weights ({', '.join(stem + suffix for stem, suffix in self.containers)}{parts})"


CONFIG = ("config.json", (("config.json",),))
DUAL = Layout("clip", "transformers' layout", (CONFIG, PIXELS, WORDS))


def container(names: Collection[str], read: Callable[[str], bytes], layout: Layout = DUAL) -> tuple[str, ...]:
    """The files with the weights among ``names``, an index that lists them first; () where there are none.

    ``read`` gives the content of one of ``names``. All that an index lists are named, there or not.
    Raises :class:`MissingWeights` for an index that is none.
    """
    for stem, suffix in layout.containers:
        one, index = f"{stem}{suffix}", f"{stem}{suffix}.index.json"
        if one in names:
            return (one,)
        if not layout.parted:
            continue
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


def lacking(names: Collection[str], read: Callable[[str], bytes], layout: Layout = DUAL) -> list[str]:
    """What a model of those files lacks of its ``layout``, in words: settings, weights, words."""
    files = container(names, read, layout)
    here = {what: any(all(name in names for name in form) for form in forms) for what, forms in layout.needs}
    parts = [name for name in files if name not in names]
    found = [f"{len(parts)} of {len(files)} parts: {weights.listed(parts)}"] if parts else []
    if not files and layout.containers:
        found.append(layout.weights)
    lacks = [what for what, is_here in here.items() if not is_here]
    first = [what for what in lacks if what == layout.needs[0][0]]  # the settings, before the weights
    return [*first, *found, *lacks[len(first) :]]


def files_of(folder: Path, layout: Layout = DUAL) -> list[Path]:
    """The files that identify the model in ``folder``: all settings and safetensors, and torch's own weights where
    these are what is read."""
    names = names_in(folder)
    read = container(names, lambda name: (folder / name).read_bytes(), layout)
    settings = {name for name in names if any(fnmatch(name, one) for one in ("*.safetensors", *layout.settings))}
    return sorted(folder / name for name in settings | set(read))


def names_in(folder: Path) -> set[str]:
    """Names of the plain files in ``folder``: no pipe to wait at, and no link to what is gone."""
    return {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()


def check_files(folder: Path, layout: Layout = DUAL) -> None:
    """Raises :class:`MissingWeights` unless ``folder`` holds a whole model of that ``layout``."""
    if folder.is_file():
        raise MissingWeights(f"expected a model's folder, found the file {folder}; name the folder that it lies in")
    names = names_in(folder)
    odd = [path.name for path in sorted(folder.glob("*")) if not (path.is_file() or path.is_dir())]
    if odd:
        raise MissingWeights(f"expected plain files in {folder}, found a broken link, a pipe or a device: {odd[0]}")
    lacks = lacking(names, lambda name: (folder / name).read_bytes(), layout)
    if not lacks:
        return
    other = elsewhere(names, layout)
    if lacks == [WORDS[0]] and not other:
        other = "; a model of pictures alone is named by vision(model=...)"
    raise MissingWeights(
        f"expected a model in {layout.called} in {folder}, found {_found(folder, names)}; it lacks {', '.join(lacks)}"
        + (other or f"; write one with {layout.writer}, or name a hub id")
    )


def elsewhere(names: Collection[str], layout: Layout = DUAL) -> str:
    """`` (what other layout it is)`` where files of ``names`` tell, else ''."""
    known = {one for _, forms in layout.needs for form in forms for one in form}
    known |= {stem + suffix for stem, suffix in layout.containers}
    return next((f" ({why})" for name, why in ELSEWHERE.items() if name in names and name not in known), "")


def check_there(file: Path) -> None:
    """Raises :class:`MissingWeights` unless ``file`` is a plain file."""
    if not file.is_file():
        what = "no file" if not file.exists() else "a folder" if file.is_dir() else "no plain file"
        raise MissingWeights(f"expected weights at {file}, found {what}; name the file that holds them")


def _found(folder: Path, names: Collection[str]) -> str:
    if not folder.is_dir():
        return "no such folder"
    return ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "") if names else "an empty folder"


def weight_files(folder: Path, layout: Layout = DUAL) -> list[Path]:
    """The files of the container in ``folder`` that is read."""
    names = container(names_in(folder), lambda name: (folder / name).read_bytes(), layout)
    return [folder / name for name in names if not name.endswith(".json")]


def state_dict(folder: Path, layout: Layout = DUAL) -> dict[str, torch.Tensor]:
    """All tensors of the model in ``folder``, mapped from its files. Raises :class:`MissingWeights`."""
    tensors: dict[str, torch.Tensor] = {}
    for path in weight_files(folder, layout):
        content = weights.read(path)
        found = weights.tensors_of(content)
        if not found:
            raise MissingWeights(
                f"expected the model's weights in {path}, found {weights.listed(content, 'a file of')}, as "
                "training writes it; save the model itself by save_pretrained"
            )
        tensors |= found
    return tensors


def auto_map(folder: Path) -> Mapping[str, Any]:
    """The classes that config.json would have transformers import from code of its own, by those of transformers."""
    try:
        named = json.loads((folder / "config.json").read_bytes()).get("auto_map", {})
    except (OSError, ValueError, RecursionError, AttributeError):
        return {}
    return named if isinstance(named, dict) else {}


def remote_code(folder: Path) -> str:
    """The module that config.json would have transformers import for its model, '' where there is none."""
    named = (str(name) for key, name in auto_map(folder).items() if key.startswith("AutoModel"))
    return next((f"{name.partition('.')[0]}.py" for name in named), "")


def not_run(folder: Path) -> str:
    """Why what asks for code is refused."""
    names = [name for of in auto_map(folder).values() for name in (of if isinstance(of, list) else [of])]
    modules = dict.fromkeys(f"{str(name).partition('.')[0]}.py" for name in names if name)
    line = specs.text("clip", {"model": str(folder), "trust_remote_code": True})
    return (
        f"code of its own ({', '.join(modules)}), which is run only where you write so: look at it, then name it by "
        f"--encoder {quoted(line)}"
    )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; an empty one where there is none."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}

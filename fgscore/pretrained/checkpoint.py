"""A model folder in transformers' layout: which of its files are meant, whether all are there, and whether they fit.

A folder may hold its weights several times over; one container is read, the first of safetensors (one file, by an
index, numbered) and torch's own (likewise).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def check_fit(model: Any, loaded: Mapping[str, Any], found: Collection[str], folder: Path) -> str:
    """Whether the weights ``found`` in ``folder`` are ``model``'s, by what from_pretrained says it ``loaded``.

    Returns a line that counts those in excess, '' where there are none. Raises :class:`MissingWeights` where one that
    the embeddings depend on is missing or of another shape, or where they are a larger model's.
    """
    kind = type(model).__name__
    missing = _needed(model, sorted(loaded["missing_keys"]))
    shapes = [f"{name} {tuple(here)} for {tuple(there)}" for name, here, there in sorted(loaded["mismatched_keys"])]
    excess = sorted(loaded["unexpected_keys"])
    own = set(model.state_dict())
    larger = sorted({name for name in excess if weights.pattern(name) in {weights.pattern(name) for name in own}})
    if missing:
        what = f"{len(missing)} of {len(own)} weights of {kind} are missing: {weights.listed(missing)}"
        raise MissingWeights(f"{folder}: {what}; {_cause(found, excess, own, folder)}")
    if shapes:
        what = f"{len(shapes)} weights are not of the shape that config.json says: {weights.listed(shapes)}"
        raise MissingWeights(f"{folder}: {what}; its config.json belongs to another model")
    if larger:
        what = f"{len(larger)} weights are of layers that config.json does not have: {weights.listed(larger)}"
        raise MissingWeights(f"{folder}: {what}; its config.json belongs to a smaller model")
    adapters = [name for name in excess if any(part in name.lower() for part in weights.ADAPTERS)]
    if adapters:
        what = f"{len(adapters)} weights are an adapter's: {weights.listed(adapters)}"
        raise MissingWeights(f"{folder}: {what}; merge them into the model and save that")
    twice = [name for name in found if name.removeprefix(f"{model.base_model_prefix}.") in set(found) - {name}]
    if twice:
        raise MissingWeights(f"{folder} holds its weights twice, as {weights.listed(twice)} too; save one model")
    if not excess:
        return ""
    return (
        f"{folder.name}: {len(excess)} weights in the file that {kind} does not have, passed over: "
        + weights.listed(excess)
    )


def _needed(model: Any, missing: Sequence[str]) -> list[str]:
    """Those of ``missing`` that embeddings or the logit scale depend on, by what a gradient reaches."""
    import torch

    parameters = dict(model.named_parameters())
    if not missing or not all(name in parameters for name in missing):
        return list(missing)
    try:
        with torch.enable_grad():
            reached = torch.autograd.grad(_outputs(model), [parameters[n] for n in missing], allow_unused=True)
    except Exception:  # cannot be tried: then every one counts
        return list(missing)
    return [name for name, gradient in zip(missing, reached, strict=True) if gradient is not None]


def _outputs(model: Any) -> torch.Tensor:
    """A number that depends on all that the embeddings of a picture and a text, and the logit scale, depend on."""
    import torch

    side = model.config.vision_config.image_size
    device = next(model.parameters()).device
    ids = torch.zeros((1, 4), dtype=torch.long, device=device)
    pixels = torch.zeros((1, 3, side, side), dtype=next(model.parameters()).dtype, device=device)
    features = model.get_image_features(pixel_values=pixels), model.get_text_features(input_ids=ids)
    return sum((getattr(f, "pooler_output", f).sum() for f in features), model.logit_scale.sum())


def _cause(found: Collection[str], excess: Iterable[str], own: Collection[str], folder: Path) -> str:
    """What is likely the matter where weights are missing."""
    prefix = weights.prefix_of(excess, own)
    if prefix:
        run = ", as a run by DistributedDataParallel writes them" if prefix == "module." else ""
        return f"the names in the file begin with '{prefix}'{run}: save the model inside by save_pretrained"
    code = remote_code(folder)
    if code:
        return f"its config.json asks for code of its own ({code}), which is not run"
    if any(name.startswith(("visual.", "transformer.resblocks", "text.transformer")) for name in found):
        return "the names in the file are open_clip's or OpenAI's: name a repository in transformers' layout"
    extra = weights.listed(excess)
    return "the file is of another model" + (f", with {extra}" if extra != "nothing" else ", or only a part of one")


def remote_code(folder: Path) -> str:
    """The module that config.json would have transformers import, '' where there is none."""
    try:
        named = json.loads((folder / "config.json").read_bytes()).get("auto_map", {})
        return next((str(v).partition(".")[0] + ".py" for k, v in named.items() if k.startswith("AutoModel")), "")
    except (OSError, ValueError, RecursionError, AttributeError):
        return ""

"""Whether weights are those of a model: every one that its embeddings depend on is there, and fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgscore import weights
from fgscore.errors import MissingWeights
from fgscore.pretrained import checkpoint

if TYPE_CHECKING:
    import torch

Outputs = Callable[[Any], "torch.Tensor"]


def check_fit(model: Any, loaded: Mapping[str, Any], found: Collection[str], folder: Path, outputs: Outputs) -> str:
    """Whether the weights ``found`` in ``folder`` are ``model``'s, by what from_pretrained says it ``loaded``.
    ``outputs`` makes of the model a number that depends on all that the embeddings, and the logit scale, depend on.

    Returns a line that counts those in excess, '' where there are none. Raises :class:`MissingWeights` where one that
    the embeddings depend on is missing or of another shape, or where they are a larger model's.
    """
    kind = type(model).__name__
    missing = _needed(model, sorted(loaded["missing_keys"]), outputs)
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
    foreign = [name for name in excess if not name.endswith("position_ids")]  # buffers of old, in any file
    code = checkpoint.remote_code(folder)
    if foreign and code and type(model).__module__.startswith("transformers."):
        what = f"{len(foreign)} weights that {kind} does not have: {weights.listed(foreign)}"
        raise MissingWeights(f"{folder}: {what}; its config.json asks for {checkpoint.not_run(folder)}")
    if not excess:
        return ""
    return (
        f"{folder.name}: {len(excess)} weights in the file that {kind} does not have, passed over: "
        + weights.listed(excess)
    )


def _needed(model: Any, missing: Sequence[str], outputs: Outputs) -> list[str]:
    """Those of ``missing`` that ``outputs`` depend on, by what a gradient reaches."""
    import torch

    parameters = dict(model.named_parameters())
    if not missing or not all(name in parameters for name in missing):
        return list(missing)
    try:
        with torch.enable_grad():
            reached = torch.autograd.grad(outputs(model), [parameters[n] for n in missing], allow_unused=True)
    except Exception:  # cannot be tried: then every one counts
        return list(missing)
    return [name for name, gradient in zip(missing, reached, strict=True) if gradient is not None]


def said(error: Exception) -> str:
    """What a strict ``load_state_dict`` found, or any other error says, in one line."""
    text = str(error)
    missing, unexpected = (
        re.findall(r'"([^"]+)"', found[1])
        if (found := re.search(rf"{kind} key\(s\) in state_dict: (.*)", text))
        else []
        for kind in ("Missing", "Unexpected")
    )
    parts = [f"weights are missing ({len(missing)}): {weights.listed(missing)}"] if missing else []
    parts += [f"weights have no place ({len(unexpected)}): {weights.listed(unexpected)}"] if unexpected else []
    shapes = re.findall(r"size mismatch for ([\w.]+)", text)
    parts += [f"weights are of another shape ({len(shapes)}): {weights.listed(shapes)}"] if shapes else []
    return ", ".join(parts) or f"{type(error).__name__}: {first_line(error)}"


def first_line(error: Exception) -> str:
    """The first line of an error that says anything, at most 200 characters of it."""
    return next((line.strip()[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _cause(found: Collection[str], excess: Iterable[str], own: Collection[str], folder: Path) -> str:
    """What is likely the matter where weights are missing."""
    prefix = weights.prefix_of(excess, own)
    if prefix:
        run = ", as a run by DistributedDataParallel writes them" if prefix == "module." else ""
        return f"the names in the file begin with '{prefix}'{run}: save the model inside by save_pretrained"
    code = checkpoint.remote_code(folder)
    if code:
        return f"its config.json asks for {checkpoint.not_run(folder)}"
    if any(name.startswith(("visual.", "transformer.resblocks", "text.transformer")) for name in found):
        return "the names in the file are open_clip's or OpenAI's: name a repository in transformers' layout"
    extra = weights.listed(excess)
    return "the file is of another model" + (f", with {extra}" if extra != "nothing" else ", or only a part of one")

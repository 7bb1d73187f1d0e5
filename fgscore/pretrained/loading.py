"""transformers' side of a model folder: configuration, weights and what it makes of other files, each refused by a
sentence where it is not what it says. Nothing here asks a network, nor, but where ``code`` is True, runs code of the
folder."""

from __future__ import annotations

import importlib.util
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgscore.errors import MissingWeights, missing_extra
from fgscore.pretrained import checkpoint, fit

if TYPE_CHECKING:
    import torch

Weigh = Callable[[dict[str, "torch.Tensor"]], dict[str, "torch.Tensor"]]

# models with both towers that are not driven
UNDRIVEN = {"flava": "has no one embedding of a picture or a text"}
log = logging.getLogger(__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """transformers, without its bars and reports: what of them matters is an error or a line of ours."""
    try:
        from transformers.utils import logging as speech
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "a model of transformers") from error
    before = speech.get_verbosity()
    speech.set_verbosity_error()
    speech.disable_progress_bar()
    try:
        yield
    finally:
        speech.set_verbosity(before)


def config(folder: Path, code: bool = False) -> tuple[Any, Any]:
    """What config.json in ``folder`` says, and the class of its model; ``code`` of its own is run where that is True,
    as the user wrote. Raises :class:`MissingWeights` that says what it is instead."""
    from transformers import AutoConfig, __version__
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    said = checkpoint.read_json(folder / "config.json")
    kind, module = str(said.get("model_type", "")), checkpoint.remote_code(folder)
    if not kind:
        of_timm = ": it is timm's: name it by timm(model=...)" if "architecture" in said else "; name another"
        raise MissingWeights(f"expected a model_type in {folder / 'config.json'}, found none{of_timm}")
    if kind in UNDRIVEN:
        raise MissingWeights(f"{folder}: a {kind} model {UNDRIVEN[kind]}; name another")
    try:
        found = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=code)
        return found, _own_class(folder) if code and module else MODEL_MAPPING.get(type(found), None)
    except MissingWeights:
        raise
    except Exception as error:
        if module and not code:
            raise MissingWeights(f"{folder}: a {kind} model asks for {checkpoint.not_run(folder)}") from error
        raise MissingWeights(
            f"{folder}: config.json says {kind!r}, which transformers {__version__} cannot read; a later one may "
            f"({fit.first_line(error)})"
        ) from error


def _own_class(folder: Path) -> Any:
    """The class of the model that the code in ``folder`` defines: that is run. Raises :class:`MissingWeights` where the
    code is another repository's."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    named = checkpoint.auto_map(folder)
    elsewhere = [str(name) for name in named.values() if "--" in str(name)]
    if elsewhere:
        raise MissingWeights(
            f"{folder}: its config.json asks for code of another repository ({elsewhere[0]}), which is never run; "
            "bring that into the folder"
        )
    name = next(str(name) for key, name in named.items() if key.startswith("AutoModel"))
    return get_class_from_dynamic_module(name, str(folder), local_files_only=True)


def model(
    folder: Path,
    config: Any,
    kind: Any,
    dtype: str,
    outputs: fit.Outputs,
    layout: checkpoint.Layout,
    weigh: Weigh = dict,
) -> Any:
    """The model in ``folder``, of the class ``kind``, in ``dtype``, with its weights or with what ``weigh`` makes of
    them. Raises :class:`MissingWeights` unless every one that ``outputs`` depend on is there and fits."""
    import torch

    tensors, how = checkpoint.state_dict(folder, layout), {}
    if "add_pooling_layer" in inspect.signature(kind).parameters:
        how = {"add_pooling_layer": any("pooler." in name for name in tensors)}
    try:
        # by its tensors alone: a folder's files are then ours to choose, and no name in config.json leads elsewhere
        made, report = kind.from_pretrained(
            None,
            config=config,
            state_dict=weigh(tensors),
            dtype=getattr(torch, dtype),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **how,
        )
    except Exception as error:  # whatever a configuration may lead to
        raise MissingWeights(
            f"expected a model that transformers can load in {folder}: {fit.first_line(error)}"
        ) from error
    _once(fit.check_fit(made, report, set(tensors), folder, outputs))
    return made


@cache
def _once(line: str) -> None:
    if line:
        log.warning(line)


def loaded(kind: Any, what: str, folder: Path, code: bool = False, **how: Any) -> Any:
    """What ``kind``, one of transformers' Auto classes, makes of ``folder``. Raises :class:`MissingExtra` where its
    tokenizer wants a package, :class:`MissingWeights` for anything else. Code that is asked for and not run is said."""
    settings = ("tokenizer_config.json",) if what == "a tokenizer" else ("preprocessor_config.json",)
    for name in settings if not code else ():
        if checkpoint.read_json(folder / name).get("auto_map"):
            _once(f"{folder.name}: {name} asks for code of its own, not run here: transformers' own class stands in")
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=code, **how)
    except Exception as error:  # from a missing package to a broken file
        for package in ("sentencepiece", "google.protobuf"):
            if what == "a tokenizer" and any(folder.glob("*.model")) and importlib.util.find_spec(package) is None:
                raise missing_extra(package.replace("google.", ""), f"the tokenizer of {folder.name}") from error
        raise MissingWeights(
            f"expected {what} that transformers can load in {folder}: {fit.first_line(error)}"
        ) from error

"""transformers' side of a model folder: configuration, weights, tokenizer, image processor, each refused by a sentence
where it is not what it says. Nothing here asks a network, nor runs code that a folder brings."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgscore.encoders import _checkpoint, _fit, _text
from fgscore.errors import MissingWeights, missing_extra

if TYPE_CHECKING:
    import torch

# models with both towers that this encoder does not drive
UNDRIVEN = {
    "siglip2": "cuts pictures into patches of their own shape (NaFlex) in place of a square",
    "flava": "has no one embedding of a picture or a text",
    "tipsv2": "divides by a temperature and has no logit scale",
}
log = logging.getLogger(__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """transformers, without its bars and reports: what of them matters is an error or a line of ours."""
    try:
        from transformers.utils import logging as speech
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "the encoder 'clip'") from error
    before = speech.get_verbosity()
    speech.set_verbosity_error()
    speech.disable_progress_bar()
    try:
        yield
    finally:
        speech.set_verbosity(before)


def config(folder: Path) -> Any:
    """config.json of a model with two towers; raises :class:`MissingWeights` that says what it is instead."""
    from transformers import AutoConfig, __version__
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    said = _text.read_json(folder / "config.json")
    kind, code = str(said.get("model_type", "")), _checkpoint.remote_code(folder)
    if not kind:
        of_timm = ": it is timm's" if "architecture" in said else ""
        raise MissingWeights(f"expected a model_type in {folder / 'config.json'}, found none{of_timm}; name another")
    if kind in UNDRIVEN:
        raise MissingWeights(
            f"{folder}: a {kind} model {UNDRIVEN[kind]}, which the encoder 'clip' cannot do; name another"
        )
    try:
        found = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        if code:
            raise MissingWeights(
                f"{folder}: a {kind} model asks for code of its own ({code}), which is not run; name a model that "
                "transformers knows"
            ) from error
        raise MissingWeights(
            f"{folder}: config.json says {kind!r}, which transformers {__version__} cannot read; a later one may "
            f"({first_line(error)})"
        ) from error
    made = MODEL_MAPPING.get(type(found), None)
    if not (hasattr(made, "get_image_features") and hasattr(made, "get_text_features")):
        name = getattr(made, "__name__", kind)
        raise MissingWeights(f"expected a model with image and text features in {folder}, found {name}; name another")
    return found


def model(
    folder: Path, config: Any, dtype: str, weigh: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]] = dict
) -> Any:
    """The model in ``folder`` in ``dtype``, with its weights or with what ``weigh`` makes of them. Raises
    :class:`MissingWeights` unless every one that the embeddings depend on is there and fits."""
    import torch
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    tensors = _checkpoint.state_dict(folder)
    try:
        # by its tensors alone: a folder's files are then ours to choose, and no name in config.json leads elsewhere
        kind: Any = MODEL_MAPPING[type(config)]
        made, report = kind.from_pretrained(
            None,
            config=config,
            state_dict=weigh(tensors),
            dtype=getattr(torch, dtype),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever a configuration may lead to
        raise MissingWeights(
            f"expected a dual encoder that transformers can load in {folder}: {first_line(error)}"
        ) from error
    _once(_fit.check_fit(made, report, set(tensors), folder))
    if not hasattr(made, "logit_scale"):
        raise MissingWeights(f"expected a model with a logit scale in {folder}, found {type(made).__name__}")
    return made


@cache
def _once(line: str) -> None:
    if line:
        log.warning(line)


def image_processor(folder: Path, config: Any) -> Any:
    """The image processor in ``folder``, by Pillow; raises as :func:`loaded`, or where it does not make the pictures
    that the model of ``config`` sees."""
    from transformers import AutoImageProcessor

    processor = loaded(AutoImageProcessor, "image processor", folder, backend="pil")
    settings = f"{folder}: preprocessor_config.json"
    try:
        size, seen = input_size(processor), getattr(config.vision_config, "image_size", None)
        [float(mean) for mean in processor.image_mean]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise MissingWeights(f"{settings} does not say the size and mean of pictures; fetch it again") from error
    if isinstance(seen, int) and seen != size:
        raise MissingWeights(f"{settings} makes pictures of {size} pixels, the model sees {seen}; fetch it again")
    return processor


def input_size(processor: Any) -> int:
    """Side in pixels of the square that the model sees."""
    size = processor.crop_size if crops(processor) else processor.size
    return int(size["height"] if "height" in size else size["shortest_edge"])


def crops(processor: Any) -> bool:
    """Whether it cuts the centre of a picture, in place of squashing all of it."""
    return bool(getattr(processor, "do_center_crop", False))


def tokenizer(folder: Path) -> Any:
    """The tokenizer in ``folder``; raises as :func:`loaded`."""
    from transformers import AutoTokenizer

    return loaded(AutoTokenizer, "tokenizer", folder)


def loaded(kind: Any, what: str, folder: Path, **how: Any) -> Any:
    """What ``kind``, one of transformers' Auto classes, makes of ``folder``. Raises :class:`MissingExtra` where its
    tokenizer wants a package, :class:`MissingWeights` for anything else."""
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **how)
    except Exception as error:  # from a missing package to a broken file
        for package in ("sentencepiece", "google.protobuf"):
            if what == "tokenizer" and any(folder.glob("*.model")) and importlib.util.find_spec(package) is None:
                raise missing_extra(package.replace("google.", ""), f"the tokenizer of {folder.name}") from error
        raise MissingWeights(
            f"expected a {what} that transformers can load in {folder}: {first_line(error)}"
        ) from error


def first_line(error: Exception) -> str:
    """The first line of an error that says anything, at most 200 characters of it."""
    return next((line.strip()[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)

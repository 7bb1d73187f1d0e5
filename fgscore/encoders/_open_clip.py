"""What open_clip knows of its models: architectures, published weights, tokenizers. It is asked for none of them over
the network, and no configuration of a folder's has it run code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fgscore.errors import BadParameter, MissingWeights, guess, missing_extra
from fgscore.pretrained import checkpoint, fit
from fgscore.pretrained.checkpoint import Layout
from fgscore.pretrained.hub import Repository

SETTINGS = "open_clip_config.json"
OLD = re.compile(r"ViT-\w+/\d")  # ViT-B/32
CONTAINERS = (("open_clip_model", ".safetensors"), ("open_clip_pytorch_model", ".safetensors"),
              ("open_clip_pytorch_model", ".bin"))  # fmt: skip
LAYOUT = Layout("open_clip", "open_clip's layout", ((SETTINGS, ((SETTINGS,),)),), CONTAINERS, parted=False,
                writer="open_clip.push_to_hf_hub.save_for_hf")  # fmt: skip
TAGGED = replace(LAYOUT, needs=())  # the library has its settings
WORDS = Layout("open_clip", "a tokenizer's layout", (checkpoint.WORDS,), ())


def library() -> Any:
    """open_clip itself; raises :class:`MissingExtra` without it."""
    try:
        import open_clip
        import open_clip.tokenizer
        import open_clip.transform
    except ImportError as error:
        raise missing_extra(error.name or "open_clip", "the encoder 'open_clip'", "open-clip") from error
    return open_clip


def is_architecture(name: str) -> bool:
    """Whether ``name`` is meant as one of open_clip's: they have no slash, but in the old spelling of ViT-B-32."""
    return "/" not in name or bool(OLD.match(name))


def architecture(name: str) -> tuple[str, Mapping[str, Any]]:
    """An architecture's name as open_clip spells it, and its configuration. Raises :class:`BadParameter` for a name
    that it does not know."""
    spelt = name.replace("/", "-")
    found = library().get_model_config(spelt)
    if found is None:
        raise BadParameter(f"open_clip has no model {name!r}; {guess(spelt, library().list_models())}")
    check(found, spelt)
    return spelt, found


def tag(name: str, pretrained: str) -> tuple[str, Mapping[str, Any]]:
    """The tag of weights for an architecture, and what open_clip has to say of them. Raises :class:`BadParameter` for
    one that it does not know, or that was trained with another activation."""
    spelt, config = architecture(name)
    tags = library().list_pretrained_tags_by_model(spelt)
    chosen = pretrained or (tags[0] if len(tags) == 1 else "")
    found = library().get_pretrained_cfg(spelt, chosen) if chosen else {}
    if not found:
        wanted = f"has no weights {pretrained!r} of" if pretrained else "has several weights of"
        raise BadParameter(f"open_clip {wanted} {spelt}; name one of {', '.join(tags) or 'none'}, or a file: "
                           "pretrained=FILE")  # fmt: skip
    if bool(found.get("quick_gelu")) != bool(config.get("quick_gelu")):
        other = f"{spelt}-quickgelu" if found.get("quick_gelu") else spelt.replace("-quickgelu", "")
        raise BadParameter(f"open_clip's weights {chosen!r} were trained with another activation than {spelt}; "
                           f"name model={other!r}")  # fmt: skip
    return chosen, found


def repository(model: str, pretrained: str, revision: str | None, text: str) -> Repository:
    """Where the hub has ``model``: an id of its own, or an architecture's weights by their tag."""
    if not is_architecture(model):
        return Repository(model, revision, LAYOUT, text)
    chosen, found = tag(model, pretrained)
    owner, _, rest = str(found.get("hf_hub", "")).partition("/")
    name, _, file = rest.partition("/")
    if not name:
        raise BadParameter(f"open_clip has the weights {chosen!r} of {model} at {found.get('url')} alone; fetch that "
                           "file, and name it by pretrained=FILE")  # fmt: skip
    containers = ((Path(file).stem, Path(file).suffix),) if file else CONTAINERS
    return Repository(f"{owner}/{name}", revision, replace(TAGGED, containers=containers), text)


def words(model: str, text: str) -> Repository | None:
    """Where the hub has the tokenizer of an architecture; None where that is open_clip's own."""
    _, config = architecture(model)
    named = config["text_cfg"].get("hf_tokenizer_name")
    return Repository(str(named), None, WORDS, text) if named else None


def of_folder(folder: Path) -> Mapping[str, Any]:
    """The configuration of the model in ``folder``. Raises :class:`MissingWeights` where it is damaged."""
    try:
        found = json.loads((folder / SETTINGS).read_bytes())["model_cfg"]
        _ = found["text_cfg"].items(), found["vision_cfg"].items()
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise MissingWeights(f"{folder / SETTINGS} has no text_cfg and vision_cfg in a model_cfg; "
                             "fetch it again") from error  # fmt: skip
    config: Mapping[str, Any] = found
    return config


def check(config: Mapping[str, Any], name: str) -> None:
    """Raises :class:`MissingWeights` where ``config`` would have open_clip ask a hub, or run code."""
    text, vision = config["text_cfg"], config["vision_cfg"]
    if "hf_model_name" in text:
        raise MissingWeights(
            f"{name}: its text tower is built from {text['hf_model_name']!r} of the hub, which the encoder 'open_clip' "
            "does not do; name another"
        )
    if ":" in str(vision.get("timm_model_name", "")) or "trust_remote_code" in text.get("tokenizer_kwargs", {}):
        raise MissingWeights(f"{name}: its {SETTINGS} asks for files or code of elsewhere, which are not fetched and "
                             "not run; name another")  # fmt: skip


def tokenizer(config: Mapping[str, Any], source: str, folder: Path | None) -> Any:
    """The tokenizer of a model of ``config``: open_clip's own, or that of transformers in ``folder``. Raises
    :class:`MissingWeights` where that cannot be read."""
    text = config["text_cfg"]
    if not text.get("hf_tokenizer_name"):
        return library().get_tokenizer(source)
    try:
        if folder is None or checkpoint.lacking(checkpoint.names_in(folder), lambda _: b"", WORDS):
            raise MissingWeights(f"expected {checkpoint.WORDS[0]} in {folder}, found none; fetch it again")
        return library().tokenizer.HFTokenizer(
            str(folder),
            context_length=text.get("context_length", library().tokenizer.DEFAULT_CONTEXT_LENGTH),
            tokenizer_mode=text.get("tokenizer_mode"),
            trust_remote_code=False,
            local_files_only=True,
            **text.get("tokenizer_kwargs", {}),
        )
    except MissingWeights:
        raise
    except Exception as error:  # from a missing package to a broken file
        raise MissingWeights(f"expected a tokenizer in {folder}: {fit.said(error)}") from error


def is_cut(words: Any, ids: Any) -> bool:
    """Whether a text is longer than ``words``, a tokenizer, leaves of it; ``ids`` are its tokens, and one more."""
    inner = vars(words).get("tokenizer")
    ends = [words.eot_token_id, 0] if inner is None else [inner.pad_token_id, inner.eos_token_id, inner.sep_token_id]
    return int(ids[words.context_length - 1]) not in ends

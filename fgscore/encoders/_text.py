"""Texts to tokens as each family was trained: case, padding, length and mask; and whether the model reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from fgscore.errors import MissingWeights
from fgscore.pretrained import checkpoint, loading

# texts that differ in their last word or in length: a model that reads to the end tells all of them apart
PROBES = ("a photo of a cat", "a photo of a dog", "a photo of a bird", "a photo of a car", "a photo", "a")
SAMPLE = 50  # words of a vocabulary, of which a whole tokenizer knows nearly all


LOWER = ("siglip", "fgclip2")  # types of models, by how they begin, that were trained on lower case alone


class Words:
    """The tokenizer of one model. SigLIP and FG-CLIP 2 were trained on lower case text, padded to its full length,
    without a mask; others see padding masked where their tokenizer says so."""

    def __init__(self, tokenizer: Any, config: Any, folder: Path, room: int | None = None) -> None:
        """``room`` is the most tokens that are read, where that is less than the model has places for."""
        self._tokenizer, self._folder, self._unknown = tokenizer, folder, tokenizer.unk_token
        self._lower = config.model_type.startswith(LOWER)
        masked = "attention_mask" in tokenizer.model_input_names and not self._lower
        self._names = ["input_ids", "attention_mask"] if masked else ["input_ids"]
        # to the longest, unless that may be nothing at all
        self._padding = True if masked and tokenizer("")["input_ids"] else "max_length"
        self.length = int(config.text_config.max_position_embeddings)
        if config.model_type != "clip":  # whose tables say it; others' may count places that no text can take
            self.length = min(self.length, int(tokenizer.model_max_length))
        self.length = min(self.length, room or self.length)
        eos = getattr(config.text_config, "eos_token_id", None)
        # CLIP pools at the first end-of-text; configurations of old say 2, and mean the highest id
        self._pooled_at = ("highest" if eos == 2 else "eos") if config.model_type == "clip" else ""
        self._eos = eos

    def __call__(self, texts: Sequence[str]) -> Any:
        """The model's inputs, (T, L) each; texts beyond its context are cut. Raises :class:`MissingWeights` where it
        would not pool at the end of a text."""
        tokens = self._tokenizer(
            self._said(texts), padding=self._padding, truncation=True, max_length=self.length, return_tensors="pt"
        )
        if self._pooled_at:
            self._check_pooled(texts, tokens["input_ids"])
        return {name: tokens[name] for name in self._names}

    def _said(self, texts: Sequence[str]) -> list[str]:
        return [text.lower() if self._lower else text for text in texts]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, not cut and not padded."""
        return self._tokenizer(self._said(texts), truncation=False, padding=False, verbose=False)["input_ids"]

    def read(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text that the model reads, those beyond its context cut."""
        settings = {"truncation": True, "max_length": self.length, "padding": False}
        return self._tokenizer(self._said(texts), **settings)["input_ids"]

    def beyond(self, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` that are longer than the model's context, and so are cut."""
        return [text for text, ids in zip(texts, self.ids(texts), strict=True) if len(ids) > self.length]

    def check(self) -> None:
        """Raises :class:`MissingWeights` for a tokenizer without its vocabulary or its merges: it loads without
        complaint, and knows no word, or cuts each of its own into letters."""
        named = (word for word in map(_word, self._tokenizer.get_vocab()) if word)
        words = list(islice(named, SAMPLE))
        cut = {word: self._tokenizer.tokenize(word) for word in words or ["photo"]}
        knows = any(len(pieces) == 1 for pieces in cut.values()) if words else set(cut["photo"]) - {self._unknown}
        if not knows:
            word, pieces = next(iter(cut.items()))
            raise MissingWeights(
                f"expected a tokenizer that knows words in {self._folder}, found one that cuts {word!r} into "
                f"{len(pieces)} pieces; add its vocabulary: tokenizer.json, or vocab.json and merges.txt"
            )
        if self._pooled_at:
            self(PROBES)

    def _check_pooled(self, texts: Sequence[str], ids: Any) -> None:
        end = self._tokenizer.eos_token_id
        if self._pooled_at == "highest":
            pooled = ids.max(dim=1).values
        else:
            pooled = ids.gather(1, (ids == self._eos).int().argmax(dim=1, keepdim=True))[:, 0]
        wrong = (pooled != end).nonzero()
        if len(wrong):
            row = int(wrong[0])
            token = self._tokenizer.convert_ids_to_tokens(int(pooled[row]))
            raise MissingWeights(
                f"{self._folder}: the model reads {texts[row]!r} to the token {token!r} ({int(pooled[row])}), not its "
                f"tokenizer's end-of-text ({end}): set eos_token_id of text_config in config.json to {end}, or "
                "bring the tokenizer that it was trained with"
            )


def _word(token: str) -> str:
    """The word of at least four letters that ``token`` stands for as a whole, '' where it stands for none."""
    found = re.fullmatch(r"(?:▁|Ġ)?([a-z]{4,})(?:</w>)?", token)
    return found[1] if found else ""


def version(folder: Path) -> int:
    """Of the text embeddings of the model in ``folder``: 2 where a SigLIP's tokenizer leaves capitals as they are, so
    that its text was not what it was trained on before it was put into lower case here; else 1."""
    settings = checkpoint.read_json(folder / "config.json")
    if settings.get("model_type") != "siglip":
        return 1
    named = str(checkpoint.read_json(folder / "tokenizer_config.json").get("tokenizer_class", ""))
    own = named.startswith("SiglipTokenizer") or (not named and (folder / "spiece.model").exists())
    return 1 if own else 2


def tokenizer(folder: Path, code: bool = False) -> Any:
    """The tokenizer in ``folder``; raises as :func:`loading.loaded`."""
    from transformers import AutoTokenizer

    return loading.loaded(AutoTokenizer, "a tokenizer", folder, code)

"""A CLIP tokenizer of a few hundred tokens, learned from the words of the captions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

BOS, EOS = "<|startoftext|>", "<|endoftext|>"

#: Positions of the text model, as in the original CLIP.
MAX_LENGTH = 77

_END = "</w>"


def byte_letters() -> list[str]:
    """The 256 printable letters that stand for the bytes in CLIP's vocabulary, by byte value."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    stand_in = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(stand_in)) for byte in range(256)]


def learn_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, commonest pair first, until every word is one token.

    Ties go to the pair that sorts first, so the result depends on nothing but the words.
    """
    spelled = [[*word[:-1], word[-1] + _END] for word in sorted(set(words))]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for letters in spelled for pair in zip(letters, letters[1:], strict=False)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = [_merged(letters, best) for letters in spelled]
    return merges


def _merged(letters: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(letters):
        step = 2 if tuple(letters[at : at + 2]) == pair else 1
        out.append("".join(letters[at : at + step]))
        at += step
    return out


def write_tokenizer(folder: Path, words: Iterable[str]) -> dict[str, int]:
    """Write vocab.json, merges.txt and tokenizer_config.json into ``folder``; the vocabulary is returned.

    The two special tokens come last: CLIP's text model takes its feature where the largest id is.
    """
    letters = byte_letters()
    merges = learn_merges(words)
    tokens = [*letters, *(letter + _END for letter in letters), *map("".join, merges), BOS, EOS]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False))
    _write(folder / "merges.txt", "\n".join(["#version: 0.2", *map(" ".join, merges), ""]))
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": MAX_LENGTH,
        "do_lower_case": True,
        "errors": "replace",
        "add_prefix_space": False,
        "bos_token": BOS,
        "eos_token": EOS,
        "unk_token": EOS,
        "pad_token": EOS,
    }
    _write(folder / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
    return vocabulary


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")

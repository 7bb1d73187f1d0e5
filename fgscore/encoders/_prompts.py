"""Prompts: named sets of templates, a file of one's own, or a file of sentences about each class.

The sets are ``plain``, the paper's; ``typed``, which says what the classes are kinds of; ``clip``, the templates that
CLIP's authors publish for the data set (their ``data/prompts.md``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgscore import regular, specs
from fgscore.errors import DataError, UsageError, guess
from fgscore.types import file_sha256

PROMPTS: dict[str, tuple[str, ...]] = {"plain": ("a photo of a {},",)}  # section 3.3, comma included
NAMES = (*PROMPTS, "typed", "clip")
TYPED = "a photo of a {{}}, a type of {noun}."
CLIP = {
    "aircraft": ("a photo of a {}, a type of aircraft.", "a photo of the {}, a type of aircraft."),
    "car": (
        "a photo of a {}.",
        "a photo of the {}.",
        "a photo of my {}.",
        "i love my {}!",
        "a photo of my dirty {}.",
        "a photo of my clean {}.",
        "a photo of my new {}.",
        "a photo of my old {}.",
    ),
}
# CLIP's short list for ImageNet: for classes of no declared kind
GENERAL = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
FILES = (".txt", ".json")


@dataclass(frozen=True)
class PromptSet:
    """What is said of each class. ``label`` names the set in the store and in tables; ``descriptions`` maps a class
    name, in its loosest spelling, to whole sentences, which stand in for ``templates``."""

    label: str
    templates: tuple[str, ...]
    descriptions: Mapping[str, tuple[str, ...]] | None = None

    def texts(self, class_name: str) -> tuple[str, ...]:
        """The sentences for one class. Raises :class:`DataError` where the descriptions lack it."""
        if self.descriptions is None:
            return tuple(template.replace("{}", class_name) for template in self.templates)
        self.check([class_name])
        return self.descriptions[_loose(class_name)]

    def check(self, class_names: Sequence[str]) -> None:
        """Raises :class:`DataError` unless there is something to say of each of ``class_names``."""
        missing = [n for n in class_names if self.descriptions is not None and _loose(n) not in self.descriptions]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise DataError(
                f"expected sentences for all {len(class_names)} classes in {self.label}, found none for "
                f"{', '.join(missing[:3])}{more}; add them under these names"
            )

    def recipe(self) -> dict[str, Any]:
        """What identifies the set in the recipe of a text artefact."""
        identity: dict[str, Any] = {"prompt": self.label, "templates": list(self.templates)}
        if self.descriptions is not None:
            identity["descriptions"] = specs.digest({k: list(v) for k, v in self.descriptions.items()})
        return identity


def prompt_set(prompt: str, noun: str | None = None) -> PromptSet:
    """The set that ``prompt`` names: plain, typed, clip, a template with ``{}``, a ``.txt`` file of templates, one a
    line, or a ``.json`` file that maps class names to lists of sentences.

    ``noun`` is what the data set declares its classes to be kinds of. Raises :class:`UsageError` for anything else and
    :class:`DataError` for a file of another form.
    """
    if prompt in PROMPTS:
        return PromptSet(prompt, PROMPTS[prompt])
    if prompt == "typed":
        if noun is None:
            raise UsageError(
                "prompt set 'typed' needs a data set that says what its classes are kinds of, found one that does "
                'not; write it out: --prompt "a photo of a {}, a type of bird."'
            )
        return PromptSet(prompt, (TYPED.format(noun=noun),))
    if prompt == "clip":
        own = GENERAL if noun is None else (TYPED.format(noun=noun),)
        return PromptSet(prompt, CLIP.get(noun or "", own))
    if prompt.endswith(FILES) and "{" not in prompt:
        return _from_file(Path(prompt))
    return PromptSet(prompt, (template(prompt),))


def template(text: str) -> str:
    """``text`` with ``{}`` for the class name, however it was written: ``{}``, ``{name}``, ``{class name}``, ``{c}``.
    Raises :class:`UsageError` unless there is exactly one."""
    plain, found = re.subn(r"\{(name|class|class name|c)?\}", "{}", text)
    if found != 1 or re.search(r"[{}]", plain.replace("{}", "")):
        raise UsageError(
            f"expected a prompt set, a .txt or .json file, or a template with one {{}} for the class name, found "
            f"{text!r}; {guess(text, NAMES)}"
        )
    return plain


def _from_file(path: Path) -> PromptSet:
    try:
        text = regular.read(path).decode("utf-8")
        label = f"{path.name}@{file_sha256(path)[:8]}"
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"expected prompts in {path}, found none ({getattr(error, 'strerror', None) or error}); name a UTF-8 file"
        ) from error
    if path.suffix == ".json":
        return PromptSet(label, (), _descriptions(path, text))
    lines = [line.strip() for line in text.splitlines()]
    templates = tuple(template(line) for line in lines if line and not line.startswith("#"))
    if not templates:
        raise DataError(
            f"expected one template a line in {path}, found an empty file; for example 'a photo of a {{}}.'"
        )
    return PromptSet(label, templates)


def _descriptions(path: Path, text: str) -> dict[str, tuple[str, ...]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected JSON in {path}, found something else ({error}); mend the file") from error
    entries = content.items() if isinstance(content, dict) else [("the whole file", content)]
    wrong = [name for name, said in entries if not _is_sentences(said)]
    if wrong or not isinstance(content, dict):
        raise DataError(
            f'expected {{"class name": ["a sentence", ...], ...}} in {path}, found something else at '
            f"{(wrong or ['the top'])[0]!r}; mend the file"
        )
    return {_loose(name): tuple(said) for name, said in content.items()}


def _is_sentences(said: Any) -> bool:
    return isinstance(said, list) and bool(said) and all(isinstance(s, str) and s.strip() for s in said)


def _loose(name: str) -> str:
    """Letters and digits alone, in lower case: lists in the wild differ in hyphens, case and underscores."""
    return "".join(c for c in name.casefold() if c.isalnum())

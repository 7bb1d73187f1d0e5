"""Prompts: named sets of templates, a file of one's own, or a file of sentences about each class.

The sets are ``photo``, CLIP's own sentence; ``plain``, the paper's; ``typed``, which says what the classes are kinds
of; ``clip``, the templates that CLIP's authors publish for the data set (their ``data/prompts.md``).
"""

from __future__ import annotations

import json
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from fgscore import regular, specs
from fgscore.errors import DataError, UsageError, guess, shortened
from fgscore.regular import file_sha256

PROMPTS: dict[str, tuple[str, ...]] = {
    "photo": ("a photo of a {}.",),
    "plain": ("a photo of a {},",),  # section 3.3, comma included
}
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
    """What is said of each class. ``label`` names the set in the store and in tables; ``descriptions`` maps names, as
    the file has them, to whole sentences about the class, which stand in for ``templates``.

    A class is described under its own name or, where the file has that not, under the one that differs from it in
    case, spaces, underscores and punctuation alone.
    """

    label: str
    templates: tuple[str, ...]
    descriptions: Mapping[str, tuple[str, ...]] | None = None

    def texts(self, class_name: str) -> tuple[str, ...]:
        """The sentences for one class. Raises :class:`DataError` where the descriptions lack it."""
        if self.descriptions is None:
            return tuple(template.replace("{}", class_name) for template in self.templates)
        return self.descriptions[self._entries([class_name])[class_name]]

    def check(self, class_names: Sequence[str]) -> None:
        """Raises :class:`DataError` unless there is something to say of each of ``class_names``, and not the same of
        two. A warning names the descriptions that are of none."""
        if self.descriptions is None:
            return
        entries = self._entries(class_names)
        of_entry: dict[str, list[str]] = {}
        for name, entry in entries.items():
            of_entry.setdefault(entry, []).append(name)
        if alike := next((names for names in of_entry.values() if len(names) > 1), None):
            raise DataError(
                f"expected sentences for {alike[0]!r} and for {alike[1]!r} in {self.label}, found one entry for both, "
                "which differ in case and punctuation alone; add each under its own name"
            )
        if unused := [name for name in self.descriptions if name not in of_entry]:
            warnings.warn(f"{len(unused)} of {len(self.descriptions)} names in {self.label} are no class, and are not "
                          f"used: {shortened(unused)}", stacklevel=2)  # fmt: skip

    def _entries(self, class_names: Sequence[str]) -> dict[str, str]:
        """Class name to the name in the file that is meant. Raises :class:`DataError` for classes without one."""
        names = self.descriptions or {}
        found = {name: [name] if name in names else self._alike.get(_loose(name), []) for name in class_names}
        if missing := [name for name, entries in found.items() if not entries]:
            near = [f" (the nearest to the first is {n!r})" for n in get_close_matches(missing[0], names, n=1)]
            raise DataError(
                f"expected sentences for all {len(class_names)} classes in {self.label}, found none for "
                f"{shortened(missing)}{''.join(near)}; add them under these names"
            )
        if unclear := next((n for n, entries in found.items() if len(entries) > 1), None):
            several = " and ".join(map(repr, found[unclear][:2]))
            raise DataError(f"expected one entry for {unclear!r} in {self.label}, found {several}, which differ from "
                            "it in case and punctuation alone; name one of them exactly so")  # fmt: skip
        return {name: entries[0] for name, entries in found.items()}

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        """The names in the file by how they read without case and punctuation."""
        alike: dict[str, list[str]] = {}
        for name in self.descriptions or {}:
            alike.setdefault(_loose(name), []).append(name)
        return alike

    def recipe(self) -> dict[str, Any]:
        """What identifies the set in the recipe of a text artefact."""
        identity: dict[str, Any] = {"prompt": self.label, "templates": list(self.templates)}
        if self.descriptions is not None:
            said = {_loose(name): list(sentences) for name, sentences in self.descriptions.items()}
            if len(said) < len(self.descriptions):
                said = {name: list(sentences) for name, sentences in self.descriptions.items()}
            identity["descriptions"] = specs.digest(said)
        return identity


def prompt_set(prompt: str, noun: str | None = None) -> PromptSet:
    """The set that ``prompt`` names: photo, plain, typed, clip, a template with ``{}``, a ``.txt`` file of
    templates, one a line, or a ``.json`` file that maps class names to lists of sentences.

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
    if prompt.lower().endswith(FILES) and "{" not in prompt:
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
        text = regular.read_text(path)
        label = f"{path.name}@{file_sha256(path)[:8]}"
    except OSError as error:
        raise DataError(
            f"expected prompts in {path}, found none ({error.strerror or error}); check the path"
        ) from error
    except ValueError as error:
        raise DataError(f"expected text in UTF-8 in {path}, found something else: {error}; save it as UTF-8") from error
    if path.suffix.lower() == ".json":
        return PromptSet(label, (), _descriptions(path, text))
    return PromptSet(label, _templates(path, text))


def _templates(path: Path, text: str) -> tuple[str, ...]:
    """One template a line; empty lines and those that begin with # are passed over. A tab is a space, and marks of
    byte order, which files that were joined have in their middle, are none of the text."""
    found = []
    for number, line in enumerate(re.split("\r\n|\r|\n", text), 1):
        said = re.sub(r" *\t[\t ]*", " ", line.replace("\ufeff", "").strip())
        if not said or said.startswith("#"):
            continue
        try:
            found.append(template(said))
        except UsageError:
            raise DataError(
                f"expected a template with one {{}} for the class name in line {number} of {path}, found {said!r}; "
                "mend the line, as 'a photo of a {}.'"
            ) from None
    if not found:
        raise DataError(
            f"expected one template a line in {path}, found an empty file; for example 'a photo of a {{}}.'"
        )
    return tuple(found)


def _descriptions(path: Path, text: str) -> dict[str, tuple[str, ...]]:
    try:
        content = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected JSON in {path}, found something else ({error}); mend the file") from error
    form = f'expected {{"class name": ["a sentence", ...], ...}} in {path}, found'
    if not isinstance(content, _Pairs):
        raise DataError(f"{form} something else at 'the top'; mend the file")
    said: dict[str, tuple[str, ...]] = {}
    for name, sentences in content:
        if name in said:
            raise DataError(f"{form} {name!r} twice; put all its sentences into one list")
        if not isinstance(sentences, list) or isinstance(sentences, _Pairs) or not sentences:
            raise DataError(f"{form} something else at {name!r}; mend the file")
        if wrong := [i for i, s in enumerate(sentences, 1) if not isinstance(s, str) or not s.strip()]:
            raise DataError(f"{form} no sentence at {name!r}, entry {wrong[0]}; mend the file")
        said[name] = tuple(sentences)
    return said


class _Pairs(list):
    """A JSON object, with what it says twice."""


def _loose(name: str) -> str:
    """Letters, digits and the marks on them, in lower case: lists in the wild differ in hyphens, case and underscores.
    A name of other signs alone is as it is."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if c.isalnum() or unicodedata.category(c)[0] == "M") or folded

"""Captions that say what of the bird a view shows, and which other images a caption is also true of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields

import numpy as np
from numpy.typing import NDArray

from fgscore.demo.kinds import ATTRIBUTES, Kind, phrases

#: The parts a caption can name, in the order of a class name.
CAPTION_PARTS: tuple[str, ...] = ("bill", "crown", "wing", "tail", "breast")

# Weight of each attribute when one is changed for a hard negative: shapes, learned last, come oftener.
_CHANGE_WEIGHTS = {
    "bill_colour": 1.0,
    "bill_shape": 2.0,
    "crown": 0.5,
    "wing": 0.5,
    "tail": 2.0,
    "breast": 1.5,
}

_TEMPLATES = ("a photo of a {},", "a photo of a {}.", "a {}", "{}")
_TEMPLATE_WEIGHTS = (0.7, 0.1, 0.1, 0.1)
_NOTHING = "background"


def words() -> list[str]:
    """Every word of the captions, as CLIP's tokenizer splits them."""
    text = " ".join([*(value for values in ATTRIBUTES.values() for value in values), *_TEMPLATES, _NOTHING])
    text += " - , . bird billed crowned winged tailed breasted"
    return text.replace("{}", " ").replace(",", " , ").replace(".", " . ").split()


def attribute_codes(kind: Kind) -> list[int]:
    """The six attribute values as positions in ``ATTRIBUTES``."""
    return [ATTRIBUTES[field.name].index(value) for field, value in zip(fields(kind), astuple(kind), strict=True)]


class Caption:
    """One caption: its ``text``, and ``codes (6,)``, the attribute values it claims (-1: none)."""

    def __init__(self, kind: Kind, parts: Sequence[str], template: str):
        said = phrases(kind)
        self.text = template.format(" ".join([*(said[part] for part in parts), "bird"]) if parts else _NOTHING)
        self.codes = [
            code if _part(name) in parts else -1 for name, code in zip(ATTRIBUTES, attribute_codes(kind), strict=True)
        ]


def caption_pair(kind: Kind, visible: Sequence[str], rng: np.random.Generator) -> tuple[Caption, Caption]:
    """A caption of a view in which the ``visible`` parts show, and a wrong one with one attribute changed."""
    template = _TEMPLATES[rng.choice(len(_TEMPLATES), p=_TEMPLATE_WEIGHTS)]
    if not visible:
        return Caption(kind, (), template), Caption(kind, (str(rng.choice(CAPTION_PARTS)),), template)
    count = len(visible) if rng.random() < 0.4 else int(rng.integers(1, len(visible) + 1))
    order = rng.permutation(len(visible))[:count]
    parts = [visible[at] for at in (order if rng.random() < 0.5 else np.sort(order))]
    return Caption(kind, parts, template), Caption(_changed(kind, parts, rng), parts, template)


def also_true(codes: NDArray[np.int64], claims: NDArray[np.int64], empty: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which captions hold for which images: ``(B, B)``, rows images.

    ``codes (B, 6)`` are the images' attributes, ``claims (B, 6)`` the captions', ``empty (B,)`` the views
    that show no part: of those only "background" is true, and it is true of no other.
    """
    agree = ((claims[None] == codes[:, None]) | (claims[None] < 0)).all(-1)
    return np.where(empty[:, None] | empty[None], empty[:, None] & empty[None], agree)


def _part(attribute: str) -> str:
    return attribute.split("_")[0]


def _changed(kind: Kind, parts: Sequence[str], rng: np.random.Generator) -> Kind:
    """``kind`` with one attribute of one of ``parts`` replaced by another value."""
    names = [name for name in ATTRIBUTES if _part(name) in parts]
    weights = np.array([_CHANGE_WEIGHTS[name] for name in names])
    name = names[rng.choice(len(names), p=weights / weights.sum())]
    values = dict(zip(ATTRIBUTES, astuple(kind), strict=True))
    others = [value for value in ATTRIBUTES[name] if value != values[name]]
    values[name] = others[rng.integers(len(others))]
    return Kind(**values)

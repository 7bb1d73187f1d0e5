"""The kinds of the drawn bird: six visible attributes, and the 24 combinations that are evaluated."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from itertools import product

#: Attribute -> its values. The order is that of the words in a class name.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "bill_colour": ("yellow", "red", "black"),
    "bill_shape": ("cone", "dagger", "hook"),
    "crown": ("red", "blue", "black", "white", "green"),
    "wing": ("white", "yellow", "plain"),
    "tail": ("fork", "fan", "pin"),
    "breast": ("plain", "spotted", "streaked", "banded"),
}


@dataclass(frozen=True)
class Kind:
    """One combination of attribute values. Everything else about a drawing is nuisance."""

    bill_colour: str
    bill_shape: str
    crown: str
    wing: str
    tail: str
    breast: str

    def __post_init__(self) -> None:
        for field, value in zip(fields(self), astuple(self), strict=True):
            if value not in ATTRIBUTES[field.name]:
                raise ValueError(f"{field.name}: wanted one of {ATTRIBUTES[field.name]}, found {value!r}")

    @property
    def name(self) -> str:
        """The class name: ``yellow hook-billed red-crowned plain-winged fan-tailed banded-breasted bird``."""
        return " ".join([*phrases(self).values(), "bird"])

    @property
    def slug(self) -> str:
        """The folder name: the attribute values joined by ``-``; only ``[a-z-]``."""
        return "-".join(astuple(self))

    @property
    def code(self) -> int:
        """The place among all combinations, ``0 <= code < 1620``; it seeds the drawings of the kind."""
        code = 0
        for field, value in zip(fields(self), astuple(self), strict=True):
            values = ATTRIBUTES[field.name]
            code = code * len(values) + values.index(value)
        return code


def phrases(kind: Kind) -> dict[str, str]:
    """Part -> its words in a class name: bill, crown, wing, tail, breast, in the order of the name."""
    return {
        "bill": f"{kind.bill_colour} {kind.bill_shape}-billed",
        "crown": f"{kind.crown}-crowned",
        "wing": f"{kind.wing}-winged",
        "tail": f"{kind.tail}-tailed",
        "breast": f"{kind.breast}-breasted",
    }


def all_kinds() -> tuple[Kind, ...]:
    """All 1,620 combinations; ``all_kinds()[i].code == i``."""
    return tuple(Kind(*values) for values in product(*ATTRIBUTES.values()))


def training_kinds() -> tuple[Kind, ...]:
    """The 1,596 combinations that are not evaluated: zero-shot then has to compose what it learned apart."""
    evaluated = set(KINDS)
    return tuple(kind for kind in all_kinds() if kind not in evaluated)


# Siblings share crown and wing, which a small model reads best, and differ in one or two other attributes.
_GROUPS: dict[tuple[str, str], tuple[tuple[str, str, str, str], ...]] = {
    # (crown, wing): (bill colour, bill shape, tail, breast) of the four siblings
    ("red", "plain"): (
        ("yellow", "hook", "fan", "banded"),
        ("yellow", "hook", "fan", "spotted"),
        ("black", "hook", "fan", "banded"),
        ("yellow", "hook", "pin", "banded"),
    ),
    ("blue", "white"): (
        ("red", "cone", "fork", "plain"),
        ("red", "cone", "fork", "streaked"),
        ("red", "dagger", "fork", "plain"),
        ("yellow", "cone", "fork", "plain"),
    ),
    ("black", "yellow"): (
        ("black", "dagger", "pin", "spotted"),
        ("black", "dagger", "fan", "spotted"),
        ("red", "dagger", "pin", "spotted"),
        ("black", "dagger", "pin", "plain"),
    ),
    ("white", "plain"): (
        ("yellow", "dagger", "fork", "streaked"),
        ("red", "dagger", "fork", "streaked"),
        ("yellow", "cone", "fork", "streaked"),
        ("yellow", "dagger", "fork", "banded"),
    ),
    ("green", "white"): (
        ("black", "cone", "fan", "spotted"),
        ("black", "cone", "fan", "streaked"),
        ("yellow", "cone", "fan", "spotted"),
        ("black", "cone", "pin", "spotted"),
    ),
    ("blue", "yellow"): (
        ("red", "hook", "pin", "banded"),
        ("red", "hook", "pin", "plain"),
        ("black", "hook", "pin", "banded"),
        ("red", "hook", "fork", "banded"),
    ),
}

#: The 24 evaluated kinds, six groups of four siblings; the position is the class label.
KINDS: tuple[Kind, ...] = tuple(
    Kind(bill_colour, bill_shape, crown, wing, tail, breast)
    for (crown, wing), siblings in _GROUPS.items()
    for bill_colour, bill_shape, tail, breast in siblings
)

#: For each of ``KINDS`` the number of its group of siblings, 0 to 5.
GROUPS: tuple[int, ...] = tuple(group for group, siblings in enumerate(_GROUPS.values()) for _ in siblings)

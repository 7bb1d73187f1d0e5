"""The parts of the bird, and the size of a drawing."""

from __future__ import annotations

#: Pixels a side of every drawing.
SIZE = 320

#: Values of a label map: ``PART_NAMES[label]``. 0 is everything that is not bird (legs and perch included).
PART_NAMES: tuple[str, ...] = (
    "background", "tail", "body", "breast", "wing", "wing_bar", "bill", "face", "crown",
)  # fmt: skip

#: Whole parts, as a person would cut the bird up, and the labels that make up each.
WHOLE_PARTS: dict[str, tuple[str, ...]] = {
    "head": ("bill", "face", "crown"),
    "wing": ("wing", "wing_bar"),
    "torso": ("body", "breast"),
    "tail": ("tail",),
    "breast": ("breast",),
    "crown": ("crown",),
    "bird": PART_NAMES[1:],
}

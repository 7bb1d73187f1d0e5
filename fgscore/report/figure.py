"""One image, its regions and the best of them, in the manner of the paper's Figure 2. Drawn by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgscore.report.plots import THEMES, save, styled
from fgscore.tables import text

ORANGE, PALE = "#ff7a2f", "#ffc9a3"
CUTS = 8  # regions that are also shown by themselves
SIDE = 1.7  # inches of one picture


@dataclass(frozen=True)
class Kept:
    """One of the best regions: its number among all, score, weight, and the class it was scored against, if any."""

    region: int
    score: float
    weight: float
    target: str


@dataclass(frozen=True)
class Row:
    """The regions of one generator: ``boxes`` (M, 4) in pixels of the picture, ``masks`` M of (h, w) bool or None, and
    the best, best first, by ``run``, a scorer and its target."""

    generator: str
    run: str
    boxes: np.ndarray
    masks: Sequence[np.ndarray] | None
    best: Sequence[Kept]


@dataclass(frozen=True)
class Shown:
    """A picture as JPEG, its true label, None where it has none, and a row for each generator."""

    image_id: str
    label: str | None
    jpeg: bytes
    run: str
    rows: Sequence[Row]

    @property
    def pseudo_labels(self) -> list[str]:
        """The classes that the best regions were scored against, each once."""
        return list(dict.fromkeys(kept.target for row in self.rows for kept in row.best if kept.target))


def render(shown: Shown, suffix: str) -> bytes:
    """The figure as ``png`` or ``svg``."""
    cuts = max((min(CUTS, len(row.best)) for row in shown.rows), default=0)
    with styled(THEMES["light"]) as new:
        pixels = decoded(shown.jpeg)
        figure = new((SIDE * (3 + cuts), (SIDE + 0.55) * len(shown.rows) + 0.9))
        grid = figure.subplots(len(shown.rows), 3 + cuts, squeeze=False)
        for axes, row in zip(grid, shown.rows, strict=True):
            _draw(axes, row, pixels)
        pseudo = shown.pseudo_labels
        label = "no label" if shown.label is None else f"true label: {shown.label}"
        said = f"{shown.image_id}\n{label}\nscored by {shown.run}"
        said += f" = {pseudo[0]}" if len(pseudo) == 1 else ""
        figure.suptitle(said, x=0.01, ha="left", fontsize=9)
        return save(figure, suffix)


def decoded(jpeg: bytes) -> np.ndarray:
    """(h, w, 3) uint8; matplotlib brings the decoder."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def _draw(axes: Sequence[Any], row: Row, pixels: np.ndarray) -> None:
    for ax in axes:
        ax.set_axis_off()
    axes[0].imshow(pixels)
    axes[0].set_title(row.generator)
    axes[1].imshow(pixels)
    axes[1].set_title(f"all {len(row.boxes)} regions")
    for region in range(len(row.boxes)):
        _outline(axes[1], row, region, PALE, 0.6)
    axes[2].imshow(pixels)
    axes[2].set_title(f"best {len(row.best)}")
    for rank, kept in reversed(list(enumerate(row.best))):
        _outline(axes[2], row, kept.region, PALE if rank else ORANGE, 1.6 if rank else 2.4)
    single = len({kept.target for kept in row.best}) < 2
    for rank, (ax, kept) in enumerate(zip(axes[3:], row.best, strict=False)):
        ax.imshow(_cut(pixels, row, kept.region))
        words = [f"{rank + 1}: {text(kept.score, 'number')}", f"weight {text(kept.weight, 'share')}"]
        ax.set_title("\n".join(words if single else [*words, _short(kept.target)]), fontsize=7)


def _outline(ax: Any, row: Row, region: int, colour: str, width: float) -> None:
    from matplotlib.patches import Rectangle

    if row.masks is not None:
        if row.masks[region].any():
            framed = np.pad(row.masks[region].astype(float), 1)  # so that the outline closes at the picture's edge
            x, y = (np.arange(n) - 1 for n in framed.shape[::-1])
            ax.contour(x, y, framed, levels=[0.5], colors=[colour], linewidths=width)
        return
    left, top, right, bottom = row.boxes[region]
    place = {"xy": (left - 0.5, top - 0.5), "width": right - left, "height": bottom - top}
    ax.add_patch(Rectangle(**place, fill=False, edgecolor="black", linewidth=width + 1.2, alpha=0.5))
    ax.add_patch(Rectangle(**place, fill=False, edgecolor=colour, linewidth=width))


def _cut(pixels: np.ndarray, row: Row, region: int) -> np.ndarray:
    """The region by itself on a square, so that all stand in line; white outside its mask."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = np.round(row.boxes[region]).astype(int)
    box = np.s_[max(0, top) : min(height, max(bottom, top + 1)), max(0, left) : min(width, max(right, left + 1))]
    whole = pixels if row.masks is None else np.where(row.masks[region][..., None], pixels, 255).astype(np.uint8)
    cut = whole[box]
    side = max(cut.shape[:2])
    square = np.full((side, side, 3), 255, np.uint8)
    y, x = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[y : y + cut.shape[0], x : x + cut.shape[1]] = cut
    return square


def _short(name: str, most: int = 26) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def facts(shown: Shown) -> Mapping[str, Any]:
    """The same as data."""
    return {
        "image_id": shown.image_id,
        "label": shown.label,
        "rows": [
            {"regions": row.generator, "run": row.run, "best": [vars(kept) for kept in row.best]} for row in shown.rows
        ],
    }

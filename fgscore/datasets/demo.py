"""The drawn birds that `fgscore demo` runs on; drawn on first use. Their numbers say nothing about real birds."""

from __future__ import annotations

import json
from pathlib import Path

from fgscore import regular
from fgscore.datasets import DataSet, Defaults, Listing, Photo, Progress
from fgscore.datasets import folder as folder_dataset

DEFAULTS = Defaults(
    encoder="clip(model='demo')",
    regions=(
        "random_crop",
        "sam(checkpoint='demo', area_min=0.004, points_per_side=8, pred_iou_thresh=0.5, stability_score_thresh=0.6)",
    ),
)


def draw(root: Path, progress: Progress | None = None) -> None:
    """Draw the images where they are not there yet."""
    from fgscore.demo.write import write_dataset

    write_dataset(root, progress=progress)


@DataSet.declares(noun="bird", defaults=DEFAULTS, prepare=draw)
def demo(root: Path, /) -> Listing:
    """24 kinds of one drawn bird, told apart by small parts; class names say which."""
    names = json.loads(regular.read(root / "classes.json"))
    listing = folder_dataset.folder(root)
    slugs = sorted(names)
    photos = [Photo(p.image_id, p.path, slugs.index(p.path.split("/")[1]), p.split) for p in listing.photos]
    return Listing(root=root, class_names=tuple(names[slug]["name"] for slug in slugs), photos=photos)

"""The drawn birds that `fgscore demo` runs on; drawn on first use. Their numbers say nothing about real birds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Lt

from fgscore import regular
from fgscore.datasets import DataSet, Defaults, Listing, Photo, Progress
from fgscore.datasets import folder as folder_dataset
from fgscore.specs import OF_NAME

DEFAULTS = Defaults(
    encoder="clip(model='demo')",
    regions=(
        "random_crop",
        "sam(checkpoint='demo', area_min=0.004, points_per_side=8, pred_iou_thresh=0.5, stability_score_thresh=0.6)",
    ),
)


Number = Annotated[int, Ge(1), Lt(1000), OF_NAME]
Side = Annotated[int, Ge(64), Lt(4097), OF_NAME]


def draw(
    root: Path, progress: Progress, /, *, train: int = 10, test: int = 10, width: int = 320, height: int = 320
) -> None:
    """Draw the images where they are not there yet."""
    from fgscore.demo.write import write_dataset

    write_dataset(root, train=train, test=test, size=(width, height), progress=progress)


@DataSet.declares(noun="bird", defaults=DEFAULTS, prepare=draw)
def demo(root: Path, /, *, train: Number = 10, test: Number = 10, width: Side = 320, height: Side = 320) -> Listing:
    """24 kinds of one drawn bird, told apart by small parts; class names say which.

    ``train`` and ``test`` are images of each kind, of ``width`` by ``height`` pixels. An image is drawn by its split,
    kind and number alone: a larger set holds the images of a smaller one, with the same ids, and no image is for
    training in one set and for testing in another. Of another size it is the same bird before the same scene, in
    other pixels.
    """
    names = json.loads(regular.read(root / "classes.json"))
    listing = folder_dataset.folder(root)
    slugs = sorted(names)
    photos = [Photo(p.image_id, p.path, slugs.index(p.path.split("/")[1]), p.split) for p in listing.photos]
    return Listing(root=root, class_names=tuple(names[slug]["name"] for slug in slugs), photos=photos)

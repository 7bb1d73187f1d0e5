"""fgscore embed: global, text and region embeddings of what is indexed, and thumbnails."""

from __future__ import annotations

from typing import Any

from . import _options as o
from . import _run
from .extract import extract


@o.options_of(extract, without=("executor", "jobs", "slurm", "wait", "dry_run"))
def embed(**options: Any) -> None:
    """Embed whole photos, class names and regions; regions and thumbnails that are not there yet are made first.

    Regions that are in the cache alone, imported or of a file that is gone, are embedded by their name.

    Example: fgscore embed cub --encoder "clip(model='openai/clip-vit-base-patch32', outside='keep')"
    Example: fgscore embed cub --regions "boxes(file='detections.json', images='instances.json')"
    Example: fgscore embed cub --prompt "a photo of a {}, a type of bird."
    """
    extract(**options)  # the same work: embeddings need their regions


if __name__ == "__main__":
    _run.main(embed)

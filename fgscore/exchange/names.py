"""What arrays are called: by us, by others, and by the names of files.

Our names are those of the README's format section. Where a file uses none of them, what CLIP_benchmark, clip-retrieval,
Tip-Adapter, CoOp and notebooks write is known by its name; a split and the number of a part may stand in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fgscore.errors import UsageError
from fgscore.types import SPLITS, split_named

# our name -> number of dimensions
NAMES: Mapping[str, int] = {
    "image_ids": 1,
    "paths": 1,
    "labels": 1,
    "label_names": 1,
    "split": 1,
    "class_names": 1,
    "sha256": 1,
    "sizes_wh": 2,
    "orientation": 1,
    "shard": 1,
    "banner": 0,
    "notes": 0,
    "globals": 2,
    "global_norms": 1,
    "offsets": 1,
    "regions": 2,
    "region_norms": 1,
    "norms": 1,
    "boxes_xyxy": 2,
    "area": 1,
    "predicted_iou": 1,
    "stability": 1,
    "mask_counts": 1,
    "mask_offsets": 1,
    "mask_size_hw": 2,
    "mirrored": 1,
    "text": 2,
    "logit_scale": 1,
    "templates": 1,
}
ALIASES = {"image_id": "image_ids", "path": "paths", "label": "labels", "class_name": "class_names"}
OF_IMAGES = ("image_ids", "paths", "labels", "label_names", "split", "globals", "global_norms", "norms")
OF_INDEX = ("image_ids", "paths", "labels", "label_names", "split", "class_names", "sha256", "sizes_wh", "orientation",
            "shard", "banner", "notes")  # fmt: skip
OF_REGIONS = ("image_ids", "offsets", "boxes_xyxy", "area", "predicted_iou", "stability", "mask_counts",
              "mask_offsets", "mask_size_hw", "mirrored")  # fmt: skip
# of no interest where no regions come, or no index is made
WITH_REGIONS = ("area", "predicted_iou", "stability", "region_norms", "mask_counts", "mask_offsets", "mask_size_hw",
                "mirrored")  # fmt: skip
WITH_LABELS = ("sha256", "sizes_wh", "orientation", "shard", "banner", "notes")
# without these nothing comes in: they are never passed over, whatever they hold
WANTED = ("image_ids", "labels", "split", "globals", "offsets", "regions", "boxes_xyxy", "logit_scale")

# what others call them. Labels of the short names are believed only beside the embeddings of the same manner
KNOWN: Mapping[str, str] = {
    **dict.fromkeys(
        ("embedding", "embeddings", "image_embedding", "image_embeddings", "image_embeds", "image_features", "emb",
         "embs", "image_feature", "img_emb", "img_embs", "img_embedding", "img_embeddings", "img_features", "features",
         "feature", "feats", "feature_list", "clip_embedding", "clip_embeddings", "clip_features", "x", "f", "keys"),
        "globals",
    ),
    **dict.fromkeys(
        ("target", "targets", "label_list", "label_id", "label_ids", "label_idx", "class_id", "class_ids", "class_idx",
         "cls", "class", "category", "category_id", "y", "l", "values"),
        "labels",
    ),
    **dict.fromkeys(("id", "ids", "image_name", "image_names", "key"), "image_ids"),
    **dict.fromkeys(
        ("image_path", "image_paths", "img_path", "filename", "filenames", "file_name", "file_names", "image_file"),
        "paths",
    ),
    **dict.fromkeys(("subset", "partition", "set"), "split"),
    **dict.fromkeys(("classes", "classnames", "label_name", "class_labels"), "class_names"),
    **dict.fromkeys(("text_weights", "clip_weights", "zeroshot_weights", "class_embeddings"), "text"),
}  # fmt: skip
SHORT = {"y": "x", "l": "f", "values": "keys"}
TRANSPOSED = ("keys", "text_weights", "clip_weights", "zeroshot_weights")  # (d, N), as they are multiplied
SHOTS = re.compile(r"\d+shots?")  # Tip-Adapter's few images a class: of the training set


@dataclass(frozen=True)
class Source:
    """One of the user's arrays under our name: ``split`` where it holds the images of one split only."""

    name: str
    split: str | None
    key: str


def parse(option: str) -> Source:
    """``name=key`` or ``name:split=key``, as in ``globals:test=val``. Raises :class:`UsageError` for another form."""
    ours, equals, key = option.partition("=")
    name, colon, split = ours.strip().partition(":")
    if not equals or not key or name not in NAMES or (colon and split not in SPLITS):
        raise UsageError(
            f"expected NAME=KEY or NAME:SPLIT=KEY with a name of {', '.join(NAMES)} and a split of "
            f"{', '.join(SPLITS)}, found {option!r}; for example globals:test=val"
        )
    if colon and name not in OF_IMAGES:
        raise UsageError(f"expected a split for arrays with a row an image only, found {option!r}; leave it out")
    return Source(name, split or None, key.strip())


@dataclass(frozen=True)
class Address:
    """What a name says: ``word``, in small letters and joined by ``_``, without the split and the number of a part that
    are in it."""

    word: str
    split: str | None = None
    part: int | None = None


def address(name: str, numbered: bool = False) -> Address:
    """``features_train`` is (features, train), ``img_emb_0`` where it may be ``numbered`` (img_emb, part 0)."""
    words = [w for w in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) if w]
    part = None
    if numbered and len(words) > 1:
        words = re.sub(r"_of_\d+$", "", "_".join(words)).split("_")
        if re.fullmatch(r"\d{1,6}", words[-1]):
            part = int(words.pop())
    splits = {split for word in words if (split := split_named(word) or ("train" if SHOTS.fullmatch(word) else None))}
    if len(splits) != 1:
        return Address("_".join(words), None, part)
    kept = [word for word in words if split_named(word) is None and not SHOTS.fullmatch(word)]
    return Address("_".join(kept), splits.pop(), part)

"""Anyone's photos as root/{train,val,test}/<class>/*.jpg; the folder's name, underscores as spaces, is the class name.

The cache keeps them under ``name``: give each folder of photos its own.
"""

from __future__ import annotations

from pathlib import Path

from fgscore.datasets import DataSet, Listing, Photo
from fgscore.errors import DataError
from fgscore.types import SPLITS

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"}


@DataSet.declares(own=True)
def folder(root: Path, /, *, name: str = "folder") -> Listing:
    """Anyone's photos as root/{train,val,test}/<class>/*.jpg; the folder's name is the class name.

    An image's id is its path; underscores in a class name become spaces. Raises :class:`DataError` for another layout.
    """
    folders = {split: root / split for split in SPLITS if (root / split).is_dir()}
    classes = sorted({p.name for folder in folders.values() for p in folder.iterdir() if p.is_dir()})
    if not classes:
        found = sorted(p.name for p in root.iterdir())[:6] if root.is_dir() else "no such folder"
        raise DataError(
            f"expected {root}/train/<class>/*.jpg and {root}/test/<class>/*.jpg, found {found}; name the folder of the "
            "photos with --root DIR"
        )
    photos = [
        Photo(
            image_id=f"{split}/{label_name}/{path.name}",
            path=f"{split}/{label_name}/{path.name}",
            label=label,
            split=split,
        )
        for split, folder in folders.items()
        for label, label_name in enumerate(classes)
        for path in _pictures(folder / label_name)
    ]
    return Listing(root=root, class_names=tuple(c.replace("_", " ") for c in classes), photos=photos)


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))

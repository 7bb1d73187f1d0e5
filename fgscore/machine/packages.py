"""Whether a package that something needs is installed; nothing of it is imported."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from fgscore.errors import missing_extra

# what `fgscore[extract]` brings, by the names they are imported by
EXTRACT = ("PIL", "huggingface_hub", "loky", "numba", "pooch", "pycocotools", "requests", "segment_anything",
           "sentencepiece", "torch", "torchvision", "transformers")  # fmt: skip

# the extras that bring others, by the names those are imported by
EXTRAS = {"open_clip": "open-clip", "timm": "timm"}


def is_installed(package: str) -> bool:
    """Whether ``package`` can be imported; it is not."""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # imported, or blocked, without a spec
        return sys.modules.get(package) is not None


def check_package(package: str, feature: str, extra: str = "extract") -> None:
    """Raises :class:`MissingExtra` where ``package`` of ``extra``, which ``feature`` needs, is not installed."""
    if not is_installed(package):
        raise missing_extra([package], feature, extra)


def check_installed(lacking: Sequence[str]) -> None:
    """Raises :class:`MissingExtra` that names all of ``lacking``, ours and those that a component of the user's needs;
    nothing where there are none."""
    others = [package for package in lacking if package not in EXTRACT and package not in EXTRAS]
    extras = ["extract"] if set(lacking) & set(EXTRACT) else []
    extras += sorted(EXTRAS[package] for package in set(lacking) & set(EXTRAS))
    if lacking:
        raise missing_extra(lacking, "this extraction", ",".join(extras), others)

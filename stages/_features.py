"""What `aggregate`, `probe` and `sweep` ask of their poolings and features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fgscore.errors import UsageError

from . import _run

if TYPE_CHECKING:
    from fgscore.evaluate.features import Rows


def usable(bundles: list[Any], poolings: list[Any]) -> list[Any]:
    """The bundles that at least one of ``poolings`` can work on: without regions only those of whole images can."""
    if not all(pooling.needs_regions for pooling in poolings):
        return bundles
    return _run.with_regions(bundles, f"--pool {poolings[0].name}")


def rows(features: str) -> Rows:
    """``unit`` or ``raw``, checked."""
    if features not in ("unit", "raw"):
        raise UsageError(f"--features: expected unit or raw, found {features!r}")
    return features  # type: ignore[return-value]

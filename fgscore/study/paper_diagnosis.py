"""What lies behind an accuracy, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fgscore.study.paper_rows import kept, p_value, strategy
from fgscore.tables import Row, accuracy

OF = {"dataset": "data set", "regions": "regions"}
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "pseudo_labels": {
        **OF,
        "split": "split",
        "images": "images",
        "n_regions": "of regions",
        "per_image": "image right",
        "per_region": "region right",
        "some_region": "some region right",
        "agree": "region as image",
    },
    "scorers": {
        **OF,
        "scorer": "scorer",
        "target": "target",
        "k": "k",
        "area_correlation": "score with area",
        "area_kept": "area kept",
        "area_all": "area of all",
        "effective": "effective regions",
    },
    "agreement": {**OF, "a": "scorer", "b": "and", "k": "k", "overlap": "shared", "chance": "chance"},
    "flips": {
        **OF,
        "name": "against the global embedding",
        "target": "target",
        "k": "k",
        "head": "head",
        "mended": "mended",
        "broke": "broke",
        "still_wrong": "wrong anew",
        "n_test": "test",
        "p": "p",
    },
    "classes": {**OF, "name": "result", "target": "target", "head": "head", "class": "worst classes"},
    "pairs": {**OF, "name": "result", "target": "target", "head": "head", "pair": "most confused"},
}
TITLES = {
    "pseudo_labels": "Pseudo-labels",
    "scorers": "Scores, areas and weights",
    "agreement": "Agreement on the top k",
    "flips": "Predictions changed",
    "classes": "Worst classes",
    "pairs": "Most confused pairs",
}
CAPTION = (
    "Image right: zero-shot class of the image (eq. 4); region right: of each region (eq. 5), mean over images.",
    "Score with area: Spearman's correlation over the regions of an image, mean over images. Effective regions: 1 over "
    "the sum of squared weights. Shared: part of the top k that both keep; chance: of two random choices.",
    "Mended and broke: test images right only with, and only without, the regions; --json lists them.",
)


def tables(found: Mapping[str, Sequence[Row]]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """(title, key of COLUMNS, rows as text) of each table that `fgscore diagnose` prints."""
    for key in ("pseudo_labels", "scorers", "agreement"):
        yield TITLES[key], key, [_rounded(row) for row in found[key]]
    results = [{**row, "name": strategy(row)} for row in found["results"]]
    changed = [row for row in results if "mended" in row]
    yield TITLES["flips"], "flips", [_flip(row) for row in changed]
    for key, line in (("classes", _class), ("pairs", _pair)):
        yield TITLES[key], key, [_first_only(row, i, line(one)) for row in results for i, one in _best(row, key)]


def _best(row: Row, key: str) -> list[tuple[int, Row]]:
    return list(enumerate(row[key][: row["top"]]))


def _first_only(row: Row, i: int, rest: dict[str, Any]) -> dict[str, Any]:
    """What was measured is named on the first of its lines."""
    names = ("dataset", "regions", "name", "target", "head")
    return {**({key: _short(row[key]) for key in names} if i == 0 else {}), **rest}


def _class(row: Row) -> dict[str, Any]:
    return {"class": f"{row['class_name']}: {accuracy(row['accuracy'])} of {row['n']}"}


def _pair(row: Row) -> dict[str, Any]:
    return {"pair": f"{row['true']} taken for {row['predicted']}: {row['images']}"}


def _flip(row: Row) -> dict[str, Any]:
    counts = {key: len(row[key]) for key in ("mended", "broke")}
    return {**row, **counts, "regions": _short(row["regions"]), "k": kept(row["pool"]), "p": p_value(row["p"])}


def _rounded(row: Row) -> dict[str, Any]:
    rounded = {k: f"{v:.3f}" if isinstance(v, float) else v for k, v in row.items()}
    return {**rounded, "regions": _short(str(row["regions"]))}


def _short(text: str) -> str:
    return text.partition("(")[0] if text.startswith("sam(") else text

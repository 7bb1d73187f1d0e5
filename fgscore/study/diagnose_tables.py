"""The tables of `fgscore diagnose`: what lies behind an accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fgscore.evaluate import strategies
from fgscore.tables import Column, Row, Table

OF = strategies.columns("dataset", "regions")
RESULT = strategies.columns("dataset", "regions", "strategy", "target", "head")
COLUMNS: Mapping[str, Sequence[Column]] = {
    "pseudo_labels": (
        *OF,
        Column("split", "split"),
        Column("images", "images", "count"),
        Column("n_regions", "of regions", "count"),
        Column("per_image", "image right", "share"),
        Column("per_region", "region right", "share"),
        Column("some_region", "some region right", "share"),
        Column("agree", "region as image", "share"),
    ),
    "scorers": (
        *OF,
        *strategies.columns("strategy", "target", "k"),
        Column("area_correlation", "score with area", "number"),
        Column("area_kept", "area kept", "share"),
        Column("area_all", "area of all", "share"),
        Column("effective", "effective regions", "number"),
    ),
    "agreement": (
        *OF,
        Column("a", "strategy"),
        Column("b", "and"),
        *strategies.columns("k"),
        Column("overlap", "shared", "share"),
        Column("chance", "chance", "share"),
    ),
    "flips": (
        *RESULT,
        *strategies.columns("k"),
        Column("mended", "mended", "count"),
        Column("broke", "broke", "count"),
        Column("still_wrong", "wrong anew", "count"),
        Column("n_test", "test images", "count"),
        Column("p", "p", "p"),
    ),
    "classes": (
        *RESULT,
        Column("class_name", "worst classes"),
        Column("accuracy", "accuracy", "accuracy"),
        Column("n", "test images", "count"),
    ),
    "pairs": (
        *RESULT,
        Column("true", "most confused"),
        Column("predicted", "taken for"),
        Column("images", "images", "count"),
        Column("share", "of the class", "share"),
    ),
}
TITLES = {
    "pseudo_labels": "Pseudo-labels",
    "scorers": "Scores, areas and weights",
    "agreement": "Agreement on the top k",
    "flips": "Predictions changed against the global embedding alone",
    "classes": "Worst classes",
    "pairs": "Most confused pairs",
}
NOTES = (
    "Image right: zero-shot class of the image (eq. 4); region right: of each region (eq. 5), mean over images.",
    "Score with area: Spearman's correlation over the regions of an image, mean over images. Effective regions: 1 over "
    "the sum of squared weights. Shared: part of the top k that both keep; chance: of two random choices.",
    "Mended and broke: test images right only with, and only without, the regions; --json lists them.",
)


def tables(found: Mapping[str, Sequence[Row]]) -> list[Table]:
    """Of ``pseudo_labels``, ``scorers``, ``agreement`` and ``results``, as `fgscore diagnose --json` has them, every
    table that there is something for, the same notes under all."""
    results = [{**row, **_names(row), "k": strategies.kept(row["pool"])} for row in found["results"]]
    rows: dict[str, Sequence[Row]] = {
        "pseudo_labels": found["pseudo_labels"],
        "scorers": [{**row, **_names({**row, "pool": "topk", "head": ""})} for row in found["scorers"]],
        "agreement": [{**row, "a": _label(row["a"]), "b": _label(row["b"])} for row in found["agreement"]],
        "flips": [{**r, "mended": len(r["mended"]), "broke": len(r["broke"])} for r in results if "mended" in r],
        "classes": [{**row, **one} for row in results for one in row["classes"][: row["top"]]],
        "pairs": [{**row, **one} for row in results for one in row["pairs"][: row["top"]]],
    }
    once = ("dataset", "k", "head")
    return [Table(key, TITLES[key], COLUMNS[key], own, NOTES, once) for key, own in rows.items() if own]


def _names(row: Row) -> dict[str, Any]:
    strategy = strategies.strategy(row["scorer"], row["pool"], row["head"])
    return {"strategy": strategy, "target": strategies.target_name(row["target"])}


def _label(label: str) -> str:
    """``Entropy confidence, global`` of ``entropy, target global``."""
    scorer, _, target = label.partition(", target ")
    return strategies.scored(scorer, target)

"""The table of `fgscore compare`, and the images that it tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fgscore.evaluate import strategies
from fgscore.study.grid import WHOLE
from fgscore.study.pairing import Compared
from fgscore.study.sweep_tables import listed, varies
from fgscore.tables import Column, Measured, Table, text

SETTING = ("dataset", "regions", "encoder", "prompt", "scorer", "target", "pool", "features", "head", "shots")
COLUMNS = (
    Column("what", "setting"),
    *strategies.columns(*SETTING),
    Column("accuracy", "top-1", "accuracy"),
    strategies.COST[0],
)
EFFECT = (
    Column("dataset", "data set"),
    Column("regions", "regions"),
    Column("encoder", "encoder", "component"),
    Column("prompt", "prompt"),
    Column("difference", "A less B", "difference"),
    Column("interval", "95 % interval", "interval"),
    Column("p", "p", "p"),
    Column("p_mcnemar", "McNemar's p", "p"),
    Column("word", "that A is better"),
    Column("differ", "images that differ", "count"),
    Column("mended", "A alone right", "count"),
    Column("broken", "B alone right", "count"),
    Column("n_test", "test images", "count"),
    Column("only", "measured by one alone", "count"),
    Column("draws", "draws", "count"),
    Column("seeds", "seeds", "count"),
    Column("visible", "visible, about", "difference"),
    Column("shares", "varies by"),
)


def tables(found: Sequence[Compared]) -> list[Table]:
    """The settings that were compared, then a line for each comparison."""
    sides = [line for one in found for line in _sides(one)]
    effects = [_effect(one) for one in found]
    settings = Table("compared", "What was compared", COLUMNS, sides, once=SETTING)
    once = ("dataset", "regions", "encoder", "prompt")
    return [settings, Table("comparison", "A less B", EFFECT, effects, _notes(found), once=once)]


def told_apart(found: Sequence[Compared]) -> Table:
    """Every image that one setting has right more often than the other."""
    columns = [Column("dataset", "data set"), Column("comparison", "comparison", "count"), Column("image_id", "image"),
               Column("right_by", "right by"), Column("difference", "A less B", "number")]  # fmt: skip
    lines = []
    for number, one in enumerate(found, 1):
        values = dict(zip(one.image_ids.tolist(), one.values.tolist(), strict=True))
        for name, ids in (("A", one.mended), ("B", one.broken)):
            lines += [{"dataset": one.a["dataset"], "comparison": number, "image_id": i, "right_by": name,
                       "difference": values[i]} for i in ids]  # fmt: skip
    return Table("images", "Images that the settings tell apart", columns, lines)


def _sides(one: Compared) -> list[dict[str, Any]]:
    lines = []
    for name, labels, estimate in (("A", one.a, one.row["accuracy_a"]), ("B", one.b, one.row["accuracy_b"])):
        accuracy = Measured(estimate.value, estimate.low, estimate.high)
        named = {"regions": labels["regions"] or "-", "target": strategies.target_name(labels["target"])}
        found = {"what": name, "shots": labels["shots"] or "", "accuracy": accuracy, "macs": strategies.gmac(labels)}
        lines.append({**labels, **named, **found})
    return lines


def _effect(one: Compared) -> dict[str, Any]:
    names = {key: one.a[key] if one.a[key] == one.b[key] else f"{one.a[key] or '-'} / {one.b[key] or '-'}"
             for key in ("dataset", "regions", "encoder", "prompt")}  # fmt: skip
    return {
        **one.row,
        **names,
        "difference": one.effect.value,
        "interval": one.effect.interval(),
        "p": one.effect.p,
        "differ": one.effect.differ,
        "mended": len(one.mended),
        "broken": len(one.broken),
        "only": one.row["only_a"] + one.row["only_b"] or "",
        "draws": one.row["draws"] or "",
        "seeds": one.row["seeds"] or "",
        "visible": text(one.effect.smallest_visible(), "difference").removeprefix("+"),
        "shares": varies(one.effect.shares),
    }


def _notes(found: Sequence[Compared]) -> list[str]:
    """What the numbers mean."""
    factors = list(dict.fromkeys(factor for one in found for factor in one.effect.terms))
    once = any(one.effect.repeats == 1 for one in found)
    left_out = sum(one.row["runs_left_out"] for one in found)
    notes = [
        f"The interval says how far the difference moves with other {listed(factors)}; training images never vary in "
        "it.",
        "A less B, in points, on the same images. Images that differ: on the mean over draws and seeds. Visible: the "
        "smallest difference that would have been found four times in five.",
    ]
    if once:
        notes.append(
            "Crops or seeds were seen once: no p and no word. More are used where they are there: cached regions by "
            "random_crop(seed=1) and so on, results by --seed 1."
        )
    if any((one.a["pool"] == WHOLE.canonical) != (one.b["pool"] == WHOLE.canonical) for one in found):
        notes.append(
            "The global embedding alone, pooling none, is half as wide as the other: a head may gain from width by "
            "itself, with nothing added, as --pool self against --pool none shows; what is as wide is --pool self."
        )
    if len(found) > 1:
        notes.append(f"{len(found)} comparisons, each at 5 %.")
    if left_out:
        notes.append(f"{left_out} runs have no counterpart of the same draw and seed, and are left out.")
    return notes + strategies.costs(side for one in found for side in (one.a, one.b))

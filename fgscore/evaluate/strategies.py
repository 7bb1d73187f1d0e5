"""What a setting is called, in every table, plot and page: one text from the components of a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fgscore import regions, specs
from fgscore.pooling import topk
from fgscore.tables import Column, text

K = specs.tunables(topk)["k"]  # the paper's, in all tables that do not vary it
UPPER_BOUND = "Target oracle reads the labels of test images: an upper bound."
MARKED_BY_PEOPLE = "Regions that people marked, of test images too, are an upper bound."


def bound(component: str) -> str:
    """What is set behind regions: that they are an upper bound, where people marked them; '' for all others."""
    return " (upper bound)" if regions.is_annotated(component) else ""


SCORERS = {
    "region_global": "Region-global similarity",
    "region_text": "Region-text similarity",
    "hard_margin": "Hard negative margin",
    "soft_margin": "Soft negative margin",
    "entropy": "Entropy confidence",
    "random": "Random scores",
    "shuffled": "Shuffled scores",
    "reverse": "Reversed scores",
    "area": "Area of the region",
}
GLOBAL_LINEAR = "Global linear"
BY_TEXT = {"zeroshot": "Zero-shot", "anchored": "Text-anchored"}  # heads that the global embedding is enough for
POOLINGS = {"none": GLOBAL_LINEAR, "self": "Global embedding twice", "mean": "Average local"}
COLUMNS = {
    column.key: column
    for column in (
        Column("dataset", "data set"),
        Column("strategy", "strategy"),
        Column("regions", "regions", "component", bound),
        Column("scorer", "scorer", "component"),
        Column("target", "pseudo-label"),
        Column("pool", "pooling", "component"),
        Column("k", "k", "count"),
        Column("encoder", "encoder", "component"),
        Column("prompt", "prompt"),
        Column("features", "features"),
        Column("crops", "crops"),
        Column("shots", "shots", "count"),
        Column("head", "head", "component"),
        Column("seed", "seed", "count"),
        Column("eval_split", "measured on"),
        Column("embeddings", "embeddings"),
    )
}
UNDECIDED = Column("undecided", "not chosen by validation")
ORDER = (*BY_TEXT.values(), *POOLINGS.values(), *SCORERS.values())  # as in the paper's Table 1


COST = (
    Column("macs", "GMAC", "macs"),
    Column("image_seconds", "seconds an image", "number"),
    Column("image_bytes", "size an image", "bytes"),
)  # of an image, as :class:`fgscore.evaluate.results.Cost` has it; tables of the terminal have the first alone


GMAC = (
    "GMAC: multiply-accumulates of an image, in billions, by encoder and region generator; of text, which is embedded "
    "once, and of the probe none."
)


def gmac(row: Mapping[str, Any]) -> float | str:
    """The multiply-accumulates of a row for its table: '-', never 0, where they are not known."""
    return "-" if row.get("macs") is None else float(row["macs"])


def costs(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The notes that rows with a cost need: what is counted, and what is not known."""
    rows = list(rows)
    counted = [GMAC] if any(row.get("macs") is not None for row in rows) else []
    return [*counted, *dict.fromkeys(row["macs_note"] for row in rows if row.get("macs_note"))]


def columns(*keys: str) -> list[Column]:
    """The columns of these keys of a setting."""
    return [COLUMNS[key] for key in keys]


def strategy(scorer: str, pool: str, head: str) -> str:
    """The paper's name for what was done, from the canonical texts of a result, '' for no scorer: ``Soft negative
    margin``, ``Entropy confidence (tau=50)`` where a hyper-parameter is not the default, ``Global linear``. What topk
    has besides k is said behind, ``Soft negative margin, temperature=0.1``, and any other pooling in full."""
    if scorer:
        pooling = specs.parse(pool)
        rest = {key: value for key, value in pooling.params.items() if key != "k"}
        besides = pool if pooling.name != topk.__name__ else specs.text("", rest)[1:-1]
        return ", ".join(text for text in (_named(scorer, SCORERS), besides) if text)
    if pool == "none" and specs.parse(head).name in BY_TEXT:
        return _named(head, BY_TEXT)
    return _named(pool, POOLINGS)


def is_by_text(strategy: str) -> bool:
    """Whether the name of a strategy is that of a head of the global embedding that begins with the class names."""
    return strategy.partition(" (")[0] in BY_TEXT.values()


def head_beside(strategy: str, head: str) -> str | None:
    """The head as a table says it beside the name of a strategy; None where that has said it."""
    return None if is_by_text(strategy) else head


def scored(scorer: str, target: str | None) -> str:
    """What scores a region, from a scorer's canonical text: ``Entropy confidence, global``."""
    return strategy(scorer, topk.__name__, "") + (f", {target_name(target)}" if target else "")


def _named(component: str, names: dict[str, str]) -> str:
    name, parenthesis, rest = component.partition("(")
    return names.get(name, name) + (f" ({rest}" if parenthesis else "")


def kept(pool: str) -> int | str | None:
    """How many regions a pooling keeps of each image, from its canonical text: a number, 'all', or None where it does
    not choose."""
    spec = specs.parse(pool)
    return spec.params.get("k", K) if spec.name == topk.__name__ else None  # type: ignore[return-value]


def is_oracle(target: str | None) -> bool:
    """Whether the pseudo-label is the true one, so that the result is an upper bound."""
    return target == "oracle"


def measured_on(eval_split: str | None) -> str:
    """What tables say of the images that were measured: nothing of test images."""
    return "" if eval_split in (None, "test") else f"{eval_split} images"


def is_upper_bound(target: str | None, regions_: str) -> bool:
    """Whether a result is an upper bound: by its pseudo-label, or by regions that people marked."""
    return is_oracle(target) or bool(bound(regions_))


def bounds(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The notes that rows with ``target`` and ``regions`` need, as far as any is an upper bound."""
    found = [(is_oracle(row.get("target")), bool(bound(str(row.get("regions") or "")))) for row in rows]
    return [note for i, note in enumerate((UPPER_BOUND, MARKED_BY_PEOPLE)) if any(of[i] for of in found)]


def fixed_epochs(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A note for each head that trained for fixed epochs, from rows with ``head`` and ``loss``: its final losses."""
    losses: dict[str, list[float]] = {}
    for row in rows:
        if row.get("loss") is not None:
            losses.setdefault(specs.parse(str(row["head"])).name, []).append(row["loss"])
    notes = []
    for head, found in losses.items():
        least, most = (text(loss, "number") for loss in (min(found), max(found)))
        final = least if least == most else f"{least} to {most}"
        notes.append(f"{head}: fixed epochs, not until it converges; final loss {final}.")
    return notes


def measured_images(rows: Iterable[Mapping[str, Any]]) -> Column:
    """The column of how many images were measured: test images, but where rows have others."""
    only_test = all(row.get("eval_split") in (None, "test") for row in rows)
    return Column("n_test", "test images" if only_test else "images", "count")


def target_name(target: str | None) -> str:
    """The pseudo-label as tables say it: the oracle is marked as an upper bound, '-' stands for none."""
    return f"{target} (upper bound)" if is_oracle(target) else target or "-"

"""What a sceptic would ask, and the numbers that answer; a question whose numbers are not there is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from verdicts import OPEN, Row, fate

from fgscore import specs
from fgscore.evaluate import strategies
from fgscore.tables import text

GENERATORS = {"random_crop": "crops", "sam": "masks"}


def answers(rows: Sequence[Row], claims: Sequence[Row]) -> list[str]:
    """Question and answer, a paragraph each."""
    asked = (
        ("Is the gain only that of twice the width?", _width(rows)),
        ("Would any score do as well?", _informed(rows)),
        ("Do the regions matter, or is it only that there are several views?", _views(rows)),
        ("Is it the class names that speak?", _names(rows)),
        ("Is it the luck of one draw of crops, or of one seed?", _luck(claims)),
        ("Could a real difference have been missed?", _missed(claims)),
        ("So many tests: is something found by chance alone?", _families(claims)),
    )
    told = [f"**{question}** {' '.join(sentences)}" for question, found in asked if (sentences := list(found))]
    return [line for paragraph in told for line in (paragraph, "")]


def _name(component: str) -> str:
    return specs.parse(component).name if component else ""


def heads(rows: Sequence[Row]) -> list[str]:
    """The heads of the study, without those that stand in every table beside them."""
    return list(dict.fromkeys(row["head"] for row in rows if _name(row["head"]) not in strategies.BY_TEXT))


def find(
    rows: Sequence[Row], head: str, pool: str, regions: str = "", scorer: str = "", target: str = ""
) -> Row | None:
    """The first row of a head by the names of its pooling, regions and scorer, at the paper's k."""
    for row in rows:
        kept = strategies.kept(row["pool"])
        at_k = kept in (None, strategies.K)
        if (row["head"], _name(row["pool"]), _name(row["regions"])) == (head, pool, regions) and at_k and (
            _name(row["scorer"] or ""), row["target"] or "") == (scorer, target):  # fmt: skip
            return row
    return None


def percent(row: Row) -> str:
    """An accuracy in per cent: ``65.6 %``."""
    return f"{100 * row['accuracy']:.1f} %"


def _difference(row: Row) -> str:
    low, high = (text(row[f"difference_{end}"], "difference") for end in ("low", "high"))
    return f"{text(row['difference'], 'difference')} points ({low} to {high})"


def _width(rows: Sequence[Row]) -> Iterator[str]:
    found = [(head, row) for head in heads(rows) if (row := find(rows, head, "self")) and row["difference"] is not None]
    for head, row in found:
        yield f"Under {head} the global embedding written twice, which adds nothing, gains {_difference(row)}."
    if found:
        yield "So every row of that width is compared with it, and never with the embedding alone."


def _informed(rows: Sequence[Row]) -> Iterator[str]:
    for head in heads(rows):
        for generator, word in GENERATORS.items():
            controls = {name: find(rows, head, "topk", generator, name, target)
                        for name, target in (("soft_margin", "global"), ("shuffled", "global"), ("random", ""),
                                             ("reverse", "global"), ("area", ""))}  # fmt: skip
            there = [f"{strategies.strategy(row['scorer'], row['pool'], head)} {percent(row)}"
                     for row in controls.values() if row]  # fmt: skip
            if len(there) > 1:
                yield f"{word.capitalize()}, {head}: {', '.join(there)}."


def _views(rows: Sequence[Row]) -> Iterator[str]:
    for head in heads(rows):
        named = {
            **GENERATORS,
            "matched": "rectangles as many and as large as the masks, elsewhere",
            "ten_crop": "ten crops",
        }
        there = [f"{word} {percent(row)}" for generator, word in named.items()
                 if (row := find(rows, head, "mean", generator))]  # fmt: skip
        twice = find(rows, head, "self")
        if len(there) > 1 and twice:
            yield f"The plain mean under {head}: {', '.join(there)}; the global embedding twice {percent(twice)}."


def _names(rows: Sequence[Row]) -> Iterator[str]:
    by_text = {row["head"]: row for row in rows if _name(row["head"]) in strategies.BY_TEXT}
    if by_text:
        there = [f"{strategies.BY_TEXT[_name(head)]} {percent(row)}" for head, row in by_text.items()]
        alone = [f"{head} {percent(row)}" for head in heads(rows) if (row := find(rows, head, "none"))]
        yield f"On the global embedding alone: {', '.join([*there, *alone])}."


def _luck(claims: Sequence[Row]) -> Iterator[str]:
    moved = [row for row in claims if set(row["shares"]) - {"images"}]
    if moved:
        worst = max(moved, key=lambda row: 1 - row["shares"].get("images", 0.0))
        share = round(100 * (1 - worst["shares"].get("images", 0.0)))
        yield (f"Every interval holds what draws and seeds move, and no word is said of fewer than three. Their share "
               f"of the variance is largest for \"{worst['claim']}\", {_name(worst['head'])}: {share} %.")  # fmt: skip


def _missed(claims: Sequence[Row]) -> Iterator[str]:
    for head in dict.fromkeys(row["head"] for row in claims):
        blind = [row for row in claims if row["head"] == head and fate(row) == OPEN and row["visible"]]
        if blind:
            least, most = (of(blind, key=lambda row: row["visible"]) for of in (min, max))
            near, far = (text(row["visible"], "difference").removeprefix("+") for row in (least, most))
            yield (f"Under {_name(head)} {len(blind)} claims of better are open; what would have been seen is from "
                   f"about {near} points (\"{least['claim']}\") to {far} (\"{most['claim']}\").")  # fmt: skip


def _families(claims: Sequence[Row]) -> Iterator[str]:
    families = {row["head"]: row["family"] for row in claims if row["family"]}
    if families:
        counts = ", ".join(f"{count} under {_name(head)}" for head, count in families.items())
        yield (f"Holm's correction is over all claims of a head: {counts}. With it a false word under one head has a "
               "chance of 5 % at most, if no claim were true.")  # fmt: skip

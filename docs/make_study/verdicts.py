"""Claims by what became of them, in words: each sentence is made from a row of `claims`, none is written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fgscore.evaluate import strategies
from fgscore.study.claims_tables import SCORER
from fgscore.tables import text

Row = Mapping[str, Any]
HOLDS, NOT, SAME, OPEN, DEPENDS = "holds", "does not hold", "makes no difference", "is open", "depends on the head"
TITLES = {
    HOLDS: "What survives here",
    NOT: "What does not: the opposite was found",
    SAME: "What makes no difference here: surely less than a point",
    DEPENDS: "What depends on the head",
    OPEN: "What could not be decided",
}
ORDER = tuple(TITLES)
OF_WORD = {"supported": HOLDS, "contradicted": NOT, "mixed": NOT}
FILE = "verdicts.json"


def fate(row: Row) -> str:
    """What became of a claim under one head: a key of TITLES. Of a claim of equality *equivalent* is what it says, of
    one of better that it makes no difference; every other word leaves it open."""
    if row["verdict"] == "equivalent":
        return HOLDS if row["kind"] == "equal" else SAME
    return OF_WORD.get(row["verdict"], OPEN)


def by_claim(claims: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each claim, one a head."""
    found: dict[str, list[Row]] = {}
    for row in claims:
        found.setdefault(row["claim"], []).append(row)
    return found


def by_fate(claims: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Claims by what became of them under all heads, in the order of TITLES, none of which is empty."""
    found: dict[str, dict[str, list[Row]]] = {title: {} for title in ORDER}
    for claim, rows in by_claim(claims).items():
        fates = {fate(row) for row in rows}
        found[fates.pop() if len(fates) == 1 else DEPENDS][claim] = rows
    return {title: of for title, of in found.items() if of}


def said(row: Row) -> str:
    """What was found under one head: ``logreg: supported, +1.25 points (+0.31 to +2.19; p 0.0041)``."""
    head = str(row["head"]).partition("(")[0]
    if row["difference"] is None:
        ratio = row.get("ratio")
        return f"{head}: {row['verdict']}" + (f", {text(ratio, 'number')} times" if ratio else "")
    low, high = (text(row[end], "difference") for end in ("low", "high"))
    of = f", {_of_contrast(row)}" if row["contrasts"] > 1 else ""
    found = f"{head}: {row['verdict']}{of}, {text(row['difference'], 'difference')} points ({low} to {high}{_p(row)})"
    within = "" if row["bound"] is None else text(row["bound"], "difference").removeprefix("+")
    return f"{found}, all within {within}" if within else found


def _p(row: Row) -> str:
    if row["p_holm"] is None:
        return ""
    p = text(row["p_holm"], "p")
    return f"; p {p}" if p.startswith("<") else f"; p = {p}"


def _of_contrast(row: Row) -> str:
    """What the number is of, scorers by their names."""
    return SCORER.sub(lambda found: strategies.SCORERS[found[0]], row["contrast"] or "")


def lists(claims: Sequence[Row]) -> list[str]:
    """A heading for each fate that there is, and a line for each claim under it."""
    lines: list[str] = []
    for title, of in by_fate(claims).items():
        lines += [f"### {TITLES[title]}", ""]
        for claim, rows in of.items():
            lines.append(f"- **{claim}** ({rows[0]['source']}). {'. '.join(map(said, rows))}.")
        lines.append("")
    return lines


def write(claims: Sequence[Row], folder: Path) -> None:
    """Keep the words, by claim and head, for the runs with other seeds to be held against."""
    words = {claim: {row["head"]: row["verdict"] for row in rows} for claim, rows in by_claim(claims).items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(words, indent=1) + "\n", encoding="utf-8")


def other_runs(data: Path, own: Path) -> dict[str, dict[str, dict[str, str]]]:
    """The words of the runs of other seeds below ``data``, by run."""
    files = sorted(path for path in data.glob(f"seed-*/{FILE}") if path.parent != own)
    return {path.parent.name.replace("-", " "): json.loads(path.read_text(encoding="utf-8")) for path in files}


def told_apart(claims: Sequence[Row], others: Mapping[str, Mapping[str, Mapping[str, str]]]) -> list[tuple[Row, str]]:
    """The rows whose word is another in another run, each with those words."""
    found = []
    for row in claims:
        words = [of.get(row["claim"], {}).get(row["head"], "missing") for of in others.values()]
        if set(words) - {row["verdict"]}:
            found.append((row, ", ".join([row["verdict"], *words])))
    return found


def disagree(words: str) -> bool:
    """Whether runs say the opposite of each other; an open word beside another is none."""
    said_there = set(words.split(", "))
    return "contradicted" in said_there and bool(said_there & {"supported", "equivalent"})

"""The page of one pass beside crops, the numbers that are kept of it, and the README's table of these."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import passes
from page import again, as_markdown, made_by
from passes import CROPS, FEATURES, IN_README, REGIONS, SQUARE, WIDE, Found, N, Row
from passes_words import MAIN, MARGIN, in_short, is_cheap, is_equal, of_macs, of_seconds, points
from settings import Settings

from fgscore.evaluate import strategies
from fgscore.store import files
from fgscore.tables import Column, Table, text

TARGET = "study-one-pass"  # of make
KEPT = "one_pass.json"
NOT_RUN = "`make study-one-pass` writes this table: it has not been run since the study last changed."
BEGIN, END = "<!-- made from docs/one_pass.json -->", "<!-- until here -->"  # of the README's table
COSTS = (Column("ms", "ms an image", "number"), Column("of_seconds", "of crops'", "share"),
         Column("macs", "GMAC", "macs"), Column("of_macs", "of crops'", "share"))  # fmt: skip
EFFECT = (Column("difference", "less crops", "difference"), Column("interval", "95 % interval", "interval"))
COLUMNS = (
    Column("setting", "embedded by"),
    Column("accuracy", "top-1", "accuracy"),
    *EFFECT,
    Column("word", "that one pass is better"),
    Column("bound", "surely within"),
    Column("equal", f"equivalent at {100 * MARGIN:.0f} points", "flag"),
    *COSTS,
    Column("cheap", "under a sixth of both", "flag"),
)

OF_COST = (*(column.key for column in COSTS), "cheap")  # which no feature changes: in the first tables alone


def write(settings: Settings, found: Found, commit: str, readme: Path | None = None) -> Path:
    """Write the page and the numbers into the folder of ``settings``, and the table into ``readme``, where given."""
    kept = content(settings, found, commit)
    files.publish(settings.out / KEPT, (json.dumps(kept, indent=1) + "\n").encode())
    if readme:
        files.publish(readme, in_readme(readme.read_text(encoding="utf-8"), kept).encode())
    lines = [*_head(settings, found.rows, commit), *again(settings.command(TARGET), found.seconds)]
    place = settings.out / passes.PAGE
    files.publish(place, ("\n".join(lines).rstrip() + "\n").encode())
    return place


def content(settings: Settings, found: Found, commit: str) -> dict[str, Any]:
    """What is kept: how it was made, and every row."""
    return {"made_by": settings.command(TARGET), "commit": commit, "processors": os.cpu_count(),
            "sets": passes.datasets(settings), "rows": [asdict(row) for row in found.rows]}  # fmt: skip


def in_readme(readme: str, kept: Mapping[str, Any]) -> str:
    """The text of the README with its table made from what is ``kept``."""
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{readme_table([Row(**row) for row in kept['rows']])}\n{END}{after}"


def readme_table(rows: Sequence[Row]) -> str:
    """Crops and the settings of IN_README, on square images, as Markdown."""
    by = {(row.setting, row.feature): row for row in rows if row.set == SQUARE}
    shown = [[by[setting, feature] for feature in MAIN] for setting in IN_README]
    titles = [FEATURES[feature].title for feature in MAIN]
    images = text(shown[0][0].n_test, "count")
    head = [f"{images} test images, {N} regions each", *titles, "ms an image", "GMAC"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    accuracies = " | ".join(f"{100 * row.crops_accuracy:.2f} %" for row in shown[0])
    lines.append(f"| crops | {accuracies} | {_ms(shown[0][0].crops_seconds)} | {_gmac(shown[0][0].crops_macs)} |")
    for own in shown:
        cells = " | ".join(map(points, own))
        lines.append(f"| one pass, `{own[0].setting}` | {cells} | {_ms(own[0].seconds)} | {_gmac(own[0].macs)} |")
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    return text(1000 * seconds, "number")


def _gmac(macs: float) -> str:
    return text(macs, "macs")


def _head(settings: Settings, rows: Sequence[Row], commit: str) -> list[str]:
    """All of the page but for how long it took."""
    return [
        "# All regions in one pass, beside crops", "",
        made_by(settings.command(TARGET), commit),
        "",
        f"{N} crops are {N + 1} forward passes. In one pass the image goes through the model once, and every region is "
        "a copy of the class token that sees its own patches alone. Is that as good? Both are encoders of the same "
        "cached regions, so that `fgscore compare` pairs them by image and draw. As in `make study`, the set "
        "is drawn and the model small: **it says nothing of birds, and nothing of a larger CLIP**.", "",
        "## In short", "", *(line for said in in_short(rows) for line in (f"- {said}",)), "",
        "## Set and settings", "", *_set(settings), "",
        *(line for name in passes.SETTINGS for line in _tables(name, rows)),
    ]  # fmt: skip


def _set(settings: Settings) -> list[str]:
    sets = passes.datasets(settings)
    return [
        f"- Images: `{sets[SQUARE]}`, squares of 320 x 320 pixels, and `{sets[WIDE]}`.",
        f"- Regions: `{REGIONS.format(seed='...')}`, {settings.draws} draws, the same for all; seeds from "
        f"{settings.first} on.",
        f"- Crops by `{CROPS}`; one pass by `{passes.ONE_PASS.format('...')}` with what the tables say; start is one "
        "of 6 layers, size is 96 where it is not said. Wide images are compared with crops as they are by default, "
        "fit=crop, whatever the fit of one pass.",
        "- Head: `logreg`. Words need three draws; each comparison is at 5 %, uncorrected.",
        "- Seconds are those of an image from photo to store, for one draw: decoded, regions drawn, embedded, written. "
        "The whole image's embedding comes with one pass; crops are not charged for theirs, one forward pass of "
        f"{N + 1}. GMAC are of both for both.",
    ]  # fmt: skip


def _tables(name: str, rows: Sequence[Row]) -> list[str]:
    """A table for each feature of one set: crops, and each setting beside them."""
    tables = []
    for feature, of in FEATURES.items():
        own = [row for row in rows if (row.set, row.feature) == (name, feature)]
        title = f"{of.title}, {text(own[0].n_test, 'count')} {name} images"
        columns = COLUMNS if feature in MAIN else [column for column in COLUMNS if column.key not in OF_COST]
        tables.append(Table(f"{name}-{feature}", title, columns, [_crops(own[0]), *map(_line, own)], NOTES))
    return [f"## {name.capitalize()} images", "", *as_markdown(tables)]


NOTES = (
    "Less crops: of accuracy, in points, on the same images and regions. Surely within: by two one-sided tests at 5 %.",
    strategies.GMAC,
)


def _crops(row: Row) -> dict[str, Any]:
    return {"setting": "crops", "accuracy": row.crops_accuracy, "ms": 1000 * row.crops_seconds, "of_seconds": 1.0,
            "macs": row.crops_macs, "of_macs": 1.0}  # fmt: skip


def _line(row: Row) -> dict[str, Any]:
    return {
        **asdict(row),
        "setting": f"one pass, {row.setting}",
        "interval": (row.low, row.high),
        "bound": text(row.bound, "difference").removeprefix("+"),
        "equal": is_equal(row),
        "ms": 1000 * row.seconds,
        "of_seconds": of_seconds(row),
        "of_macs": of_macs(row),
        "cheap": is_cheap(row),
    }

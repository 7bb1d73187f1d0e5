"""The page of the study: every number and every word from what the commands said."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import figures
import passes
import sceptic
import verdicts
from settings import AREA_MAX, AREA_MIN, ELSEWHERE, ENCODER, HEADS, PROMPT, TEN_CROP, N, Settings
from steps import Found
from verdicts import Row

from fgscore.evaluate import strategies
from fgscore.report import documents
from fgscore.scorers import Scorer
from fgscore.store import files
from fgscore.study import claims_tables, sweep_tables
from fgscore.tables import Column, Table, text

TARGET = "study"  # of make
PICTURES = "study"  # the folder of the pictures, beside the page
STANDING = ("strategy", "regions", "target", "accuracy", "spread", "against", "difference", "interval", "word",
            "p_holm", "visible", "draws", "seeds")  # fmt: skip
COST = (
    Column("regions", "regions", "component"),
    Column("gmac", "GMAC", "number"),
    Column("image_seconds", "time, as measured", "seconds"),
    Column("image_bytes", "in the store", "bytes"),
)


def write(settings: Settings, found: Found, commit: str) -> Path:
    """Write the page and its pictures into the folder of ``settings``, and the words where the next run finds them."""
    claims = figures.ordered(found.claims)
    pictures = _pictures(settings, found.rows, claims)
    verdicts.write(claims, settings.store)
    others = verdicts.other_runs(settings.data, settings.store)
    parts = [
        _head(settings, found, commit),
        ["## In short", "", *verdicts.lists(claims)],
        _set(settings),
        ["## Verdicts", "", *as_markdown(claims_tables.tables(claims)), *_picture("effects", pictures)],
        *[["## Number of regions", "", *_picture(name, pictures)] for name in ("accuracy-over-k",) if name in pictures],
        _standing(found.rows),
        ["## What the variance is made of", "", *_picture("variance", pictures)],
        _cost(found.rows),
        ["## What a sceptic would ask", "", *sceptic.answers(found.rows, claims)],
        _runs(claims, others),
        again(settings.command(TARGET), found.seconds),
    ]
    place = settings.out / "study.md"
    files.publish(place, ("\n".join(line for part in parts for line in part).rstrip() + "\n").encode())
    return place


def _head(settings: Settings, found: Found, commit: str) -> list[str]:
    images = max((row["n_test"] for row in found.rows), default=0)
    return [
        "# The controlled study on a drawn set",
        "",
        made_by(settings.command(TARGET), commit),
        "",
        "The question: of what the paper finds about scoring regions of an image by CLIP, what survives when every "
        "comparison has its control, its interval and its correction? It is asked of a drawn set, "
        f"{text(images, 'count')} test images of 24 kinds of one bird, and of two small models that were trained on "
        "other such drawings. **It says nothing of birds, of CLIP or of SAM**: it says which findings follow from the "
        "method alone, wherever it is used, and which need something that real photos have and drawings have not.",
        "",
        *_beside(settings),
    ]


def made_by(command: str, commit: str) -> str:
    """What every page says of where it comes from."""
    return f"Made by `{command}` from commit `{commit}`; nothing on this page was written by hand after that."


def _beside(settings: Settings) -> list[str]:
    """Where the page of one pass is, if it is there."""
    if not (settings.out / passes.PAGE).is_file():
        return []
    return ["Whether all regions of an image can be embedded in one pass, in place of a crop each, is a study of its "
            f"own: [{passes.PAGE}]({passes.PAGE}).", ""]  # fmt: skip


def _set(settings: Settings) -> list[str]:
    draws, seeds = settings.draws, settings.head_seeds
    return [
        "## Set and settings",
        "",
        f"- Images: `{settings.dataset}`: 24 kinds, each {settings.train} for training and {settings.test} for "
        "testing. The kinds share all but six parts; pose, light, scene and body colours are drawn at random.",
        f"- Regions: random crops and masks, at most {N} an image, each of {AREA_MIN} to {AREA_MAX} of the image; "
        f"controls `{ELSEWHERE.format(seed='...')}`, as many as the masks and as large, elsewhere, and `{TEN_CROP}`.",
        f"- Draws of crops: {draws}, each with {seeds} seeds of its own for the head that starts at random; "
        f"crops from seed {settings.first} on. Masks have no other draw.",
        f"- Encoder `{ENCODER}`, prompt `{PROMPT}`, heads {' and '.join(f'`{head}`' for head in HEADS)}.",
        "- Training images never vary: another training set is another study.",
        "",
    ]


def as_markdown(tables: Sequence[Table]) -> list[str]:
    """Tables as Markdown, what all of them note under the last."""
    own = [replace(table, notes=() if table is not tables[-1] else table.notes) for table in tables]
    return [line for table in own for line in (documents.markdown(table).rstrip(), "")]


def _standing(rows: Sequence[Row]) -> list[str]:
    """The rows that are controls or baselines, and the paper's own scorer beside them."""
    left_out = set(Scorer.informed()) - {"soft_margin"}
    shown = [row for row in _at_k(rows) if row["scorer"] not in left_out]
    return ["## Controls", "", *as_markdown(_by_head(shown, "Controls, and soft margin beside them", STANDING))]


def _cost(rows: Sequence[Row]) -> list[str]:
    """What an image costs, where the rows say it, once for each regions: no head and no scorer changes it."""
    known = [row for row in _at_k(rows) if row.get("macs") is not None]
    once = {row["regions"]: row for row in reversed(known)}.values()
    lines = [{**row, "regions": row["regions"] or "-", "gmac": row["macs"] / 1e9} for row in once]
    title = "Cost of an image, of one draw of its regions"
    table = Table("cost", title, COST, sorted(lines, key=lambda line: line["gmac"]), strategies.costs(known))
    return ["## Cost", "", *as_markdown([table])] if lines else []


def _at_k(rows: Sequence[Row]) -> list[Row]:
    """Each row once, at the paper's k, without upper bounds."""
    kept = [row for row in rows if strategies.kept(row["pool"]) in (None, strategies.K) and not row["upper_bound"]]
    return list({tuple(row["digests"]): row for row in reversed(kept)}.values())[::-1]


def _by_head(rows: Sequence[Row], title: str, keys: Sequence[str]) -> list[Table]:
    """A table for each head of the study; the rows that stand beside all heads are in each."""
    beside = [row for row in rows if row["head"] not in HEADS]
    return [_of([*beside, *(r for r in rows if r["head"] == head)], f"{title}: {head}", keys) for head in HEADS]


def _of(rows: Sequence[Row], title: str, keys: Sequence[str]) -> Table:
    """Rows of `sweep` as it shows them, but for the columns that ``keys`` leaves out."""
    order = {place: i for i, place in enumerate(strategies.ORDER)}
    ordered = sorted(rows, key=lambda row: (row["regions"] or "", order.get(_strategy(row), len(order))))
    whole = sweep_tables.tables([{**row, "table": 0} for row in ordered])[0]
    return replace(whole, title=title, columns=[column for column in whole.columns if column.key in keys])


def _strategy(row: Row) -> str:
    return strategies.strategy(row["scorer"], row["pool"], row["head"])


def _pictures(settings: Settings, rows: Sequence[Row], claims: Sequence[Row]) -> dict[str, str]:
    """What is drawn, as files beside the page: caption by name."""
    plots = [figures.effects(claims), figures.variance(claims), *figures.over_k(rows)]
    for plot in plots:
        files.publish(settings.out / PICTURES / f"{plot.name}.svg", plot.render("svg"))
    return {plot.name: plot.caption for plot in plots}


def _picture(name: str, captions: Mapping[str, str]) -> list[str]:
    return [f"![{captions[name]}]({PICTURES}/{name}.svg)", "", captions[name], ""] if name in captions else []


def _runs(claims: Sequence[Row], others: Mapping[str, Mapping[str, Mapping[str, str]]]) -> list[str]:
    """Whether runs with other seeds say the same."""
    title = ["## Other seeds", ""]
    if not others:
        return [*title, "This is the only run: `make study SEED=1` makes another, whose draws and seeds share none "
                "with it, and this page then compares their words.", ""]  # fmt: skip
    apart = verdicts.told_apart(claims, others)
    same, fixed = len(claims) - len(apart), sum(set(row["shares"]) <= {"images"} for row in claims)
    lines = [f"{len(others) + 1} runs share neither draws nor seeds: this one and {' and '.join(others)}. Of "
             f"{len(claims)} words {same} are the same in all; {fixed} are so by nature, as neither draws nor seeds "
             "move them."]  # fmt: skip
    lines += [f'- "{row["claim"]}", {row["head"]}: {words}' for row, words in apart]
    opposed = [row for row, words in apart if verdicts.disagree(words)]
    lines.append(
        f"{len(opposed)} of these say the opposite of each other."
        if opposed
        else "None says the opposite of another: where words differ, one of them is open."
    ) if apart else None
    return [*title, *(line for one in lines for line in (one, ""))]


def again(command: str, seconds: Mapping[str, float]) -> list[str]:
    """How the page is made anew, and how long that takes, by step."""
    lines = [{"step": step, "seconds": spent} for step, spent in seconds.items()]
    lines.append({"step": "together", "seconds": sum(seconds.values())})
    columns = [Column("step", "step"), Column("seconds", "time", "seconds")]
    title = f"Time on {os.cpu_count()} processors"
    return ["## Again", "", f"`{command}`; what is there is not made again. Its stores are in `data/study`, and every "
            "command of fgscore works on them.", "",
            *as_markdown([Table("times", title, columns, lines)])]  # fmt: skip

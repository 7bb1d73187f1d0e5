"""The page of the study: every number and every word from what the commands said."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import figures
import sceptic
import verdicts
from settings import AREA, ELSEWHERE, ENCODER, HEADS, PROMPT, TEN_CROP, N, Settings
from steps import Found
from verdicts import Row

from fgscore.evaluate import strategies
from fgscore.report import documents
from fgscore.store import files
from fgscore.study import claims_tables, sweep_tables
from fgscore.tables import Column, Table, text

PICTURES = "study"  # the folder of the pictures, beside the page
MOST = 300_000  # bytes of a picture: one that is larger is left out
STANDING = ("strategy", "regions", "head", "accuracy", "spread", "against", "difference", "interval", "word", "p_holm",
            "visible", "draws", "seeds")  # fmt: skip
COST = ("strategy", "regions", "head", "accuracy", "frontier", "macs", "image_seconds", "image_bytes")


def write(settings: Settings, found: Found, commit: str) -> Path:
    """Write the page and its pictures into the folder of ``settings``, and the words where the next run finds them."""
    claims = figures.ordered(found.claims)
    pictures = _pictures(settings, found, claims)
    verdicts.write(claims, settings.store)
    others = verdicts.other_runs(settings.data, settings.store)
    parts = [
        _head(settings, found, commit),
        ["## In short", "", *verdicts.lists(claims)],
        _set(settings),
        ["## Verdicts", "", *_tables(claims_tables.tables(claims)), *_picture("effects", pictures)],
        _standing(found.rows),
        ["## What the variance is made of", "", *_picture("variance", pictures)],
        _cost(found.rows, pictures),
        ["## What a sceptic would ask", "", *sceptic.answers(found.rows, claims)],
        _runs(claims, others),
        _again(settings, found),
    ]
    place = settings.out / "study.md"
    files.publish(place, ("\n".join(line for part in parts for line in part).rstrip() + "\n").encode())
    return place


def _head(settings: Settings, found: Found, commit: str) -> list[str]:
    images = max((row["n_test"] for row in found.rows), default=0)
    return [
        "# The controlled study on a drawn set",
        "",
        f"Made by `{_command(settings)}` from commit `{commit}`; nothing on this page was written by hand after that.",
        "",
        "The question: of what the paper finds about scoring regions of an image by CLIP, what survives when every "
        "comparison has its control, its interval and its correction? It is asked of a drawn set, "
        f"{text(images, 'count')} test images of 24 kinds of one bird, and of two small models that were trained on "
        "other such drawings. **It says nothing of birds, of CLIP or of SAM**: it says which findings follow from the "
        "method alone, wherever it is used, and which need something that real photos have and drawings have not.",
        "",
    ]


def _set(settings: Settings) -> list[str]:
    draws, seeds = settings.draws, settings.head_seeds
    return [
        "## Set and settings",
        "",
        f"- Images: `{settings.dataset}`: 24 kinds, each {settings.train} for training and {settings.test} for "
        "testing. The kinds share all but six parts; pose, light, scene and body colours are drawn at random.",
        f"- Regions: random crops and masks, at most {N} an image, both of {AREA.replace('_', ' ')} of the image; "
        f"controls `{ELSEWHERE.format(seed='...')}`, as many as the masks and as large, elsewhere, and `{TEN_CROP}`.",
        f"- Draws of crops: {draws}, each with {seeds} seeds of its own for the head that starts at random; "
        f"crops from seed {settings.first} on. Masks have no other draw.",
        f"- Encoder `{ENCODER}`, prompt `{PROMPT}`, heads {' and '.join(f'`{head}`' for head in HEADS)}.",
        "- Training images never vary: another training set is another study.",
        "",
    ]


def _tables(tables: Sequence[Table]) -> list[str]:
    return [line for table in tables for line in (documents.markdown(table), "")]


def _standing(rows: Sequence[Row]) -> list[str]:
    """The rows that are controls or baselines, and the paper's own scorer beside them."""
    shown = [row for row in _at_k(rows) if row["is_control"] or not row["scorer"] or row["scorer"] == "soft_margin"]
    return [
        "## Controls",
        "",
        *_tables([_of(shown, "standing", "Standing rows, and soft margin beside them", STANDING)]),
    ]


def _cost(rows: Sequence[Row], pictures: Mapping[str, str]) -> list[str]:
    """What an image costs, where the rows say it."""
    shown = [row for row in _at_k(rows) if row.get("macs") is not None or row.get("image_bytes") is not None]
    if not shown:
        return []
    table = _of(shown, "cost", "Cost of an image, of one draw", COST)
    return ["## Cost", "", *_tables([table]), *_picture("accuracy-over-cost", pictures)]


def _at_k(rows: Sequence[Row]) -> list[Row]:
    """Each row once, at the paper's k, without upper bounds."""
    kept = [row for row in rows if strategies.kept(row["pool"]) in (None, strategies.K) and not row["upper_bound"]]
    return list({tuple(row["digests"]): row for row in reversed(kept)}.values())[::-1]


def _of(rows: Sequence[Row], name: str, title: str, keys: Sequence[str]) -> Table:
    """Rows of `sweep` as it shows them, but for the columns that ``keys`` leaves out."""
    order = {place: i for i, place in enumerate(strategies.ORDER)}
    by_head = sorted(rows, key=lambda row: (row["regions"] or "", row["head"], order.get(_strategy(row), len(order))))
    whole = sweep_tables.tables([{**row, "table": 0} for row in by_head])[0]
    columns: list[Column] = [column for column in whole.columns if column.key in keys]
    return replace(whole, name=name, title=title, columns=columns)


def _strategy(row: Row) -> str:
    return strategies.strategy(row["scorer"], row["pool"], row["head"])


def _pictures(settings: Settings, found: Found, claims: Sequence[Row]) -> dict[str, str]:
    """What is drawn, as files beside the page: caption by name."""
    folder = settings.out / PICTURES
    captions = {}
    for plot in (figures.effects(claims), figures.variance(claims)):
        files.publish(folder / f"{plot.name}.svg", plot.render("svg"))
        captions[plot.name] = plot.caption
    for path in (path for path in found.pictures if path.stat().st_size <= MOST):
        files.publish(folder / path.name, path.read_bytes())
        captions[path.stem] = path.stem.replace("-", " ").capitalize() + "."
    return captions


def _picture(name: str, captions: Mapping[str, str]) -> list[str]:
    return [f"![{captions[name]}]({PICTURES}/{name}.svg)", "", captions[name], ""] if name in captions else []


def _runs(claims: Sequence[Row], others: Mapping[str, Mapping[str, Mapping[str, str]]]) -> list[str]:
    """Whether runs with other seeds say the same."""
    title = ["## Other seeds", ""]
    if not others:
        return [*title, "This is the only run: `make study SEED=1` makes another, whose draws and seeds share none "
                "with it, and this page then compares their words.", ""]  # fmt: skip
    apart = verdicts.told_apart(claims, others)
    same = len(claims) - len(apart)
    lines = [f"{len(others) + 1} runs share neither draws nor seeds: this one and {' and '.join(others)}. Of "
             f"{len(claims)} words {same} are the same in all."]  # fmt: skip
    lines += [f'- "{row["claim"]}", {row["head"]}: {words}' for row, words in apart]
    opposed = [row for row, words in apart if verdicts.disagree(words)]
    lines.append(
        f"{len(opposed)} of these say the opposite of each other."
        if opposed
        else "None says the opposite of another: where words differ, one of them is open."
    ) if apart else None
    return [*title, *(line for one in lines for line in (one, ""))]


def _again(settings: Settings, found: Found) -> list[str]:
    lines = [{"step": step, "seconds": seconds} for step, seconds in found.seconds.items()]
    lines.append({"step": "together", "seconds": sum(found.seconds.values())})
    columns = [Column("step", "step"), Column("seconds", "time", "seconds")]
    title = f"Time on {os.cpu_count()} processors"
    return ["## Again", "", f"`{_command(settings)}`; what is there is not made again. Its stores are in "
            "`data/study`, and every command of fgscore works on them.", "",
            *_tables([Table("times", title, columns, lines)])]  # fmt: skip


def _command(settings: Settings) -> str:
    return "make study" + (f" SEED={settings.seed}" if settings.seed else "")

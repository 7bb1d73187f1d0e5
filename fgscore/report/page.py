"""One self-contained HTML page: tables, plots, claims, gallery, provenance. It opens from a file and asks no network.

Everything that comes from data is escaped for where it goes; should a text slip through all the same, the page's policy
runs no script but the one whose hash it names and fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from fgscore.report.documents import Change, Table, hypertext


@dataclass(frozen=True)
class Picture:
    """A plot as SVG for light and for dark pages; ``alt`` says what it shows."""

    name: str
    caption: str
    alt: str
    light: bytes
    dark: bytes


@dataclass(frozen=True)
class Page:
    """All that the page shows. ``sets`` are the galleries of data sets, as :mod:`fgscore.report.gallery` packs them;
    ``notes`` are lines about what was left out; the first of ``tables`` is the one that stands open."""

    title: str
    summary: str
    version: str
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    claims: Table | None = None
    sets: Sequence[Mapping[str, Any]] = ()
    gallery_note: str = ""
    provenance: Sequence[Table] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def render(page: Page) -> str:
    """The page as HTML text."""
    style, script = _asset("page.css"), "\n".join(_asset(f"{name}.js") for name in ("tables", "regions", "gallery"))
    sections = {
        "results": _section("results", "Results", [*map(_paragraph, page.notes), *_tables(page.tables)]),
        "plots": _section("plots", "Plots", [_plots(page.pictures)] if page.pictures else []),
        "claims": _section("claims", "Claims of the paper", [_table(page.claims, "sortable")] if page.claims else []),
        "gallery": _fill(_asset("gallery.html"), {"note": html.escape(page.gallery_note)}) if page.sets else "",
        "provenance": _section("provenance", "Provenance", _tables(page.provenance)),
    }
    names = {"claims": "Claims"}
    links = [f'<a href="#{k}">{names.get(k, k.capitalize())}</a>' for k, content in sections.items() if content]
    return _fill(
        _asset("page.html"),
        {
            **sections,
            "policy": _policy(style, script),
            "version": html.escape(page.version),
            "title": html.escape(page.title),
            "summary": html.escape(page.summary),
            "navigation": "".join(links),
            "style": style,
            "script": script,
            "data": embedded({"sets": list(page.sets)}),
        },
    )


def embedded(content: Any) -> str:
    """``content`` as JSON that can stand in a script element: nothing in it can end the element or begin another."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def claims_table(rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """The claims section's table, None without ``rows``: dicts of name, dataset, head, effect (a difference of
    accuracies), interval (two ends, or text), verdict and paper verdict; or rows of `fgscore claims --json`, which say
    claim, difference, low and high."""
    if not rows:
        return None
    headings = {"name": "claim", "dataset": "data set", "head": "head", "effect": "effect", "interval": "interval"}
    headings |= {"verdict": "verdict", "paper_verdict": "in the paper"}
    shown = [_claim({key.replace(" ", "_"): value for key, value in row.items()}) for row in rows]
    columns = {k: h for k, h in headings.items() if any(line.get(k) not in (None, "") for line in shown)}
    return Table("claims", "What the paper says, and what these results say", columns, shown)


def _claim(row: dict[str, Any]) -> dict[str, Any]:
    effect, interval = row.get("effect", row.get("difference")), row.get("interval", (row.get("low"), row.get("high")))
    if isinstance(interval, list | tuple):
        interval = "" if None in interval else " to ".join(f"{end:+.4f}" for end in interval)
    effect = Change(effect) if isinstance(effect, float) else effect
    return {**row, "name": row.get("name", row.get("claim")), "effect": effect, "interval": interval}


def _asset(name: str) -> str:
    return resources.files("fgscore.report").joinpath(name).read_text(encoding="utf-8")


def _fill(template: str, values: Mapping[str, str]) -> str:
    """All places in one pass, so that a value that looks like a place stays what it is."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def _policy(style: str, script: str) -> str:
    def digest(content: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    rules = ["default-src 'none'", "img-src data:", f"style-src {digest(style)}", f"script-src {digest(script)}"]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def _section(name: str, title: str, content: Sequence[str]) -> str:
    if not content:
        return ""
    inside = "\n".join(content)
    heading = f'<h2 id="{name}-title">{title}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">\n{heading}\n{inside}\n</section>'


def _paragraph(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def _tables(tables: Sequence[Table]) -> list[str]:
    """The first open, the others to be unfolded; the long one with a field to narrow it."""
    made = []
    for i, table in enumerate(tables):
        inside = _table(table, "sortable", narrow=len(table.rows) > 15)
        title = html.escape(f"{table.title} ({len(table.rows)})")
        made.append(f"<details><summary>{title}</summary>{inside}</details>" if i else inside)
    return made


def _table(table: Table, kind: str = "", narrow: bool = False) -> str:
    """The table in a frame that scrolls sideways, by keyboard too."""
    name = html.escape(table.title, quote=True)
    field_ = '<label>Rows with <input type="search"></label><output aria-live="polite"></output>' if narrow else ""
    box = f'<div class="narrow">{field_}</div>' if narrow else ""
    content, _, note = hypertext(table).partition("</table>")
    content = content.replace("<table>", f'<table class="{kind}">' if kind else "<table>", 1) + "</table>"
    return f'<div>{box}<div class="scroll" tabindex="0" role="group" aria-label="{name}">{content}</div>{note}</div>'


def _plots(pictures: Sequence[Picture]) -> str:
    def uri(content: bytes) -> str:
        return f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"

    figures = [
        f'<figure><div class="scroll" tabindex="0" role="group" aria-label="{html.escape(p.name, quote=True)}">'
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{uri(p.dark)}">'
        f'<img src="{uri(p.light)}" alt="{html.escape(p.alt, quote=True)}"></picture></div>'
        f"<figcaption>{html.escape(p.caption)}</figcaption></figure>"
        for p in pictures
    ]
    return f'<div class="plots">{"".join(figures)}</div>'

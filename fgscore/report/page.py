"""One self-contained HTML page: tables, plots, claims, gallery, provenance. It opens from a file and asks no network.

Everything that comes from data is escaped for where it goes; should a text slip through all the same, the page's policy
runs no script but the one whose hash it names and fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fgscore.report.documents import asset, templates
from fgscore.tables import Table


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
    notes: Sequence[str] = ()


def render(page: Page) -> str:
    """The page as HTML text. Raises :class:`MissingExtra` without jinja2."""
    style, script = asset("page.css"), "\n".join(asset(f"{name}.js") for name in ("tables", "regions", "gallery"))
    there = {
        "results": page.notes or page.tables,
        "plots": page.pictures,
        "claims": page.claims,
        "gallery": page.sets,
        "provenance": page.provenance,
    }
    return str(
        templates()
        .get_template("page.html")
        .render(
            page=page,
            sections={name: bool(content) for name, content in there.items()},
            policy=_policy(style, script),
            style=style,
            script=script,
            data=embedded({"sets": list(page.sets)}),
            uri=lambda content: f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}",
        )
    )


def embedded(content: Any) -> str:
    """``content`` as JSON that can stand in a script element: nothing in it can end the element or begin another."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(style: str, script: str) -> str:
    def digest(content: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    rules = ["default-src 'none'", "img-src data:", f"style-src {digest(style)}", f"script-src {digest(script)}"]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])

"""Where a report's numbers come from: artefacts, digests and versions, from plans, sidecars and manifests. No paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fgscore.evaluate import strategies
from fgscore.report import gallery
from fgscore.report.views import Sources
from fgscore.store import manifest, schema
from fgscore.store.cache import Store
from fgscore.tables import Column, Table

DIGITS = 16


def tables(store: Store, found: Sources, rows: Sequence[Mapping[str, Any]]) -> list[Table]:
    """The artefacts that are shown, the versions that made them, and the digests of the results."""
    artefacts = {a.path: a for a in _artefacts(store, found)}
    made = [_artefact_table(list(artefacts.values())), _version_table(list(artefacts.values()))]
    if rows and all(row.get("digest") for row in rows):
        names = ("dataset", "regions", "encoder", "scorer", "target", "pool", "head")
        columns = [Column("digest", "digest"), *strategies.columns(*names)]
        lines = [
            {**row, "digest": str(row["digest"])[:DIGITS], "target": strategies.target_name(row["target"])}
            for row in rows
        ]
        made.append(Table("origin-results", "Results: of everything that decides them", columns, lines))
    return [table for table in made if table.rows]


def _artefacts(store: Store, found: Sources) -> Iterator[manifest.Artefact]:
    for several in found.by_dataset.values():
        index = several[0].bundle.index_artefact
        yield index
        small = gallery.thumbnails(store, index)
        yield from [small] if small else []
        for source in several:
            yield from (*source.bundle.artefacts, *(view.artefact for view in source.views))


def _artefact_table(artefacts: Sequence[manifest.Artefact]) -> Table:
    lines = []
    for artefact in artefacts:
        summary = artefact.manifest() or {}
        counts = summary.get("counts", {})
        target = artefact.recipe.extra.get("target")
        lines.append(
            {
                "dataset": artefact.dataset,
                "kind": artefact.recipe.kind,
                "component": artefact.recipe.component + (f", {target}" if target else ""),
                "recipe": artefact.recipe.digest[:DIGITS],
                "content": str(summary.get("content_digest", ""))[:DIGITS],
                "weights": str(artefact.recipe.weights or "")[:DIGITS],
                "images": counts.get("images"),
                "regions": counts.get("regions"),
            }
        )
    columns = [
        Column("dataset", "data set"),
        Column("kind", "kind"),
        Column("component", "component"),
        Column("recipe", "recipe digest"),
        Column("content", "content digest"),
        Column("weights", "weights"),
        Column("images", "images", "count"),
        Column("regions", "regions", "count"),
    ]
    title = f"Artefacts, schema {schema.SCHEMA}; digests are SHA-256, cut to {DIGITS} digits"
    return Table("origin", title, columns, lines)


def _version_table(artefacts: Sequence[manifest.Artefact]) -> Table:
    versions: dict[str, dict[str, None]] = {}
    for artefact in artefacts:
        for number in artefact.shard_sizes:
            provenance = (artefact.sidecar(number) or {}).get("provenance", {})
            for package, version in provenance.get("versions", {}).items():
                versions.setdefault(package, {})[str(version)] = None
    lines = [{"package": p, "versions": ", ".join(sorted(found))} for p, found in sorted(versions.items())]
    columns = [Column("package", "package"), Column("versions", "version")]
    return Table("origin-versions", "Versions that wrote them", columns, lines)

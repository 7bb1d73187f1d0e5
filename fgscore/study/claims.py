"""The paper's findings tested on one's own results: nothing is computed but statistics of predictions that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np

from fgscore import specs
from fgscore.errors import NothingCached, UsageError, quoted
from fgscore.evaluate import results
from fgscore.evaluate.probe import ProbeRun, no_labels
from fgscore.heads import Head
from fgscore.labels import unmeasurable
from fgscore.store.match import Bundle, Store, bundles
from fgscore.study import grid, paper, paper_claims
from fgscore.study import verdicts as decide
from fgscore.study.compare import Row, outcomes
from fgscore.study.draws import CROPS, MASKS
from fgscore.study.grid import Family, Plan
from fgscore.study.paper import Cell
from fgscore.study.paper_claims import CLAIMS, Claim, Pair
from fgscore.study.verdicts import Decision

MARGIN = 0.01
ALL = "all"
Outcome = tuple[np.ndarray, np.ndarray]  # image ids (n,) sorted, right (n,) bool


@dataclass(frozen=True)
class Study:
    """What is known of one data set, encoder, prompt, pair of generators and head."""

    family: Family
    head: Head

    @property
    def whole(self) -> Bundle:
        """For names."""
        return self.family.whole

    @cached_property
    def runs(self) -> dict[Cell, ProbeRun]:
        """Every cell of the paper's tables that the cache can make, by the run that makes it."""
        plan = Plan([grid.fixed(self.head)])
        lines, _ = grid.paper_lines(self.family, grid.TABLES, plan, standing=False)
        return {line.cell: line.runs[0] for line in lines if line.cell}

    @cached_property
    def known(self) -> dict[Cell, Outcome]:
        """Outcomes of the cells that have results."""
        seen: dict[str, Outcome | None] = {}
        for run in self.runs.values():
            if run.digest not in seen:
                seen[run.digest] = outcomes([run.predictions()]) if run.kept() else None
        found = {cell: seen[run.digest] for cell, run in self.runs.items()}
        return {cell: outcome for cell, outcome in found.items() if outcome is not None}

    def way_out(self, claim: Claim) -> str:
        """The command that makes what ``claim`` lacks here, or what else does; empty where it lacks nothing."""
        if lacking := {cell.regions: None for cell in claim.cells if cell not in self.runs}:
            return self.whole.extract(*lacking) or f"import regions of {' and '.join(lacking)}"
        if all(cell in self.known for cell in claim.cells):
            return ""
        tables = " ".join(f"--table {table}" for table in claim.tables)
        head = "" if self.head.canonical == "logreg" else f" --head {quoted(self.head.canonical)}"
        return f"fgscore sweep {quoted(self.whole.asked)} {tables}{head}"


def verdicts(
    store: Store,
    dataset: str | None = None,
    regions: Sequence[str] = (),
    encoder: str | None = None,
    prompt: str | None = None,
    heads: Sequence[str] = (),
    margin: float = MARGIN,
) -> list[Row]:
    """One row for every claim, head and data set in the cache, and where several data sets have the results one for
    all of them together, their test images pooled. ``heads`` left out: those that have results.

    A row has ``claim``, ``source``, ``kind``, ``dataset`` ('all' for the pooled), ``regions``, ``encoder``,
    ``prompt``, ``head``; ``verdict`` ('supported', 'contradicted', 'undecided', 'missing'), ``difference`` with
    ``low`` and ``high``, the ``contrast`` it is of, ``contrasts`` (their number), ``p`` and ``margin`` for claims of
    equality, ``n_test``; ``paper_verdict``, ``paper_difference``, ``paper_contrast``, ``paper_datasets`` (in how many
    of the data sets it looks at it holds) and ``paper_dataset`` ('all' where the paper does not have ours); ``next``,
    the command that makes what is missing. Differences are in 0..1.
    """
    if not 0 < margin < 1:
        raise UsageError(f"expected a margin between 0 and 100 points, found {100 * margin:g}")
    found = {id(b): b for text in regions or [None] for b in bundles(store, dataset, text, encoder, prompt)}  # type: ignore[list-item]
    measured = [b for b in found.values() if b.index.is_labelled.any()]
    if not measured:
        first = next(iter(found.values()))
        raise no_labels(first, unmeasurable(first.index.labels, first.index.split))
    studies = list(_studies(measured, heads))
    if not studies:
        names = dict.fromkeys(b.dataset for b in found.values())
        raise NothingCached(
            f"claims are about regions, found whole images alone of {', '.join(names)}; "
            f"{next(iter(found.values())).way_out(CROPS, MASKS)}"
        )
    rows = [_row([study], claim, margin) for study in studies for claim in CLAIMS]
    for group in _pooled(studies):
        for claim in CLAIMS:
            complete = {study.whole.dataset: study for study in group[::-1] if not study.way_out(claim)}
            rows += [_row(list(complete.values())[::-1], claim, margin)] if len(complete) > 1 else []
    return rows


def _studies(found: Sequence[Bundle], asked: Sequence[str]) -> Iterator[Study]:
    with_results = cache(partial(_heads_with_results, found[0].store.layout.results))
    for family in grid.families(found):
        if not family.of(CROPS) and not family.of(MASKS):
            continue
        crops, masks = (family.of(generator) or [None] for generator in (CROPS, MASKS))  # type: ignore[list-item]
        for pair in ((c, m) for c in crops for m in masks):
            chosen = Family(tuple(b for b in pair if b))
            heads = [Head.bind(text) for text in asked] or with_results(family.whole.index_artefact.dataset)
            studies = [Study(chosen, head) for head in heads]
            # the global probe alone, which any head may have, is no result that a claim could use
            usable = [study for study in studies if asked or len(study.known) > 1]
            yield from usable or [Study(chosen, Head.built_in("logreg"))]


def _heads_with_results(root: Path, dataset: str) -> list[Head]:
    """Every head of ours that has a result of a data set, in the order of their texts, but for those of another seed
    than 0; none is looked up but what is built in."""
    texts = {result.head for result in results.read_all(root, dataset) if result.seed <= 0}
    return [Head.built_in(text) for text in sorted(texts) if specs.parse(text).name in Head.ours_named()]


def _pooled(studies: Sequence[Study]) -> list[list[Study]]:
    """Studies that agree in encoder, prompt and head, where they are of several data sets."""
    groups: dict[tuple[str, ...], list[Study]] = {}
    for study in studies:
        key = (study.whole.globals.recipe.component, study.whole.labels["prompt"], study.head.canonical)
        groups.setdefault(key, []).append(study)
    return [group for group in groups.values() if len({study.whole.dataset for study in group}) > 1]


def _row(group: Sequence[Study], claim: Claim, margin: float) -> Row:
    first = group[0]
    whole, pooled = first.whole, len(group) > 1
    name = ALL if pooled else whole.dataset
    missing = list(dict.fromkeys(way for study in group if (way := study.way_out(claim))))
    decision = None if missing else _decide(group, claim, margin)
    return {
        "claim": claim.name,
        "source": claim.source,
        "kind": claim.kind,
        "dataset": name,
        "datasets": [study.whole.dataset for study in group],
        "regions": [] if pooled else [b.labels["regions"] for b in first.family.bundles if b.labels["regions"]],
        "encoder": whole.globals.recipe.component,
        "prompt": whole.labels["prompt"],
        "head": first.head.canonical,
        "margin": margin if claim.kind == "equal" else None,
        "contrasts": len(claim.contrasts),
        **_figures(decision),
        **_paper(claim, margin, name),
        "next": "; ".join(missing),
    }


def _figures(decision: Decision | None) -> Row:
    if decision is None:
        names = ("contrast", "difference", "low", "high", "level", "p", "n_test")
        return {"verdict": "missing", **dict.fromkeys(names)}
    e = decision.estimate
    return {
        "verdict": decision.verdict,
        "contrast": decision.contrast,
        "difference": e.value,
        "low": e.low,
        "high": e.high,
        "level": round(e.level, 4),
        "p": decision.p,
        "n_test": e.n,
    }


def _paper(claim: Claim, margin: float, dataset: str) -> Row:
    own = dataset if dataset in paper.DATASETS else None
    printed = paper_claims.printed(claim, margin, own)
    return {
        "paper_verdict": "supported" if printed.supported else "contradicted",
        "paper_difference": printed.value,
        "paper_contrast": printed.contrast,
        "paper_datasets": printed.datasets,
        "paper_dataset": own or ALL,
    }


def _decide(group: Sequence[Study], claim: Claim, margin: float) -> Decision:
    if claim.kind == "equal":
        both = {c.name: _joined([_right(study.known, c.pairs[0]) for study in group]) for c in claim.contrasts}
        return decide.equal(both, margin)
    contrasts = {}
    for contrast in claim.contrasts:
        per_study = [_mean_difference(study.known, contrast.pairs) for study in group]
        contrasts[contrast.name] = np.concatenate(per_study)
    return decide.better(contrasts)


def _joined(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


def _right(known: Mapping[Cell, Outcome], pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong by both of a pair, on the images that both have."""
    (ids_a, a), (ids_b, b) = (known[cell] for cell in pair)
    if np.array_equal(ids_a, ids_b):
        return a, b
    _, at_a, at_b = np.intersect1d(ids_a, ids_b, assume_unique=True, return_indices=True)
    return a[at_a], b[at_b]


def _mean_difference(known: Mapping[Cell, Outcome], pairs: Sequence[Pair]) -> np.ndarray:
    """(n,) mean over ``pairs`` of first less second, image by image, on the images that all have."""
    common = known[pairs[0][0]][0]
    for cell in (cell for pair in pairs for cell in pair):
        common = common if np.array_equal(common, known[cell][0]) else np.intersect1d(common, known[cell][0])
    total = np.zeros(len(common))
    for pair in pairs:
        a, b = (right[np.searchsorted(ids, common)] for ids, right in (known[cell] for cell in pair))
        total += a - b
    return total / len(pairs)

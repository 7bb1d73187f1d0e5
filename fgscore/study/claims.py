"""The paper's findings tested on one's own results: nothing is computed but statistics of predictions that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from fgscore import specs
from fgscore.errors import NothingCached, UsageError
from fgscore.evaluate import results
from fgscore.evaluate.probe import no_labels
from fgscore.evaluate.results import Result
from fgscore.heads import Head
from fgscore.labels import unmeasurable
from fgscore.stats import words
from fgscore.stats.combined import LEAST, Combined, combined
from fgscore.stats.crossed import Contrast as Effect
from fgscore.stats.crossed import sharing
from fgscore.stats.paired import holm
from fgscore.store.bundle import Bundle, RegionBundle
from fgscore.store.cache import Store
from fgscore.store.match import bundles
from fgscore.study import beside, cost_claim, grid, paper, paper_claims
from fgscore.study.compare import Row, compare
from fgscore.study.draws import CROPS, MASKS, of_one_row
from fgscore.study.grid import Family, Line
from fgscore.study.known import Study
from fgscore.study.paper_claims import Claim

MARGIN = 0.01
ALL = "all"
CLAIMS = (*paper_claims.CLAIMS, *beside.CLAIMS)
Pair = tuple[list[RegionBundle], list[RegionBundle]]


def verdicts(
    store: Store,
    dataset: str | None = None,
    regions: Sequence[str] = (),
    encoder: str | None = None,
    prompt: str | None = None,
    heads: Sequence[str] = (),
    margin: float = MARGIN,
) -> list[Row]:
    """One row for every claim, head and data set in the cache, and where three data sets or more have the results one
    for all of them together, each weighing the same. ``heads`` left out: those that have results.

    A row has ``claim``, ``source``, ``kind``, ``dataset`` ('all' for several), ``repeated`` (test images of several
    data sets left out, as an earlier one has the same file), ``regions``, ``encoder``, ``prompt``,
    ``head``; ``verdict`` (a word of :mod:`fgscore.stats.words`, or 'missing'), ``difference`` with ``low`` and
    ``high``, the ``contrast`` it is of, ``contrasts`` (their number), ``p`` and ``p_holm`` (over the ``family`` of
    claims of a head and data set; of equality p alone), ``margin`` and ``bound`` for claims of equality, ``draws``,
    ``seeds``, ``shares`` of the variance, ``differ``, ``visible``, ``n_test``, ``agree`` (of several data sets);
    ``paper_verdict``, ``paper_difference``, ``paper_contrast``, ``paper_datasets`` (in how many of the data sets it
    looks at it holds) and ``paper_dataset`` ('all' where the paper does not have ours); ``next``, the command that
    makes what is missing, and ``more``, the one that adds draws where there are too few. Differences are in 0..1. The
    claim of cost, of each data set by itself, has ``ratio`` and ``ratio_seconds`` in place of a difference, see
    :mod:`fgscore.study.cost_claim`.
    """
    if not 0 < margin < 1:
        raise UsageError(f"expected a margin above 0 and below 100 points, found {100 * margin:g}")
    studies = _of_cache(store, dataset, regions, encoder, prompt, heads)
    rows = [row for study in studies for row in _rows([study], margin)]
    for group in _pooled(studies):
        rows += _rows(group, margin)
    return rows


def compared(store: Store, dataset: str | None = None) -> list[Row]:
    """The rows of the paper's tables that have results, controls among them, each against its baseline, as
    :func:`fgscore.study.compare.compare` makes them. Raises as :func:`verdicts`."""
    lines: dict[tuple, Line] = {}
    for study in _of_cache(store, dataset):
        for line in study.lines:
            lines.setdefault((line.table, *(run.digest for run in line.runs)), line)
    return compare(list(lines.values()))


def _of_cache(
    store: Store,
    dataset: str | None = None,
    regions: Sequence[str] = (),
    encoder: str | None = None,
    prompt: str | None = None,
    heads: Sequence[str] = (),
) -> list[Study]:
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
    return studies


def _studies(found: Sequence[Bundle], asked: Sequence[str]) -> Iterator[Study]:
    of_dataset = cache(partial(_kept, found[0].store.layout.results))
    for family in grid.families(found):
        crops, masks = (of_one_row(family.of(generator)) for generator in (CROPS, MASKS))
        if not crops and not masks:
            continue
        kept = of_dataset(family.whole.index_artefact.dataset)
        empty: list[list[RegionBundle]] = [[]]
        for c, m in _by_one_encoder([(c, m) for c in crops or empty for m in masks or empty]):
            chosen, others = Family((*c, *m)), beside.groups(family, m)
            heads = [Head.bind(text) for text in asked] or _heads_with_results(kept)
            studies = [Study(chosen, head, [r for r in kept if _name(r.head) == head.name], others) for head in heads]
            # the global probe alone, which any head may have, is no result that a claim could use
            usable = [study for study in studies if asked or any(cell.regions for cell in study.known)]
            yield from usable or [Study(chosen, Head.built_in("logreg"), kept, others)]


def _by_one_encoder(pairs: Sequence[Pair]) -> Sequence[Pair]:
    """Those of ``pairs`` of crops and masks that are shown to the encoder in one way, where there are any."""
    return [pair for pair in pairs if len({b.labels["encoder"] for group in pair for b in group}) == 1] or pairs


def _name(head: str) -> str:
    return specs.parse(head).name


def _kept(root: Path, dataset: str) -> list[Result]:
    return results.read_all(root, dataset)


def _heads_with_results(kept: Sequence[Result]) -> list[Head]:
    """Every head of ours that trains and has a result, whatever its seed, in the order of their texts; none is looked
    up but what is built in."""
    found: dict[str, Head] = {}
    for spec in (specs.parse(text) for text in sorted({result.head for result in kept})):
        if spec.name in Head.ours_named():
            head = Head.built_in(specs.text(spec.name, {k: v for k, v in spec.params.items() if k != "seed"}))
            found.setdefault(head.canonical, head)
    return [head for _, head in sorted(found.items())]


def _pooled(studies: Sequence[Study]) -> list[list[Study]]:
    """Studies that agree in encoder, prompt and head, where they are of three data sets or more: of each the whole
    rather than a part, and one alone."""
    groups: dict[tuple[str, ...], dict[str, Study]] = {}
    for study in sorted(studies, key=lambda s: (s.whole.limit is not None, "partial" in s.whole.index.notes)):
        key = (study.whole.labels["encoder"], study.whole.labels["prompt"], study.head.canonical)
        groups.setdefault(key, {}).setdefault(study.whole.whole_dataset, study)
    ordered = [sorted(group.values(), key=studies.index) for group in groups.values() if len(group) >= LEAST]
    return [_each_image_once(group) for group in ordered]


def _each_image_once(group: Sequence[Study]) -> list[Study]:
    """``group`` where a photo that several data sets have, by its content, counts in the first of them alone."""
    seen: set[str] = set()
    made = []
    for study in group:
        own = set(study.contents.values())
        made.append(replace(study, without=frozenset(own & seen)) if own & seen else study)
        seen |= own
    return made


@dataclass(frozen=True)
class _Found:
    """The effects of a claim, by contrast, of each study; ``whole`` those of all together."""

    claim: Claim
    by_study: list[list[Effect]]
    whole: list[Effect] | list[Combined]


def _rows(group: Sequence[Study], margin: float) -> list[Row]:
    """The claims of one family: a head on one data set, or on several together."""
    found = [_found(group, claim) for claim in CLAIMS]
    if len(group) > 1:
        found = [one for one in found if len(one.by_study) >= LEAST]
    judged = [one for one in found if one.whole and one.claim.kind == "better"]
    p = {one.claim.name: words.joint_p(one.whole) for one in judged}
    told = [name for name, one in p.items() if one is not None]
    corrected = dict(zip(told, holm([p[name] or 0.0 for name in told]).tolist(), strict=True))
    by_claim = [(one, p.get(one.claim.name), corrected.get(one.claim.name)) for one in found]
    rows = [_row(group, *one, margin, len(judged)) for one in by_claim]
    return rows if len(group) > 1 else [*rows, _of_cost(group[0], rows[0])]


def _of_cost(study: Study, like: Row) -> Row:
    """The claim of cost, of the setting that the row ``like`` has."""
    setting = ("dataset", "datasets", "repeated", "regions", "encoder", "prompt", "head", "paper_dataset")
    named = {"claim": cost_claim.NAME, "source": cost_claim.SOURCE, "kind": cost_claim.KIND, "more": "", "shares": {}}
    return {**dict.fromkeys(like), **{key: like[key] for key in setting}, **named, **cost_claim.figures(study.family)}


def _found(group: Sequence[Study], claim: Claim) -> _Found:
    by_study = []
    for study in group:
        if study.way_out(claim):
            continue
        effects = [study.effect(contrast_) for contrast_ in claim.contrasts]
        if all(effects):
            by_study.append(sharing([effect for effect in effects if effect]))
    if len(group) == 1:
        return _Found(claim, by_study, by_study[0] if by_study else [])
    whole = [combined(of) for of in zip(*by_study, strict=True)] if len(by_study) >= LEAST else []
    return _Found(claim, by_study, whole)


def _row(group: Sequence[Study], one: _Found, p: float | None, holm_p: float | None, margin: float, tests: int) -> Row:
    first, claim = group[0], one.claim
    whole, several = first.whole, len(group) > 1
    name = ALL if several else whole.dataset
    missing = list(dict.fromkeys(way for study in group if (way := study.way_out(claim))))
    figures = _figures(one, margin, p, holm_p, tests)
    few = figures["verdict"] in ("one draw", "two draws")
    return {
        "claim": claim.name,
        "source": claim.source,
        "kind": claim.kind,
        "dataset": name,
        "datasets": [study.whole.dataset for study in group],
        "repeated": sum(content in study.without for study in group for content in study.contents.values()),
        "regions": [] if several else list(dict.fromkeys(_regions(first))),
        "encoder": whole.labels["encoder"],
        "prompt": whole.labels["prompt"],
        "head": first.head.canonical,
        "margin": margin if claim.kind == "equal" else None,
        "contrasts": len(claim.contrasts),
        **figures,
        **_paper(claim, margin, name),
        "next": "" if several else "; ".join(missing),
        "more": "; ".join(dict.fromkeys(study.more(claim) for study in group)) if few else "",
    }


def _regions(study: Study) -> Iterator[str]:
    for generator in (CROPS, MASKS):
        for group in of_one_row(study.family.of(generator)):
            yield group[0].labels["regions"]


def _figures(one: _Found, margin: float, p: float | None, holm_p: float | None, tests: int) -> Row:
    names = ("contrast", "difference", "low", "high", "level", "p", "p_holm", "family", "bound", "n_test", "differ",
             "visible", "draws", "seeds", "agree", "ratio", "ratio_seconds")  # fmt: skip
    row: Row = {"verdict": "missing", **dict.fromkeys(names), "shares": {}}
    if not one.whole:
        return row
    if one.claim.kind == "equal":
        equality = words.equal(one.whole, margin)
        shown, word, level = equality.widest, equality.word, 0.9
        row |= {"p": equality.p, "bound": equality.bound}
    else:
        shown, level = min(one.whole, key=lambda effect: effect.value), 0.95
        matters = abs(paper_claims.matters(one.claim)) or words.POINT
        word = (
            words.over_sets(one.whole, one.by_study, tests, holm_p, matters)
            if isinstance(shown, Combined)
            else words.different(one.whole, holm_p, tests, matters)
        )
        row |= {"p": p, "p_holm": holm_p, "family": tests, "visible": shown.smallest_visible(tests)}
    assert isinstance(shown, Effect | Combined)
    place = [id(effect) for effect in one.whole].index(id(shown))
    low, high = shown.interval(level)
    row |= {"verdict": word, "contrast": one.claim.contrasts[place].name, "difference": shown.value, "low": low,
            "high": high, "level": level, "differ": shown.differ}  # fmt: skip
    if isinstance(shown, Combined):
        return {**row, "n_test": sum(effects[place].n for effects in one.by_study), "agree": shown.agree}
    of_chance = {factor: shown.levels.get(factor, 0) for factor in ("draws", "seeds")}
    return {**row, "n_test": shown.n, "shares": shown.shares, **of_chance}


def _paper(claim: Claim, margin: float, dataset: str) -> Row:
    own = dataset if dataset in paper.DATASETS else None
    printed = paper_claims.printed(claim, margin, own)
    if printed is None:
        names = ("paper_verdict", "paper_difference", "paper_contrast", "paper_datasets")
        return {**dict.fromkeys(names), "paper_dataset": own or ALL}
    return {
        "paper_verdict": printed.verdict,
        "paper_difference": printed.value,
        "paper_contrast": printed.contrast,
        "paper_datasets": printed.datasets,
        "paper_dataset": own or ALL,
    }

"""What may be said of one pass beside crops: every sentence is made from the rows, none is written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from passes import FEATURES, SETTINGS, SQUARE, WIDE, N, Row

from fgscore.stats.words import A_WORD
from fgscore.tables import text

MARGIN = 0.02  # what counts as no difference
SHARE = 1 / 6  # of the cost of crops, that one pass is to stay below
MAIN = ("mean", "top5")  # the features that decide
FITS = ("squash", "crop")
WORSE, BETTER = "contradicted", "supported"  # words for the claim that one pass is better


def of_seconds(row: Row) -> float:
    """The share of crops' seconds that it takes."""
    return row.seconds / row.crops_seconds


def of_macs(row: Row) -> float:
    """The share of crops' multiply-accumulates."""
    return row.macs / row.crops_macs


def is_cheap(row: Row) -> bool:
    """Whether it is below SHARE, by seconds and by multiply-accumulates."""
    return max(of_seconds(row), of_macs(row)) < SHARE


def is_equal(row: Row) -> bool:
    """Whether it is surely within MARGIN of crops, by two one-sided tests at 5 % and draws enough for a word."""
    return row.draws >= A_WORD and row.bound < MARGIN


def points(row: Row) -> str:
    """``-1.71 (-3.29 to +0.00)``: the difference and its 95 % interval, in points."""
    return f"{text(row.difference, 'difference')} ({text((row.low, row.high), 'interval')})"


def in_short(rows: Sequence[Row]) -> list[str]:
    """The findings, a sentence or a few each."""
    return [*_verdict(rows), *_losses(rows), *_sizes(rows), *_fits(rows)]


def _of(rows: Iterable[Row], name: str, *features: str) -> list[Row]:
    return [row for row in rows if row.set == name and row.feature in features]


def _verdict(rows: Sequence[Row]) -> Iterator[str]:
    """Which settings are equivalent to crops, with each feature of MAIN and with all, at under SHARE of their cost."""
    own = _of(rows, SQUARE, *MAIN)
    asked = (f"**Is one pass equivalent to {N} crops at {100 * MARGIN:.0f} points, at under a sixth of their cost by "
             "seconds and by GMAC?")  # fmt: skip
    if own[0].draws < A_WORD:
        yield f"{asked}** It takes {A_WORD} draws to say so, and these are {own[0].draws}."
        return
    fine = {(row.setting, row.feature) for row in own if is_equal(row) and is_cheap(row)}
    chosen = [setting for setting in SETTINGS[SQUARE] if all((setting, feature) in fine for feature in MAIN)]
    titles = " and ".join(FEATURES[feature].title for feature in MAIN)
    answer = f"Yes**, with both {titles}: {_each(chosen, own)}" if chosen else f"No setting is** with both {titles}"
    yield f"{asked} {answer}."
    for feature in MAIN:
        yield f"With {FEATURES[feature].title} alone: {_alone(_of(rows, SQUARE, feature))}."


def _alone(rows: Sequence[Row]) -> str:
    """Which settings are equivalent with one feature, the cheap ones first, or what the nearest is."""
    equal = [row for row in rows if is_equal(row)]
    if not equal:
        nearest = min(rows, key=lambda row: row.bound)
        return f"none at any cost; the nearest, `{nearest.setting}`, is surely within {_plain(nearest.bound)} points"
    cheap, dear = ([row.setting for row in equal if is_cheap(row) is kind] for kind in (True, False))
    more = f"; equivalent, but dearer: {_named(dear)}" if dear else ""
    return (_named(cheap) if cheap else "none at that cost") + more


def _each(settings: Sequence[str], rows: Sequence[Row]) -> str:
    """Each setting with its differences and its cost."""
    said = []
    for setting in settings:
        own = [row for row in rows if row.setting == setting]
        cost = f"{_part(of_seconds(own[0]))} of the seconds, {_part(of_macs(own[0]))} of the GMAC"
        said.append(f"`{setting}` ({' and '.join(map(points, own))} points; {cost})")
    return ", ".join(said)


def _losses(rows: Sequence[Row]) -> Iterator[str]:
    """Which settings are less accurate than crops, and which more."""
    for name in SETTINGS:
        for feature in MAIN:
            own = _of(rows, name, feature)
            less, more = (_with_points([row for row in own if row.word == word]) for word in (WORSE, BETTER))
            found = f"is less accurate than crops: {less}" if less else "was not found less accurate in any setting"
            yield f"{name.capitalize()} images, {FEATURES[feature].title}: one pass {found}" + (
                f"; more accurate: {more}." if more else ".")  # fmt: skip


def _with_points(rows: Sequence[Row]) -> str:
    return ", ".join(f"`{row.setting}` {points(row)}" for row in rows)


def _sizes(rows: Sequence[Row]) -> Iterator[str]:
    """Whether small regions lose, and more than large ones."""
    for name, settings in SETTINGS.items():
        small, large = (_of(rows, name, feature) for feature in ("smallest", "largest"))
        worse = [a for a, b in zip(small, large, strict=True) if a.difference < b.difference]
        lost = [sum(row.word == WORSE for row in of) for of in (small, large)]
        count = len(settings)
        there = lost[0] and len(worse) > count / 2
        where = "**It loses at small parts**" if there else "Small parts were not found to be where it loses"
        yield (f"{where}, {name} images: with the 5 smallest regions of an image {lost[0]} of {count} settings are "
               f"less accurate than crops, with the 5 largest {lost[1]}; the differences are {_range(small)} points "
               f"with the smallest, {_range(large)} with the largest, and in {len(worse)} of {count} settings "
               "the smallest are the worse.")  # fmt: skip


def _fits(rows: Sequence[Row]) -> Iterator[str]:
    """What the view costs, where images are no squares."""
    for setting in dict.fromkeys(one.rpartition(", fit=")[0] for one in SETTINGS[WIDE]):
        said = []
        for feature in MAIN:
            by = {row.setting: row for row in _of(rows, WIDE, feature)}
            own = [f"{points(by[f'{setting}, fit={fit}'])} with fit={fit}" for fit in FITS]
            said.append(f"{FEATURES[feature].title} {' and '.join(own)}")
        yield f"Of wide images, `{setting}`, in points from crops: {'; '.join(said)}."


def _range(rows: Sequence[Row]) -> str:
    ends: list[Callable[[Iterable[float]], float]] = [min, max]
    return " to ".join(text(end(row.difference for row in rows), "difference") for end in ends)


def _named(settings: Sequence[str]) -> str:
    return ", ".join(f"`{one}`" for one in settings)


def _part(share: float) -> str:
    """``1/8.4``."""
    return f"1/{1 / share:.1f}"


def _plain(difference: float) -> str:
    return text(difference, "difference").removeprefix("+")
